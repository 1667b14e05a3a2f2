import { murmur2 } from './murmur2.js'

/**
 * Chooses the partition of a record, or leaves it to ottla by returning undefined. Kafka: `partitioner.class`.
 *
 * @example
 * const byRegion: Partitioner = ({ key, partitionCount }) => (key === null ? 0 : (key[0] ?? 0) % partitionCount)
 */
export type Partitioner = (record: {
  topic: string
  key: Uint8Array | null
  value: Uint8Array | null
  partitionCount: number
}) => number | undefined

/** Where Kafka's default partitioner puts a key, in every client that follows Java. */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  // Java's toPositive, which is not Math.abs.
  return (murmur2(key) & 0x7fffffff) % partitionCount
}

interface StickyChoice {
  partition: number
  isClosed: boolean
}

/**
 * The partition for records without a key (KIP-480): the same one until its batch closes, then another. Batches get
 * full, and over many batches every partition gets as many.
 */
export class StickyPartitioner {
  readonly #random: () => number
  readonly #choices = new Map<string, StickyChoice>()

  /** `random` returns numbers from 0 up to, but not including, 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  partition(topic: string, partitionCount: number): number {
    const choice = this.#choices.get(topic)
    if (choice === undefined) {
      const partition = this.#below(partitionCount)
      this.#choices.set(topic, { partition, isClosed: false })
      return partition
    }
    if (choice.isClosed || choice.partition >= partitionCount) {
      choice.partition = this.#otherThan(choice.partition, partitionCount)
      choice.isClosed = false
    }
    return choice.partition
  }

  /**
   * Tells that a batch closed, so that the next record opens one elsewhere. One of another partition, which keyed
   * records filled, leaves the choice as it is.
   */
  onBatchClosed(topic: string, partition: number): void {
    const choice = this.#choices.get(topic)
    if (choice?.partition === partition) choice.isClosed = true
  }

  /** For a topic that is gone. */
  forget(topic: string): void {
    this.#choices.delete(topic)
  }

  #otherThan(previous: number, partitionCount: number): number {
    if (previous >= partitionCount || partitionCount === 1) return this.#below(partitionCount)
    const partition = this.#below(partitionCount - 1)
    return partition < previous ? partition : partition + 1
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count)
  }
}
