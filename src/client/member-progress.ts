import type { TopicPartition } from '../storage/storage.js'
import type { DeliveryLoop } from './delivery-loop.js'
import { partitionName } from './partition-name.js'

/** What `idle` asks a member. */
export interface MemberProgress {
  /** What is still to be done, in words; empty when it is all done and committed. */
  readonly outstanding: readonly string[]
  /** True where only the passing of time brings it on. */
  readonly waitsForTime: boolean
  /** True where a commit is all that is left to do now. */
  readonly needsCommit: boolean
}

export interface MemberState {
  readonly isClosing: boolean
  /** False while a rebalance is under way. */
  readonly isSettled: boolean
  readonly commitsItself: boolean
  readonly loops: Iterable<DeliveryLoop>
}

/** How far a member is from having nothing to do. */
export function progressOf(
  { isClosing, isSettled, commitsItself, loops }: MemberState,
  highWatermark: (at: TopicPartition) => number | undefined,
): MemberProgress {
  const isMoving = isClosing || !isSettled
  const outstanding: string[] = []
  if (isClosing) outstanding.push('a member is closing')
  else if (isMoving) outstanding.push('partitions are being assigned')
  let waitsForTime = !isMoving
  let isUncommitted = false
  for (const loop of loops) {
    const { position, inFlight, isPaused, waitsForTime: loopWaits } = loop.progress
    const end = highWatermark(loop.at)
    const isBehind = !isPaused && end !== undefined && position !== end
    const name = `${partitionName(loop.at)} offset ${position}`
    if (inFlight > 0) outstanding.push(`${name} is being handled`)
    else if (isBehind) outstanding.push(`${name} is to be handled up to ${end}`)
    if ((inFlight > 0 || isBehind) && !loopWaits) waitsForTime = false
    if (!commitsItself || loop.committableOffset === undefined) continue
    isUncommitted = true
    if (inFlight === 0 && !isBehind) outstanding.push(`${name} is to be committed`)
  }
  return { outstanding, waitsForTime: waitsForTime && !isUncommitted, needsCommit: waitsForTime && isUncommitted }
}
