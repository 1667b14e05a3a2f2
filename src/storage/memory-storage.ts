import { OttlaError } from '../errors.js'
import { type MemoryBudget, MemoryPartition } from './memory-partition.js'
import { SlabPool } from './slab-pool.js'
import type { PartitionOptions, Storage, TopicPartition } from './storage.js'

/** The bounds of a `MemoryStorage`. */
export interface MemoryStorageOptions {
  /**
   * How many bytes of batches the partitions may hold together; internal topics do not count. An append that would
   * pass it is refused with OTTLA_STORAGE_FULL. Default: no limit but the process's memory.
   */
  maxBytes?: number
  /**
   * When full, drop the oldest sealed segments instead of refusing the append: of the partition that holds most, then of
   * the next largest. Messages that nobody has read yet go too. Needs `maxBytes`.
   */
  lossy?: boolean
  /** The segment size for topics that do not set one. Default: a sixteenth of `maxBytes`; without that Kafka's 1 GiB. */
  segmentBytes?: number
}

/**
 * Keeps logs in memory, in Kafka's format. An append is acknowledged at once, and nothing outlives the process. What
 * it holds stays when the broker closes, for the next broker that opens the same object: so a test restarts a broker.
 *
 * Throws OTTLA_INVALID_ARGUMENT for an option that is unknown or out of range, and OTTLA_LOCKED when it is opened
 * while another broker has it open.
 *
 * @example
 * const broker = await Broker.open({ storage: new MemoryStorage({ maxBytes: 64 * 1024 * 1024 }) })
 */
export class MemoryStorage implements Storage {
  readonly acknowledgeAfter: 'append' = 'append'
  readonly segmentBytes: number | undefined
  readonly #pool = new SlabPool()
  readonly #partitions = new Map<string, { storage: MemoryPartition; internal: boolean }>()
  readonly #budget: MemoryBudget | undefined
  #isOpen = false

  constructor(options: MemoryStorageOptions = {}) {
    checkOptions(options)
    const { maxBytes, lossy = false } = options
    this.segmentBytes = options.segmentBytes ?? (maxBytes === undefined ? undefined : segmentBytesFor(maxBytes))
    if (maxBytes !== undefined) {
      this.#budget = new Budget(maxBytes, lossy, () => this.#limitedPartitions())
    }
  }

  async open(): Promise<void> {
    if (this.#isOpen) {
      throw new OttlaError(
        'OTTLA_LOCKED',
        'This MemoryStorage is open in another broker: close that one first, or give each broker a MemoryStorage of its own.',
      )
    }
    this.#isOpen = true
  }

