import { join } from 'node:path'
import { Broker, FileStorage, MemoryStorage } from '../../../dist/index.js'

/** Brokers that live as long as a workload: in memory, or each over files of its own with a durability. */
export class Brokers {
  #directory
  #opened = []

  /** @param {string} directory */
  constructor(directory) {
    this.#directory = directory
  }

  /** @param {'memory' | 'os' | 'fsync'} storage */
  async open(storage) {
    const durability = storage
    const directory = join(this.#directory, `${this.#opened.length}`)
    const broker = await Broker.open({
      storage: storage === 'memory' ? new MemoryStorage() : new FileStorage(directory, { durability }),
    })
    this.#opened.push(broker)
    return broker
  }

  async close() {
    for (const broker of this.#opened) await broker.close()
  }
}
