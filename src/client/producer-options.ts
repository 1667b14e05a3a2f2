import type { RetryRules } from './idempotent-sender.js'
import { aBoolean, aFunction, invalid, type OptionRule, oneOf, wholeNumber } from './options.js'
import type { Partitioner } from './partitioner.js'

/** What `broker.producer` takes. */
export interface ProducerOptions {
  /**
   * Milliseconds for which a batch that is not full waits for more. Default 0: a batch holds what one turn of the
   * event loop sent, or what gathered while the batch before it was written. Kafka: linger.ms.
   */
  lingerMs?: number
  /** Bytes at which a batch is full. Default 65,536. Kafka: batch.size, there 16,384. */
  batchBytes?: number
  /**
   * Bytes that may wait for their acknowledgement at once. Default 32 MiB. A send that is larger than all of it goes
   * when nothing else is under way. Kafka: buffer.memory.
   */
  maxInFlightBytes?: number
  /**
   * What `send` does when `maxInFlightBytes` would be passed: wait for room (default), which sends what lingers, or
   * reject with OTTLA_QUEUE_FULL.
   */
  onFull?: 'wait' | 'reject'
  /**
   * Whether each message is in the log once, in order, whatever is tried again on the way: batches carry a producer id
   * and sequences, by which a partition knows a repetition. Default true. Kafka: enable.idempotence.
   */
  idempotent?: boolean
  /**
   * How often a batch is sent again that failed on a storage which may recover. Default 5, or 0 where `idempotent` is
   * false, which allows no other: a message might be there twice. Kafka: retries, there without a limit.
   */
  retries?: number
  /**
   * Milliseconds before the first retry, doubled for each further one up to 1,000. Default 10. Kafka: retry.backoff.ms,
   * there 100.
   */
  retryBackoffMs?: number
  /** Milliseconds from a batch's first failure within which a retry may begin. Default 120,000. Kafka: delivery.timeout.ms. */
  deliveryTimeoutMs?: number
  /** Chooses partitions in place of Java's murmur2 over the key. Kafka: partitioner.class. */
  partitioner?: Partitioner
}

export const PRODUCER_OPTIONS: Readonly<Record<string, OptionRule>> = {
  lingerMs: wholeNumber(0, 2 ** 31 - 1),
  batchBytes: wholeNumber(1, 2 ** 30),
  maxInFlightBytes: wholeNumber(1),
  onFull: oneOf('wait', 'reject'),
  idempotent: aBoolean,
  retries: wholeNumber(0),
  retryBackoffMs: wholeNumber(0, 2 ** 31 - 1),
  deliveryTimeoutMs: wholeNumber(0),
  partitioner: aFunction,
}

export function retryRules({
  idempotent,
  retries,
  retryBackoffMs = 10,
  deliveryTimeoutMs = 120_000,
}: ProducerOptions): RetryRules {
  if (idempotent === false && retries !== undefined && retries > 0) {
    throw invalid(
      'A producer with idempotent: false does not retry, since a message might be in the log twice: leave one of the two out',
    )
  }
  return { retries: idempotent === false ? 0 : (retries ?? 5), retryBackoffMs, deliveryTimeoutMs }
}