  async partitions(): Promise<TopicPartition[]> {
    this.#assertOpen()
    return Array.from(this.#partitions.values(), ({ storage }) => ({ ...storage.at }))
  }

  async openPartition(at: TopicPartition, options: PartitionOptions = {}): Promise<MemoryPartition> {
    this.#assertOpen()
    const key = keyOf(at)
    let partition = this.#partitions.get(key)
    if (partition === undefined) {
      const internal = options.internal ?? false
      const budget = internal ? undefined : this.#budget
      const storage = new MemoryPartition({ ...at }, this.#pool, budget, options.indexIntervalBytes)
      partition = { storage, internal }
      this.#partitions.set(key, partition)
    }
    partition.storage.open()
    return partition.storage
  }

  async deletePartition(at: TopicPartition): Promise<void> {
    this.#assertOpen()
    const key = keyOf(at)
    this.#partitions.get(key)?.storage.delete()
    this.#partitions.delete(key)
  }

  async close(): Promise<void> {
    for (const { storage } of this.#partitions.values()) storage.close()
    this.#pool.clear()
    this.#isOpen = false
  }

  #limitedPartitions(): MemoryPartition[] {
    return Array.from(this.#partitions.values())
      .filter(({ internal }) => !internal)
      .map(({ storage }) => storage)
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new OttlaError('OTTLA_CLOSED', 'This MemoryStorage is closed: open it before it is used.')
  }
}

/** Counts the bytes of all limited partitions, and chooses what a lossy storage drops. */
class Budget implements MemoryBudget {
  readonly #maxBytes: number
  readonly #lossy: boolean
  readonly #partitions: () => MemoryPartition[]
  #usedBytes = 0

  constructor(maxBytes: number, lossy: boolean, partitions: () => MemoryPartition[]) {
    this.#maxBytes = maxBytes
    this.#lossy = lossy
    this.#partitions = partitions
  }

  count(bytes: number): void {
    this.#usedBytes += bytes
  }

  makeRoom(bytes: number, partition: MemoryPartition): void {
    const missing = this.#usedBytes + bytes - this.#maxBytes
    if (missing <= 0) return
    if (this.#lossy && this.#dropOldest(missing, partition)) return
    const { topic, partition: number } = partition.at
    throw new OttlaError(
      'OTTLA_STORAGE_FULL',
      `The memory storage holds ${this.#usedBytes} of its ${this.#maxBytes} bytes, and ${topic}-${number} needs ${bytes} more. ${
        this.#lossy
          ? 'No sealed segments are left that would make room: raise maxBytes or lower segmentBytes.'
          : 'Raise maxBytes, delete messages or shorten retention, or set lossy: true to drop the oldest segments.'
      }`,
    )
  }

  /** Frees at least `missing` bytes, or touches nothing and returns false. */
  #dropOldest(missing: number, appendedTo: MemoryPartition): boolean {
    const drops: [partition: MemoryPartition, count: number][] = []
    let left = missing
    for (const partition of this.#inDropOrder(appendedTo)) {
      const sealed = partition.segments.length - 1
      let count = 0
      while (count < sealed && left > 0) left -= partition.segments[count++]?.sizeInBytes ?? 0
      if (count > 0) drops.push([partition, count])
      if (left <= 0) break
    }
    if (left > 0) return false
    for (const [partition, count] of drops) partition.discard(count)
    return true
  }

  /** The largest first, or whoever happens to reach the limit would lose all of its own while the others kept theirs. */
  #inDropOrder(appendedTo: MemoryPartition): MemoryPartition[] {
    const partitions = this.#partitions()
    const sizes = new Map(partitions.map((partition) => [partition, sizeOf(partition)]))
    const isFirst = (partition: MemoryPartition): number => Number(partition === appendedTo)
    return partitions.sort((a, b) => (sizes.get(b) ?? 0) - (sizes.get(a) ?? 0) || isFirst(b) - isFirst(a))
  }
}

function sizeOf(partition: MemoryPartition): number {
  return partition.segments.reduce((size, segment) => size + segment.sizeInBytes, 0)
}

/** Small against `maxBytes`, since only sealed segments can be dropped, but no smaller than it is worth. */
function segmentBytesFor(maxBytes: number): number {
  const worthwhile = Math.min(64 * 1024, Math.ceil(maxBytes / 4))
  return Math.min(Math.max(Math.floor(maxBytes / 16), worthwhile), 1024 ** 3)
}

const OPTION_NAMES: readonly string[] = ['maxBytes', 'lossy', 'segmentBytes'] satisfies (keyof MemoryStorageOptions)[]

function checkOptions(options: MemoryStorageOptions): void {
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw invalid(`MemoryStorage has no option ${name}: it takes ${OPTION_NAMES.join(', ')}.`)
    }
  }
  const { maxBytes, lossy, segmentBytes } = options
  checkBytes('maxBytes', maxBytes)
  checkBytes('segmentBytes', segmentBytes)
  if (lossy !== undefined && typeof lossy !== 'boolean') throw invalid(`lossy is true or false, not ${String(lossy)}.`)
  if (lossy === true && maxBytes === undefined) {
    throw invalid('lossy says what to do when maxBytes is reached: give maxBytes too.')
  }
}

function checkBytes(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return
  throw invalid(`${name} is a number of bytes, a positive integer, not ${String(value)}.`)
}

function invalid(sentence: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', sentence)
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}
