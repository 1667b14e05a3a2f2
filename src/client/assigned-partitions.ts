import { decodeAssignment, type TopicPartitions } from '../protocol/consumer-protocol.js'
import type { TopicPartition } from '../storage/storage.js'

/** What an assignment of the consumer protocol gives a member. Throws OTTLA_INVALID_ARGUMENT where the bytes are none. */
export function assignedPartitions(assignment: Uint8Array): TopicPartition[] {
  return flatPartitions(decodeAssignment(assignment).assigned)
}

export function flatPartitions(assigned: readonly TopicPartitions[]): TopicPartition[] {
  return assigned.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}
