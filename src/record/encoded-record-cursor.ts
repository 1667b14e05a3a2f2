import { OttlaError } from '../errors.js'
import { MIN_HEADER_BYTES, MIN_RECORD_BYTES } from './batch-layout.js'
import type { RecordBatch, RecordCursor, RecordHeader } from './record-batch.js'
import { VarintReader } from './varint.js'

/** Walks the uncompressed records in buffer[start, end), and believes no length that the bytes cannot hold. */
export class EncodedRecordCursor implements RecordCursor {
  readonly #bytes: Uint8Array
  readonly #memory: ArrayBufferLike
  readonly #memoryStart: number
  readonly #reader: VarintReader
  readonly #end: number
  readonly #baseOffset: number
  readonly #lastOffsetDelta: number
  readonly #baseTimestamp: number
  readonly #hasPlainTimestamps: boolean
  /** The time of every record where the broker set it. */
  readonly #logAppendTime: number | undefined
  /** Records still to come, and where the next one starts. */
  #remaining: number
  #nextStart: number
  // The current record. A length of -1 is null.
  #offsetDelta = -1
  #timestampDelta = 0
  #keyStart = 0
  #keyLength = -1
  #valueStart = 0
  #valueLength = -1
  #headerCount = 0
  #headersStart = 0

  /** Views of the values by record, made by whichever cursor of the batch comes first. */
  readonly #values: (Uint8Array | undefined)[] | undefined
  readonly #recordCount: number

