import { type Histogram, LatencyHistogram } from './latency-histogram.js'

/** What the producers of this process have done since the broker opened, those that are closed too. */
export interface ProducerCounts {
  /** Messages that were acknowledged. */
  messages: number
  /** Bytes of their record batches. */
  bytes: number
  /** Record batches that were acknowledged. */
  batches: number
  /** Messages that were sent and refused. */
  failedMessages: number
  /** How often a batch was sent again. */
  retries: number
  /** From the close of a batch to its acknowledgement, retries included: of the first and each eighth one of a partition. */
  latency: Histogram
}

/** Counted by the batch, never by the message. */
export class ProducerCounters {
  readonly #latency = new LatencyHistogram()
  #messages = 0
  #bytes = 0
  #batches = 0
  #failedMessages = 0
  retries = 0

  acknowledged(messages: number, bytes: number): void {
    this.#messages += messages
    this.#bytes += bytes
    this.#batches++
  }

  failed(messages: number): void {
    this.#failedMessages += messages
  }

  took(durationMs: number): void {
    this.#latency.record(durationMs)
  }

  snapshot(): ProducerCounts {
    return {
      messages: this.#messages,
      bytes: this.#bytes,
      batches: this.#batches,
      failedMessages: this.#failedMessages,
      retries: this.retries,
      latency: this.#latency.snapshot(),
    }
  }
}
