import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  CONTROL_BIT,
  DELETE_HORIZON_BIT,
  LAST_OFFSET_DELTA_AT,
  LENGTH_OVERHEAD,
  LOG_APPEND_TIME_BIT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_BIT,
} from './batch-layout.js'
import { writeInt16, writeInt32, writeInt64 } from './big-endian.js'
import { EncodedBatch } from './encoded-batch.js'
import type { RecordBatch, RecordCursor } from './record-batch.js'
import { MAX_VARINT_BYTES, MAX_VARLONG_BYTES, varintSize, writeVarint, writeVarlong } from './varint.js'

/** Length, attributes, both deltas and the length of the key at their longest. */
const FIELDS_BOUND = 3 * MAX_VARINT_BYTES + 1 + MAX_VARLONG_BYTES
const NO_TIMESTAMP = -1

/**
 * What is left of a batch when some of its records go, byte by byte as Kafka's MemoryRecords.filterTo writes it: base
 * and last offset stay, and with them the sequences of its producer; a record keeps its offset; timestamps count from
 * the first record that stays, or from the delete horizon where there is one. Never compressed.
 */
export class RetainedBatchBuilder {
  readonly #original: RecordBatch
  readonly #deleteHorizonMs: number | undefined
  #memory: Buffer
  #position = BATCH_HEADER_BYTES
  #recordCount = 0
  #baseTimestamp: number
  #maxTimestamp = NO_TIMESTAMP

  /** With `deleteHorizonMs`, or none, in the place of the one that `original` has. */
  constructor(original: RecordBatch, deleteHorizonMs: number | undefined) {
    this.#original = original
    this.#deleteHorizonMs = deleteHorizonMs
    this.#baseTimestamp = deleteHorizonMs ?? NO_TIMESTAMP
    this.#memory = Buffer.allocUnsafeSlow(original.sizeInBytes + FIELDS_BOUND)
  }

  /** Takes the record on which a cursor over the original stands. */
  append(record: RecordCursor): void {
    const { key, body, timestamp } = record
    if (this.#recordCount === 0 && this.#deleteHorizonMs === undefined) this.#baseTimestamp = timestamp
    const timestampDelta = timestamp - this.#baseTimestamp
    const offsetDelta = record.offset - this.#original.baseOffset
    const keyLength = key?.length ?? -1
    this.#reserve(this.#position + FIELDS_BOUND + body.length)
    const memory = this.#memory
    // The fields first, behind room for the length in front of them, whose size depends on theirs.
    const fields = this.#position + MAX_VARINT_BYTES
    let end = fields
    memory[end++] = 0
    end = writeVarlong(memory, end, timestampDelta)
    end = writeVarint(memory, end, offsetDelta)
    end = writeVarint(memory, end, keyLength)
    const length = end - fields + body.length
    const start = this.#position
    const moved = start + varintSize(length)
    memory.copyWithin(moved, fields, end)
    writeVarint(memory, start, length)
    memory.set(body, moved + (end - fields))
    this.#position = moved + length
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp)
    this.#recordCount++
  }

  /** The batch, which holds at least one record, in memory of its own. */
  close(): EncodedBatch {
    const { isLogAppendTime, maxTimestamp } = this.#original
    return closeBatch(this.#memory, this.#position, this.#original, {
      hasDeleteHorizon: this.#deleteHorizonMs !== undefined,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: isLogAppendTime ? maxTimestamp : this.#maxTimestamp,
      recordCount: this.#recordCount,
    })
  }

  #reserve(needed: number): void {
    if (needed <= this.#memory.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2))
    grown.set(this.#memory.subarray(0, this.#position))
    this.#memory = grown
  }
}

/** The header of a batch that has lost all its records: offsets, producer and sequences are still known by it. */
export function emptiedBatch(original: RecordBatch): EncodedBatch {
  return closeBatch(Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES), BATCH_HEADER_BYTES, original, {
    hasDeleteHorizon: false,
    baseTimestamp: NO_TIMESTAMP,
    maxTimestamp: original.maxTimestamp,
    recordCount: 0,
  })
}

interface NewHeader {
  readonly hasDeleteHorizon: boolean
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly recordCount: number
}

function closeBatch(memory: Buffer, end: number, original: RecordBatch, header: NewHeader): EncodedBatch {
  const attributes =
    (original.isLogAppendTime ? LOG_APPEND_TIME_BIT : 0) |
    (original.isTransactional ? TRANSACTIONAL_BIT : 0) |
    (original.isControl ? CONTROL_BIT : 0) |
    (header.hasDeleteHorizon ? DELETE_HORIZON_BIT : 0)
  memory.fill(0, 0, ATTRIBUTES_AT)
  writeInt32(memory, BATCH_LENGTH_AT, end - LENGTH_OVERHEAD)
  memory[MAGIC_AT] = MAGIC
  writeInt16(memory, ATTRIBUTES_AT, attributes)
  writeInt32(memory, LAST_OFFSET_DELTA_AT, original.lastOffset - original.baseOffset)
  writeInt64(memory, BASE_TIMESTAMP_AT, header.baseTimestamp)
  writeInt64(memory, MAX_TIMESTAMP_AT, header.maxTimestamp)
  writeInt64(memory, PRODUCER_ID_AT, original.producerId)
  writeInt16(memory, PRODUCER_EPOCH_AT, original.producerEpoch)
  writeInt32(memory, BASE_SEQUENCE_AT, original.baseSequence)
  writeInt32(memory, RECORD_COUNT_AT, header.recordCount)
  const batch = new EncodedBatch(memory, 0, end)
  batch.assignOffsets(original.baseOffset, original.partitionLeaderEpoch)
  return batch
}
