import type { CancelSignal } from '../cancellation.js'
import type { Engine, FetchResult } from '../engine/engine.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'

/** Bytes that one fetch brings. Kafka: max.partition.fetch.bytes. */
const FETCH_BYTES = 1 << 20

/** Reads one partition on and on. While a batch is being handled the next ones are fetched, if they are there. */
export class PartitionReader {
  readonly #engine: Engine
  readonly #at: TopicPartition
  #ahead: { offset: number; fetched: Promise<readonly FetchResult[]> } | undefined

  constructor(engine: Engine, at: TopicPartition) {
    this.#engine = engine
    this.#at = at
  }

  /** Batches from `offset` on; waits for the first one. An abort ends the wait with none. Rejects with what fetch answers. */
  async read(offset: number, signal: CancelSignal): Promise<readonly RecordBatch[]> {
    return this.take(await this.fetched(offset, signal), offset, signal)
  }

  /** What `take` makes batches of: whoever awaits it himself is woken that much sooner (benchmark: latency). */
  fetched(offset: number, signal: CancelSignal): Promise<readonly FetchResult[]> {
    const ahead = this.#ahead
    this.#ahead = undefined
    return ahead?.offset === offset ? ahead.fetched : this.#fetch(offset, signal)
  }

  /** The batches of what was fetched from `offset` on, and fetches what follows on them. Throws what fetch answers. */
  take([result]: readonly FetchResult[], offset: number, signal: CancelSignal): readonly RecordBatch[] {
    if (result === undefined) throw new TypeError(`The engine left out ${this.#at.topic}-${this.#at.partition}`)
    const { batches, highWatermark, error } = result
    if (error !== null) throw error
    const next = (batches[batches.length - 1]?.lastOffset ?? offset) + 1
    if (batches.length > 0 && next < highWatermark) {
      const fetched = this.#fetch(next, signal)
      // It is told when it is read; until then nobody awaits it.
      fetched.catch(() => undefined)
      this.#ahead = { offset: next, fetched }
    }
    return batches
  }

  #fetch(offset: number, signal: CancelSignal): Promise<readonly FetchResult[]> {
    const { topic, partition } = this.#at
    return this.#engine.fetch(
      {
        partitions: [{ topic, partition, fetchOffset: offset, maxBytes: FETCH_BYTES }],
        maxBytes: FETCH_BYTES,
        minBytes: 1,
        maxWaitMs: Number.POSITIVE_INFINITY,
      },
      { signal },
    )
  }
}
