import type { Engine, ProduceResult } from '../engine/engine.js'
import type { RecordHeader } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { BatchQueue } from './batch-queue.js'
import type { EncodedMessages } from './encode-message.js'
import { IdempotentSender, type IdempotentSenderOptions } from './idempotent-sender.js'
import type { SendResult } from './message.js'
import type { BatchCarrier, BatchOwner, BatchPool, OpenBatch, Outcome } from './open-batch.js'
import type { SendOfMany } from './sender.js'
import type { TurnEnd, TurnListener } from './turn-end.js'

/** What the batchers of one producer share: an object of its own for each would be most of what an idle partition costs. */
export interface BatcherOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly lingerMs: number
  /** Where a new batch comes from, and where an old one goes. */
  readonly batches: BatchPool
  readonly turnEnd: TurnEnd
  /** Told of each batch that closed: a record without a key then goes elsewhere. */
  readonly onClosed: (at: TopicPartition) => void
  /**
   * Told of each batch that was acknowledged or refused: its records, what they count against the producer's limit, the
   * size of the batch, and when it closed where that was looked at, -1 otherwise.
   */
  readonly onSettled: (
    at: TopicPartition,
    records: number,
    bytes: number,
    error: unknown,
    sizeInBytes: number,
    closedAt: number,
  ) => void
  /** How an idempotent producer sends; undefined where it is none. */
  readonly idempotence: IdempotentSenderOptions | undefined
}

/** The latency of one batch in so many is measured. */
const BATCHES_PER_LATENCY = 8

/**
 * Gathers the records of one partition into batches and hands each to the engine when it closes: when it is full, when
 * `lingerMs` is over, or, without a linger, as soon as the turn's sends are in it and no earlier batch is under way. So
 * senders never wait for company, and whatever gathers during one write shares the next.
 */
export class Batcher implements BatchCarrier, BatchOwner, TurnListener {
  readonly at: TopicPartition
  readonly #options: BatcherOptions
  readonly #sender: IdempotentSender | undefined
  /** Oldest first. */
  readonly #underWay: BatchQueue = new BatchQueue()
  #open: OpenBatch | undefined
  #isCloseScheduled = false
  /** Counts the turns in which the open batch was looked at. */
  #turnCount = 0
  #closedCount = 0
  #cancelLinger: (() => void) | undefined
  /** The turn in which the last of those outcomes is told that were put off. */
  #turn: Promise<void> | undefined
  /** Bytes at which a batch is full. */
  batchBytes: number

  constructor(options: BatcherOptions, at: TopicPartition, batchBytes: number) {
    this.at = at
    this.#options = options
    this.batchBytes = batchBytes
    this.#sender = options.idempotence && new IdempotentSender(options.idempotence, at, this)
  }

