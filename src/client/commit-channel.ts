import { type Channel, channel } from 'node:diagnostics_channel'
import type { TopicPartition } from '../storage/storage.js'

/** What the diagnostics channel 'ottla:commit' tells of each commit of a member of this process. */
export interface CommitDiagnostics {
  /** The group's id. */
  group: string
  /** What was to be committed: each offset is that of the next message to be handled. */
  offsets: (TopicPartition & { offset: number })[]
  /** How long it took, in milliseconds. */
  durationMs: number
  /** Why it was refused, undefined where it was not. */
  error: unknown
}

/** Of the whole process: `diagnostics_channel.subscribe('ottla:commit', listener)`. */
export const commitChannel: Channel = channel('ottla:commit')

export function publishCommit(diagnostics: CommitDiagnostics): void {
  commitChannel.publish(diagnostics)
}
