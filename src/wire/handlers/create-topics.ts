import type { ConfigEntry, ConfigSource } from '../../engine/config.js'
import type { NewTopic, TopicOutcome } from '../../engine/engine.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { createTopics } from '../../protocol/messages/create-topics.js'
import { type Handler, handler, type RequestContext } from '../handler.js'
import { configSource } from './config-response.js'

type AskedTopic = RequestOf<typeof createTopics>['topics'][number]
type Refusal = readonly [errorCode: number, errorMessage: string]

const CONFIGS_FROM_VERSION = 5

/** One broker keeps one replica of each partition; what asks for more is refused as by a Kafka of one broker. */
export const onCreateTopics: Handler = handler(createTopics, async ({ topics, validateOnly }, context) => {
  const { engine, node } = context
  const refusals = new Map<AskedTopic, Refusal>()
  const accepted: NewTopic[] = []
  for (const topic of topics) {
    const refusal = refusalOf(topic, node.nodeId)
    if (refusal !== undefined) refusals.set(topic, refusal)
    else accepted.push(newTopic(topic))
  }
  const outcomes = (await engine.createTopics({ topics: accepted, validateOnly })).values()
  return {
    topics: await Promise.all(
      topics.map(async (topic) => {
        const refusal = refusals.get(topic)
        if (refusal !== undefined) return failed(topic.name, refusal)
        const outcome = outcomes.next().value
        if (outcome === undefined) return failed(topic.name, [KafkaError.unknownServerError, 'There was no answer'])
        if (outcome.error !== null) return failed(topic.name, [kafkaCodeOf(outcome.error), outcome.error.message])
        return created(outcome, validateOnly, context)
      }),
    ),
  }
})

function refusalOf({ numPartitions, replicationFactor, assignments }: AskedTopic, nodeId: number): Refusal | undefined {
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      return [KafkaError.invalidRequest, 'Give either an assignment, or partitions and replication factor, as -1']
    }
    const partitions = assignments.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b)
    if (partitions.some((partition, index) => partition !== index)) {
      return [KafkaError.invalidReplicaAssignment, 'The partitions of an assignment are numbered from 0 without gaps']
    }
    return assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === nodeId)
      ? undefined
      : [KafkaError.invalidReplicaAssignment, `Broker ${nodeId} is the only one: assign each partition to it alone`]
  }
  if (replicationFactor === -1 || replicationFactor === 1) return undefined
  const rule =
    replicationFactor < 1
      ? 'Replication factor must be larger than 0, or -1 to use the default value.'
      : `The target replication factor of ${replicationFactor} cannot be reached because only 1 broker(s) are registered.`
  return [KafkaError.invalidReplicationFactor, rule]
}

function newTopic({ name, numPartitions, assignments, configs }: AskedTopic): NewTopic {
  return {
    name,
    partitionCount: assignments.length > 0 ? assignments.length : numPartitions,
    configs: Object.fromEntries(configs.map((config) => [config.name, config.value])),
  }
}

function failed(name: string, [errorCode, errorMessage]: Refusal) {
  return { name, errorCode, errorMessage, numPartitions: -1, replicationFactor: -1, configs: [] }
}

async function created(outcome: TopicOutcome, validateOnly: boolean, { engine, version }: RequestContext) {
  const { name, topicId, partitionCount } = outcome
  const hasConfigs = version >= CONFIGS_FROM_VERSION && !validateOnly
  const [described] = hasConfigs ? await engine.describeConfigs([{ type: 'topic', name }]) : []
  return {
    name,
    topicId,
    errorCode: KafkaError.none,
    errorMessage: null,
    numPartitions: partitionCount,
    replicationFactor: 1,
    configs: (described?.entries ?? []).map(configOf),
  }
}

function configOf({ name, value, readOnly, source, isSensitive }: ConfigEntry) {
  return { name, value, readOnly, configSource: configSource(source satisfies ConfigSource), isSensitive }
}
