import { OttlaError } from '../errors.js'

/*
 * Little-endian base 128: seven bits a byte, lowest first, the top bit set on all but the last.
 *   unsigned varint   uint32, at most 5 bytes
 *   varint            int32 in zigzag (0, -1, 1, -2 ... become 0, 1, 2, 3 ...), at most 5 bytes
 *   varlong           int64 in zigzag, at most 10 bytes; here it must fit a safe integer
 * Writers are minimal. Readers accept padding up to the longest form, as Kafka's do.
 */

export const MAX_VARINT_BYTES: number = 5
export const MAX_VARLONG_BYTES: number = 10

const TWO_32 = 2 ** 32

/**
 * Reads varints from bytes[position, limit) and moves `position` behind each. Throws OTTLA_CORRUPTION where the bytes
 * end too early or hold more bits than the type, and then leaves `position` where it was.
 */
export class VarintReader {
  readonly bytes: Uint8Array
  position: number
  /** Moved by the caller as it enters and leaves parts with a length of their own. At most bytes.length. */
  limit: number

  constructor(bytes: Uint8Array, position: number, limit: number) {
    this.bytes = bytes
    this.position = position
    this.limit = limit
  }

  /** A zigzag int32. */
  readVarint(): number {
    const raw = this.readUnsignedVarint()
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** A uint32. */
  readUnsignedVarint(): number {
    const { bytes, limit, position } = this
    // One and two bytes are nearly all there is, and a loop would cost them twice the time.
    if (position + 1 < limit) {
      const first = bytes[position] ?? 0
      if (first < 0x80) {
        this.position = position + 1
        return first
      }
      const second = bytes[position + 1] ?? 0
      if (second < 0x80) {
        this.position = position + 2
        return (first & 0x7f) | (second << 7)
      }
    }
    return this.#readAnyUnsignedVarint()
  }

  /** A zigzag int64, if it is a safe integer. */
  readVarlong(): number {
    const { bytes, limit, position } = this
    if (position + 1 < limit) {
      const first = bytes[position] ?? 0
      if (first < 0x80) {
        this.position = position + 1
        return (first >>> 1) ^ -(first & 1)
      }
      const second = bytes[position + 1] ?? 0
      if (second < 0x80) {
        this.position = position + 2
        const raw = (first & 0x7f) | (second << 7)
        return (raw >>> 1) ^ -(raw & 1)
      }
    }
    return this.#readAnyVarlong()
  }

  #readAnyVarlong(): number {
    const { bytes, limit, position: start } = this
    // 28 bits, 28 bits and 8 bits: no part needs more than an int32.
    let low = 0
    let middle = 0
    let high = 0
    let position = start
    for (let shift = 0; ; shift += 7) {
      const byte = position < limit ? bytes[position] : undefined
      if (byte === undefined) throw endsEarly(start)
      position++
      if (shift < 28) low |= (byte & 0x7f) << shift
      else if (shift < 56) middle |= (byte & 0x7f) << (shift - 28)
      else high |= (byte & 0x7f) << (shift - 56)
      if (shift === 63 && byte > 1) throw tooLong(start, 64)
      if (byte < 0x80) break
    }
    if (middle === 0 && high === 0) {
      this.position = position
      return (low >>> 1) ^ -(low & 1)
    }
    const lowWord = low | (middle << 28)
    const highWord = (middle >>> 4) | (high << 24)
    const sign = -(lowWord & 1)
    const value = ((highWord >>> 1) ^ sign) * TWO_32 + ((((lowWord >>> 1) | (highWord << 31)) ^ sign) >>> 0)
    if (!Number.isSafeInteger(value)) throw tooLong(start, 53)
    this.position = position
    return value
  }

  #readAnyUnsignedVarint(): number {
    const { bytes, limit, position: start } = this
    let value = 0
    let position = start
    for (let shift = 0; ; shift += 7) {
      const byte = position < limit ? bytes[position] : undefined
      if (byte === undefined) throw endsEarly(start)
      position++
      if (shift === 28 && byte > 0x0f) throw tooLong(start, 32)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    this.position = position
    return value >>> 0
  }
}

/** Writes an int32 in zigzag and returns the position behind it. */
export function writeVarint(target: Uint8Array, position: number, value: number): number {
  return writeUnsignedVarint(target, position, (value << 1) ^ (value >> 31))
}

/** Writes a uint32 (or the int32 of the same bits) and returns the position behind it. */
export function writeUnsignedVarint(target: Uint8Array, position: number, value: number): number {
  if ((value & ~0x7f) === 0) {
    target[position] = value
    return position + 1
  }
  if ((value & ~0x3fff) === 0) {
    target[position] = value | 0x80
    target[position + 1] = value >>> 7
    return position + 2
  }
  return writeLongUnsignedVarint(target, position, value)
}

function writeLongUnsignedVarint(target: Uint8Array, position: number, value: number): number {
  let rest = value
  let at = position
  while ((rest & ~0x7f) !== 0) {
    target[at++] = rest | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

/** Writes a safe integer as an int64 in zigzag and returns the position behind it. */
export function writeVarlong(target: Uint8Array, position: number, value: number): number {
  if (value === (value | 0)) {
    // Zigzag of an int32 is a uint32, which the shorter form writes to the same bytes.
    return writeVarint(target, position, value)
  }
  const highWord = Math.floor(value / TWO_32)
  const sign = highWord >> 31
  let low = (value << 1) ^ sign
  let high = ((highWord << 1) | ((value >>> 31) & 1)) ^ sign
  let at = position
  while (high !== 0 || (low & ~0x7f) !== 0) {
    target[at++] = low | 0x80
    low = (low >>> 7) | (high << 25)
    high >>>= 7
  }
  target[at++] = low
  return at
}

/** Bytes that `writeVarint` writes. */
export function varintSize(value: number): number {
  return unsignedVarintSize((value << 1) ^ (value >> 31))
}

/** Bytes that `writeUnsignedVarint` writes. */
export function unsignedVarintSize(value: number): number {
  // One and two bytes are nearly all there is.
  if ((value & ~0x7f) === 0) return 1
  if ((value & ~0x3fff) === 0) return 2
  // 32 - clz32 is the number of significant bits.
  return Math.ceil((32 - Math.clz32(value)) / 7)
}

function endsEarly(position: number): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The bytes end inside the varint at position ${position}: they are cut short.`,
  )
}

function tooLong(position: number, bits: number): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The varint at position ${position} does not fit ${bits} bits: these are not the bytes that were written.`,
  )
}
