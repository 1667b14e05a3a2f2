/**
 * HalfSipHash-2-4 with 64 bits of result, twice, under keys that are drawn when the first log is compacted: 128 bits that
 * tell two keys apart without keeping them, as Kafka's MD5 does. Made against keys that are chosen to collide, and by
 * 32-bit arithmetic alone, which is what numbers are fast at.
 */
export class KeyHash {
  readonly #seeds: Int32Array
  /** The four words of the last hash. */
  readonly words: Int32Array = new Int32Array(4)

  constructor(seeds: readonly [number, number, number, number] = randomSeeds()) {
    this.#seeds = Int32Array.from(seeds)
  }

  /** Hashes `key` into `words`. */
  hash(key: Uint8Array): void {
    const seeds = this.#seeds
    halfSipHash(key, seeds[0] ?? 0, seeds[1] ?? 0, this.words, 0)
    halfSipHash(key, seeds[2] ?? 0, seeds[3] ?? 0, this.words, 2)
  }
}

function randomSeeds(): [number, number, number, number] {
  const draw = (): number => Math.floor(Math.random() * 2 ** 32) | 0
  return [draw(), draw(), draw(), draw()]
}

function halfSipHash(key: Uint8Array, k0: number, k1: number, result: Int32Array, at: number): void {
  const { length } = key
  const blocks = length >>> 2
  let v0 = k0
  let v1 = k1 ^ 0xee
  let v2 = 0x6c796765 ^ k0
  let v3 = 0x74656462 ^ k1
  // The words of the key, the last one with its length, then four rounds for each half of the result.
  for (let step = 0; step < blocks + 3; step++) {
    let word = 0
    let rounds = 2
    if (step < blocks) word = wordAt(key, step << 2)
    else if (step === blocks) word = lastWord(key, blocks << 2)
    else {
      if (step === blocks + 1) v2 ^= 0xee
      else v1 ^= 0xdd
      rounds = 4
    }
    v3 ^= word
    for (let round = 0; round < rounds; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
    if (step > blocks) result[at + step - blocks - 1] = v1 ^ v3
  }
}

function wordAt(key: Uint8Array, at: number): number {
  return (key[at] ?? 0) | ((key[at + 1] ?? 0) << 8) | ((key[at + 2] ?? 0) << 16) | ((key[at + 3] ?? 0) << 24)
}

function lastWord(key: Uint8Array, at: number): number {
  let word = key.length << 24
  for (let index = key.length - 1; index >= at; index--) word |= (key[index] ?? 0) << ((index - at) << 3)
  return word
}
