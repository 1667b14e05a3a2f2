import {
  ARRAY_BUFFER,
  BIG_INTEGER,
  C1,
  DATA_VIEW,
  MEMORY,
  SET,
  TIMESTAMP,
  TYPED_ARRAYS,
  UNDEFINED,
} from './msgpack-format.js'

/** Keys come again with every record: each string that was read last for its place here is used again. */
const KEYS: string[] = new Array(512).fill('')

/** One value, which must take all of the bytes. It shares no memory with them. Throws for anything else. */
export function unpack(bytes: Buffer): unknown {
  const reader = new Reader(bytes)
  const value = reader.read()
  if (reader.at !== bytes.length) throw new RangeError(`The value ends at byte ${reader.at} of ${bytes.length}`)
  return value
}

/** Up to here a loop is faster than a call of Node's. V8 makes strings of up to 12 characters in one piece. */
const LONGEST_IN_LOOP = 12

/** An array is made in its length up to here. Bytes may say more than they hold, and so for arrays in arrays. */
const MOST_AT_ONCE = 256

class Reader {
  readonly #bytes: Buffer
  #doubles: DataView | undefined
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Reads a double in half the time that a Buffer takes, and is worth making for that alone. */
  get #view(): DataView {
    this.#doubles ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length)
    return this.#doubles
  }

  read(): unknown {
    const token = this.#bytes[this.at]
    if (token === undefined) throw new RangeError('The bytes end where a value should begin')
    this.at += 1
    if (token < 0x80) return token
    if (token < 0x90) return this.#members(token & 0x0f)
    if (token < 0xa0) return this.#elements(token & 0x0f)
    if (token < 0xc0) return this.#string(token & 0x1f)
    return token >= 0xe0 ? token - 0x100 : this.#afterToken(token)
  }

  #afterToken(token: number): unknown {
    switch (token) {
      case 0xc0:
        return null
      case 0xc1:
        return C1
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return Buffer.from(this.#memory(this.#uint8()))
      case 0xc5:
        return Buffer.from(this.#memory(this.#uint16()))
      case 0xc6:
        return Buffer.from(this.#memory(this.#uint32()))
      case 0xc7:
        return this.#extension(this.#uint8())
      case 0xc8:
        return this.#extension(this.#uint16())
      case 0xc9:
        return this.#extension(this.#uint32())
      case 0xca:
        return this.#bytes.readFloatBE(this.#pass(4))
      case 0xcb:
        return this.#view.getFloat64(this.#pass(8))
      case 0xcc:
        return this.#uint8()
      case 0xcd:
        return this.#uint16()
      case 0xce:
        return this.#uint32()
      case 0xcf:
        return this.#bytes.readBigUInt64BE(this.#pass(8))
      case 0xd0:
        return this.#bytes.readInt8(this.#pass(1))
      case 0xd1:
        return this.#bytes.readInt16BE(this.#pass(2))
      case 0xd2:
        return this.#bytes.readInt32BE(this.#pass(4))
      case 0xd3:
        return this.#bytes.readBigInt64BE(this.#pass(8))
      case 0xd4:
        return this.#extension(1)
      case 0xd5:
        return this.#extension(2)
      case 0xd6:
        return this.#extension(4)
      case 0xd7:
        return this.#extension(8)
      case 0xd8:
        return this.#extension(16)
      case 0xd9:
        return this.#string(this.#uint8())
      case 0xda:
        return this.#string(this.#uint16())
      case 0xdb:
        return this.#string(this.#uint32())
      case 0xdc:
        return this.#elements(this.#uint16())
      case 0xdd:
        return this.#elements(this.#uint32())
      case 0xde:
        return this.#members(this.#uint16())
      default:
        return this.#members(this.#uint32())
    }
  }

  /** Goes on by so many bytes, and tells where they begin. */
  #pass(length: number): number {
    const begin = this.at
    this.at = begin + length
    return begin
  }

  // A Buffer's own methods throw a RangeError behind its end.
  #uint8(): number {
    return this.#bytes.readUInt8(this.#pass(1))
  }

  #uint16(): number {
    return this.#bytes.readUInt16BE(this.#pass(2))
  }

  #uint32(): number {
    return this.#bytes.readUInt32BE(this.#pass(4))
  }

  #string(length: number): string {
    const begin = this.#take(length)
    const end = this.at
    const bytes = this.#bytes
    let ors = 0
    for (let at = begin; at < end; at += 1) ors |= bytes[at] ?? 0
    if (ors >= 0x80) return bytes.toString('utf8', begin, end)
    return length > LONGEST_IN_LOOP ? bytes.toString('latin1', begin, end) : shortAscii(bytes, begin, end)
  }

  #key(): string {
    const token = this.#bytes[this.at] ?? 0
    if ((token & 0xe0) !== 0xa0) return keyOf(this.read())
    const bytes = this.#bytes
    const length = token & 0x1f
    const begin = this.at + 1
    const slot = ((bytes[begin] ?? 0) * 31 + (bytes[begin + length - 1] ?? 0) * 7 + length) % KEYS.length
    const known = KEYS[slot] ?? ''
    if (known.length === length && begin + length <= bytes.length) {
      let index = 0
      // Only ASCII text has as many characters as bytes and is equal to them.
      while (index < length && known.charCodeAt(index) === bytes[begin + index]) index += 1
      if (index === length) {
        this.at = begin + length
        return known
      }
    }
    this.at = begin
    const key = this.#string(length)
    KEYS[slot] = key
    return key
  }

  #elements(count: number): unknown[] {
    if (count > MOST_AT_ONCE) return this.#manyElements(count)
    const elements = new Array(count)
    for (let index = 0; index < count; index += 1) elements[index] = this.read()
    return elements
  }

  #manyElements(count: number): unknown[] {
    const elements: unknown[] = []
    for (let index = 0; index < count; index += 1) elements.push(this.read())
    return elements
  }

  #members(count: number): object {
    const members: Record<string, unknown> = {}
    for (let index = 0; index < count; index += 1) {
      const key = this.#key()
      // Set by assignment it would change the prototype. What is sent with this key is escaped.
      members[key === '__proto__' ? '__proto_' : key] = this.read()
    }
    return members
  }

  #extension(length: number): unknown {
    const type = this.#uint8()
    const begin = this.#take(length)
    switch (type) {
      case UNDEFINED:
        return undefined
      case SET:
        return new Set(this.#setElements())
      case TIMESTAMP:
        return this.#date(begin, length)
      case BIG_INTEGER:
        return BigInt.asIntN(8 * length, BigInt(`0x${this.#bytes.toString('hex', begin, this.at)}`))
      case MEMORY:
        this.at = begin
        return this.#typedMemory(this.#uint8(), length - 1)
      default:
        throw new TypeError(`An extension of type ${type} is unknown`)
    }
  }

  #setElements(): unknown[] {
    const elements = this.read()
    if (!Array.isArray(elements)) throw new TypeError('A set is written as an array')
    return elements
  }

  #date(begin: number, length: number): Date {
    const bytes = this.#bytes
    switch (length) {
      case 4:
        return new Date(bytes.readUInt32BE(begin) * 1000)
      case 8: {
        const nanoseconds = bytes.readUInt32BE(begin) >>> 2
        const seconds = ((bytes[begin + 3] ?? 0) & 3) * 2 ** 32 + bytes.readUInt32BE(begin + 4)
        return new Date(seconds * 1000 + nanoseconds / 1e6)
      }
      case 12:
        return new Date(Number(bytes.readBigInt64BE(begin + 4)) * 1000 + bytes.readUInt32BE(begin) / 1e6)
      default:
        return new Date(Number.NaN)
    }
  }

  #typedMemory(kind: number, length: number): unknown {
    const memory = this.#memory(length)
    if (kind === ARRAY_BUFFER) return memory
    if (kind === DATA_VIEW) return new DataView(memory)
    const TypedArray = TYPED_ARRAYS[kind]
    if (TypedArray === undefined) throw new TypeError(`Memory of kind ${kind} is unknown`)
    return new TypedArray(memory)
  }

  /** A copy of exactly its size. */
  #memory(length: number): ArrayBuffer {
    const begin = this.#take(length)
    const copy = new Uint8Array(length)
    copy.set(this.#bytes.subarray(begin, this.at))
    return copy.buffer
  }

  #take(length: number): number {
    const begin = this.#pass(length)
    if (this.at > this.#bytes.length) throw new RangeError(`The bytes end inside a value of ${length} bytes`)
    return begin
  }
}

function shortAscii(bytes: Uint8Array, begin: number, end: number): string {
  let text = ''
  let at = begin
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0)
  }
  for (; at < end; at += 1) text += String.fromCharCode(bytes[at] ?? 0)
  return text
}

function keyOf(value: unknown): string {
  if (typeof value === 'object' && value !== null) throw new TypeError('The key of a member is no string')
  return String(value)
}
