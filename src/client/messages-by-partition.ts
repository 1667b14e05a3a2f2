import type { EncodedMessages } from './encode-message.js'
import { partitionForKey } from './partitioner.js'

/**
 * The messages of one `send` by the partition that each goes to, in their order, so that those of one partition are
 * written one behind the other (benchmark: growth-partitions). A chain through one array: a list for each of many
 * partitions would cost more than going from one to the other does.
 */
export class MessagesByPartition {
  /** Which slot of its partition follows on a slot; `count` after the last. */
  readonly next: Int32Array
  /** Partitions that have any, in the order of their first. */
  readonly partitions: number[] = []
  readonly #count: number
  /** Of each partition its last slot, -1 where it has none, and its first. */
  readonly #ends: Int32Array

  constructor(count: number, partitionCount: number) {
    this.#count = count
    this.next = new Int32Array(count)
    this.#ends = new Int32Array(2 * partitionCount).fill(-1)
  }

  /** Adds a slot behind the others of its partition. */
  add(slot: number, partition: number): void {
    const last = this.#ends[2 * partition] as number
    if (last >= 0) this.next[last] = slot
    else {
      this.#ends[2 * partition + 1] = slot
      this.partitions.push(partition)
    }
    this.#ends[2 * partition] = slot
    this.next[slot] = this.#count
  }

  /** The first slot of a partition that has any. */
  first(partition: number): number {
    return this.#ends[2 * partition + 1] as number
  }
}

/** Where the messages of a send go. Undefined where few go to each partition, or where one may go wherever there is room: that depends on those before it. */
export function byPartition(messages: EncodedMessages, partitionCount: number): MessagesByPartition | undefined {
  if (messages.count < 2 * partitionCount || partitionOfMessage(messages, 0, partitionCount) === undefined)
    return undefined
  const placed = new MessagesByPartition(messages.count, partitionCount)
  for (let slot = 0; slot < messages.count; slot++) {
    const partition = partitionOfMessage(messages, slot, partitionCount)
    if (partition === undefined) return undefined
    placed.add(slot, partition)
  }
  return placed
}

function partitionOfMessage(messages: EncodedMessages, slot: number, partitionCount: number): number | undefined {
  const key = messages.key(slot)
  return messages.partition(slot) ?? (key === null ? undefined : partitionForKey(key, partitionCount))
}
