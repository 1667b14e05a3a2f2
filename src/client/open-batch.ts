import type { ProduceResult } from '../engine/engine.js'
import type { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordHeader } from '../record/record-batch.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { TopicPartition } from '../storage/storage.js'
import type { EncodedMessages } from './encode-message.js'
import type { SendResult } from './message.js'
import type { SendOfMany } from './sender.js'

/** What became of a batch: appended, or refused with an error. */
export type Outcome = { readonly result: ProduceResult } | { readonly error: unknown }

/** Whose batch it is. */
export interface BatchOwner {
  readonly at: TopicPartition
  /** All of its senders were told, before anybody who awaits them goes on. `error` is what it was refused with. */
  told(batch: OpenBatch, error: unknown): void
}

/** What takes a closed batch to the engine, and goes on with what the engine says of it. */
export interface BatchCarrier {
  appended(batch: OpenBatch, result: ProduceResult): void
  refused(batch: OpenBatch, error: unknown): void
}

/** Records of one `send` of many, one behind the other in a batch. */
interface Part {
  readonly sender: SendOfMany
  count: number
  /** Of the next ones that are to be told. */
  next: Part | undefined
}

/** Of `#timestamps` and `#slots`. */
const BYTES_PER_RECORD = 12

const NOBODY: readonly (() => void)[] = []

/**
 * A batch that still takes records, and who waits for them.
 *
 * All senders hang on one promise, that of the batch. The reactions of a promise run in the order in which they were
 * added, so one function, which tells the next sender each time it is called, serves them all (benchmark: memory-send).
 * Promises that the senders made by themselves would cost two functions each to settle them, and a place that keeps them.
 */
export class OpenBatch {
  readonly builder: RecordBatchBuilder = new RecordBatchBuilder()
  /** What goes to the engine, once it takes no more records. */
  closed: EncodedBatch | undefined
  /** When it was closed, by the monotonic clock, where its latency is measured; -1 otherwise. */
  closedAt = -1
  /** What the records count against the producer's `maxInFlightBytes`. */
  bytes = 0
  /** It was refused, may be in the log all the same, and is to be sent again. */
  isInDoubt = false
  /** The turn of its batcher in which it filled; -1 where it closed for another reason. */
  closedInTurn = -1
  /** Who hears what the engine says of it, by the two functions below, which stay where the batch is used again. */
  carrier: BatchCarrier | undefined
  readonly onAppended = (result: ProduceResult): void => this.carrier?.appended(this, result)
  readonly onRefused = (error: unknown): void => this.carrier?.refused(this, error)
  /** Who waits for all of it: a flush. */
  #watchers: (() => void)[] | undefined
  /** Of each record: its time, and what its sender calls it, if that sent several. */
  #timestamps = new Float64Array(16)
  #slots = new Int32Array(16)
  #firstPart: Part | undefined
  #lastPart: Part | undefined
  #lastPartEnd = 0
  #resolve!: () => void
  #reject!: (error: unknown) => void
  #settled: Promise<void>
  // What the senders are told, how many were told, and who hears of the last of them.
  #topic = ''
  #partition = -1
  #baseOffset = -1
  #logAppendTime = -1
  #toldCount = 0
  #owner: BatchOwner | undefined

  constructor() {
    this.#settled = this.#promise()
  }

  get memoryBytes(): number {
    return this.builder.memoryBytes + BYTES_PER_RECORD * this.#timestamps.length
  }

  /** Adds a record that was sent alone. Resolves with where it went. */
  add(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): Promise<SendResult> {
    this.#append(timestamp, key, value, headers)
    return this.#settled.then(this.#tellOne, this.#failOne)
  }

  /** Adds a record that its sender calls `slot`. */
  addFor(
    sender: SendOfMany,
    slot: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): void {
    const at = this.builder.recordCount
    this.#append(timestamp, key, value, headers)
    this.#slots[at] = slot
    this.#countFor(sender, at)
  }

  /** Adds the messages from `first` on, one after the other or as `next` says, until the batch has `maxBytes`; one at least. Returns the next slot. */
  fillFor(
    sender: SendOfMany,
    messages: EncodedMessages,
    first: number,
    next: Int32Array | undefined,
    now: number,
    maxBytes: number,
  ): number {
    const { builder } = this
    const start = builder.recordCount
    let slot = first
    do {
      const value = messages.value(slot)
      const key = messages.key(slot)
      const headers = messages.headers(slot)
      const bytes = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
      if (slot > first && builder.sizeInBytes + bytes > maxBytes) break
      const at = builder.recordCount
      this.#append(messages.timestamp(slot) ?? now, key, value, headers)
      this.#slots[at] = slot
      this.bytes += bytes
      slot = next === undefined ? slot + 1 : (next[slot] as number)
    } while (slot < messages.count && builder.sizeInBytes < maxBytes)
    this.#countFor(sender, start)
    return slot
  }

