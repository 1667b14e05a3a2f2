import type { TopicMetadata } from '../../engine/engine.js'
import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { EncodableResponse } from '../../protocol/message-table.js'
import type { metadata } from '../../protocol/messages/metadata.js'
import type { Node } from '../handler.js'

/** One broker leads every partition and is its only replica, in an epoch that never ends. */
export const LEADER_EPOCH = 0

/** Kafka's bits of what may be done: without an authorizer, everything that there is to do with a thing of that kind. */
export const TOPIC_OPERATIONS = 3576
export const GROUP_OPERATIONS = 3400
export const CLUSTER_OPERATIONS = 8096
/** The answer to a client that did not ask. */
export const OPERATIONS_NOT_ASKED: number = -(2 ** 31)

/** What Metadata and DescribeTopicPartitions say of a topic. */
export function topicResponse(topic: TopicMetadata, { nodeId }: Node): TopicResponse {
  return {
    errorCode: kafkaCodeOf(topic.error),
    name: topic.name,
    topicId: topic.topicId,
    isInternal: topic.internal,
    partitions: Array.from({ length: topic.partitionCount }, (_, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId: nodeId,
      leaderEpoch: LEADER_EPOCH,
      replicaNodes: [nodeId],
      isrNodes: [nodeId],
    })),
  }
}

type TopicResponse = EncodableResponse<typeof metadata>['topics'][number]
