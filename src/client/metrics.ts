import type { GroupDescription } from './client.js'
import { type AnyGroup, memberLoad } from './consumer-group.js'
import type { GroupCounters, GroupCounts } from './group-counters.js'
import type { PartitionLag } from './group-lag.js'
import type { ProducerCounts } from './producer-counters.js'

/** The producers of this process. */
export interface ProducerMetrics extends ProducerCounts {
  /** Producers that are not closed. */
  open: number
  /** Messages that were given to `send` and are not acknowledged yet. */
  pendingMessages: number
}

/** One group: as the coordinator has it, and what its members of this process have done. */
export interface GroupMetrics extends GroupCounts {
  /** As `describeGroup` has it. */
  state: GroupDescription['state']
  /** All members, those of other clients too. */
  members: number
  /** Partitions that members of this process hold. */
  partitions: number
  /** Those of them in which messages are being handled, or wait behind others of their key. */
  busyPartitions: number
  /** Messages that are not committed, of all partitions. */
  lag: number
  /** The same for each partition. A committed offset rises by one with each message, so its rate is what is consumed. */
  offsets: PartitionLag[]
}

/** @internal */
export function groupMetrics(
  { id, state, members, lag }: GroupDescription,
  ours: Iterable<AnyGroup>,
  counters: GroupCounters,
): GroupMetrics {
  const loads = [...ours].filter((member) => member.id === id).map(memberLoad)
  return {
    state,
    members: members.length,
    partitions: loads.reduce((sum, load) => sum + load.partitions, 0),
    busyPartitions: loads.reduce((sum, load) => sum + load.busyPartitions, 0),
    lag: lag.reduce((sum, at) => sum + at.lag, 0),
    offsets: lag,
    ...counters.snapshot(),
  }
}
