import type { Engine } from '../engine/engine.js'
import type { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { DeliveryLoop } from './delivery-loop.js'
import type { Dispatch } from './dispatch.js'
import type { Failures } from './failures.js'
import type { OffsetCommitter } from './offset-committer.js'
import { invalid } from './options.js'
import { partitionName } from './partition-name.js'
import { type Position, resolvePosition } from './position.js'
import type { Slots } from './slots.js'
import { StallWatch } from './stall-watch.js'
import type { Subscription } from './subscription.js'

/** A partition, and the offset in it that a handler works on. */
export type HandledPlace = TopicPartition & { offset: number }

export interface HeldPartitionsOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly groupId: string
  readonly subscription: Subscription
  readonly from: Position
  readonly onOutOfRange: 'earliest' | 'latest' | 'error'
  readonly rebalanceTimeoutMs: number
  readonly maxPollIntervalMs: number
  /** On the stack of every handler. */
  readonly label: string
  /** Told whenever something happened that `idle` may wait for. */
  readonly onProgress: () => void
  readonly onRevoked: (partitions: TopicPartition[]) => void
  readonly onLost: (partitions: TopicPartition[]) => void
  /** Messages were removed before they were read: those from `offset` up to `resetTo`. */
  readonly onReset: (at: HandledPlace & { resetTo: number }) => void
  /** Handlers take too long: the member is to drop out. */
  readonly onStalled: (at: readonly HandledPlace[]) => void
  readonly onFailure: (error: OttlaError) => void
}

/** How the member delivers, which is known when it runs. */
export interface Delivering {
  readonly dispatch: Dispatch
  readonly slots: Slots | undefined
  readonly committer: OffsetCommitter
  readonly failures: Failures
}

/** The partitions that one member holds, each with its loop: from when they are assigned until they are given up or lost. */
export class HeldPartitions {
  readonly #options: HeldPartitionsOptions
  readonly #loops = new Map<string, DeliveryLoop>()
  /** Loops of partitions that were lost, while their handlers run. */
  readonly #ending = new Set<DeliveryLoop>()
  readonly #watch: StallWatch

