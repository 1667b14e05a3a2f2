import { OttlaError } from '../errors.js'
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LENGTH_OVERHEAD,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PARTITION_LEADER_EPOCH_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_BIT,
} from './batch-layout.js'
import { setInt64 } from './big-endian.js'
import { EncodedBatch } from './encoded-batch.js'
import type { RecordHeader } from './record-batch.js'
import { MAX_VARINT_BYTES, MAX_VARLONG_BYTES, varintSize, writeVarint, writeVarlong } from './varint.js'

/** What an idempotent producer puts into its batches. */
export interface BatchProducer {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional?: boolean
}

const NO_PRODUCER: BatchProducer = { producerId: -1, producerEpoch: -1, baseSequence: -1 }

/**
 * Encodes records into a batch of format v2, each in one pass into one slab of memory. Its batches begin at offset 0
 * until the log assigns theirs.
 *
 * @example
 * const builder = new RecordBatchBuilder()
 * builder.append(clock.now(), key, value)
 * const batch = builder.close()
 */
export class RecordBatchBuilder {
  #memory: Buffer
  /** Of the same memory, for the header: byte by byte, writing it took a twelfth of what sending a message alone does (benchmark: growth-topics). */
  #view: DataView
  /** The end of the last record; the header in front is written by `close`. */
  #position = BATCH_HEADER_BYTES
  #recordCount = 0
  #baseTimestamp = -1
  #maxTimestamp = -1
  #closed = false

  /** `initialBytes` of memory, which doubles as often as it must. */
  constructor(initialBytes: number = 1024) {
    this.#memory = Buffer.allocUnsafeSlow(Math.max(initialBytes, BATCH_HEADER_BYTES))
    this.#view = viewOf(this.#memory)
  }

  /** At most what `append` would add to `sizeInBytes`. */
  static recordSizeUpperBound(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ): number {
    let bound = RECORD_FIELDS_BOUND
    if (key !== null) bound += key.length
    if (value !== null) bound += value.length
    return headers === undefined ? bound : bound + headersSizeUpperBound(headers)
  }

  get recordCount(): number {
    return this.#recordCount
  }

  /** Of the first record; -1 without one. */
  get baseTimestamp(): number {
    return this.#baseTimestamp
  }

  /** Of memory that it has, used or not. */
  get memoryBytes(): number {
    return this.#memory.length
  }

  /** The exact size of the batch if it were closed now, header included. */
  get sizeInBytes(): number {
    return this.#position
  }

