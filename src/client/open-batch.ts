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
  readonly firstSlot: number
  lastSlot: number
  /** Which slot follows on a slot; undefined where it is the next one. */
  readonly nextSlot: Int32Array | undefined
  /** Who is told after these. */
  following: Part | undefined
}

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
  /** Of each record, where they are not all the same. */
  #timestamps: number[] | undefined
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
    return this.builder.memoryBytes
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

  /** Adds a record that its sender calls `slot`, and notes in `nextSlot` that it follows on the one before. */
  addFor(
    sender: SendOfMany,
    slot: number,
    nextSlot: Int32Array,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): void {
    const at = this.builder.recordCount
    const last = this.#lastPart
    this.#append(timestamp, key, value, headers)
    if (last?.sender === sender && this.#lastPartEnd === at) {
      nextSlot[last.lastSlot] = slot
      last.lastSlot = slot
      last.count++
      this.#lastPartEnd++
    } else this.#startPart(sender, 1, slot, slot, nextSlot)
  }

  /**
   * Adds the messages from `first` on, one after the other or as `nextSlot` says, until the batch has `maxBytes`; one at
   * least. Returns the next slot.
   */
  fillFor(
    sender: SendOfMany,
    messages: EncodedMessages,
    first: number,
    nextSlot: Int32Array | undefined,
    now: number,
    maxBytes: number,
  ): number {
    const { builder } = this
    const start = builder.recordCount
    let slot = first
    let last = first
    do {
      const value = messages.value(slot)
      const key = messages.key(slot)
      const headers = messages.headers(slot)
      const bytes = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
      if (slot > first && builder.sizeInBytes + bytes > maxBytes) break
      this.#append(messages.timestamp(slot) ?? now, key, value, headers)
      this.bytes += bytes
      last = slot
      slot = nextSlot === undefined ? slot + 1 : (nextSlot[slot] as number)
    } while (slot < messages.count && builder.sizeInBytes < maxBytes)
    this.#startPart(sender, builder.recordCount - start, first, last, nextSlot)
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
    this.#timestamps = undefined
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
    const { builder } = this
    builder.append(timestamp, key, value, headers)
    if (this.#timestamps !== undefined) this.#timestamps.push(timestamp)
    else if (timestamp !== builder.baseTimestamp) {
      this.#timestamps = new Array<number>(builder.recordCount - 1).fill(builder.baseTimestamp)
      this.#timestamps.push(timestamp)
    }
  }

  #startPart(
    sender: SendOfMany,
    count: number,
    firstSlot: number,
    lastSlot: number,
    nextSlot: Int32Array | undefined,
  ): void {
    const part: Part = { sender, count, firstSlot, lastSlot, nextSlot, following: undefined }
    if (this.#lastPart === undefined) this.#firstPart = part
    else this.#lastPart.following = part
    this.#lastPart = part
    this.#lastPartEnd = this.builder.recordCount
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
    const { sender, count, firstSlot, nextSlot } = this.#takePart()
    let slot = firstSlot
    for (let left = count; left > 0; left--) {
      sender.acknowledged(slot, this.#next())
      slot = nextSlot === undefined ? slot + 1 : (nextSlot[slot] as number)
    }
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
    this.#firstPart = part.following
    return part
  }

  #next(): SendResult {
    const index = this.#toldCount++
    const sent = this.#timestamps === undefined ? this.builder.baseTimestamp : (this.#timestamps[index] as number)
    const timestamp = this.#logAppendTime >= 0 ? this.#logAppendTime : sent
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
