import type { OttlaError } from '../../errors.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { createPartitions } from '../../protocol/messages/create-partitions.js'
import { type Handler, handler, type RequestContext } from '../handler.js'

type Asked = RequestOf<typeof createPartitions>['topics'][number]

export const onCreatePartitions: Handler = handler(createPartitions, async ({ topics, validateOnly }, context) => {
  const results: { name: string; errorCode: number; errorMessage: string | null }[] = []
  // A refusal of one is not to depend on what another does at the same time.
  for (const topic of topics) {
    const answer =
      (await problemOf(topic, validateOnly, context)) ?? (validateOnly ? undefined : await grow(topic, context))
    results.push({ name: topic.name, errorCode: answer?.errorCode ?? 0, errorMessage: answer?.errorMessage ?? null })
  }
  return { throttleTimeMs: 0, results }
})

interface Answer {
  readonly errorCode: number
  readonly errorMessage: string
}

async function grow({ name, count }: Asked, { engine }: RequestContext): Promise<Answer | undefined> {
  const [outcome] = await engine.createPartitions([{ name, totalCount: count }])
  return outcome?.error ? answerOf(outcome.error) : undefined
}

/** What the engine does not look at: assignments, and whether it would go well where nothing is to be done. */
async function problemOf(
  { name, count, assignments }: Asked,
  validateOnly: boolean,
  { engine, node }: RequestContext,
): Promise<Answer | undefined> {
  if (assignments === null && !validateOnly) return undefined
  const [topic] = (await engine.metadata({ topics: [name] })).topics
  if (topic?.error) return answerOf(topic.error)
  const more = count - (topic?.partitionCount ?? 0)
  if (more <= 0) {
    return {
      errorCode: KafkaError.invalidPartitions,
      errorMessage: `Topic ${name} already has ${count - more} partition(s)`,
    }
  }
  const isOurs = assignments?.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === node.nodeId)
  if (assignments !== null && (assignments.length !== more || isOurs !== true)) {
    return {
      errorCode: KafkaError.invalidReplicaAssignment,
      errorMessage: `Assign each of the ${more} new partitions to broker ${node.nodeId} alone`,
    }
  }
  return undefined
}

function answerOf(error: OttlaError): Answer {
  return { errorCode: kafkaCodeOf(error), errorMessage: error.message }
}
