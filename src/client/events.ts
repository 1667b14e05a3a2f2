import type { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'

/** What a member of a group tells. A listener that throws does not reach the engine: it is an uncaught exception. */
export interface GroupEvents {
  /** Partitions were given to this member; on an empty group's first assignment, possibly none. */
  assigned: [partitions: TopicPartition[]]
  /** Partitions were given up in order: their handlers finished and their offsets are committed. */
  revoked: [partitions: TopicPartition[]]
  /** Partitions were taken away: another member may already have them, and a late commit is refused. */
  lost: [partitions: TopicPartition[]]
  /** What stopped the member. `closed` rejects with the same error. */
  error: [error: OttlaError]
}
