import { KeyHash } from './key-hash.js'

/** Four words of hash and the offset. Kafka's SkimpyOffsetMap takes as many. */
const ENTRY_BYTES = 24
const WORDS = 4
/** Beyond it a search takes long. Kafka: log.cleaner.io.buffer.load.factor. */
const LOAD_FACTOR = 0.9
const FEWEST_ENTRIES = 16

/**
 * The latest offset of each key, in a fixed amount of memory and without a pause in which it grows: open addressing over
 * two typed arrays. Keys are told apart by 128 bits of hash.
 */
export class OffsetMap {
  readonly #hash = new KeyHash()
  readonly #capacity: number
  readonly #hashes: Int32Array
  /** One more than the offset, so that 0 is an entry that is free. */
  readonly #offsets: Float64Array
  #size = 0
  #latestOffset = -1

  /** Room for `keyCount` keys, or for as many as fit `maxBytes`. */
  constructor(keyCount: number, maxBytes: number) {
    const wanted = Math.ceil(keyCount / LOAD_FACTOR) + 1
    this.#capacity = Math.max(Math.min(wanted, Math.floor(maxBytes / ENTRY_BYTES)), FEWEST_ENTRIES)
    this.#hashes = new Int32Array(this.#capacity * WORDS)
    this.#offsets = new Float64Array(this.#capacity)
  }

  get size(): number {
    return this.#size
  }

  /** The last offset that was looked at; -1 before the first. What lies beyond is not known of. */
  get latestOffset(): number {
    return this.#latestOffset
  }

  /** Everything up to `offset` was looked at. */
  reach(offset: number): void {
    this.#latestOffset = Math.max(this.#latestOffset, offset)
  }

  /** False, with nothing changed, where the map is full. Offsets rise. */
  put(key: Uint8Array, offset: number): boolean {
    const entry = this.#find(key)
    if (this.#offsets[entry] === 0) {
      if (this.#size >= this.#capacity * LOAD_FACTOR) return false
      this.#size++
      this.#hashes.set(this.#hash.words, entry * WORDS)
    }
    this.#offsets[entry] = offset + 1
    this.#latestOffset = offset
    return true
  }

  /** The latest offset of the key, -1 where it was not met. */
  get(key: Uint8Array): number {
    return (this.#offsets[this.#find(key)] ?? 0) - 1
  }

  /** The entry of the key, or the free one in which it belongs: there always is one. */
  #find(key: Uint8Array): number {
    this.#hash.hash(key)
    const { words } = this.#hash
    const [a, b, c, d] = [words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0]
    const hashes = this.#hashes
    let entry = (a >>> 0) % this.#capacity
    for (;;) {
      if (this.#offsets[entry] === 0) return entry
      const at = entry * WORDS
      if (hashes[at] === a && hashes[at + 1] === b && hashes[at + 2] === c && hashes[at + 3] === d) return entry
      entry = entry + 1 === this.#capacity ? 0 : entry + 1
    }
  }
}
