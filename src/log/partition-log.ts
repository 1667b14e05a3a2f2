import { OttlaError } from '../errors.js'
import { Listeners } from '../listeners.js'
import { reasonOf } from '../reason-of.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { PartitionStorage, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { type CleanedLog, type CleaningSettings, LogCleaner } from './log-cleaner.js'
import { LogProducers } from './log-producers.js'
import {
  maxTimestampOf,
  offsetForTimestamp,
  offsetOfMaxTimestamp,
  type SearchedLog,
  type TimestampOffset,
} from './offset-by-time.js'
import { type AppendedBatch, follows } from './producer-state.js'
import { shouldRoll } from './retention.js'

/** What a log obeys; the engine hands over a new object when a config of the topic changes. */
export interface LogSettings extends CleaningSettings {
  readonly segmentMs: number
  /** The largest batch that is taken, in bytes. Kafka: max.message.bytes. */
  readonly maxMessageBytes: number
  /** Who sets the time: the producer, or the log when it appends. Kafka: message.timestamp.type. */
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
}

export interface PartitionLogOptions {
  readonly at: TopicPartition
  readonly storage: PartitionStorage
  readonly acknowledgeAfter: 'append' | 'sync'
  readonly settings: LogSettings
  readonly clock: Clock
  /** The log start offset that was set by a deletion of records; the first segment may begin below it. */
  readonly logStartOffset?: number
  /** Up to where it was compacted before, where that is known. */
  readonly cleanedTo?: number | undefined
  /** Milliseconds since a timestamp, in which messages aged. By the clock where it is not given. */
  readonly ageOf?: (timestamp: number) => number
  /** Called before anything is judged by its age. */
  readonly look?: (() => void) | undefined
  /** After how long without a batch an idempotent producer is forgotten. Kafka: producer.id.expiration.ms. */
  readonly producerIdExpirationMs?: number | undefined
  /** Told each time a segment was sealed, since there may be something to clean then. */
  readonly onSealed?: ((log: PartitionLog) => void) | undefined
}

export interface AppendResult {
  readonly baseOffset: number
  /** The time that the log set, or -1 where the producer's holds. */
  readonly logAppendTime: number
  readonly logStartOffset: number
}

interface PendingAppend {
  readonly batch: RecordBatch
  /** Set when it was appended at once, so that no promise of its own is needed. */
  result: AppendResult | undefined
  resolve: ((result: AppendResult) => void) | undefined
  reject: ((error: unknown) => void) | undefined
  error: unknown
}

/** What goes to the storage in one call. */
interface Write {
  readonly entries: readonly PendingAppend[]
  readonly endOffset: number
  /** Where a new segment begins before it, if one does. */
  readonly rollAt: number | undefined
}

/** What one write takes at most, unless a single batch is larger: so that a long queue is acknowledged bit by bit. */
const WRITE_BYTES = 8 << 20

/** Kept, since test runners put one in its place that stands still. */
const { nextTick } = process

/**
 * The log of one partition and the only writer of its storage. It assigns offsets, keeps the three ends, and tells
 * whoever waits that the high watermark rose:
 *
 *     log start offset        high watermark      log end offset
 *            |  what fetch, lag and idle see |  written, not yet durable |
 *
 * One write is under way at a time; whatever gathers meanwhile is the next write, and one sync acknowledges it all.
 */
export class PartitionLog {
  readonly at: TopicPartition
  settings: LogSettings
  readonly #storage: PartitionStorage
  readonly #acknowledgeAfter: 'append' | 'sync'
  readonly #clock: Clock
  readonly #producers: LogProducers
  /** What is done to its sealed segments. */
  readonly cleaner: LogCleaner
  /** Made for the first of them: most of many logs have none. */
  #onAdvance: Listeners | undefined
  readonly #onSealed: ((log: PartitionLog) => void) | undefined
  #logStartOffset: number
  #logEndOffset: number
  #highWatermark: number
  #pending: PendingAppend[] = []
  /** Changes of the segments that wait for the write under way. */
  readonly #changes: (() => Promise<void>)[] = []
  #busy = false
  #drained: Promise<void> = Promise.resolve()
  #status: 'open' | 'failed' | 'closing' | 'closed' = 'open'
  #failure: unknown
  #closing: Promise<void> | undefined

