import type { RecordBatch } from '../record/record-batch.js'
import type { PartitionStorage } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { type CleanableRange, type CompactionSettings, cleanableRange, isDue } from './compaction.js'
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

  async #compact(options: CompactOptions): Promise<number | undefined> {
    const range = this.#range()
    if (options.onlyIfDue && !isDue(range, this.#log.settings())) return undefined
    if (range.firstUncleanableOffset <= (this.#log.storage.segments[0]?.baseOffset ?? 0)) return undefined
    // Few logs are ever compacted (benchmark: cold-start).
    const { compactLog } = await import('./compact-log.js')
    this.#cleanedTo = await compactLog(this.#log, range, options.maxMapBytes)
    return this.#cleanedTo
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#changes.then(change)
    // Whoever asked for it hears of a failure; the next change only needs to know that it is over.
    this.#changes = changed.catch(() => undefined)
    return changed
  }
}
