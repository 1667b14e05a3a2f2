import { OttlaError } from '../errors.js'
import { LONGEST_STRING } from './frame-reader.js'

/** Record batches from this size on are not copied into a frame but become pieces of their own. */
const PIECE_BYTES = 1024

const FIRST_BYTES = 256

/**
 * Writes a frame, whose grammar is in src/protocol/frame-reader.ts. Throws OTTLA_INVALID_ARGUMENT for a value that its
 * type cannot hold.
 */
export class FrameWriter {
  #buffer: Buffer
  /** Where the piece that is being written begins. */
  #start = 0
  #position = 0
  readonly #pieces: Uint8Array[] = []
  #piecesBytes = 0

  constructor(sizeHint: number = FIRST_BYTES) {
    this.#buffer = Buffer.allocUnsafe(sizeHint)
  }

  get size(): number {
    return this.#piecesBytes + this.#position - this.#start
  }

  bool(value: boolean): void {
    this.#byte(value ? 1 : 0)
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw doesNotFit(value, 'an int8')
    this.#byte(value)
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw doesNotFit(value, 'an int16')
    const at = this.#reserve(2)
    this.#buffer[at] = value >> 8
    this.#buffer[at + 1] = value
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw doesNotFit(value, 'an int32')
    const at = this.#reserve(4)
    this.#buffer.writeInt32BE(value, at)
  }

  /** What lies beyond an end of int64 is that end: the nearest number to the largest int64 is one more. */
  int64(value: number): void {
    if (!Number.isInteger(value)) throw doesNotFit(value, 'an int64')
    const at = this.#reserve(8)
    if (value >= 2 ** 63) {
      this.#buffer.writeInt32BE(0x7fffffff, at)
      this.#buffer.writeInt32BE(-1, at + 4)
    } else {
      const bounded = Math.max(value, -(2 ** 63))
      this.#buffer.writeInt32BE(Math.floor(bounded / 2 ** 32), at)
      // The lower half: the shift takes the value modulo 2^32.
      this.#buffer.writeInt32BE(bounded | 0, at + 4)
    }
  }

  float64(value: number): void {
    const at = this.#reserve(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  uuid(value: string): void {
    const at = this.#reserve(16)
    if (value === '') {
      this.#buffer.fill(0, at, at + 16)
    } else if (value.length !== 22 || this.#buffer.write(value, at, 16, 'base64url') !== 16) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `'${value}' is no id of Kafka's: give 22 characters of base64url, or '' for none.`,
      )
    }
  }

  uvarint(value: number): void {
    let left = value
    while (left > 0x7f) {
      this.#byte((left & 0x7f) | 0x80)
      left >>>= 7
    }
    this.#byte(left)
  }

  string(value: string | null, flexible: boolean): void {
    const length = value === null ? -1 : Buffer.byteLength(value)
    if (length > LONGEST_STRING) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A text of ${length} bytes does not fit into Kafka's protocol: use at most ${LONGEST_STRING}.`,
      )
    }
    if (flexible) this.uvarint(length + 1)
    else this.int16(length)
    if (value === null) return
    const at = this.#reserve(length)
    this.#buffer.write(value, at, 'utf8')
  }

  bytes(value: Uint8Array | null, flexible: boolean): void {
    this.#length(value === null ? -1 : value.length, flexible)
    if (value !== null) this.#copy(value)
  }

  /** Large pieces are not copied: they must not change before the frame is sent. */
  records(value: Uint8Array | readonly Uint8Array[] | null, flexible: boolean): void {
    const parts = value === null ? [] : value instanceof Uint8Array ? [value] : value
    let length = value === null ? -1 : 0
    for (const part of parts) length += part.length
    this.#length(length, flexible)
    for (const part of parts) {
      if (part.length < PIECE_BYTES) {
        this.#copy(part)
      } else {
        this.#endPiece()
        this.#addPiece(part)
      }
    }
  }

  /** The number of elements that follow; -1 for null. */
  count(count: number, flexible: boolean): void {
    this.#length(count, flexible)
  }

  /** A tagged field: its size is known once `write` has written it. */
  tagged(tag: number, write: (writer: FrameWriter) => void): void {
    const content = new FrameWriter(64)
    write(content)
    this.uvarint(tag)
    this.uvarint(content.size)
    for (const piece of content.pieces()) this.#copy(piece)
  }

  /** What was written, in pieces that follow each other. The writer is used up. */
  pieces(): Uint8Array[] {
    this.#endPiece()
    return this.#pieces
  }

  #byte(value: number): void {
    const at = this.#reserve(1)
    this.#buffer[at] = value
  }

  #copy(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
  }

  #length(length: number, flexible: boolean): void {
    if (flexible) this.uvarint(length + 1)
    else this.int32(length)
  }

  #endPiece(): void {
    if (this.#position > this.#start) this.#addPiece(this.#buffer.subarray(this.#start, this.#position))
    this.#start = this.#position
  }

  #addPiece(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#piecesBytes += piece.length
  }

  /** Makes room for the next `length` bytes and returns where they begin, in what is `#buffer` only afterwards. */
  #reserve(length: number): number {
    if (this.#position + length > this.#buffer.length) {
      const written = this.#buffer.subarray(this.#start, this.#position)
      this.#buffer = Buffer.allocUnsafe(Math.max(FIRST_BYTES, 2 * (written.length + length)))
      this.#buffer.set(written)
      this.#start = 0
      this.#position = written.length
    }
    const at = this.#position
    this.#position = at + length
    return at
  }
}

function doesNotFit(value: number, type: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', `${value} does not fit into ${type} of Kafka's protocol.`)
}