  private constructor(options: PartitionLogOptions) {
    const segments = options.storage.segments
    const first = segments[0]?.baseOffset ?? 0
    this.at = options.at
    this.settings = options.settings
    this.#storage = options.storage
    this.#acknowledgeAfter = options.acknowledgeAfter
    this.#clock = options.clock
    this.#logEndOffset = segments.at(-1)?.endOffset ?? 0
    this.#logStartOffset = Math.min(Math.max(first, options.logStartOffset ?? 0), this.#logEndOffset)
    this.#highWatermark = this.#logEndOffset
    this.#onSealed = options.onSealed
    const { storage, clock, producerIdExpirationMs: expirationMs, look = () => {} } = options
    const { ageOf = (timestamp: number): number => clock.now() - timestamp } = options
    this.#producers = new LogProducers({ storage, clock, expirationMs, ageOf, look })
    this.cleaner = this.#newCleaner(options.cleanedTo, ageOf)
  }

  static async open(options: PartitionLogOptions): Promise<PartitionLog> {
    // What lies above the durable end would be shown to readers and could still be taken back by a power cut.
    const { storage, acknowledgeAfter } = options
    const endOffset = storage.segments.at(-1)?.endOffset ?? 0
    if (acknowledgeAfter === 'sync' && storage.durableEndOffset < endOffset) await storage.sync()
    const log = new PartitionLog(options)
    await log.#producers.restore(endOffset)
    return log
  }

