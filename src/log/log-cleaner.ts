import { OttlaError } from '../errors.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { PartitionStorage, Segment } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { BatchCleaner, mapKeys } from './clean-batches.js'
import { type CleanableRange, type CompactionSettings, cleanableRange, groupSegments, isDue } from './compaction.js'
import { OffsetMap } from './offset-map.js'
import { type RetentionSettings, segmentsToDrop } from './retention.js'

export interface CleaningSettings extends RetentionSettings, CompactionSettings {
  /** True where only the newest record of each key is kept, in sealed segments. Kafka: cleanup.policy. */
  readonly isCompacted: boolean
}

/** What the cleaner needs of the log whose segments it changes. */
export interface CleanedLog {
  readonly storage: PartitionStorage
  readonly clock: Clock
  readonly settings: () => CleaningSettings
  readonly ends: () => { logStartOffset: number; highWatermark: number; lastStableOffset: number }
  /** False once the log closes: whatever is under way gives up. */
  readonly isOpen: () => boolean
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf: (timestamp: number) => number
  /** True for the batch by whose header the state of its producer is known. */
  readonly isLastOfProducer: (batch: RecordBatch) => boolean
  /** Runs a change between two writes. */
  readonly betweenWrites: <T>(change: () => Promise<T>) => Promise<T>
  /** Begins a new segment at the end of the log. Called between two writes. */
  readonly roll: () => Promise<void>
}

export interface CompactOptions {
  /** Bytes that the map of keys takes at most. */
  readonly maxMapBytes: number
  /** Only where enough is dirty, or something has waited for too long. */
  readonly onlyIfDue: boolean
}

/** How much is read at a time. */
const READ_BYTES = 256 * 1024

/**
 * Takes segments away and puts others in their place, one such change after the other. Messages are appended and read
 * meanwhile: a segment that is replaced is written beside them, and takes its place between two writes.
 */
export class LogCleaner {
  readonly #log: CleanedLog
  #cleanedTo: number | undefined
  /** Ends when the changes that were asked for are done. Never rejects. */
  #changes: Promise<unknown> = Promise.resolve()

  constructor(log: CleanedLog, cleanedTo: number | undefined) {
    this.#log = log
    this.#cleanedTo = cleanedTo
  }

  /** Up to where the log was compacted; undefined where nobody knows. */
  get cleanedTo(): number | undefined {
    return this.#cleanedTo
  }

  /** Resolves when no change is under way. */
  async settled(): Promise<void> {
    await this.#changes
  }

  /** Drops what retention no longer keeps. Returns how many segments went. */
  dropExpired(): Promise<number> {
    return this.#inTurn(() => this.#log.betweenWrites(() => this.#drop()))
  }

  /** True where there are segments that compaction may be worth looking at, now or later. */
  get hasSealedSegments(): boolean {
    return this.#log.settings().isCompacted && this.#log.storage.segments.length > 1
  }

