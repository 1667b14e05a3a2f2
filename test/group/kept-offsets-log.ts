import type { OffsetRecord, OffsetsLog } from '../../src/group/committed-offsets.js'

/** An offsets log in memory. Each append waits for `settle` once `hold` was called. */
export class KeptOffsetsLog implements OffsetsLog {
  readonly records: OffsetRecord[] = []
  appends = 0
  #holds = false
  readonly #held: { settle: (failure: Error | null) => void }[] = []

  append(_groupId: string, records: readonly OffsetRecord[]): Promise<void> {
    this.appends += 1
    if (!this.#holds) {
      this.records.push(...records)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#held.push({
        settle: (failure) => {
          if (failure !== null) return reject(failure)
          this.records.push(...records)
          resolve()
        },
      })
    })
  }

  hold(): void {
    this.#holds = true
  }

  /** Settles the held append with this number, by order of the calls. */
  settle(index: number, failure: Error | null = null): void {
    const held = this.#held[index]
    if (held === undefined) throw new Error(`There is no held append ${index}.`)
    held.settle(failure)
  }
}