  /** True where nothing is under way: records, if there are any, wait for their linger or to be sent again. */
  get waitsForTime(): boolean {
    if (this.#sender?.waitsForTime === true) return true
    return this.#underWay.first === undefined && (this.#open === undefined || this.#cancelLinger !== undefined)
  }

  /** True where every record is settled. */
  get isEmpty(): boolean {
    return this.#open === undefined && this.#underWay.first === undefined
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
    const sent = open.add(timestamp ?? this.#options.turnEnd.now(), key, value, headers)
    open.bytes += bytes
    if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
    return sent
  }

  /** The same for a message of a `send` of several, which is told what becomes of its `slot`. `nextSlot` has an entry for each message of that. */
  appendFor(
    sender: SendOfMany,
    slot: number,
    nextSlot: Int32Array,
    timestamp: number | undefined,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    bytes: number,
  ): void {
    let open = this.#open
    if (open === undefined || open.builder.sizeInBytes + bytes > this.batchBytes) open = this.#nextBatch()
    open.addFor(sender, slot, nextSlot, timestamp ?? this.#options.turnEnd.now(), key, value, headers)
    open.bytes += bytes
    if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
  }

  /** The same for all messages of a `send`, or for those from `first` on that `nextSlot` leads to, in their order. */
  appendAllFor(sender: SendOfMany, messages: EncodedMessages, first = 0, nextSlot?: Int32Array): void {
    for (let slot = first; slot < messages.count; ) {
      let open = this.#open
      if (open === undefined || open.builder.sizeInBytes + messages.bytesOf(slot) > this.batchBytes) {
        open = this.#nextBatch()
      }
      slot = open.fillFor(sender, messages, slot, nextSlot, this.#options.turnEnd.now(), this.batchBytes)
      if (!this.#isCloseScheduled || open.builder.sizeInBytes >= this.batchBytes) this.#closeInTime(open)
    }
  }

  /** Closes the open batch now, whatever its linger. Resolves when all that are under way then are settled. */
  flush(): Promise<unknown> | undefined {
    this.#close()
    if (this.#underWay.first === undefined) return undefined
    return Promise.all(this.#underWay.all().map((batch) => batch.told()))
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

  #scheduleClose(): void {
    const { clock, lingerMs, turnEnd } = this.#options
    if (lingerMs > 0) {
      this.#cancelLinger ??= clock.schedule(() => this.#close(), lingerMs, { keepAlive: true })
      return
    }
    this.#isCloseScheduled = true
    turnEnd.tell(this)
  }

  endTurn(): void {
    this.#isCloseScheduled = false
    if (this.#underWay.first === undefined || this.#areUnderWaySinceThisTurn()) this.#close()
    this.#turnCount++
  }

  /** What filled in this turn and the rest of it go together: no write had begun before it (benchmark: group-commit). */
  #areUnderWaySinceThisTurn(): boolean {
    return this.#underWay.first?.closedInTurn === this.#turnCount
  }

  #close(): void {
    const open = this.#open
    this.#cancelLinger?.()
    this.#cancelLinger = undefined
    if (open === undefined) return
    this.#open = undefined
    open.closedInTurn = this.#isCloseScheduled ? this.#turnCount : -1
    this.#underWay.push(open)
    // A look at the clock for each batch would be felt where each message is awaited.
    open.closedAt = this.#closedCount++ % BATCHES_PER_LATENCY === 0 ? this.#options.clock.monotonic() : -1
    this.#options.onClosed(this.at)
    if (this.#sender !== undefined) {
      this.#sender.send(open)
      return
    }
    const { topic, partition } = this.at
    open.carrier = this
    this.#options.engine
      .produce({ topic, partition, batch: open.builder.close() })
      .then(open.onAppended, open.onRefused)
  }

  appended(batch: OpenBatch, result: ProduceResult): void {
    this.settle(batch, { result })
  }

  refused(batch: OpenBatch, error: unknown): void {
    this.settle(batch, { error })
  }

  /** What became of a batch is known: its senders are told. */
  settle(batch: OpenBatch, outcome: Outcome): void {
    const { clock } = this.#options
    if (this.#turn === undefined && !clock.turnIsSpent()) {
      batch.settle(this, outcome)
      return
    }
    // Senders that await each message in memory, or try again and again, would otherwise never leave this turn of the
    // event loop. Outcomes that follow wait too, to stay in order.
    const turn = (this.#turn ?? clock.nextTurn()).then(() => {
      if (this.#turn === turn) this.#turn = undefined
      batch.settle(this, outcome)
    })
    this.#turn = turn
  }

  told(batch: OpenBatch, error: unknown): void {
    const { bytes, closedAt } = batch
    const { recordCount, sizeInBytes } = batch.builder
    const watchers = batch.takeWatchers()
    this.#underWay.remove(batch)
    // The memory of one huge message is not kept.
    if (bytes <= 2 * this.batchBytes) this.#options.batches.give(batch)
    this.#options.onSettled(this.at, recordCount, bytes, error, sizeInBytes, closedAt)
    for (const watcher of watchers) watcher()
    if (this.#open !== undefined && !this.#isCloseScheduled) this.#scheduleClose()
  }
}
