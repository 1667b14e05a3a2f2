import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { Sender } from './sender.js'

/** A batch that still takes records, and who waits for them. */
export class OpenBatch {
  readonly builder: RecordBatchBuilder = new RecordBatchBuilder()
  readonly senders: Sender[] = []
  readonly slots: number[] = []
  readonly timestamps: number[] = []
  /** What the records count against the producer's `maxInFlightBytes`. */
  bytes = 0
  /** Who waits for all of it: a flush. */
  readonly watchers: (() => void)[] = []

  /** Forgets all but its memory. */
  clear(): void {
    this.builder.reset()
    this.senders.length = 0
    this.slots.length = 0
    this.timestamps.length = 0
    this.watchers.length = 0
    this.bytes = 0
  }
}

/** How many emptied batches a producer keeps. */
const KEPT_BATCHES = 16

/** Emptied batches of one producer, whose memory serves the next ones, whichever partition they are for. */
export class BatchPool {
  readonly #batches: OpenBatch[] = []

  take(): OpenBatch {
    return this.#batches.pop() ?? new OpenBatch()
  }

  give(batch: OpenBatch): void {
    batch.clear()
    if (this.#batches.length < KEPT_BATCHES) this.#batches.push(batch)
  }
}