  /** True where only the active segment holds what was not compacted. */
  get isFullyCompacted(): boolean {
    return (this.#cleanedTo ?? 0) >= (this.#log.storage.segments.at(-1)?.baseOffset ?? 0)
  }

  /** True where compaction should go about it now, without being asked. */
  get isDue(): boolean {
    return this.#log.isOpen() && this.hasSealedSegments && isDue(this.#range(), this.#log.settings())
  }

  /** True where it should later, though nothing is appended: what is dirty is too young, or waits for its time. */
  get mayBecomeDue(): boolean {
    if (!this.#log.isOpen() || !this.hasSealedSegments || this.isFullyCompacted) return false
    const { minCompactionLagMs, maxCompactionLagMs } = this.#log.settings()
    return minCompactionLagMs > 0 || maxCompactionLagMs < Number.MAX_SAFE_INTEGER || this.isDue
  }

  /**
   * Reduces the sealed segments to the newest record of each key. Returns up to where it has looked: to the first segment
   * that may not be touched, unless there were more keys than fit. Undefined where there was nothing to do. Rejects with
   * OTTLA_CLOSED once the log closes; each segment is then as it was, or as it should be.
   */
  compact(options: CompactOptions): Promise<number | undefined> {
    return this.#inTurn(() => this.#compact(options))
  }

  #range(): CleanableRange {
    const { storage, settings, ends, ageOf } = this.#log
    return cleanableRange(storage.segments, settings(), { cleanedTo: this.#cleanedTo, ...ends(), ageOf })
  }

  async #drop(): Promise<number> {
    const { storage, settings, ends, ageOf } = this.#log
    const { segments } = storage
    const count = segmentsToDrop(segments, settings(), { ageOf, ...ends() })
    if (count === 0) return 0
    if (count === segments.length) await this.#log.roll()
    await storage.drop(count)
    return count
  }

  async #compact({ maxMapBytes, onlyIfDue }: CompactOptions): Promise<number | undefined> {
    const range = this.#range()
    const { firstDirtyOffset, firstUncleanableOffset } = range
    if (onlyIfDue && !isDue(range, this.#log.settings())) return undefined
    const { segments } = this.#log.storage
    if (firstUncleanableOffset <= (segments[0]?.baseOffset ?? 0)) return undefined
    const map = new OffsetMap(firstUncleanableOffset - firstDirtyOffset, maxMapBytes)
    const isWhole = await this.#mapKeys(range, map)
    const cleanedTo = isWhole ? firstUncleanableOffset : map.latestOffset + 1
    const cleaner = this.#batchCleaner(map, cleanedTo, firstUncleanableOffset)
    for (const group of groupSegments(segments, this.#log.settings().segmentBytes, cleanedTo)) {
      await this.#replace(group, cleaner)
    }
    this.#cleanedTo = cleanedTo
    return cleanedTo
  }

  /** False where the map was full before the end. */
  async #mapKeys({ firstDirtyOffset, firstUncleanableOffset }: CleanableRange, map: OffsetMap): Promise<boolean> {
    for await (const batch of this.#batches(firstDirtyOffset, firstUncleanableOffset)) {
      if (!(await mapKeys(batch, firstDirtyOffset, map, this.#pace))) return false
    }
    return true
  }

  #batchCleaner(map: OffsetMap, cleanedTo: number, firstUncleanableOffset: number): BatchCleaner {
    const { settings, ageOf, clock, isLastOfProducer } = this.#log
    const { deleteRetentionMs } = settings()
    return new BatchCleaner(
      {
        latestOffsetOf: (key) => map.get(key),
        lookedTo: cleanedTo - 1,
        ageOf,
        deleteRetentionMs,
        deleteHorizonMs: clock.now() + deleteRetentionMs,
        // Without the last batch it would not be known where the log ended.
        keepsHeader: (batch) => batch.lastOffset + 1 === firstUncleanableOffset || isLastOfProducer(batch),
      },
      this.#pace,
    )
  }

  async #replace(group: readonly Segment[], cleaner: BatchCleaner): Promise<void> {
    const { storage } = this.#log
    const [oldest] = group
    if (oldest === undefined) return
    const first = storage.segments.indexOf(oldest)
    // A lossy storage may have dropped it to make room.
    if (first < 0) return
    const endOffset = storage.segments[first + group.length]?.baseOffset ?? oldest.baseOffset
    await storage.replace(first, group.length, this.#cleaned(oldest.baseOffset, endOffset, cleaner))
  }

  async *#cleaned(from: number, endOffset: number, cleaner: BatchCleaner): AsyncGenerator<RecordBatch, void> {
    for await (const batch of this.#batches(from, endOffset)) {
      const left = await cleaner.clean(batch)
      if (left === undefined) continue
      await this.#pace()
      yield left
    }
  }

  /** The batches of sealed segments from one offset up to another. Throws OTTLA_CLOSED once the log closes. */
  async *#batches(from: number, endOffset: number): AsyncGenerator<RecordBatch, void> {
    const { storage } = this.#log
    for (let offset = from; offset < endOffset; ) {
      const batches = await storage.read(offset, READ_BYTES, endOffset)
      for (const batch of batches) {
        await this.#pace()
        if (!this.#log.isOpen()) throw new OttlaError('OTTLA_CLOSED', 'The log closed while it was compacted')
        yield batch
        offset = batch.lastOffset + 1
      }
      if (batches.length === 0) return
    }
  }

  readonly #pace = (): void | Promise<void> => {
    const { clock } = this.#log
    if (clock.turnIsSpent()) return clock.nextTurn()
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#changes.then(change)
    // Whoever asked for it hears of a failure; the next change only needs to know that it is over.
    this.#changes = changed.catch(() => undefined)
    return changed
  }
}
