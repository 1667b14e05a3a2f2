import { OttlaError } from '../errors.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { PartitionStorage } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { type AppendedBatch, ProducerState } from './producer-state.js'

export interface LogProducersOptions {
  readonly storage: PartitionStorage
  readonly clock: Clock
  /** After how long without a batch an idempotent producer is forgotten. Kafka: producer.id.expiration.ms. */
  readonly expirationMs: number | undefined
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf: (timestamp: number) => number
  /** Called before anything is judged by its age. */
  readonly look: () => void
}

/** How much of the log is read at a time to rebuild the state of its producers. */
const REPLAY_BYTES = 1 << 20
/** Behind so much of the log the state of its producers is kept anew: what a crash leaves is read from there. */
const SNAPSHOT_INTERVAL_BYTES = 8 << 20
/** Kafka's default. */
const EXPIRATION_MS = 86_400_000
/** How often producers that come new have the others looked through. Kafka: producer.id.expiration.check.interval.ms. */
const EXPIRATION_CHECK_INTERVAL_MS = 600_000

/** The idempotent producers that one log knows: their state, kept in its storage and rebuilt from there and from the log. */
export class LogProducers {
  readonly #storage: PartitionStorage
  readonly #clock: Clock
  readonly #expirationMs: number
  readonly #ageOf: (timestamp: number) => number
  readonly #look: () => void
  readonly #state = new ProducerState()
  /** When they are next looked through for those that expired, by the monotonic clock. */
  #expirationCheckAt = Number.NEGATIVE_INFINITY
  /** The offset at which their state was last kept. */
  #savedAt = -1
  /** Appended since then. */
  #unsavedBytes = 0

  constructor({ storage, clock, expirationMs = EXPIRATION_MS, ageOf, look }: LogProducersOptions) {
    this.#storage = storage
    this.#clock = clock
    this.#expirationMs = expirationMs
    this.#ageOf = ageOf
    this.#look = look
  }

  /** Where the first open transaction begins; infinite without one. */
  get firstOpenTransactionOffset(): number {
    return this.#state.firstOpenTransactionOffset
  }

  /** Which batch this one repeats, if any. Throws OTTLA_OUT_OF_ORDER_SEQUENCE or OTTLA_INVALID_PRODUCER_EPOCH. */
  check(batch: RecordBatch): AppendedBatch | undefined {
    return this.#state.check(batch)
  }

  /** True for the batch by whose header the state of its producer is known. */
  isLast(batch: RecordBatch): boolean {
    return this.#state.isLast(batch)
  }

  /** They go on where they stood: from the kept state, and the batches after it. */
  async restore(logEndOffset: number): Promise<void> {
    const snapshot = await this.#storage.loadSnapshot(logEndOffset)
    if (snapshot !== undefined && this.#takeOver(snapshot.bytes)) this.#savedAt = snapshot.offset
    let from = Math.max(this.#storage.segments[0]?.baseOffset ?? 0, this.#savedAt)
    while (from < logEndOffset) {
      const batches = await this.#storage.read(from, REPLAY_BYTES, logEndOffset)
      for (const batch of batches) {
        this.#unsavedBytes += batch.sizeInBytes
        if (batch.producerId >= 0) this.#state.update(batch)
      }
      from = (batches.at(-1)?.lastOffset ?? logEndOffset) + 1
    }
    this.#state.countFromTimestamps()
  }

  /** Takes a batch into account that is in the log now. */
  update(batch: RecordBatch): void {
    this.#unsavedBytes += batch.sizeInBytes
    if (this.#state.update(batch)) this.#expireInTime()
  }

  /** True where their state is to be kept again, with so many bytes more in the log. */
  isSaveDue(bytes = 0): boolean {
    return this.#unsavedBytes + bytes >= SNAPSHOT_INTERVAL_BYTES
  }

  /**
   * Kept even when there are none: it spares the next open a walk through the log in search of them. That walk is all
   * that a failure costs, so it fails neither a write nor a close.
   */
  async save(offset: number): Promise<void> {
    if (offset === this.#savedAt || offset === 0) return
    this.#unsavedBytes = 0
    this.#expire()
    try {
      await this.#storage.saveSnapshot(offset, this.#state.snapshot())
      this.#savedAt = offset
    } catch {
      // The next one is tried again, at the next roll or at the close.
    }
  }

  /** False for a damaged snapshot: it is a cache, and the log says it all again. */
  #takeOver(snapshot: Uint8Array): boolean {
    try {
      this.#state.restore(snapshot)
      return true
    } catch (error) {
      if (OttlaError.is(error) && error.code === 'OTTLA_CORRUPTION') return false
      throw error
    }
  }

  /** Only producers that come new make more of them, so nobody needs a timer. */
  #expireInTime(): void {
    // The first has nobody to push out, and is noted to be there now (benchmark: growth-topics).
    if (this.#state.size === 1) {
      this.#state.expire(this.#clock.now(), this.#expirationMs, this.#ageOf)
      return
    }
    const now = this.#clock.monotonic()
    if (now < this.#expirationCheckAt) return
    this.#expirationCheckAt = now + Math.min(EXPIRATION_CHECK_INTERVAL_MS, this.#expirationMs)
    this.#expire()
  }

  #expire(): void {
    this.#look()
    this.#state.expire(this.#clock.now(), this.#expirationMs, this.#ageOf)
  }
}