  /**
   * Adds one record. Throws OTTLA_INVALID_ARGUMENT for a timestamp that is neither -1 nor a whole number of
   * milliseconds since the epoch, OTTLA_MESSAGE_TOO_LARGE beyond the 2 GiB of a batch; then nothing was added.
   */
  append(timestamp: number, key: Uint8Array | null, value: Uint8Array | null, headers?: readonly RecordHeader[]): void {
    if (this.#closed) throw alreadyClosed()
    const timestampDelta = this.#recordCount === 0 ? 0 : timestamp - this.#baseTimestamp
    if (!Number.isSafeInteger(timestamp) || timestamp < -1 || !Number.isSafeInteger(timestampDelta)) {
      throw impossibleTimestamp(timestamp)
    }
    const end = headers === undefined ? this.#writePlain(timestampDelta, key, value) : 0
    this.#position = end > 0 ? end : this.#write(this.#position, timestampDelta, key, value, headers)

    if (this.#recordCount === 0) this.#baseTimestamp = timestamp
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#recordCount++
  }

  /**
   * Writes the header. The checksum is left to the batch's `bytes()`. The batch is a view of this builder's memory,
   * valid until `reset`, which must come before the next `append`. Throws OTTLA_INVALID_ARGUMENT without a record.
   */
  close(producer: BatchProducer = NO_PRODUCER): EncodedBatch {
    if (this.#closed) throw alreadyClosed()
    if (this.#recordCount === 0) {
      throw new OttlaError('OTTLA_INVALID_ARGUMENT', 'A batch cannot be closed without a record: append one first.')
    }
    const view = this.#view
    // Base offset, leader epoch and checksum are 0.
    view.setInt32(0, 0)
    view.setInt32(4, 0)
    view.setInt32(BATCH_LENGTH_AT, this.#position - LENGTH_OVERHEAD)
    view.setInt32(PARTITION_LEADER_EPOCH_AT, 0)
    view.setInt8(MAGIC_AT, MAGIC)
    view.setInt32(CRC_AT, 0)
    view.setInt16(ATTRIBUTES_AT, producer.isTransactional === true ? TRANSACTIONAL_BIT : 0)
    view.setInt32(LAST_OFFSET_DELTA_AT, this.#recordCount - 1)
    setInt64(view, BASE_TIMESTAMP_AT, this.#baseTimestamp)
    setInt64(view, MAX_TIMESTAMP_AT, this.#maxTimestamp)
    setInt64(view, PRODUCER_ID_AT, producer.producerId)
    view.setInt16(PRODUCER_EPOCH_AT, producer.producerEpoch)
    view.setInt32(BASE_SEQUENCE_AT, producer.baseSequence)
    view.setInt32(RECORD_COUNT_AT, this.#recordCount)
    this.#closed = true
    return new EncodedBatch(this.#memory, 0, this.#position)
  }

  /** Forgets the records and keeps the memory: what `close` returned is no longer valid. */
  reset(): void {
    this.#position = BATCH_HEADER_BYTES
    this.#recordCount = 0
    this.#baseTimestamp = -1
    this.#maxTimestamp = -1
    this.#closed = false
  }

  /**
   * Writes a record whose varints take one or two bytes each, as nearly every one is (benchmark: record-batch), and returns
   * where it ends; 0, with nothing written, for any other. The varints are written in place: none of them is negative
   * but a null's length, and a function for each would cost as much again.
   */
  #writePlain(timestampDelta: number, key: Uint8Array | null, value: Uint8Array | null): number {
    const offsetDelta = this.#recordCount
    const keyLength = key === null ? 0 : key.length
    const valueLength = value === null ? 0 : value.length
    // The attributes, one byte each for the four fields and their second ones, and the number of headers.
    let length = 6 + keyLength + valueLength
    if (timestampDelta > MAX_SHORT) length++
    if (offsetDelta > MAX_SHORT) length++
    if (keyLength > MAX_SHORT) length++
    if (valueLength > MAX_SHORT) length++
    if (length > MAX_PLAIN || offsetDelta > MAX_PLAIN || timestampDelta > MAX_PLAIN || timestampDelta < 0) return 0
    let position = this.#position
    if (position + 2 + length > this.#memory.length) this.#reserve(position + 2 + length)
    const memory = this.#memory
    if (length > MAX_SHORT) {
      memory[position++] = (length << 1) | 0x80
      memory[position++] = length >>> 6
    } else memory[position++] = length << 1
    memory[position++] = 0
    if (timestampDelta > MAX_SHORT) {
      memory[position++] = (timestampDelta << 1) | 0x80
      memory[position++] = timestampDelta >>> 6
    } else memory[position++] = timestampDelta << 1
    if (offsetDelta > MAX_SHORT) {
      memory[position++] = (offsetDelta << 1) | 0x80
      memory[position++] = offsetDelta >>> 6
    } else memory[position++] = offsetDelta << 1
    if (key === null) memory[position++] = NULL_LENGTH
    else position = writePlainField(memory, position, key, keyLength)
    if (value === null) memory[position++] = NULL_LENGTH
    else position = writePlainField(memory, position, value, valueLength)
    memory[position] = 0
    return position + 1
  }

  #write(
    start: number,
    timestampDelta: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): number {
    this.#reserve(start + RecordBatchBuilder.recordSizeUpperBound(key, value, headers))
    const memory = this.#memory
    // The length stands in front of the fields, so its size is guessed from what weighs most. A wrong guess moves the
    // record by a byte, which happens near the powers of 128 only.
    const guess = varintSize(guessLength(key, value, headers))
    let position = start + guess
    memory[position++] = 0
    position = writeVarlong(memory, position, timestampDelta)
    position = writeVarint(memory, position, this.#recordCount)
    position = writeField(memory, position, key)
    position = writeField(memory, position, value)
    if (headers === undefined) memory[position++] = 0
    else position = writeHeaders(memory, position, headers)
    const length = position - start - guess
    const lengthSize = varintSize(length)
    if (lengthSize !== guess) memory.copyWithin(start + lengthSize, start + guess, position)
    return writeVarint(memory, start, length) + length
  }

  #reserve(needed: number): void {
    if (needed <= this.#memory.length) return
    if (needed > MAX_BATCH_BYTES) {
      throw new OttlaError(
        'OTTLA_MESSAGE_TOO_LARGE',
        `The record makes a batch of up to ${needed} bytes, and a batch holds ${MAX_BATCH_BYTES}: close the batch before it, or send less.`,
      )
    }
    let size = this.#memory.length
    while (size < needed) size *= 2
    const grown = Buffer.allocUnsafeSlow(Math.min(size, MAX_BATCH_BYTES))
    grown.set(this.#memory.subarray(0, this.#position))
    this.#memory = grown
    this.#view = viewOf(grown)
  }
}

/** All fields of a record at their longest, without key, value and headers. */
const RECORD_FIELDS_BOUND = 5 * MAX_VARINT_BYTES + 1 + MAX_VARLONG_BYTES

/** Sizes in the header are int32. */
const MAX_BATCH_BYTES = 2 ** 31 - 1

/** Found once: in a Buffer it stands behind two prototypes, and V8 looks it up anew at each call. */
const { set } = Uint8Array.prototype

/** Up to this length a loop beats the call of a native copy. */
const LOOP_BYTES = 16

/** -1 in zigzag: a null key or value. */
const NULL_LENGTH = 1

/** What takes one byte at most as a varint, and two. */
const MAX_SHORT = 2 ** 6 - 1
const MAX_PLAIN = 2 ** 13 - 1

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}

function writePlainField(memory: Uint8Array, start: number, bytes: Uint8Array, length: number): number {
  let position = start
  if (length > MAX_SHORT) {
    memory[position++] = (length << 1) | 0x80
    memory[position++] = length >>> 6
  } else memory[position++] = length << 1
  if (length > LOOP_BYTES) set.call(memory, bytes, position)
  else for (let i = 0; i < length; i++) memory[position + i] = bytes[i] ?? 0
  return position + length
}

function headersSizeUpperBound(headers: readonly RecordHeader[]): number {
  let bound = 0
  for (const [name, value] of headers) {
    // A UTF-16 unit becomes at most three bytes.
    bound += 2 * MAX_VARINT_BYTES + 3 * name.length
    if (value !== null) bound += value.length
  }
  return bound
}

function guessLength(key: Uint8Array | null, value: Uint8Array | null, headers?: readonly RecordHeader[]): number {
  let guess = 8
  if (key !== null) guess += key.length
  if (value !== null) guess += value.length
  if (headers !== undefined) {
    for (const [name, headerValue] of headers)
      guess += 2 + name.length + (headerValue === null ? 0 : headerValue.length)
  }
  return guess
}

function writeHeaders(memory: Buffer, start: number, headers: readonly RecordHeader[]): number {
  let position = writeVarint(memory, start, headers.length)
  for (const [name, value] of headers) {
    position = writeName(memory, position, name)
    position = writeField(memory, position, value)
  }
  return position
}

function writeField(memory: Buffer, start: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    memory[start] = NULL_LENGTH
    return start + 1
  }
  const length = bytes.length
  const position = writeVarint(memory, start, length)
  if (length <= LOOP_BYTES) {
    for (let i = 0; i < length; i++) memory[position + i] = bytes[i] ?? 0
  } else {
    memory.set(bytes, position)
  }
  return position + length
}

/** As for a record, the size of the length is guessed: right for ASCII, and for most other names. */
function writeName(memory: Buffer, start: number, name: string): number {
  const guess = varintSize(name.length)
  const length = writeText(memory, start + guess, name)
  const lengthSize = varintSize(length)
  if (lengthSize !== guess) memory.copyWithin(start + lengthSize, start + guess, start + guess + length)
  return writeVarint(memory, start, length) + length
}

/** Writes UTF-8 and returns the number of bytes. Short ASCII, which most names are, needs no native call. */
function writeText(memory: Buffer, start: number, text: string): number {
  if (text.length > LOOP_BYTES) return memory.write(text, start, 'utf8')
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) return memory.write(text, start, 'utf8')
    memory[start + i] = unit
  }
  return text.length
}

function impossibleTimestamp(timestamp: number): OttlaError {
  return new OttlaError(
    'OTTLA_INVALID_ARGUMENT',
    `A record cannot have the timestamp ${timestamp}: give whole milliseconds since the epoch, or -1 for none.`,
  )
}

function alreadyClosed(): OttlaError {
  return new OttlaError(
    'OTTLA_INVALID_ARGUMENT',
    'The batch is closed and its memory still in use: call reset() first.',
  )
}