  /** Tells the senders of all records, in their order, and then the owner. */
  settle(owner: BatchOwner, outcome: Outcome): void {
    this.#owner = owner
    if ('error' in outcome) {
      this.#reject(outcome.error)
      return
    }
    this.#topic = owner.at.topic
    this.#partition = owner.at.partition
    this.#baseOffset = outcome.result.baseOffset
    this.#logAppendTime = outcome.result.logAppendTime
    this.#resolve()
  }

  /** Resolves when all of its senders are told, well or not. */
  told(): Promise<void> {
    return new Promise((resolve) => {
      this.#watchers ??= []
      this.#watchers.push(resolve)
    })
  }

  /** Who is to be told after the senders, and no more. */
  takeWatchers(): readonly (() => void)[] {
    const watchers = this.#watchers ?? NOBODY
    this.#watchers = undefined
    return watchers
  }

  /** Forgets all but its memory. */
  clear(): void {
    this.builder.reset()
    this.closed = undefined
    this.carrier = undefined
    this.bytes = 0
    this.#watchers = undefined
    this.isInDoubt = false
    this.#firstPart = undefined
    this.#lastPart = undefined
    this.#settled = this.#promise()
    this.#toldCount = 0
  }

  #promise(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  #append(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): void {
    const at = this.builder.recordCount
    this.builder.append(timestamp, key, value, headers)
    if (at === this.#timestamps.length) this.#grow()
    this.#timestamps[at] = timestamp
  }

  #grow(): void {
    const length = 2 * this.#timestamps.length
    const timestamps = new Float64Array(length)
    const slots = new Int32Array(length)
    timestamps.set(this.#timestamps)
    slots.set(this.#slots)
    this.#timestamps = timestamps
    this.#slots = slots
  }

  /** The records from `start` on are this sender's. */
  #countFor(sender: SendOfMany, start: number): void {
    const { recordCount } = this.builder
    const last = this.#lastPart
    if (last?.sender === sender && this.#lastPartEnd === start) last.count += recordCount - start
    else this.#startPart(sender, recordCount - start)
    this.#lastPartEnd = recordCount
  }

  #startPart(sender: SendOfMany, count: number): void {
    const part: Part = { sender, count, next: undefined }
    if (this.#firstPart === undefined) this.#firstPart = part
    else if (this.#lastPart !== undefined) this.#lastPart.next = part
    this.#lastPart = part
    void this.#settled.then(this.#tellPart, this.#failPart)
  }

  readonly #tellOne = (): SendResult => {
    const result = this.#next()
    if (this.#toldCount === this.builder.recordCount) this.#owner?.told(this, undefined)
    return result
  }

  readonly #failOne = (error: unknown): never => {
    if (++this.#toldCount === this.builder.recordCount) this.#owner?.told(this, error)
    throw error
  }

  readonly #tellPart = (): void => {
    const { sender, count } = this.#takePart()
    const end = this.#toldCount + count
    while (this.#toldCount < end) sender.acknowledged(this.#slots[this.#toldCount] as number, this.#next())
    if (this.#toldCount === this.builder.recordCount) this.#owner?.told(this, undefined)
  }

  readonly #failPart = (error: unknown): void => {
    const { sender, count } = this.#takePart()
    this.#toldCount += count
    sender.failed(error)
    if (this.#toldCount === this.builder.recordCount) this.#owner?.told(this, error)
  }

  #takePart(): Part {
    const part = this.#firstPart as Part
    this.#firstPart = part.next
    return part
  }

  #next(): SendResult {
    const index = this.#toldCount++
    const timestamp = this.#logAppendTime >= 0 ? this.#logAppendTime : (this.#timestamps[index] as number)
    return { topic: this.#topic, partition: this.#partition, offset: this.#baseOffset + index, timestamp }
  }
}

/** Memory of emptied batches that a client keeps: of thousands that hold a message each, or of some that were full. */
const KEPT_BYTES = 4 * 2 ** 20

/** Emptied batches of one client, whose memory serves the next ones, whichever producer and partition they are for. */
export class BatchPool {
  readonly #batches: OpenBatch[] = []
  #keptBytes = 0

  take(): OpenBatch {
    const batch = this.#batches.pop()
    if (batch === undefined) return new OpenBatch()
    this.#keptBytes -= batch.memoryBytes
    return batch
  }

  give(batch: OpenBatch): void {
    batch.clear()
    const { memoryBytes } = batch
    if (this.#keptBytes + memoryBytes > KEPT_BYTES) return
    this.#keptBytes += memoryBytes
    this.#batches.push(batch)
  }
}
