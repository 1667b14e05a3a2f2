import { isAnyArrayBuffer } from 'node:util/types'
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

/** Values are packed one behind the other into memory of this size, or into one that was made for a larger value. */
const CHUNK_BYTES = 8192

/** What has to be left of a memory for the next value to begin in it. */
const LEAST_ROOM = 2048

/** The most that anything but a string or a piece of memory takes before its content: a timestamp of 96 bits. */
const LARGEST_HEADER = 15

/** Up to here a loop is faster than a call of Node's. */
const LONGEST_IN_LOOP = 64

/**
 * MessagePack of values that `survey` let pass. It never goes back in its memory, so what it returned stays as it is,
 * and each byte of that has been written.
 */
class Writer {
  #memory: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  /** Writes a double in less time than the Buffer does. */
  #view: DataView = new DataView(this.#memory.buffer)
  #start = 0
  #at = 0

  pack(value: unknown): Uint8Array {
    if (this.#memory.length - this.#at < LEAST_ROOM) {
      this.#memory = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      this.#view = new DataView(this.#memory.buffer)
      this.#at = 0
    }
    this.#start = this.#at
    this.#write(value)
    return this.#memory.subarray(this.#start, this.#at)
  }

  #write(value: unknown): void {
    if (this.#at + LARGEST_HEADER > this.#memory.length) this.#makeRoom(LARGEST_HEADER)
    switch (typeof value) {
      case 'string':
        this.#writeString(value)
        break
      case 'number':
        this.#writeNumber(value)
        break
      case 'object':
        if (value === null) this.#writeByte(0xc0)
        else this.#writeObject(value)
        break
      case 'boolean':
        this.#writeByte(value ? 0xc3 : 0xc2)
        break
      case 'undefined':
        this.#writeTag(UNDEFINED)
        break
      case 'bigint':
        this.#writeBigInt(value)
        break
      default:
        // A getter may return another value than it did for the survey.
        throw new TypeError(`A ${typeof value} has no MessagePack`)
    }
  }

  #writeByte(byte: number): void {
    this.#memory[this.#at] = byte
    this.#at += 1
  }

  /** An extension of one byte that says nothing: its type is the value, or goes before it. */
  #writeTag(type: number): void {
    this.#writeByte(0xd4)
    this.#writeByte(type)
    this.#writeByte(0)
  }

  #writeNumber(value: number): void {
    const memory = this.#memory
    const at = this.#at
    if (value >>> 0 === value) {
      if (value < 0x80) this.#writeByte(value)
      else this.#writeLength(value, 0xcc, 0xcd, 0xce)
    } else if (value >> 0 === value) {
      if (value >= -0x20) {
        memory[at] = value
        this.#at = at + 1
      } else if (value >= -0x80) {
        memory[at] = 0xd0
        memory[at + 1] = value
        this.#at = at + 2
      } else if (value >= -0x8000) {
        memory[at] = 0xd1
        this.#at = memory.writeInt16BE(value, at + 1)
      } else {
        memory[at] = 0xd2
        this.#at = memory.writeInt32BE(value, at + 1)
      }
    } else {
      memory[at] = 0xcb
      this.#view.setFloat64(at + 1, value)
      this.#at = at + 9
    }
  }

  /** A number below 2 ** 32 in one, two or four bytes, behind the token that says so. */
  #writeLength(length: number, token8: number, token16: number, token32: number): void {
    const memory = this.#memory
    const at = this.#at
    if (length < 0x100) {
      memory[at] = token8
      memory[at + 1] = length
      this.#at = at + 2
    } else if (length < 0x10000) {
      memory[at] = token16
      memory[at + 1] = length >>> 8
      memory[at + 2] = length
      this.#at = at + 3
    } else {
      memory[at] = token32
      this.#at = memory.writeUInt32BE(length, at + 1)
    }
  }

  /** How many elements or members follow: in the token itself, in two bytes or in four. */
  #writeCount(count: number, token4: number, token16: number): void {
    const memory = this.#memory
    const at = this.#at
    if (count < 0x10) {
      this.#writeByte(token4 | count)
    } else if (count < 0x10000) {
      memory[at] = token16
      this.#at = memory.writeUInt16BE(count, at + 1)
    } else {
      memory[at] = token16 + 1
      this.#at = memory.writeUInt32BE(count, at + 1)
    }
  }

  #writeString(text: string): void {
    const { length } = text
    if (this.#at + 5 + length * 3 > this.#memory.length) this.#makeRoom(5 + length * 3)
    // Written behind the header of an ASCII string, and moved where it takes more bytes than that.
    const header = stringHeaderBytes(length)
    const begin = this.#at + header
    const bytes =
      length < LONGEST_IN_LOOP ? encodeShort(text, this.#memory, begin) : this.#memory.write(text, begin, 'utf8')
    const needed = stringHeaderBytes(bytes)
    if (needed > header) this.#memory.copyWithin(this.#at + needed, begin, begin + bytes)
    if (bytes < 0x20) this.#writeByte(0xa0 | bytes)
    else this.#writeLength(bytes, 0xd9, 0xda, 0xdb)
    this.#at += bytes
  }

  #writeObject(value: object): void {
    if (Object.getPrototypeOf(value) === Object.prototype) this.#writeMembers(value)
    else if (Array.isArray(value)) this.#writeArray(value)
    else if (value === C1) this.#writeByte(0xc1)
    else if (value instanceof Date) this.#writeDate(value)
    else if (value instanceof Set) {
      this.#writeTag(SET)
      this.#write([...value])
    } else if (ArrayBuffer.isView(value)) this.#writeView(value)
    else if (isAnyArrayBuffer(value)) this.#writeMemory(new Uint8Array(value), ARRAY_BUFFER)
    else if (value instanceof Object) throw new TypeError('It only claims to be of a class that is built in')
    else this.#writeMembers(value)
  }

  #writeArray(array: readonly unknown[]): void {
    this.#writeCount(array.length, 0x90, 0xdc)
    for (const element of array) this.#write(element)
  }

  #writeMembers(value: object): void {
    const keys = Object.keys(value)
    this.#writeCount(keys.length, 0x80, 0xde)
    for (const key of keys) {
      this.#writeString(key)
      this.#write(Reflect.get(value, key))
    }
  }

  #writeDate(date: Date): void {
    const memory = this.#memory
    const at = this.#at
    const seconds = Math.floor(date.getTime() / 1000)
    const nanoseconds = date.getUTCMilliseconds() * 1e6
    if (Number.isNaN(seconds)) {
      this.#writeTag(TIMESTAMP)
      memory[at + 2] = TIMESTAMP
    } else if (seconds < 0 || seconds >= 2 ** 32) {
      memory[at] = 0xc7
      memory[at + 1] = 12
      memory[at + 2] = TIMESTAMP
      memory.writeUInt32BE(nanoseconds, at + 3)
      this.#at = memory.writeBigInt64BE(BigInt(seconds), at + 7)
    } else if (nanoseconds === 0) {
      memory[at] = 0xd6
      memory[at + 1] = TIMESTAMP
      this.#at = memory.writeUInt32BE(seconds, at + 2)
    } else {
      memory[at] = 0xd7
      memory[at + 1] = TIMESTAMP
      memory.writeUInt32BE(nanoseconds * 4, at + 2)
      this.#at = memory.writeUInt32BE(seconds, at + 6)
    }
  }

  #writeView(view: ArrayBufferView): void {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    if (Buffer.isBuffer(view)) {
      this.#writeLength(bytes.length, 0xc4, 0xc5, 0xc6)
      this.#writeBytes(bytes)
    } else {
      const kind = TYPED_ARRAYS.findIndex((TypedArray) => view instanceof TypedArray)
      this.#writeMemory(bytes, kind === -1 ? DATA_VIEW : kind)
    }
  }

  #writeMemory(bytes: Uint8Array, kind: number): void {
    this.#writeLength(bytes.length + 1, 0xc7, 0xc8, 0xc9)
    this.#writeByte(MEMORY)
    this.#writeByte(kind)
    this.#writeBytes(bytes)
  }

  #writeBytes(bytes: Uint8Array): void {
    if (this.#at + bytes.length > this.#memory.length) this.#makeRoom(bytes.length)
    this.#memory.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #writeBigInt(value: bigint): void {
    const memory = this.#memory
    const at = this.#at
    if (BigInt.asIntN(64, value) === value) {
      memory[at] = 0xd3
      this.#at = memory.writeBigInt64BE(value, at + 1)
    } else if (BigInt.asUintN(64, value) === value) {
      memory[at] = 0xcf
      this.#at = memory.writeBigUInt64BE(value, at + 1)
    } else {
      const bytes = twosComplement(value)
      if (bytes.length === 16) this.#writeByte(0xd8)
      else this.#writeLength(bytes.length, 0xc7, 0xc8, 0xc9)
      this.#writeByte(BIG_INTEGER)
      this.#writeBytes(bytes)
    }
  }

  /** Takes larger memory, where what has been written of this value comes along. */
  #makeRoom(bytes: number): void {
    const written = this.#at - this.#start
    const memory = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, 2 * (written + bytes)))
    this.#memory.copy(memory, 0, this.#start, this.#at)
    this.#memory = memory
    this.#view = new DataView(memory.buffer)
    this.#start = 0
    this.#at = written
  }
}

