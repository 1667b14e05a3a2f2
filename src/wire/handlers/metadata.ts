import type { TopicMetadata } from '../../engine/engine.js'
import { KafkaError } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { metadata } from '../../protocol/messages/metadata.js'
import { type Handler, handler, type RequestContext } from '../handler.js'
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, topicResponse } from './topic-response.js'

/** Creates missing topics where client and listener allow it, and answers with them at once: they have their leader. */
export const onMetadata: Handler = handler(metadata, async (request, context) => {
  const { node } = context
  const asked = await topicsAsked(request, context)
  const { clusterId, topics } = await describe(asked.names, request, context)
  const operations = request.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : OPERATIONS_NOT_ASKED
  return {
    brokers: [{ ...node, rack: null }],
    clusterId,
    controllerId: node.nodeId,
    topics: [
      ...topics.map((topic) => ({ ...topicResponse(topic, node), topicAuthorizedOperations: operations })),
      ...asked.unknownIds.map((topicId) => ({
        errorCode: KafkaError.unknownTopicId,
        name: context.version >= 12 ? null : '',
        topicId,
        partitions: [],
      })),
    ],
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_ASKED,
    errorCode: KafkaError.none,
  }
})

interface AskedTopics {
  /** Null for all. */
  readonly names: readonly string[] | null
  readonly unknownIds: readonly string[]
}

async function topicsAsked(
  { topics }: RequestOf<typeof metadata>,
  { version, topicIds }: RequestContext,
): Promise<AskedTopics> {
  if (topics === null || (version === 0 && topics.length === 0)) return { names: null, unknownIds: [] }
  const names: string[] = []
  const unknownIds: string[] = []
  if (topics.some(({ name }) => name === null)) await topicIds.refresh()
  for (const { name, topicId } of topics) {
    const found = name ?? topicIds.nameOf(topicId)
    if (found === undefined) unknownIds.push(topicId)
    else names.push(found)
  }
  return { names, unknownIds }
}

async function describe(
  names: readonly string[] | null,
  request: RequestOf<typeof metadata>,
  { engine, autoCreateTopics }: RequestContext,
): Promise<{ clusterId: string; topics: readonly TopicMetadata[] }> {
  const found = await engine.metadata({ topics: names })
  if (names === null || !autoCreateTopics || !request.allowAutoTopicCreation) return found
  const missing = found.topics.filter(({ error }) => error?.code === 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
  if (missing.length === 0) return found
  const outcomes = await engine.createTopics({ topics: missing.map(({ name }) => ({ name, partitionCount: -1 })) })
  const refusals = new Map(outcomes.map(({ name, error }) => [name, error]))
  const { clusterId, topics } = await engine.metadata({ topics: names })
  // A name that could not be made says why, such as one that collides; one that another client has just made is there.
  return {
    clusterId,
    topics: topics.map((topic) => ({ ...topic, error: topic.error && (refusals.get(topic.name) ?? topic.error) })),
  }
}
