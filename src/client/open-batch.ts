import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { Sender } from './sender.js'

/** A batch that still takes records, and who waits for them. */
export class OpenBatch {
  readonly builder: RecordBatchBuilder = new RecordBatchBuilder()
  /** Who waits for each record, as what, and the record's time. */
  senders: Sender[] = []
  slots: number[] = []
  timestamps: number[] = []
  /** What the records count against the producer's `maxInFlightBytes`. */
  bytes = 0
  /** Who waits for all of it: a flush. */
  readonly watchers: (() => void)[] = []

  add(sender: Sender, slot: number, timestamp: number): void {
    const at = this.builder.recordCount - 1
    this.senders[at] = sender
    this.slots[at] = slot
    this.timestamps[at] = timestamp
  }

  /** Forgets all but its memory. */
  clear(): void {
    // Of the size that was needed, and new: what is put into a new array costs the garbage collector least.
    const count = this.builder.recordCount
    this.senders = new Array(count)
    this.slots = new Array(count)
    this.timestamps = new Array(count)
    this.builder.reset()
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