function stringHeaderBytes(length: number): number {
  if (length < 0x20) return 1
  if (length < 0x100) return 2
  return length < 0x10000 ? 3 : 5
}

/** Writes well-formed text as UTF-8, and tells how many bytes that took. */
function encodeShort(text: string, memory: Uint8Array, begin: number): number {
  let at = begin
  for (let index = 0; index < text.length; index += 1) {
    let code = text.charCodeAt(index)
    if (code < 0x80) {
      memory[at++] = code
      continue
    }
    if (code < 0x800) {
      memory[at++] = 0xc0 | (code >> 6)
    } else {
      if ((code & 0xfc00) === 0xd800) {
        index += 1
        code = 0x10000 + ((code & 0x3ff) << 10) + (text.charCodeAt(index) & 0x3ff)
        memory[at++] = 0xf0 | (code >> 18)
        memory[at++] = 0x80 | ((code >> 12) & 0x3f)
      } else {
        memory[at++] = 0xe0 | (code >> 12)
      }
      memory[at++] = 0x80 | ((code >> 6) & 0x3f)
    }
    memory[at++] = 0x80 | (code & 0x3f)
  }
  return at - begin
}

/** The highest byte first, in whole words of eight bytes. */
function twosComplement(value: bigint): Uint8Array {
  const hex = (value < 0n ? ~value : value).toString(16)
  const words = Math.ceil(hex.length / 16)
  // The highest bit is that of the sign.
  const digits = 16 * (hex.length === 16 * words && hex >= '8' ? words + 1 : words)
  const bytes = Buffer.from(hex.padStart(digits, '0'), 'hex')
  return value < 0n ? bytes.map((byte) => ~byte) : bytes
}

let idleWriter: Writer | undefined = new Writer()

/** What it returns is never written again. A getter of the value may call it. */
export function pack(value: unknown): Uint8Array {
  const writer = idleWriter ?? new Writer()
  idleWriter = undefined
  try {
    return writer.pack(value)
  } finally {
    idleWriter = writer
  }
}
