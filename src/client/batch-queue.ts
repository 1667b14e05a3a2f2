import type { OpenBatch } from './open-batch.js'

/**
 * Batches of one partition, oldest first. Nearly always there is one, and an array that ever held one keeps room for
 * seventeen, for each of thousands of partitions (benchmark: growth-topics).
 */
export class BatchQueue {
  #first: OpenBatch | undefined
  /** What is behind the first. */
  #others: OpenBatch[] | undefined

  get first(): OpenBatch | undefined {
    return this.#first
  }

  get size(): number {
    if (this.#first === undefined) return 0
    return this.#others === undefined ? 1 : 1 + this.#others.length
  }

  /** A copy, as it is now. */
  all(): OpenBatch[] {
    if (this.#first === undefined) return []
    return [this.#first, ...(this.#others ?? [])]
  }

  push(batch: OpenBatch): void {
    if (this.#first === undefined) this.#first = batch
    else if (this.#others === undefined) this.#others = [batch]
    else this.#others.push(batch)
  }

  /** Takes it out, wherever it stands. Nothing happens where it does not. */
  remove(batch: OpenBatch): void {
    if (this.#first === batch) {
      this.#first = this.#others?.shift()
      return
    }
    const index = this.#others?.indexOf(batch) ?? -1
    if (index >= 0) this.#others?.splice(index, 1)
  }

  clear(): void {
    this.#first = undefined
    this.#others = undefined
  }
}
