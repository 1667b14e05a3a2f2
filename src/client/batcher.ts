import type { Engine } from '../engine/engine.js'
import type { RecordHeader } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { EncodedMessages } from './encode-message.js'
import type { IdempotentSender } from './idempotent-sender.js'
import type { SendResult } from './message.js'
import type { BatchPool, OpenBatch, Outcome } from './open-batch.js'
import type { SendOfMany } from './sender.js'

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
  /**
   * Told of each batch that was acknowledged or refused: its records, what they count against the producer's limit, the
   * size of the batch, and when it closed where that was looked at, -1 otherwise.
   */
  readonly onSettled: (records: number, bytes: number, error: unknown, sizeInBytes: number, closedAt: number) => void
  /** Makes what takes closed batches to the engine for an idempotent producer, and tells what became of each. */
  readonly newSender?: ((onSettled: (batch: OpenBatch, outcome: Outcome) => void) => IdempotentSender) | undefined
}

/** The latency of one batch in so many is measured. */
const BATCHES_PER_LATENCY = 8

/** Kept, since test runners put one in its place that stands still. */
const { nextTick } = process

/**
 * Gathers the records of one partition into batches and hands each to the engine when it closes: when it is full, when
 * `lingerMs` is over, or, without a linger, as soon as the turn's sends are in it and no earlier batch is under way. So
 * senders never wait for company, and whatever gathers during one write shares the next.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #sender: IdempotentSender | undefined
  readonly #underWay = new Set<OpenBatch>()
  #open: OpenBatch | undefined
  #isCloseScheduled = false
  /** Counts the turns in which the open batch was looked at. */
  #turnCount = 0
  #lastNow = 0
  #closedCount = 0
  #cancelLinger: (() => void) | undefined
  /** The turn in which the last of those outcomes is told that were put off. */
  #turn: Promise<void> | undefined
  /** Bytes at which a batch is full. */
  batchBytes: number

  constructor(options: BatcherOptions) {
    this.#options = options
    this.batchBytes = options.batchBytes
    this.#sender = options.newSender?.((batch, outcome) => this.#settle(batch, outcome))
  }

  /** True where nothing is under way: records, if there are any, wait for their linger or to be sent again. */
  get waitsForTime(): boolean {
    if (this.#sender?.waitsForTime === true) return true
    return this.#underWay.size === 0 && (this.#open === undefined || this.#cancelLinger !== undefined)
  }

  /** True where every record is settled. */
  get isEmpty(): boolean {
    return this.#open === undefined && this.#underWay.size === 0
  }

  /** Resolves with where the record went. Without a timestamp it is that of this turn; `bytes` is the bound of its size. */
  append(
    timestamp: number | undefined,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    bytes: number,
  ): Promise<SendResult> {
    let open = this.#open
    if (open === undefined || open.builder.sizeInBytes + bytes > this.batchBytes) open = this.#nextBatch()
    const sent = open.add(timestamp ?? this.#now(), key, value, headers)
    open.bytes += bytes
    if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
    return sent
  }

  /** The same for a message of a `send` of several, which is told what becomes of its `slot`. */
  appendFor(
    sender: SendOfMany,
    slot: number,
    timestamp: number | undefined,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    bytes: number,
  ): void {
    let open = this.#open
    if (open === undefined || open.builder.sizeInBytes + bytes > this.batchBytes) open = this.#nextBatch()
    open.addFor(sender, slot, timestamp ?? this.#now(), key, value, headers)
    open.bytes += bytes
    if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
  }

  /** The same for all messages of a `send`, in their order. */
  appendAllFor(sender: SendOfMany, messages: EncodedMessages): void {
    for (let slot = 0; slot < messages.count; ) {
      let open = this.#open
      if (open === undefined || open.builder.sizeInBytes + messages.bytesOf(slot) > this.batchBytes) {
        open = this.#nextBatch()
      }
      slot = open.fillFor(sender, messages, slot, this.#now(), this.batchBytes)
      if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
    }
  }

  /** Closes the open batch now, whatever its linger. Resolves when all that are under way then are settled. */
  flush(): Promise<unknown> | undefined {
    this.#close()
    if (this.#underWay.size === 0) return undefined
    return Promise.all(
      Array.from(this.#underWay, ({ watchers }) => new Promise<void>((resolve) => watchers.push(resolve))),
    )
  }

  /** From now on nothing waits for a retry: what does so is tried once more, at once. */
  hurry(): void {
    this.#sender?.hurry()
  }

  /** From now on the partition may be another one that has its name. */
  beginAlone(): void {
    this.#sender?.beginAlone()
  }

  #nextBatch(): OpenBatch {
    this.#close()
    const open = this.#options.batches.take()
    this.#open = open
    return open
  }

  #closeInTime(open: OpenBatch): void {
    if (open.builder.sizeInBytes >= this.batchBytes) this.#close()
    // While a batch is under way too: the end of the turn is also when the clock is looked at again.
    else this.#scheduleClose()
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
    this.#isCloseScheduled = true
    // After the microtasks: senders that were just acknowledged send again in those, and join this batch.
    nextTick(this.#closeScheduled)
  }

  readonly #closeScheduled = (): void => {
    this.#isCloseScheduled = false
    if (this.#underWay.size === 0 || this.#areUnderWaySinceThisTurn()) this.#close()
    this.#turnCount++
  }

  /** What filled in this turn and the rest of it go together: no write had begun before it (benchmark: group-commit). */
  #areUnderWaySinceThisTurn(): boolean {
    const [oldest] = this.#underWay
    return oldest?.closedInTurn === this.#turnCount
  }

  #close(): void {
    const open = this.#open
    this.#cancelLinger?.()
    this.#cancelLinger = undefined
    if (open === undefined) return
    this.#open = undefined
    open.closedInTurn = this.#isCloseScheduled ? this.#turnCount : -1
    this.#underWay.add(open)
    // A look at the clock for each batch would be felt where each message is awaited.
    open.closedAt = this.#closedCount++ % BATCHES_PER_LATENCY === 0 ? this.#options.clock.monotonic() : -1
    this.#options.onClosed()
    if (this.#sender !== undefined) {
      this.#sender.send(open)
      return
    }
    const { at, engine } = this.#options
    engine.produce({ topic: at.topic, partition: at.partition, batch: open.builder.close() }).then(
      (result) => this.#settle(open, { result }),
      (error) => this.#settle(open, { error }),
    )
  }

  #settle(batch: OpenBatch, outcome: Outcome): void {
    const { clock } = this.#options
    if (this.#turn === undefined && !clock.turnIsSpent()) {
      this.#tell(batch, outcome)
      return
    }
    // Senders that await each message in memory, or try again and again, would otherwise never leave this turn of the
    // event loop. Outcomes that follow wait too, to stay in order.
    const turn = (this.#turn ?? clock.nextTurn()).then(() => {
      if (this.#turn === turn) this.#turn = undefined
      this.#tell(batch, outcome)
    })
    this.#turn = turn
  }

  #tell(batch: OpenBatch, outcome: Outcome): void {
    batch.settle(this.#options.at, outcome, () => {
      const { bytes, closedAt } = batch
      const { recordCount, sizeInBytes } = batch.builder
      const watchers = [...batch.watchers]
      this.#underWay.delete(batch)
      // The memory of one huge message is not kept.
      if (bytes <= 2 * this.batchBytes) this.#options.batches.give(batch)
      const error = 'error' in outcome ? outcome.error : undefined
      this.#options.onSettled(recordCount, bytes, error, sizeInBytes, closedAt)
      for (const watcher of watchers) watcher()
      if (this.#open !== undefined && !this.#isCloseScheduled) this.#scheduleClose()
    })
  }
}
