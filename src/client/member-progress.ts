import type { ActiveGroup } from '../group/group-coordinator.js'
import type { TopicPartition } from '../storage/storage.js'
import type { DeliveryLoop } from './delivery-loop.js'
import type { MemberIdentity } from './membership.js'
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

/** What the embedded engine knows at once. */
export interface ProgressView {
  highWatermark(at: Readonly<TopicPartition>): number | undefined
}

export interface MemberState {
  readonly isClosing: boolean
  /** False while a rebalance is under way, whether the member has heard of it or not. */
  readonly isSettled: boolean
  readonly commitsItself: boolean
  readonly loops: Iterable<DeliveryLoop>
}

/** How far a member is from having nothing to do. */
export function progressOf(
  { isClosing, isSettled, commitsItself, loops }: MemberState,
  log: ProgressView,
): MemberProgress {
  const isMoving = isClosing || !isSettled
  const outstanding: string[] = []
  if (isClosing) outstanding.push('a member is closing')
  else if (isMoving) outstanding.push('partitions are being assigned')
  let waitsForTime = !isMoving
  let isUncommitted = false
  for (const loop of loops) {
    const { position, inFlight, isPaused, isHeldUp, toBeRetried } = loop.progress
    const end = log.highWatermark(loop.at)
    const isBehind = !isPaused && end !== undefined && position !== end
    const isToBeRetried = !isPaused && toBeRetried > 0
    const name = `${partitionName(loop.at)} offset ${position}`
    if (inFlight > 0) outstanding.push(`${name} is being handled`)
    else if (isToBeRetried)
      outstanding.push(`${partitionName(loop.at)}: ${toBeRetried} failed, and are to be tried again`)
    else if (isBehind) outstanding.push(`${name} is to be handled up to ${end}`)
    const isOutstanding = inFlight > 0 || isToBeRetried || isBehind
    const retryWaits = isToBeRetried && inFlight === 0 && loop.progress.retriesWaitForTime && (isHeldUp || !isBehind)
    if (isOutstanding && !loop.progress.waitsForTime && !retryWaits) waitsForTime = false
    if (!commitsItself || loop.committableOffset === undefined) continue
    isUncommitted = true
    if (!isOutstanding) outstanding.push(`${name} is to be committed`)
  }
  return { outstanding, waitsForTime: waitsForTime && !isUncommitted, needsCommit: waitsForTime && isUncommitted }
}

/** False where the group has begun a rebalance, or has gone on without the member, who may not have heard of it yet. */
export function isOfGeneration({ memberId, generationId }: MemberIdentity, group: ActiveGroup | undefined): boolean {
  if (group?.state !== 'Stable' || group.generationId !== generationId) return false
  return group.members.some((member) => member.memberId === memberId)
}