  constructor(options: HeldPartitionsOptions) {
    const { clock, maxPollIntervalMs } = options
    this.#options = options
    this.#watch = new StallWatch({
      clock,
      maxPollIntervalMs,
      loops: this.#loops,
      onStalled: (loops) => options.onStalled(handledBy(loops)),
    })
  }

  /** By `topic-partition`. */
  get loops(): ReadonlyMap<string, DeliveryLoop> {
    return this.#loops
  }

  get all(): TopicPartition[] {
    return [...this.#loops.values()].map((loop) => loop.at)
  }

  /** What handlers work on, also in partitions that were lost. */
  get handled(): HandledPlace[] {
    return handledBy([...this.#loops.values(), ...this.#ending])
  }

  /** False where it is not wanted any more by the time their places are known: nothing begins then. */
  async begin(
    partitions: readonly TopicPartition[],
    delivering: Delivering,
    isWanted: () => boolean,
  ): Promise<boolean> {
    const starts = await this.#starts(partitions)
    if (!isWanted()) return false
    for (const start of starts) {
      this.#loops.set(partitionName(start.at), this.#loop(start, delivering))
      if (start.committedOffset !== start.startOffset) delivering.committer.schedule()
    }
    return true
  }

  /**
   * Lets the handlers finish and commits, so that the next holder goes on where this one stops. In a rebalance they
   * have their time for that; then they are said to be stalled, and this stays pending until the partitions are lost.
   */
  async giveUp(
    partitions: readonly TopicPartition[],
    cause: 'revoked' | 'closing',
    committer: OffsetCommitter,
  ): Promise<void> {
    const { clock, rebalanceTimeoutMs, onStalled, onRevoked, onLost } = this.#options
    const loops = this.#of(partitions)
    const isBounded = cause === 'revoked' && rebalanceTimeoutMs !== Number.POSITIVE_INFINITY
    const cancelTimer = isBounded ? clock.schedule(() => onStalled(handledBy(loops)), rebalanceTimeoutMs) : () => {}
    await Promise.all(loops.map((loop) => loop.stop(cause)))
    cancelTimer()
    const isCommitted = await committer.commitDone(loops)
    // Others were lost meanwhile, and are told of there.
    const given = loops.filter((loop) => this.#loops.get(partitionName(loop.at)) === loop).map((loop) => loop.at)
    this.#forget(given)
    if (given.length > 0) (isCommitted ? onRevoked : onLost)(given)
  }

  /** Nothing of them is committed any more. Resolves when their handlers are done. */
  async lose(partitions: readonly TopicPartition[]): Promise<void> {
    const loops = this.#of(partitions)
    this.#forget(partitions)
    for (const loop of loops) this.#ending.add(loop)
    this.#options.onLost([...partitions])
    await Promise.all(loops.map((loop) => loop.stop('lost')))
    for (const loop of loops) this.#ending.delete(loop)
  }

  /** Lets the running handlers finish, those of lost partitions too, and hands out nothing more. */
  async stop(): Promise<void> {
    this.#watch.end()
    const lost = [...this.#ending].map((loop) => loop.stop('lost'))
    await Promise.all([...lost, ...[...this.#loops.values()].map((loop) => loop.stop('closing'))])
  }

  /** Waits no more for handlers that run, nor holds the process for them. */
  abandon(): void {
    for (const loop of [...this.#loops.values(), ...this.#ending]) {
      loop.stop('abandoned').catch(this.#options.onFailure)
    }
    const partitions = this.all
    this.#forget(partitions)
    if (partitions.length > 0) this.#options.onLost(partitions)
  }

  /** The loops of these partitions, or of all. Throws OTTLA_INVALID_ARGUMENT where the member does not hold one. */
  chosen(partitions: readonly TopicPartition[] | undefined): DeliveryLoop[] {
    if (partitions === undefined) return [...this.#loops.values()]
    return partitions.map((at) => {
      const loop = this.#loops.get(partitionName(at))
      if (loop !== undefined) return loop
      throw invalid(`${partitionName(at)} is not assigned to this member of group ${this.#options.groupId}`)
    })
  }

  /** Goes on from these offsets, one for each loop. */
  seek(loops: readonly DeliveryLoop[], offsets: readonly number[]): void {
    for (const [index, loop] of loops.entries()) {
      loop.seek(offsets[index] as number)
      this.#watch.forget(loop)
    }
  }

  #of(partitions: readonly TopicPartition[]): DeliveryLoop[] {
    return partitions.flatMap((at) => this.#loops.get(partitionName(at)) ?? [])
  }

  #forget(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) this.#loops.delete(partitionName(at))
    this.#options.onProgress()
  }

  #loop(
    { at, startOffset, committedOffset }: LoopStart,
    { dispatch, slots, committer, failures }: Delivering,
  ): DeliveryLoop {
    const { engine, clock, groupId, subscription, label, onOutOfRange, onReset, onProgress, onFailure } = this.#options
    return new DeliveryLoop({
      engine,
      clock,
      at,
      group: groupId,
      codecs: subscription.codecs(at.topic),
      dispatch,
      slots,
      startOffset,
      committedOffset,
      label,
      onOutOfRange: async (error) => {
        if (onOutOfRange === 'error') throw error
        const [offset] = await resolvePosition(engine, onOutOfRange, [at])
        return offset as number
      },
      onReset: (offset, resetTo) => onReset({ ...at, offset, resetTo }),
      onMark: committer.schedule,
      onLongHandler: this.#watch.start,
      onRest: onProgress,
      onFailure,
      failures,
    })
  }

  /** Where each partition goes on. A place that `from` found is committed, or the next member would look anew. */
  async #starts(partitions: readonly TopicPartition[]): Promise<LoopStart[]> {
    const { engine, groupId, from } = this.#options
    const committed = await engine.fetchOffsets({ groupId, partitions })
    const without = partitions.filter((_, index) => (committed[index]?.offset ?? -1) < 0)
    const resolved = await resolvePosition(engine, from, without)
    return partitions.map((at, index) => {
      const offset = committed[index]?.offset ?? -1
      if (offset >= 0) return { at, startOffset: offset, committedOffset: offset }
      const startOffset = resolved[without.indexOf(at)] as number
      // The start of the log is found again, with all that comes after it.
      return { at, startOffset, committedOffset: from === 'earliest' ? startOffset : -1 }
    })
  }
}

interface LoopStart {
  readonly at: TopicPartition
  readonly startOffset: number
  /** -1 where the start offset is to be committed. */
  readonly committedOffset: number
}

function handledBy(loops: readonly DeliveryLoop[]): HandledPlace[] {
  return loops.flatMap((loop) => {
    const { handling } = loop
    return handling === undefined ? [] : [{ ...loop.at, offset: handling.offset }]
  })
}