  /** `values` is for the cursors of one batch that share their views of the values. */
  constructor(
    batch: RecordBatch,
    buffer: Uint8Array,
    start: number,
    end: number,
    values: (Uint8Array | undefined)[] | undefined,
  ) {
    this.#bytes = buffer
    this.#memory = buffer.buffer
    this.#memoryStart = buffer.byteOffset
    this.#reader = new VarintReader(buffer, start, end)
    this.#end = end
    this.#nextStart = start
    this.#baseOffset = batch.baseOffset
    this.#lastOffsetDelta = batch.lastOffset - batch.baseOffset
    this.#baseTimestamp = batch.baseTimestamp
    this.#logAppendTime = batch.isLogAppendTime ? batch.maxTimestamp : undefined
    this.#recordCount = batch.recordCount
    this.#remaining = this.#recordCount
    this.#values = values
    this.#hasPlainTimestamps =
      Number.isSafeInteger(this.#baseTimestamp + MAX_PLAIN_DELTA) &&
      Number.isSafeInteger(this.#baseTimestamp - MAX_PLAIN_DELTA)
    if (!Number.isSafeInteger(this.#baseTimestamp) || !Number.isSafeInteger(batch.maxTimestamp)) {
      throw damaged(start, 'the timestamps of its header are beyond 2^53')
    }
    if (this.#baseOffset < 0 || !Number.isSafeInteger(batch.lastOffset)) {
      throw damaged(start, 'the offsets of its header are negative or beyond 2^53')
    }
    if (this.#remaining < 0 || this.#remaining * MIN_RECORD_BYTES > end - start) {
      throw damaged(start, `its header counts ${this.#remaining} records in ${end - start} bytes`)
    }
  }

  next(): boolean {
    return this.#nextPlain() || this.#nextOfAnyForm()
  }

  /**
   * Steps to a record that has no headers and whose lengths and deltas take one or two bytes, as nearly every one is
   * (benchmark: record-batch). False for any other, for bytes that are no record and after the last: then nothing has changed.
   * The varints are read in place, since a function that also moves a position would cost as much again.
   */
  #nextPlain(): boolean {
    if (this.#remaining === 0 || !this.#hasPlainTimestamps) return false
    const bytes = this.#bytes
    let at = this.#nextStart
    let length = bytes[at++] ?? LONG
    if (length >= 0x80) {
      const second = bytes[at++] ?? LONG
      if (second >= 0x80) return false
      length = (length & 0x7f) | (second << 7)
    }
    const end = at + (length >>> 1)
    // The record's attributes, which Kafka writes as 0 and does not look at.
    at++
    let timestampDelta = bytes[at++] ?? LONG
    if (timestampDelta >= 0x80) {
      const second = bytes[at++] ?? LONG
      if (second >= 0x80) return false
      timestampDelta = (timestampDelta & 0x7f) | (second << 7)
    }
    let offsetDelta = bytes[at++] ?? LONG
    if (offsetDelta >= 0x80) {
      const second = bytes[at++] ?? LONG
      if (second >= 0x80) return false
      offsetDelta = (offsetDelta & 0x7f) | (second << 7)
    }
    let keyLength = bytes[at++] ?? LONG
    if (keyLength >= 0x80) {
      const second = bytes[at++] ?? LONG
      if (second >= 0x80) return false
      keyLength = (keyLength & 0x7f) | (second << 7)
    }
    keyLength = (keyLength >>> 1) ^ -(keyLength & 1)
    const keyStart = at
    if (keyLength > 0) at += keyLength
    let valueLength = bytes[at++] ?? LONG
    if (valueLength >= 0x80) {
      const second = bytes[at++] ?? LONG
      if (second >= 0x80) return false
      valueLength = (valueLength & 0x7f) | (second << 7)
    }
    valueLength = (valueLength >>> 1) ^ -(valueLength & 1)
    const valueStart = at
    if (valueLength > 0) at += valueLength
    offsetDelta = (offsetDelta >>> 1) ^ -(offsetDelta & 1)
    // The parts fill the record exactly, and the record lies in the batch, so no part lies outside.
    if (at + 1 !== end || end > this.#end || bytes[at] !== 0 || (length & 1) !== 0) return false
    if (keyLength < -1 || valueLength < -1) return false
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta) return false
    this.#offsetDelta = offsetDelta
    this.#timestampDelta = (timestampDelta >>> 1) ^ -(timestampDelta & 1)
    // As int32: V8 may come here with a sum that it holds as a double, and would make a field of doubles of it for ever.
    this.#keyStart = keyStart | 0
    this.#keyLength = keyLength
    this.#valueStart = valueStart | 0
    this.#valueLength = valueLength
    this.#headerCount = 0
    this.#nextStart = end | 0
    this.#remaining--
    return true
  }

  #nextOfAnyForm(): boolean {
    const start = this.#nextStart
    if (this.#remaining === 0) {
      if (start !== this.#end) throw damaged(start, `${this.#end - start} bytes follow the last record`)
      return false
    }
    const reader = this.#reader
    reader.position = start
    reader.limit = this.#end
    const length = reader.readVarint()
    const end = reader.position + length
    if (length < MIN_RECORD_BYTES - 1 || end > this.#end) throw damaged(start, `a record has a length of ${length}`)
    reader.limit = end
    // Attributes of a record: Kafka writes 0 and reads past whatever stands there.
    reader.position++
    const timestampDelta = reader.readVarlong()
    const offsetDelta = reader.readVarint()
    const keyLength = this.#readLength(end)
    const keyStart = reader.position
    if (keyLength > 0) reader.position += keyLength
    const valueLength = this.#readLength(end)
    const valueStart = reader.position
    if (valueLength > 0) reader.position += valueLength
    const headerCount = reader.readVarint()
    const headersStart = reader.position
    if (headerCount !== 0) this.#skipHeaders(headerCount, end)
    if (reader.position !== end)
      throw damaged(start, `${end - reader.position} bytes follow the last field of a record`)
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta) {
      throw damaged(
        start,
        `a record has offset delta ${offsetDelta} after ${this.#offsetDelta} of ${this.#lastOffsetDelta}`,
      )
    }
    if (!Number.isSafeInteger(this.#baseTimestamp + timestampDelta)) {
      throw damaged(start, 'the timestamp of a record is beyond 2^53')
    }
    this.#offsetDelta = offsetDelta
    this.#timestampDelta = timestampDelta
    this.#keyStart = keyStart
    this.#keyLength = keyLength
    this.#valueStart = valueStart
    this.#valueLength = valueLength
    this.#headerCount = headerCount
    this.#headersStart = headersStart
    this.#nextStart = end
    this.#remaining--
    return true
  }

  get offset(): number {
    return this.#baseOffset + this.#offsetDelta
  }

  get timestamp(): number {
    return this.#logAppendTime ?? this.#baseTimestamp + this.#timestampDelta
  }

  get key(): Uint8Array | null {
    return this.#view(this.#keyStart, this.#keyLength)
  }

  get value(): Uint8Array | null {
    return this.#values === undefined
      ? this.#view(this.#valueStart, this.#valueLength)
      : this.#sharedValue(this.#values)
  }

  get hasValue(): boolean {
    return this.#valueLength >= 0
  }

  get body(): Uint8Array {
    return new Uint8Array(this.#memory, this.#memoryStart + this.#keyStart, this.bodySizeInBytes)
  }

  get bodySizeInBytes(): number {
    return this.#nextStart - this.#keyStart
  }

  get headerCount(): number {
    return this.#headerCount
  }

  headers(): RecordHeader[] {
    const headers: RecordHeader[] = []
    if (this.#headerCount === 0) return headers
    const reader = this.#reader
    const text = Buffer.from(this.#memory, this.#memoryStart, this.#bytes.length)
    reader.position = this.#headersStart
    reader.limit = this.#nextStart
    for (let i = 0; i < this.#headerCount; i++) {
      const nameLength = reader.readVarint()
      const nameStart = reader.position
      reader.position += nameLength
      const valueLength = reader.readVarint()
      const valueStart = reader.position
      if (valueLength > 0) reader.position += valueLength
      headers.push([text.toString('utf8', nameStart, nameStart + nameLength), this.#view(valueStart, valueLength)])
    }
    return headers
  }

  #sharedValue(values: (Uint8Array | undefined)[]): Uint8Array | null {
    if (this.#valueLength < 0) return null
    const index = this.#recordCount - this.#remaining - 1
    let value = values[index]
    if (value === undefined) {
      value = this.#view(this.#valueStart, this.#valueLength) as Uint8Array
      values[index] = value
    }
    return value
  }

  /** A length that is -1 (null) or no more than what is left of the record. */
  #readLength(end: number): number {
    const reader = this.#reader
    const start = reader.position
    const length = reader.readVarint()
    if (length < -1 || length > end - reader.position) throw damaged(start, `a field has a length of ${length}`)
    return length
  }

  /** Checks every header, so that `headers()` finds nothing new. */
  #skipHeaders(count: number, end: number): void {
    const reader = this.#reader
    if (count < 0 || count * MIN_HEADER_BYTES > end - reader.position) {
      throw damaged(reader.position, `a record counts ${count} headers in ${end - reader.position} bytes`)
    }
    for (let i = 0; i < count; i++) {
      const start = reader.position
      const nameLength = this.#readLength(end)
      if (nameLength < 0) throw damaged(start, 'a header has no name')
      reader.position += nameLength
      const valueLength = this.#readLength(end)
      if (valueLength > 0) reader.position += valueLength
    }
  }

  #view(start: number, length: number): Uint8Array | null {
    if (length < 0) return null
    // The constructor takes half the time of subarray, which looks up the species of its class first.
    return new Uint8Array(this.#memory, this.#memoryStart + start, length)
  }
}

/** Read in place of a byte that is not there: it looks like the beginning of a longer varint. */
const LONG = 0x80

/** No two bytes hold a delta of a timestamp that is larger. */
const MAX_PLAIN_DELTA = 2 ** 13

function damaged(position: number, what: string): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The record batch is damaged at position ${position}: ${what}. Send it again, or repair the log.`,
  )
}
