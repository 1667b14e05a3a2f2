import { OttlaError } from '../errors.js'
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  COMPRESSION_BITS,
  CONTROL_BIT,
  CRC_AT,
  DELETE_HORIZON_BIT,
  LAST_OFFSET_DELTA_AT,
  LEAST_OLD_MESSAGE_BYTES,
  LENGTH_OVERHEAD,
  LOG_APPEND_TIME_BIT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  MIN_RECORD_BYTES,
  PARTITION_LEADER_EPOCH_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_BIT,
  UNKNOWN_ATTRIBUTE_BITS,
} from './batch-layout.js'
import { readInt16, readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from './big-endian.js'
import { decompress } from './compression.js'
import { crc32c } from './crc32c.js'
import { EncodedRecordCursor } from './encoded-record-cursor.js'
import type { CompressionType, RecordBatch, RecordCursor } from './record-batch.js'

export { BATCH_HEADER_BYTES } from './batch-layout.js'

const COMPRESSION_TYPES: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/**
 * A batch that lies in buffer[start, start + sizeInBytes). Its fields are read from there when asked for, and nothing
 * is verified: `verifyBatch` does that, and `records` checks what it walks.
 *
 * A checksum of 0 means "not computed yet": `bytes` computes and stores it. (A batch whose checksum is truly 0 gets the
 * same 0 again.)
 */
export class EncodedBatch implements RecordBatch {
  readonly buffer: Uint8Array
  readonly start: number
  readonly sizeInBytes: number
  /** Read once from the header: an append asks for them again and again (benchmark: growth-topics). -1 before. */
  #baseOffset = -1
  #lastOffset = -1
  #sharedValues: (Uint8Array | undefined)[] | undefined

  constructor(buffer: Uint8Array, start: number, sizeInBytes: number) {
    if (sizeInBytes < BATCH_HEADER_BYTES || start < 0 || start + sizeInBytes > buffer.length) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A batch of ${sizeInBytes} bytes cannot lie at position ${start} of ${buffer.length} bytes.`,
      )
    }
    this.buffer = buffer
    this.start = start
    this.sizeInBytes = sizeInBytes
  }

  get baseOffset(): number {
    if (this.#baseOffset < 0) this.#baseOffset = readInt64(this.buffer, this.start)
    return this.#baseOffset
  }

  get lastOffset(): number {
    if (this.#lastOffset < 0) {
      this.#lastOffset = this.baseOffset + readInt32(this.buffer, this.start + LAST_OFFSET_DELTA_AT)
    }
    return this.#lastOffset
  }

  get recordCount(): number {
    return readInt32(this.buffer, this.start + RECORD_COUNT_AT)
  }

  get baseTimestamp(): number {
    return readInt64(this.buffer, this.start + BASE_TIMESTAMP_AT)
  }

  get maxTimestamp(): number {
    return readInt64(this.buffer, this.start + MAX_TIMESTAMP_AT)
  }

  get partitionLeaderEpoch(): number {
    return readInt32(this.buffer, this.start + PARTITION_LEADER_EPOCH_AT)
  }

  get producerId(): number {
    return readInt64(this.buffer, this.start + PRODUCER_ID_AT)
  }

  get producerEpoch(): number {
    return readInt16(this.buffer, this.start + PRODUCER_EPOCH_AT)
  }

  get baseSequence(): number {
    return readInt32(this.buffer, this.start + BASE_SEQUENCE_AT)
  }

  get isTransactional(): boolean {
    return (this.#attributes & TRANSACTIONAL_BIT) !== 0
  }

  get isControl(): boolean {
    return (this.#attributes & CONTROL_BIT) !== 0
  }

  /** Throws OTTLA_UNSUPPORTED_COMPRESSION for a number that Kafka has given to no codec. */
  get compression(): CompressionType {
    const codec = this.#attributes & COMPRESSION_BITS
    const compression = COMPRESSION_TYPES[codec]
    if (compression === undefined) {
      throw new OttlaError(
        'OTTLA_UNSUPPORTED_COMPRESSION',
        `The batch at position ${this.start} is compressed with codec ${codec}, which is not known. Choose one of ${COMPRESSION_TYPES.join(', ')}.`,
      )
    }
    return compression
  }

  get isLogAppendTime(): boolean {
    return (this.#attributes & LOG_APPEND_TIME_BIT) !== 0
  }

  get deleteHorizonMs(): number | undefined {
    return (this.#attributes & DELETE_HORIZON_BIT) === 0 ? undefined : this.baseTimestamp
  }

  assignOffsets(baseOffset: number, partitionLeaderEpoch: number): void {
    this.#baseOffset = baseOffset
    this.#lastOffset = -1
    writeInt64(this.buffer, this.start, baseOffset)
    writeInt32(this.buffer, this.start + PARTITION_LEADER_EPOCH_AT, partitionLeaderEpoch)
  }

  stampLogAppendTime(timestamp: number): void {
    writeInt16(this.buffer, this.start + ATTRIBUTES_AT, this.#attributes | LOG_APPEND_TIME_BIT)
    writeInt64(this.buffer, this.start + MAX_TIMESTAMP_AT, timestamp)
    writeInt32(this.buffer, this.start + CRC_AT, 0)
  }

  /** Gives the batch to another producer, or in its place in what that sent. The checksum is computed anew when it is needed. */
  stampProducer(producerId: number, producerEpoch: number, baseSequence: number): void {
    writeInt64(this.buffer, this.start + PRODUCER_ID_AT, producerId)
    writeInt16(this.buffer, this.start + PRODUCER_EPOCH_AT, producerEpoch)
    writeInt32(this.buffer, this.start + BASE_SEQUENCE_AT, baseSequence)
    writeInt32(this.buffer, this.start + CRC_AT, 0)
  }

  bytes(): Uint8Array {
    const { buffer, start, sizeInBytes } = this
    if (readInt32(buffer, start + CRC_AT) === 0) {
      writeInt32(buffer, start + CRC_AT, crc32c(buffer, start + ATTRIBUTES_AT, start + sizeInBytes))
    }
    return new Uint8Array(buffer.buffer, buffer.byteOffset + start, sizeInBytes)
  }

  copyTo(target: Uint8Array, position: number): void {
    const { buffer, start, sizeInBytes } = this
    target.set(new Uint8Array(buffer.buffer, buffer.byteOffset + start, sizeInBytes), position)
  }

  records(): RecordCursor {
    const { buffer, start, compression } = this
    const recordsAt = start + BATCH_HEADER_BYTES
    const end = start + this.sizeInBytes
    // Nothing is left to decode in a batch that compaction emptied.
    if (compression === 'none' || recordsAt === end) {
      return new EncodedRecordCursor(this, buffer, recordsAt, end, this.#sharedValues)
    }
    const decoded = decompress(compression, buffer.subarray(recordsAt, end), start)
    return new EncodedRecordCursor(this, decoded, 0, decoded.length, this.#sharedValues)
  }

  /** From now on its cursors give the same view of a value each time, which is made once (benchmark: memory-ten-groups). */
  shareValues(): void {
    this.#sharedValues ??= new Array(this.recordCount)
  }

  get #attributes(): number {
    return readInt16(this.buffer, this.start + ATTRIBUTES_AT)
  }
}

/**
 * A cursor over nothing, which stands in for that of a batch whose records are nobody's business. There is always this
 * batch and this cursor, with numbers as real ones have them: where a full GC finds no object of a class alive, V8 gives
 * up the hidden class and throws away all code that was optimized for it, and a process that is idle for a moment would
 * begin anew with the interpreter (benchmark: memory-async-handler).
 */
export function noRecords(): RecordCursor {
  return emptyBatch.cursor
}

const emptyBatch = makeEmptyBatch()

function makeEmptyBatch(): { readonly batch: EncodedBatch; readonly cursor: RecordCursor } {
  const header = new Uint8Array(BATCH_HEADER_BYTES)
  writeInt64(header, BASE_TIMESTAMP_AT, 2 ** 40)
  writeInt64(header, MAX_TIMESTAMP_AT, 2 ** 40)
  const batch = new EncodedBatch(header, 0, BATCH_HEADER_BYTES)
  return { batch, cursor: batch.records() }
}

/** The size that the length field of the batch at `position` gives it. Nothing is verified. */
export function batchSizeAt(buffer: Uint8Array, position: number): number {
  return readInt32(buffer, position + BATCH_LENGTH_AT) + LENGTH_OVERHEAD
}

/**
 * The size of the whole batch that starts at `position`, or undefined where buffer[position, end) does not hold all of
 * it. Throws OTTLA_CORRUPTION where the length field cannot be that of a batch.
 */
export function peekBatchSize(buffer: Uint8Array, position: number, end: number): number | undefined {
  if (end - position < LENGTH_OVERHEAD) return undefined
  const size = batchSizeAt(buffer, position)
  if (size < BATCH_HEADER_BYTES) throw damaged(position, `its length field makes it ${size} bytes, less than a header`)
  return size <= end - position ? size : undefined
}

/**
 * Finds the batches in buffer[start, end), which must hold them whole: a produce request, the content of a file. With
 * `verify` each is verified as by `verifyBatch`; without, only that their lengths add up. The positions in the errors
 * are those in `buffer`.
 */
export function decodeBatches(
  buffer: Uint8Array,
  start: number,
  end: number,
  options?: { verify?: boolean },
): EncodedBatch[] {
  const verify = options?.verify === true
  const batches: EncodedBatch[] = []
  for (let position = start; position < end; ) {
    if (verify) refuseOldMessages(buffer, position, end)
    const size = peekBatchSize(buffer, position, end)
    if (size === undefined) throw damaged(position, `only ${end - position} bytes of it are there`)
    const batch = new EncodedBatch(buffer, position, size)
    if (verify) verifyBatch(batch)
    batches.push(batch)
    position += size
  }
  return batches
}

/**
 * Checks all that can be checked without walking the records: OTTLA_UNSUPPORTED_FORMAT for another magic or unknown
 * attribute bits, OTTLA_UNSUPPORTED_COMPRESSION for an unknown codec, OTTLA_CORRUPTION for the rest: length, checksum,
 * numbers beyond 2^53, and counts that contradict each other. Gaps between records are legal, since compaction makes
 * them; a log that takes a batch from a producer must check that it has none.
 */
export function verifyBatch(batch: EncodedBatch): void {
  const { buffer, start, sizeInBytes } = batch
  const magic = buffer[start + MAGIC_AT]
  if (magic !== MAGIC) throw unsupported(start, `has magic ${magic}`)
  const size = batchSizeAt(buffer, start)
  if (size !== sizeInBytes) throw damaged(start, `its length field makes it ${size} bytes, not ${sizeInBytes}`)
  const stored = readInt32(buffer, start + CRC_AT) >>> 0
  const computed = crc32c(buffer, start + ATTRIBUTES_AT, start + sizeInBytes)
  if (stored !== computed) {
    throw damaged(start, `its checksum is ${stored.toString(16)}, that of its bytes ${computed.toString(16)}`)
  }
  const unknownBits = readInt16(buffer, start + ATTRIBUTES_AT) & UNKNOWN_ATTRIBUTE_BITS
  if (unknownBits !== 0) throw unsupported(start, `has the unknown attribute bits 0x${unknownBits.toString(16)}`)
  const { baseOffset, lastOffset, recordCount } = batch
  if (baseOffset < 0 || !Number.isSafeInteger(lastOffset))
    throw damaged(start, 'its offsets are negative or beyond 2^53')
  if (!Number.isSafeInteger(batch.baseTimestamp) || !Number.isSafeInteger(batch.maxTimestamp)) {
    throw damaged(start, 'its timestamps are beyond 2^53')
  }
  if (!Number.isSafeInteger(batch.producerId)) throw damaged(start, 'its producer id is beyond 2^53')
  if (lastOffset < baseOffset || recordCount < 0 || recordCount > lastOffset - baseOffset + 1) {
    throw damaged(start, `it counts ${recordCount} records from offset ${baseOffset} to ${lastOffset}`)
  }
  if (batch.compression === 'none' && recordCount * MIN_RECORD_BYTES > sizeInBytes - BATCH_HEADER_BYTES) {
    throw damaged(start, `it counts ${recordCount} records in ${sizeInBytes - BATCH_HEADER_BYTES} bytes`)
  }
}

/** Formats v0 and v1 keep their magic at the same place, and a message of theirs may be shorter than our header. */
function refuseOldMessages(buffer: Uint8Array, position: number, end: number): void {
  if (end - position <= MAGIC_AT) return
  const magic = buffer[position + MAGIC_AT]
  const isOld = magic === 0 || magic === 1
  // Zeros, as a cut file may hold them, are no message of any format.
  if (isOld && readInt32(buffer, position + BATCH_LENGTH_AT) >= LEAST_OLD_MESSAGE_BYTES) {
    throw unsupported(position, `has magic ${magic}`)
  }
}

function damaged(position: number, what: string): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The record batch at position ${position} is damaged: ${what}. Send it again, or repair the log.`,
  )
}

function unsupported(position: number, what: string): OttlaError {
  return new OttlaError(
    'OTTLA_UNSUPPORTED_FORMAT',
    `The record batch at position ${position} ${what}. Only format v2 (magic 2) is read: use a client or a release that writes it.`,
  )
}
