import { MemoryStorage, type PartitionOptions, type PartitionStorage, type Storage, type TopicPartition } from 'ottla'
import type { StorageContext } from '../../src/storage/storage.js'

/** Memory whose appends to users' topics wait until the test lets them go on, or fail. */
export class HeldStorage implements Storage {
  readonly acknowledgeAfter: 'append' = 'append'
  /** How many appends there were, those that wait included. */
  appends = 0
  /** What appends fail with. */
  failure: unknown
  readonly #memory = new MemoryStorage()
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined

  hold(): void {
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gate = { opened, open }
  }

  release(): void {
    this.#gate?.open()
    this.#gate = undefined
  }

  open(_context: StorageContext): Promise<void> {
    return this.#memory.open()
  }

  partitions(): Promise<TopicPartition[]> {
    return this.#memory.partitions()
  }

  async openPartition(at: TopicPartition, options?: PartitionOptions): Promise<PartitionStorage> {
    const partition: PartitionStorage = await this.#memory.openPartition(at, options)
    if (options?.internal === true) return partition
    const append = partition.append.bind(partition)
    partition.append = async (batches) => {
      this.appends++
      await this.#gate?.opened
      if (this.failure !== undefined) throw this.failure
      await append(batches)
    }
    return partition
  }

  deletePartition(at: TopicPartition): Promise<void> {
    return this.#memory.deletePartition(at)
  }

  close(): Promise<void> {
    return this.#memory.close()
  }
}
