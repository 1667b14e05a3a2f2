/** @param {number} count @param {number} bytes at least 4 @returns {Uint8Array[]} values that tell their place, each the same in every run */
export function makePayloads(count, bytes) {
  return Array.from({ length: count }, (_, index) => {
    const value = new Uint8Array(bytes)
    for (let at = 0; at < bytes; at++) value[at] = Math.imul(index + 1, at + 7) >>> 3
    value[0] = index
    value[bytes - 1] = index >>> 8
    return value
  })
}

/**
 * What arrived, counted and summed up: a value that is missing, twice, or out of its place changes the sum. Cheap,
 * since the peers need only a few nanoseconds for a delivery.
 */
export class Arrivals {
  /** What the sum is multiplied by at each step: with 1 the order does not matter. */
  #factor
  #expected = 0
  #onAll = () => {}
  count = 0
  sum = 0

  /** @param {{ anyOrder?: boolean }} [options] `anyOrder` where several partitions arrive beside each other */
  constructor({ anyOrder = false } = {}) {
    this.#factor = anyOrder ? 1 : 31
  }

  /** Resolves when so many have arrived. @param {number} expected */
  expect(expected) {
    this.#expected = expected
    this.count = 0
    this.sum = 0
    return new Promise((resolve) => {
      this.#onAll = resolve
    })
  }

  /** @param {Uint8Array} value */
  add(value) {
    this.sum = (Math.imul(this.sum, this.#factor) + value[0] + (value[value.length - 1] << 8)) | 0
    if (++this.count === this.#expected) this.#onAll()
  }

  /** As `expect`, for those that only know when all is over how many should have arrived. */
  expectAny() {
    void this.expect(-1)
  }

  /**
   * Throws unless the payloads arrived, in their order and as often as that makes what was expected.
   *
   * @param {readonly Uint8Array[]} payloads @param {number} [expected] after `expectAny`
   */
  check(payloads, expected = this.#expected) {
    this.#expected = expected
    if (this.count !== this.#expected) throw new Error(`${this.count} arrived of ${this.#expected}`)
    const sum = this.#sumOf(payloads)
    if (this.sum !== sum) throw new Error(`What arrived sums up to ${this.sum}, what was sent to ${sum}`)
  }

  #sumOf(payloads) {
    const key = `${payloads.length} ${payloads[0].length} ${this.#expected} ${this.#factor}`
    let sum = sums.get(key)
    if (sum === undefined) {
      sum = 0
      for (let index = 0; index < this.#expected; index++) {
        const value = payloads[index % payloads.length]
        sum = (Math.imul(sum, this.#factor) + value[0] + (value[value.length - 1] << 8)) | 0
      }
      sums.set(key, sum)
    }
    return sum
  }
}

/** What payloads sum up to, by all that it depends on: to sum up takes as long as to send. */
const sums = new Map()