  /** A lossy storage moves it too, whenever it drops segments to make room. */
  get logStartOffset(): number {
    return Math.max(this.#logStartOffset, this.#storage.segments[0]?.baseOffset ?? 0)
  }

  /** The end of the log at the chosen durability: the only end that readers know. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Of all its segments. */
  get sizeInBytes(): number {
    return this.#storage.segments.reduce((sum, segment) => sum + segment.sizeInBytes, 0)
  }

  get isOpen(): boolean {
    return this.#status === 'open'
  }

  get isClosed(): boolean {
    return this.#status === 'closed'
  }

  /**
   * Gives the batch the next offsets and resolves once it is as durable as the storage was asked to be. Rejects with
   * OTTLA_MESSAGE_TOO_LARGE, OTTLA_OUT_OF_ORDER_SEQUENCE, OTTLA_INVALID_PRODUCER_EPOCH, OTTLA_STORAGE_FULL,
   * OTTLA_STORAGE_FAILED or OTTLA_CLOSED; nothing was appended then.
   */
  append(batch: RecordBatch): Promise<AppendResult> {
    if (this.#status !== 'open') return Promise.reject(this.#refusal())
    if (batch.sizeInBytes > this.settings.maxMessageBytes) return Promise.reject(this.#tooLarge(batch))
    // Alone, and with no sync to share, it needs no queue (benchmark: growth-topics).
    const isAlone = !this.#busy && this.#acknowledgeAfter === 'append'
    const appended = isAlone ? this.#appendAlone(batch) : undefined
    if (appended !== undefined) return appended
    const entry: PendingAppend = { batch, result: undefined, resolve: undefined, reject: undefined, error: undefined }
    this.#pending.push(entry)
    this.#start()
    // A storage that has nothing to wait for has appended it by now.
    if (entry.result !== undefined) return Promise.resolve(entry.result)
    if (entry.error !== undefined) return Promise.reject(entry.error)
    return new Promise((resolve, reject) => {
      entry.resolve = resolve
      entry.reject = reject
    })
  }

  /**
   * Batches from `offset` on, below the high watermark, `maxBytes` in all but at least one if there is any. Throws
   * OTTLA_OFFSET_OUT_OF_RANGE, naming the valid range, when the offset is outside the log.
   */
  read(offset: number, maxBytes: number): readonly RecordBatch[] | Promise<readonly RecordBatch[]> {
    if (this.#status === 'closed') throw this.#refusal()
    if (offset < this.logStartOffset || offset > this.#highWatermark) throw this.#outOfRange(offset)
    if (offset === this.#highWatermark) return []
    return this.#storage.read(offset, maxBytes, this.#highWatermark)
  }

  /** Calls back each time the high watermark rises, segments are dropped or the log closes, until told to stop. */
  onAdvance(listener: () => void): void {
    this.#onAdvance ??= new Listeners()
    this.#onAdvance.add(listener)
  }

  offAdvance(listener: () => void): void {
    this.#onAdvance?.delete(listener)
  }

  /** The first record at or after `timestamp`, or undefined. */
  offsetForTimestamp(timestamp: number): Promise<TimestampOffset | undefined> {
    return offsetForTimestamp(this.#toSearch(), timestamp)
  }

  /** The record with the largest timestamp (the first of equals), or undefined in an empty log. */
  offsetOfMaxTimestamp(): Promise<TimestampOffset | undefined> {
    return offsetOfMaxTimestamp(this.#toSearch())
  }

  /** The largest timestamp in it, -1 where there is none. */
  get maxTimestamp(): number {
    return maxTimestampOf(this.#storage)
  }

  /** Moves the log start up to `offset` (at most the high watermark) and drops the segments that lie below it. */
  async deleteRecords(offset: number): Promise<number> {
    await this.#exclusively(async () => {
      this.checkDeletable(offset)
      this.#logStartOffset = Math.max(this.#logStartOffset, offset)
    })
    await this.applyRetention()
    return this.logStartOffset
  }

  /** Throws OTTLA_OFFSET_OUT_OF_RANGE for an offset up to which records cannot be deleted. */
  checkDeletable(offset: number): void {
    if (offset > this.#highWatermark || offset < 0) throw this.#outOfRange(offset)
  }

  /** Drops the oldest segments that retention no longer keeps, also the active one, for which another is begun. Returns how many went. */
  async applyRetention(): Promise<number> {
    const count = await this.cleaner.dropExpired()
    if (count > 0) this.#announce()
    return count
  }

  /** Makes durable what was appended before, whatever an acknowledgement waits for. */
  flush(): Promise<void> {
    return this.#exclusively(() => this.#sync())
  }

  /** Takes nothing more, writes what is pending, then lets go of the storage. May be called more than once. */
  close(): Promise<void> {
    this.#closing ??= this.#close(true)
    return this.#closing
  }

  /** Closes a log whose storage is deleted next, without a word to it. */
  abandon(): Promise<void> {
    this.#closing ??= this.#close(false)
    return this.#closing
  }

  async #close(keep: boolean): Promise<void> {
    if (this.#status === 'open') this.#status = 'closing'
    while (this.#busy) await this.#drained
    await this.cleaner.settled()
    while (this.#busy) await this.#drained
    try {
      // A sync may have failed while the queue was worked off.
      if (keep && this.#status === 'closing') await this.#producers.save(this.#logEndOffset)
      this.#status = 'closed'
      if (keep) await this.#storage.close()
    } finally {
      this.#announce()
    }
  }

  /** What `#drain` does with a single batch. Undefined where a segment is to be rolled or a snapshot to be kept, too: nothing is appended then. */
  #appendAlone(batch: RecordBatch): Promise<AppendResult> | undefined {
    if (this.#producers.isSaveDue(batch.sizeInBytes)) return undefined
    try {
      const known = this.#producers.check(batch)
      if (known !== undefined) return Promise.resolve(this.#duplicate(known))
      this.#place(batch, this.#logEndOffset)
      const { segments } = this.#storage
      const active = segments[segments.length - 1]
      if (active !== undefined && shouldRoll(active, batch, this.settings)) return undefined
      const appended = this.#storage.append([batch])
      return appended === undefined
        ? Promise.resolve(this.#acknowledgeAlone(batch))
        : this.#acknowledgeWhenAppended(batch, appended)
    } catch (error) {
      return Promise.reject(this.#asFailure(error))
    }
  }

  #acknowledgeAlone(batch: RecordBatch): AppendResult {
    this.#moveEnd(batch.lastOffset + 1)
    const result = this.#taken(batch)
    this.#announce()
    return result
  }

  /** Whatever comes meanwhile gathers in the queue. */
  #acknowledgeWhenAppended(batch: RecordBatch, appended: Promise<void>): Promise<AppendResult> {
    this.#busy = true
    const acknowledged = appended.then(
      () => this.#acknowledgeAlone(batch),
      (error) => {
        throw this.#asFailure(error)
      },
    )
    const goOn = (): Promise<void> => this.#drain()
    this.#drained = acknowledged.then(goOn, goOn)
    return acknowledged
  }

  #start(): void {
    if (this.#busy) return
    this.#busy = true
    // One sync serves all that this turn appends, which may be several batches of one producer (benchmark: group-commit).
    this.#drained = this.#acknowledgeAfter === 'sync' ? afterMicrotasks().then(() => this.#drain()) : this.#drain()
  }

  /** Works off the queues, one write at a time. Runs to its end at once where the storage never makes it wait. */
  async #drain(): Promise<void> {
    for (;;) {
      const change = this.#changes.shift()
      if (change !== undefined) {
        await change()
        continue
      }
      if (this.#pending.length === 0) break
      const write = this.#nextWrite()
      if (write.entries.length === 0) continue
      try {
        if (write.rollAt !== undefined) await this.#roll(write.rollAt)
        const appended = this.#storage.append(write.entries.map((entry) => entry.batch))
        if (appended !== undefined) await appended
        if (this.#acknowledgeAfter === 'sync') await this.#sync()
        this.#acknowledge(write)
        // Whoever waits for an acknowledgement has it already.
        if (this.#producers.isSaveDue()) await this.#producers.save(this.#logEndOffset)
        // Of an idempotent producer few batches are under way, and it sends what it kept back now that these are told:
        // all of that shares the next write and sync, which would begin with the first of it otherwise.
        if (this.#acknowledgeAfter === 'sync') await undefined
      } catch (error) {
        const failure = this.#asFailure(error)
        for (const entry of write.entries) settle(entry, undefined, failure)
      }
    }
    this.#busy = false
  }

  /** Takes from the queue what goes to the storage in one call: as much as fits one segment and needs no earlier outcome. */
  #nextWrite(): Write {
    const entries: PendingAppend[] = []
    /** Of each idempotent producer, its last batch in this write. */
    let ofProducers: Map<number, RecordBatch> | undefined
    const active = this.#storage.segments.at(-1)
    let endOffset = this.#logEndOffset
    let rollAt: number | undefined
    let taken = 0
    let bytes = 0
    let firstTimestamp = active?.firstTimestamp
    for (const entry of this.#pending) {
      const { batch } = entry
      if (bytes > 0 && bytes + batch.sizeInBytes > WRITE_BYTES) break
      const { producerId } = batch
      if (producerId >= 0) {
        const before = ofProducers?.get(producerId)
        // The producer's state moves only when its batches are in the log: what does not follow on them waits for that.
        if (before !== undefined && !follows(before, batch)) break
        if (before === undefined && !this.#isNew(entry)) {
          taken++
          continue
        }
      }
      this.#place(batch, endOffset)
      if (active !== undefined && shouldRoll(active, batch, this.settings, bytes, firstTimestamp)) {
        if (entries.length > 0) break
        rollAt = endOffset
      }
      taken++
      entries.push(entry)
      if (producerId >= 0 && this.#pending.length > 1) {
        ofProducers ??= new Map()
        ofProducers.set(producerId, batch)
      }
      bytes += batch.sizeInBytes
      if (active?.sizeInBytes === 0) firstTimestamp = entries[0]?.batch.maxTimestamp
      endOffset = batch.lastOffset + 1
      if (rollAt !== undefined) break
    }
    this.#pending = taken === this.#pending.length ? [] : this.#pending.slice(taken)
    return { entries, endOffset, rollAt }
  }

  /** Settles the entry of an idempotent producer at once if it is a repetition or out of order. */
  #isNew(entry: PendingAppend): boolean {
    try {
      const duplicate = this.#producers.check(entry.batch)
      if (duplicate === undefined) return true
      settle(entry, this.#duplicate(duplicate), undefined)
    } catch (error) {
      settle(entry, undefined, error)
    }
    return false
  }

  #duplicate({ baseOffset, timestamp }: AppendedBatch): AppendResult {
    return this.#result(baseOffset, this.settings.messageTimestampType === 'LogAppendTime' ? timestamp : -1)
  }

  #place(batch: RecordBatch, offset: number): void {
    batch.assignOffsets(offset, 0)
    if (this.settings.messageTimestampType === 'LogAppendTime') batch.stampLogAppendTime(this.#clock.now())
  }

  async #sync(): Promise<void> {
    try {
      await this.#storage.sync()
    } catch (error) {
      // Written but not durable: whatever follows would stand on it, so the log takes nothing more.
      this.#status = 'failed'
      this.#failure = error
      for (const entry of this.#pending.splice(0)) settle(entry, undefined, this.#refusal())
      throw error
    }
  }

  async #roll(baseOffset: number): Promise<void> {
    await this.#storage.roll(baseOffset)
    await this.#producers.save(baseOffset)
    this.#onSealed?.(this)
  }

  #acknowledge(write: Write): void {
    this.#moveEnd(write.endOffset)
    for (const entry of write.entries) settle(entry, this.#taken(entry.batch), undefined)
    this.#announce()
  }

  #moveEnd(endOffset: number): void {
    this.#logEndOffset = endOffset
    this.#highWatermark = endOffset
  }

  /** What the producer of a batch is told that is in the log. */
  #taken(batch: RecordBatch): AppendResult {
    this.#producers.update(batch)
    return this.#result(batch.baseOffset, batch.isLogAppendTime ? batch.maxTimestamp : -1)
  }

  #result(baseOffset: number, logAppendTime: number): AppendResult {
    return { baseOffset, logAppendTime, logStartOffset: this.logStartOffset }
  }

  #announce(): void {
    this.#onAdvance?.call()
  }

  #newCleaner(cleanedTo: number | undefined, ageOf: (timestamp: number) => number): LogCleaner {
    const cleaned: CleanedLog = {
      storage: this.#storage,
      clock: this.#clock,
      settings: () => this.settings,
      ends: () => ({
        logStartOffset: this.logStartOffset,
        highWatermark: this.#highWatermark,
        lastStableOffset: Math.min(this.#highWatermark, this.#producers.firstOpenTransactionOffset),
      }),
      isOpen: () => this.isOpen,
      ageOf,
      isLastOfProducer: (batch) => this.#producers.isLast(batch),
      betweenWrites: (change) => this.#exclusively(change),
      roll: () => this.#roll(this.#logEndOffset),
    }
    return new LogCleaner(cleaned, cleanedTo)
  }

  #toSearch(): SearchedLog {
    return { storage: this.#storage, ends: () => ({ start: this.logStartOffset, end: this.#highWatermark }) }
  }

  /** Runs a change of the segments between two writes. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    if (this.#status !== 'open') return Promise.reject(this.#refusal())
    return new Promise((resolve, reject) => {
      this.#changes.push(async () => {
        // The log that is closing still does what it was asked before.
        if (this.#status === 'failed') return reject(this.#refusal())
        await change().then(resolve, reject)
      })
      this.#start()
    })
  }

  #refusal(): OttlaError {
    const name = `${this.at.topic}-${this.at.partition}`
    if (this.#status === 'failed') {
      return new OttlaError(
        'OTTLA_STORAGE_FAILED',
        `${name} takes no more writes because a sync failed: close the broker, check the disk and open it again`,
        { cause: this.#failure },
      )
    }
    return new OttlaError('OTTLA_CLOSED', `${name} is closed`)
  }

  #asFailure(error: unknown): OttlaError {
    return OttlaError.is(error) ? error : this.#storageFailed(error)
  }

  #storageFailed(cause: unknown): OttlaError {
    const name = `${this.at.topic}-${this.at.partition}`
    return new OttlaError('OTTLA_STORAGE_FAILED', `Writing to ${name} failed: ${reasonOf(cause)}`, {
      cause,
      // Nothing of it was appended, unless it was the sync that failed.
      retriable: this.#status === 'open',
    })
  }

  #tooLarge(batch: RecordBatch): OttlaError {
    return new OttlaError(
      'OTTLA_MESSAGE_TOO_LARGE',
      `A batch of ${batch.sizeInBytes} bytes is over maxMessageBytes (${this.settings.maxMessageBytes}) of ${this.at.topic}: send less at once or raise it with alterTopic`,
    )
  }

  #outOfRange(offset: number): OttlaError {
    return new OttlaError(
      'OTTLA_OFFSET_OUT_OF_RANGE',
      `Offset ${offset} is outside ${this.at.topic}-${this.at.partition}, which holds ${this.logStartOffset} to ${this.#highWatermark}`,
    )
  }
}

function afterMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    nextTick(resolve)
  })
}

function settle(entry: PendingAppend, result: AppendResult | undefined, error: unknown): void {
  if (result === undefined) {
    entry.error = error
    entry.reject?.(error)
    return
  }
  entry.result = result
  entry.resolve?.(result)
}
