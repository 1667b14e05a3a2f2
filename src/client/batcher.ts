import type { Engine, ProduceResult } from '../engine/engine.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { EncodedMessage } from './encode-message.js'
import type { BatchPool, OpenBatch } from './open-batch.js'
import { acknowledge, fail, type Sender } from './sender.js'

export interface BatcherOptions {
  readonly at: TopicPartition
  readonly engine: Engine
  readonly clock: Clock
  readonly lingerMs: number
  /** Where a new batch comes from, and where an old one goes. */
  readonly batches: BatchPool
  /** Bytes at which a batch is full, at first. */
  readonly batchBytes: number
  /** Told of each batch that closed: a record without a key then goes elsewhere. */
  readonly onClosed: () => void
  /** Told of each batch that was acknowledged or refused. */
  readonly onSettled: (records: number, bytes: number, error?: unknown) => void
}

/** Kept, since test runners put one in its place that stands still. */
const { nextTick } = process

/**
 * Gathers the records of one partition into batches and hands each to the engine when it closes: when it is full, when
 * `lingerMs` is over, or, without a linger, as soon as the turn's sends are in it and no earlier batch is under way. So
 * senders never wait for company, and whatever gathers during one write shares the next.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #underWay = new Set<OpenBatch>()
  #open: OpenBatch | undefined
  #isCloseScheduled = false
  #lastNow = 0
  #cancelLinger: (() => void) | undefined
  /** The turn in which the last of those outcomes is told that were put off. */
  #turn: Promise<void> | undefined
  /** Bytes at which a batch is full. */
  batchBytes: number

  constructor(options: BatcherOptions) {
    this.#options = options
    this.batchBytes = options.batchBytes
  }

  /** True where nothing is under way: records, if there are any, wait for their linger. */
  get waitsForTime(): boolean {
    return this.#underWay.size === 0 && (this.#open === undefined || this.#cancelLinger !== undefined)
  }

  append(message: EncodedMessage, sender: Sender, slot: number): void {
    const { bytes } = message
    let open = this.#open
    if (open !== undefined && open.builder.sizeInBytes + bytes > this.batchBytes) {
      this.#close()
      open = undefined
    }
    if (open === undefined) {
      open = this.#options.batches.take()
      this.#open = open
    }
    const timestamp = message.timestamp ?? this.#now()
    open.builder.append(timestamp, message.key, message.value, message.headers)
    open.add(sender, slot, timestamp)
    open.bytes += bytes
    if (open.builder.sizeInBytes >= this.batchBytes) this.#close()
    else this.#scheduleClose()
  }

  /** Closes the open batch now, whatever its linger. Resolves when all that are under way then are settled. */
  flush(): Promise<unknown> | undefined {
    this.#close()
    if (this.#underWay.size === 0) return undefined
    return Promise.all(
      Array.from(this.#underWay, ({ watchers }) => new Promise<void>((resolve) => watchers.push(resolve))),
    )
  }

  /** One look at the clock serves all that one turn sends: a batch whose close is scheduled is of this turn. */
  #now(): number {
    if (!this.#isCloseScheduled) this.#lastNow = this.#options.clock.now()
    return this.#lastNow
  }

  #scheduleClose(): void {
    const { lingerMs, clock } = this.#options
    if (lingerMs > 0) {
      this.#cancelLinger ??= clock.schedule(() => this.#close(), lingerMs, { keepAlive: true })
      return
    }
    // While a batch is under way too: the end of the turn is also when the clock is looked at again.
    if (this.#isCloseScheduled) return
    this.#isCloseScheduled = true
    // After the microtasks: senders that were just acknowledged send again in those, and join this batch.
    nextTick(this.#closeScheduled)
  }

  readonly #closeScheduled = (): void => {
    this.#isCloseScheduled = false
    if (this.#underWay.size === 0) this.#close()
  }

  #close(): void {
    const open = this.#open
    this.#cancelLinger?.()
    this.#cancelLinger = undefined
    if (open === undefined) return
    this.#open = undefined
    this.#underWay.add(open)
    this.#options.onClosed()
    const { at, engine } = this.#options
    engine.produce({ topic: at.topic, partition: at.partition, batch: open.builder.close() }).then(
      (result) => this.#settle(open, result, undefined),
      (error) => this.#settle(open, undefined, error),
    )
  }

  #settle(batch: OpenBatch, result: ProduceResult | undefined, error: unknown): void {
    const { clock } = this.#options
    if (this.#turn === undefined && !clock.turnIsSpent()) {
      this.#tell(batch, result, error)
      return
    }
    // Senders that await each message in memory, or try again and again, would otherwise never leave this turn of the
    // event loop. Outcomes that follow wait too, to stay in order.
    const turn = (this.#turn ?? clock.nextTurn()).then(() => {
      if (this.#turn === turn) this.#turn = undefined
      this.#tell(batch, result, error)
    })
    this.#turn = turn
  }

  #tell(batch: OpenBatch, result: ProduceResult | undefined, error: unknown): void {
    const { senders, slots } = batch
    const { recordCount } = batch.builder
    if (result === undefined) {
      for (let index = 0; index < recordCount; index++) fail(senders[index] as Sender, error)
    } else {
      const { topic, partition } = this.#options.at
      const { baseOffset, logAppendTime } = result
      for (let index = 0; index < recordCount; index++) {
        const timestamp = logAppendTime >= 0 ? logAppendTime : (batch.timestamps[index] as number)
        const sent = { topic, partition, offset: baseOffset + index, timestamp }
        acknowledge(senders[index] as Sender, slots[index] as number, sent)
      }
    }
    this.#recycle(batch, error)
  }

  #recycle(batch: OpenBatch, error: unknown): void {
    const { bytes } = batch
    const { recordCount } = batch.builder
    const watchers = [...batch.watchers]
    this.#underWay.delete(batch)
    // The memory of one huge message is not kept.
    if (bytes <= 2 * this.batchBytes) this.#options.batches.give(batch)
    this.#options.onSettled(recordCount, bytes, error)
    for (const watcher of watchers) watcher()
    if (this.#open !== undefined) this.#scheduleClose()
  }
}
