import type { OttlaError } from '../errors.js'
import type { PartitionLog } from '../log/partition-log.js'
import type { Clock } from '../time/clock.js'
import { asOttlaError } from './engine-errors.js'

export interface BackgroundCleaningOptions {
  readonly clock: Clock
  /** How often retention is applied. */
  readonly retentionCheckIntervalMs: number
  /** How long after a segment was sealed compaction looks at its log. */
  readonly cleanerBackoffMs: number
  /** Bytes that the map of keys takes at most, of which there is one at a time. */
  readonly dedupeBufferSize: number
  /** Called before anything is judged by its age. */
  readonly look: () => void
  /** Keeps up to where a log was compacted. */
  readonly onCompacted: (log: PartitionLog, cleanedTo: number) => Promise<void>
  readonly onError: (error: OttlaError) => void
}

/**
 * Drops and compacts what is due, one log after the other, each in steps that leave the event loop to others. There is a
 * timer only while a log has a limit to its age or size, or may have something to compact: a broker whose topics need
 * nothing does nothing.
 */
export class BackgroundCleaning {
  readonly #options: BackgroundCleaningOptions
  /** Those with a limit to their age or size. */
  readonly #limited = new Set<PartitionLog>()
  /** Those with sealed segments that may be worth compacting now or later. */
  readonly #compactable = new Set<PartitionLog>()
  #cancelRetention: (() => void) | undefined
  #cancelCompaction: (() => void) | undefined
  /** One compaction at a time, so that there is one map of keys. Never rejects. */
  #compactions: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: BackgroundCleaningOptions) {
    this.#options = options
  }

  /** True where messages go because of their age. */
  get dropsByAge(): boolean {
    for (const { settings, isClosed } of this.#limited) if (settings.retentionMs >= 0 && !isClosed) return true
    return false
  }

  /** Takes in logs that were opened, or whose settings have changed. */
  add(logs: readonly PartitionLog[]): void {
    for (const log of logs) {
      const { retentionMs, retentionBytes } = log.settings
      if (retentionMs >= 0 || retentionBytes >= 0) this.#limited.add(log)
      else this.#limited.delete(log)
      this.sealed(log)
    }
    this.#schedule()
  }

  /** Looks at a log that has one more sealed segment. */
  readonly sealed = (log: PartitionLog): void => {
    if (!log.cleaner.hasSealedSegments) return
    this.#compactable.add(log)
    this.#schedule()
  }

  /** Compacts all that can be of a log, whether it is due or not. */
  async compact(log: PartitionLog): Promise<void> {
    this.#options.look()
    for (;;) {
      const before = log.cleaner.cleanedTo
      const cleanedTo = await this.#compactInTurn(log, false)
      // Another round, where there were more keys than the map has room for.
      if (cleanedTo === undefined || cleanedTo === before || log.cleaner.isFullyCompacted) return
    }
  }

  close(): void {
    this.#isClosed = true
    this.#cancelRetention?.()
    this.#cancelCompaction?.()
  }

  #schedule(): void {
    if (this.#isClosed) return
    const { clock, retentionCheckIntervalMs, cleanerBackoffMs } = this.#options
    if (this.#cancelRetention === undefined && this.#limited.size > 0) {
      this.#cancelRetention = clock.schedule(() => void this.#applyRetention(), retentionCheckIntervalMs)
    }
    if (this.#cancelCompaction === undefined && this.#compactable.size > 0) {
      this.#cancelCompaction = clock.schedule(() => void this.#compactDue(), cleanerBackoffMs)
    }
  }

  async #applyRetention(): Promise<void> {
    this.#options.look()
    await this.#visit(this.#limited, async (log) => {
      await log.applyRetention()
    })
    this.#cancelRetention = undefined
    this.#schedule()
  }

  async #compactDue(): Promise<void> {
    this.#options.look()
    await this.#visit(this.#compactable, async (log) => {
      // Whatever comes of it: with its next sealed segment it is looked at again.
      this.#compactable.delete(log)
      if (log.cleaner.isDue) await this.#compactInTurn(log, true)
      if (log.cleaner.mayBecomeDue) this.#compactable.add(log)
    })
    this.#cancelCompaction = undefined
    this.#schedule()
  }

  /** Goes through logs; a failure of one is told and does not keep the others waiting. */
  async #visit(logs: Set<PartitionLog>, act: (log: PartitionLog) => Promise<void>): Promise<void> {
    const { clock, onError } = this.#options
    for (const log of [...logs]) {
      if (this.#isClosed) return
      if (log.isClosed) logs.delete(log)
      else {
        try {
          await act(log)
        } catch (error) {
          // It ends with the broker, and a topic may be deleted in the midst of it; anything else is told.
          if (!this.#isClosed && log.isOpen) onError(asOttlaError(error))
        }
      }
      if (clock.turnIsSpent()) await clock.nextTurn()
    }
  }

  #compactInTurn(log: PartitionLog, onlyIfDue: boolean): Promise<number | undefined> {
    const { dedupeBufferSize, onCompacted } = this.#options
    const compacted = this.#compactions.then(async () => {
      const cleanedTo = await log.cleaner.compact({ maxMapBytes: dedupeBufferSize, onlyIfDue })
      if (cleanedTo !== undefined) await onCompacted(log, cleanedTo)
      return cleanedTo
    })
    // Whoever asked for it hears of a failure.
    this.#compactions = compacted.catch(() => undefined)
    return compacted
  }
}
