import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { commitChannel, publishCommit } from './commit-channel.js'
import type { DeliveryLoop } from './delivery-loop.js'
import type { GroupCounters } from './group-counters.js'
import type { Membership } from './membership.js'
import { describe, invalid, isWholeNumber } from './options.js'
import { partitionName } from './partition-name.js'

export interface OffsetCommitterOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly groupId: string
  readonly membership: Membership
  readonly counters: GroupCounters
  /** Undefined where only the user commits. */
  readonly intervalMs: number | undefined
  /** The loops of the partitions that the member holds, by `topic-partition`. */
  readonly loops: ReadonlyMap<string, DeliveryLoop>
  /** Told what was committed. */
  readonly onCommitted: (offsets: readonly CommittedOffset[]) => void
  /** Told what a commit that was due failed with. */
  readonly onFailure: (error: unknown) => void
}

/** The next offset to be handled in a partition. */
export interface CommittedOffset extends TopicPartition {
  offset: number
}

/** Throws OTTLA_INVALID_ARGUMENT. Of a partition that is named twice the last offset counts. */
export function checkOffsets(offsets: unknown): CommittedOffset[] {
  if (!Array.isArray(offsets)) throw invalid(`commitOffsets takes an array, not ${describe(offsets)}`)
  const checked = new Map<string, CommittedOffset>()
  for (const at of offsets) {
    if (typeof at !== 'object' || at === null || typeof at.topic !== 'string' || !isWholeNumber(at.partition)) {
      throw invalid(`commitOffsets takes { topic, partition, offset }, not ${describe(at)}`)
    }
    const { topic, partition, offset } = at
    if (!isWholeNumber(offset)) {
      throw invalid(`The offset of ${partitionName(at)} is a whole number from 0 up, not ${describe(offset)}`)
    }
    checked.set(partitionName(at), { topic, partition, offset })
  }
  return [...checked.values()]
}

interface LoopOffset {
  readonly loop: DeliveryLoop
  readonly offset: number
  readonly onCommitted: () => void
}

/** A commit that is refused for these says that the partition went to others, or away, in the meantime. */
const MEANS_NOT_OURS: ReadonlySet<string> = new Set([
  'OTTLA_FENCED_INSTANCE_ID',
  'OTTLA_ILLEGAL_GENERATION',
  'OTTLA_UNKNOWN_MEMBER_ID',
  'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
])

/**
 * Writes what one member has done to the group's offsets: when it is due, when asked, and when partitions are given up.
 *
 * The coordinator refuses commits while a generation waits for its assignments, and those that name the generation
 * before. The partitions may be this member's still, so such a commit is made again when the member has its assignment.
 */
export class OffsetCommitter {
  readonly #options: OffsetCommitterOptions
  /** The newest write. One at a time, so that an older offset never follows a newer one. Never rejects. */
  #writing: Promise<void> = Promise.resolve()
  #cancelDue: (() => void) | undefined
  #isStopped = false

  constructor(options: OffsetCommitterOptions) {
    this.#options = options
  }

