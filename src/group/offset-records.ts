import { OttlaError } from '../errors.js'
import { readInt16, readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from '../record/big-endian.js'
import { VarintReader } from '../record/varint.js'

/*
 * The records of __consumer_offsets, as Kafka's OffsetCommitKey and OffsetCommitValue have them. Integers are
 * big-endian; string = int16 length, UTF-8.
 *   key     int16 version (0 or 1, the same bytes; we write 1) | string group | string topic | int32 partition
 *   value   int16 version (we write 3) | int64 offset | int32 leaderEpoch (3+) | string metadata
 *           | int64 commitTimestamp | int64 expireTimestamp (1 only)
 *   value 4 is flexible: the length of metadata is an unsigned varint of length + 1, and tagged fields end it: unsigned
 *           varint count, then for each an unsigned varint tag, an unsigned varint size and its bytes.
 * Ignored on purpose: the expiry time of version 1 (retention is the broker's) and the topic id of version 4 (tag 0).
 * Keys from version 2 on are Kafka's group metadata, which we neither write nor need.
 */

/** One partition of a topic, as one group stands to it. */
export interface OffsetKey {
  readonly groupId: string
  readonly topic: string
  readonly partition: number
}

export interface CommittedOffset {
  /** Of the next message to be consumed. */
  readonly offset: number
  /** -1 where the member did not say. */
  readonly leaderEpoch: number
  /** The member's own note; '' without one. */
  readonly metadata: string
  /** Wall clock, milliseconds since the epoch. */
  readonly commitTimestamp: number
}

const KEY_VERSION = 1
const VALUE_VERSION = 3
const NEWEST_VALUE_VERSION = 4

export function encodeOffsetKey({ groupId, topic, partition }: OffsetKey): Uint8Array {
  const group = encodeString('group id', groupId)
  const name = encodeString('topic name', topic)
  const bytes = new Uint8Array(10 + group.length + name.length)
  writeInt16(bytes, 0, KEY_VERSION)
  writeString(bytes, 2, group)
  writeString(bytes, 4 + group.length, name)
  writeInt32(bytes, 6 + group.length + name.length, partition)
  return bytes
}

/** Undefined for a key of another kind, which is to be skipped. Throws OTTLA_CORRUPTION where the bytes are no key. */
export function decodeOffsetKey(bytes: Uint8Array): OffsetKey | undefined {
  const reader = new FieldReader('key', bytes)
  const version = reader.int16()
  if (version > KEY_VERSION) return undefined
  if (version < 0) throw corrupt('key', `its version is ${version}`)
  const key = { groupId: reader.string(), topic: reader.string(), partition: reader.int32() }
  if (key.partition < 0) throw corrupt('key', `its partition is ${key.partition}`)
  reader.end()
  return key
}

export function encodeOffsetValue({ offset, leaderEpoch, metadata, commitTimestamp }: CommittedOffset): Uint8Array {
  const note = encodeString('metadata of a committed offset', metadata)
  const bytes = new Uint8Array(24 + note.length)
  writeInt16(bytes, 0, VALUE_VERSION)
  writeInt64(bytes, 2, offset)
  writeInt32(bytes, 10, leaderEpoch)
  writeString(bytes, 14, note)
  writeInt64(bytes, 16 + note.length, commitTimestamp)
  return bytes
}

/** Throws OTTLA_CORRUPTION where the bytes are no value, OTTLA_UNSUPPORTED_FORMAT where they are of a newer version. */
export function decodeOffsetValue(bytes: Uint8Array): CommittedOffset {
  const reader = new FieldReader('value', bytes)
  const version = reader.int16()
  if (version < 0) throw corrupt('value', `its version is ${version}`)
  if (version > NEWEST_VALUE_VERSION) {
    throw new OttlaError(
      'OTTLA_UNSUPPORTED_FORMAT',
      `A committed offset in __consumer_offsets has version ${version}, and ${NEWEST_VALUE_VERSION} is the newest known here. Open this storage with a newer release.`,
    )
  }
  const flexible = version >= 4
  const offset = reader.int64()
  const leaderEpoch = version >= 3 ? reader.int32() : -1
  const metadata = flexible ? reader.compactString() : reader.string()
  const commitTimestamp = reader.int64()
  if (version === 1) reader.int64()
  if (flexible) reader.skipTaggedFields()
  reader.end()
  return { offset, leaderEpoch, metadata, commitTimestamp }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const LONGEST_STRING = 2 ** 15 - 1

function encodeString(what: string, text: string): Uint8Array {
  const bytes = encoder.encode(text)
  if (bytes.length <= LONGEST_STRING) return bytes
  throw new OttlaError(
    'OTTLA_INVALID_ARGUMENT',
    `A ${what} of ${bytes.length} bytes cannot be kept: Kafka's format holds at most ${LONGEST_STRING}. Make it shorter.`,
  )
}

function writeString(target: Uint8Array, position: number, text: Uint8Array): void {
  writeInt16(target, position, text.length)
  target.set(text, position + 2)
}

/** Walks the fields of one key or value. Every length is checked against what is there before it is used. */
class FieldReader {
  readonly #part: 'key' | 'value'
  readonly #reader: VarintReader

  constructor(part: 'key' | 'value', bytes: Uint8Array) {
    this.#part = part
    this.#reader = new VarintReader(bytes, 0, bytes.length)
  }

  int16(): number {
    return readInt16(this.#reader.bytes, this.#take(2))
  }

  int32(): number {
    return readInt32(this.#reader.bytes, this.#take(4))
  }

  int64(): number {
    const value = readInt64(this.#reader.bytes, this.#take(8))
    if (!Number.isSafeInteger(value)) throw corrupt(this.#part, 'a number in it is beyond 2^53')
    return value
  }

  string(): string {
    return this.#utf8(this.int16())
  }

  compactString(): string {
    return this.#utf8(this.#reader.readUnsignedVarint() - 1)
  }

  skipTaggedFields(): void {
    for (let left = this.#reader.readUnsignedVarint(); left > 0; left--) {
      this.#reader.readUnsignedVarint()
      this.#take(this.#reader.readUnsignedVarint())
    }
  }

  end(): void {
    const { bytes, position } = this.#reader
    if (position < bytes.length) throw corrupt(this.#part, `${bytes.length - position} bytes follow its last field`)
  }

  #utf8(length: number): string {
    if (length < 0) throw corrupt(this.#part, 'a string in it is null')
    const start = this.#take(length)
    try {
      return decoder.decode(this.#reader.bytes.subarray(start, start + length))
    } catch (cause) {
      throw corrupt(this.#part, 'a string in it is not UTF-8', cause)
    }
  }

  /** Where the next `length` bytes begin. */
  #take(length: number): number {
    const { position, limit } = this.#reader
    if (length > limit - position) throw corrupt(this.#part, 'it ends too early')
    this.#reader.position = position + length
    return position
  }
}

function corrupt(part: 'key' | 'value', why: string, cause?: unknown): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The ${part} of a record in __consumer_offsets cannot be read: ${why}. Restore the partition from a copy, or ask for a repair.`,
    { cause },
  )
}
