import { OttlaError } from '../errors.js'

/*
 * What a frame is made of, all big-endian:
 *   bool 1 byte, 0 is false   int8 int16 int32 int64   float64   uuid 16 bytes
 *   uvarint   base 128, lowest seven bits first, the top bit set on all but the last; at most 5 bytes
 *   lengths   string int16, bytes and arrays int32, -1 for null; in flexible versions uvarint of one more, 0 for null
 *   tags      in flexible versions behind the fields of every struct: count, then tag, size and content of each, uvarint
 */

/** As Kafka has it: the length of a string fits an int16, also where the length is a uvarint. */
export const LONGEST_STRING = 32_767

/**
 * An element may take two bytes of a frame and fifty times as much as an object, so there is a limit to what one frame
 * makes us build. No client comes near: it is a hundred times the partitions of a large cluster.
 */
const MOST_ELEMENTS = 1_000_000

const NO_BYTES = new Uint8Array(0)

/**
 * Reads a frame from its start, and checks every length against what is there before it reads or makes room for
 * anything. Throws OTTLA_MALFORMED_FRAME, and nothing else, where the bytes are not what they should be.
 */
export class FrameReader {
  /** For the message of an error: `Fetch request, version 12`. */
  what = 'frame'
  readonly #source: Buffer
  #position = 0
  #elementsLeft = MOST_ELEMENTS

  constructor(frame: Uint8Array) {
    this.#source = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  }

  get position(): number {
    return this.#position
  }

  bool(): boolean {
    return this.int8() !== 0
  }

  int8(): number {
    return this.#source.readInt8(this.#take(1))
  }

  int16(): number {
    return this.#source.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#source.readInt32BE(this.#take(4))
  }

  /** Exact where the result is a safe integer; what lies beyond never rounds to one. */
  int64(): number {
    const at = this.#take(8)
    return this.#source.readInt32BE(at) * 2 ** 32 + this.#source.readUInt32BE(at + 4)
  }

  float64(): number {
    return this.#source.readDoubleBE(this.#take(8))
  }

  uuid(): string {
    const at = this.#take(16)
    const id = this.#source.toString('base64url', at, at + 16)
    return id === ZERO_UUID ? '' : id
  }

  uvarint(): number {
    const start = this.#position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#source[this.#take(1)] ?? 0
      if (shift === 28 && byte > 0x0f) break
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    this.#position = start
    throw this.malformed('a uvarint does not fit into 32 bits')
  }

  /** Null for a length of -1, or 0 in flexible versions. */
  nullableString(flexible: boolean): string | null {
    const length = flexible ? this.uvarint() - 1 : this.int16()
    if (length === -1) return null
    if (length > LONGEST_STRING) throw this.malformed(`a string of ${length} bytes, more than ${LONGEST_STRING}`)
    const start = this.#take(length)
    return this.#source.toString('utf8', start, start + length)
  }

  string(flexible: boolean): string {
    return this.nullableString(flexible) ?? this.#missing('a string')
  }

  /** A view of the frame. */
  nullableBytes(flexible: boolean): Uint8Array | null {
    const length = flexible ? this.uvarint() - 1 : this.int32()
    if (length === -1) return null
    const start = this.#take(length)
    // Empty bytes at the end of a frame would keep all of it alive.
    return length === 0 ? NO_BYTES : this.#source.subarray(start, start + length)
  }

  bytes(flexible: boolean): Uint8Array {
    return this.nullableBytes(flexible) ?? this.#missing('bytes')
  }

  /** The number of elements of an array, each of which takes at least `leastBytes`; -1 for null. */
  count(flexible: boolean, leastBytes: number): number {
    const count = flexible ? this.uvarint() - 1 : this.int32()
    if (count === -1) return count
    const left = this.#source.length - this.#position
    if (count < 0 || count * leastBytes > left) {
      throw this.malformed(`an array of ${count} elements where ${left} bytes are left`)
    }
    this.#elementsLeft -= count
    if (this.#elementsLeft < 0) throw this.malformed(`more than ${MOST_ELEMENTS} elements in its arrays`)
    return count
  }

  skip(length: number): void {
    this.#take(length)
  }

  malformed(reason: string): OttlaError {
    return new OttlaError(
      'OTTLA_MALFORMED_FRAME',
      `The ${this.what} cannot be read at byte ${this.#position} of ${this.#source.length}: ${reason}. ` +
        "Check that the peer speaks Kafka's protocol, and that nothing between cuts or changes what it sends.",
    )
  }

  #missing(what: string): never {
    throw this.malformed(`${what} must not be null`)
  }

  /** Moves past the next `length` bytes and returns where they begin. */
  #take(length: number): number {
    const start = this.#position
    if (length < 0 || length > this.#source.length - start) {
      throw this.malformed(`${length} bytes are announced where ${this.#source.length - start} are left`)
    }
    this.#position = start + length
    return start
  }
}

/** Kafka's Uuid.ZERO_UUID. */
const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'