  /** There is something new to commit: it is due when the interval is over. */
  readonly schedule = (): void => {
    if (this.#cancelDue !== undefined) return
    const { clock, intervalMs } = this.#options
    if (intervalMs === undefined || this.#isStopped) return
    this.#cancelDue = clock.schedule(this.commitDue, intervalMs, { keepAlive: true })
  }

  /** Commits what is done now, instead of when it is due. */
  readonly commitDue = (): void => {
    this.#cancelDue?.()
    this.#cancelDue = undefined
    if (this.#isStopped) return
    const { loops, onFailure } = this.#options
    this.commitDone([...loops.values()]).catch(onFailure)
  }

  /** Nothing is due any more. */
  stop(): void {
    this.#isStopped = true
    this.#cancelDue?.()
    this.#cancelDue = undefined
  }

  /** Commits what is done in these partitions. False where the group has given them to others in the meantime. */
  commitDone(loops: readonly DeliveryLoop[]): Promise<boolean> {
    if (this.#options.intervalMs === undefined) return Promise.resolve(true)
    return this.#inTurn(async () => {
      const refusal = await this.#write(() => loops.filter((loop) => this.#isHeld(loop)).flatMap(doneIn))
      if (refusal === undefined) return true
      if (MEANS_NOT_OURS.has(refusal.code)) return false
      if (refusal.code !== 'OTTLA_REBALANCE_IN_PROGRESS') throw refusal
      this.schedule()
      return true
    })
  }

  /** Commits these offsets. Rejects with what they are refused for, also where a partition is no longer this member's. */
  async commit(offsets: readonly (Readonly<TopicPartition> & { readonly offset: number })[]): Promise<void> {
    const { groupId, loops } = this.#options
    const wanted = offsets.map(({ topic, partition, offset }) => {
      const loop = loops.get(partitionName({ topic, partition }))
      if (loop === undefined) throw notHeld(groupId, { topic, partition })
      // From now on, not from when its turn has come: a seek in between is the newer wish.
      return { loop, offset, onCommitted: loop.committing(offset) }
    })
    await this.#inTurn(async () => {
      const refusal = await this.#write(() => {
        const gone = wanted.find(({ loop }) => !this.#isHeld(loop))
        if (gone !== undefined) throw notHeld(groupId, gone.loop.at)
        return wanted
      })
      if (refusal !== undefined) throw refusal
    }).finally(() => {
      // More is done than was committed by hand.
      if (wanted.some(({ loop }) => loop.committableOffset !== undefined)) this.schedule()
    })
  }

  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const written = this.#writing.then(write)
    this.#writing = written.then(
      () => undefined,
      () => undefined,
    )
    return written
  }

  /** `offsetsNow` is asked before each try. */
  async #write(offsetsNow: () => readonly LoopOffset[]): Promise<OttlaError | undefined> {
    const { clock, counters, engine, groupId, membership, onCommitted } = this.#options
    for (;;) {
      const offsets = offsetsNow()
      if (offsets.length === 0) return undefined
      const { identity } = membership
      const request = {
        groupId,
        ...identity,
        offsets: offsets.map(({ loop, offset }) => ({ ...loop.at, offset, metadata: null })),
      }
      let refusal: OttlaError | undefined
      const beganAtMs = clock.monotonic()
      try {
        const accepted: CommittedOffset[] = []
        for (const [index, { topic, partition, error }] of (await engine.commitOffsets(request)).entries()) {
          const written = offsets[index]
          if (error !== null) refusal ??= error
          else if (written !== undefined) {
            written.onCommitted()
            accepted.push({ topic, partition, offset: written.offset })
          }
        }
        onCommitted(accepted)
      } catch (error) {
        if (!OttlaError.is(error)) throw error
        refusal = error
      }
      const durationMs = clock.monotonic() - beganAtMs
      if (refusal === undefined) counters.commits.record(durationMs)
      else counters.commitFailures++
      if (commitChannel.hasSubscribers) {
        const places = offsets.map(({ loop, offset }) => ({ ...loop.at, offset }))
        publishCommit({ group: groupId, offsets: places, durationMs, error: refusal })
      }
      if (refusal === undefined) return undefined
      if (refusal.code !== 'OTTLA_REBALANCE_IN_PROGRESS' && refusal.code !== 'OTTLA_ILLEGAL_GENERATION') return refusal
      const wasRebalancing = await membership.afterRebalance()
      if (!wasRebalancing && membership.identity.generationId === identity.generationId) return refusal
    }
  }

  #isHeld(loop: DeliveryLoop): boolean {
    return this.#options.loops.get(partitionName(loop.at)) === loop
  }
}

function doneIn(loop: DeliveryLoop): LoopOffset[] {
  const offset = loop.committableOffset
  return offset === undefined ? [] : [{ loop, offset, onCommitted: loop.committing(offset) }]
}

function notHeld(groupId: string, at: Readonly<TopicPartition>): OttlaError {
  return new OttlaError(
    'OTTLA_ILLEGAL_GENERATION',
    `${partitionName(at)} is not assigned to this member of group ${groupId} any more: whoever has it now commits it`,
  )
}
