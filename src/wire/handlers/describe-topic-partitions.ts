import { describeTopicPartitions } from '../../protocol/messages/describe-topic-partitions.js'
import { type Handler, handler } from '../handler.js'
import { TOPIC_OPERATIONS, topicResponse } from './topic-response.js'

/** Kafka: max.request.partition.size.limit. */
const MOST_PARTITIONS = 2000

/** Kafka's admin client takes no null here, though the protocol would let it be. */
const NO_OTHER_REPLICAS = { offlineReplicas: [], eligibleLeaderReplicas: [], lastKnownElr: [] }

/** Topics by name, in order, from the cursor on, until there are as many partitions as are wanted. */
export const onDescribeTopicPartitions: Handler = handler(describeTopicPartitions, async (request, context) => {
  const { engine, node } = context
  const { cursor, responsePartitionLimit } = request
  const names = [...new Set(request.topics.map(({ name }) => name))].sort()
  const wanted = cursor === null ? names : names.filter((name) => name >= cursor.topicName)
  // No topics are all topics.
  const found = await engine.metadata({ topics: request.topics.length === 0 ? null : wanted })
  const described = found.topics
    .filter(({ name }) => cursor === null || name >= cursor.topicName)
    .sort((a, b) => (a.name < b.name ? -1 : 1))

  let left = Math.min(Math.max(responsePartitionLimit, 1), MOST_PARTITIONS)
  const topics = []
  let nextCursor: { topicName: string; partitionIndex: number } | null = null
  for (const topic of described) {
    const first = topic.name === cursor?.topicName ? cursor.partitionIndex : 0
    if (left === 0) {
      nextCursor = { topicName: topic.name, partitionIndex: first }
      break
    }
    const response = topicResponse(topic, node)
    const partitions = response.partitions.slice(Math.max(first, 0)).slice(0, left)
    left -= partitions.length
    topics.push({
      ...response,
      topicId: topic.topicId,
      partitions: partitions.map((partition) => ({ ...partition, ...NO_OTHER_REPLICAS })),
      topicAuthorizedOperations: TOPIC_OPERATIONS,
    })
    const next = Math.max(first, 0) + partitions.length
    if (next < topic.partitionCount) {
      nextCursor = { topicName: topic.name, partitionIndex: next }
      break
    }
  }
  return { throttleTimeMs: 0, topics, nextCursor }
})
