/**
 * One closed batch of records in Kafka's format v2: the currency of ottla. A producer closes it, the log gives it
 * offsets, a storage keeps it, the wire sends it as it is, a consumer decodes it late.
 */
export interface RecordBatch {
  /** Offset of its first record. */
  readonly baseOffset: number
  /** Offset of its last record, inclusive. Kept by compaction, so it may lie beyond the last record still there. */
  readonly lastOffset: number
  /** Records in it; 0 only after compaction. */
  readonly recordCount: number
  /** The whole batch with its header, in bytes. */
  readonly sizeInBytes: number
  /** What the timestamps of its records count from, in milliseconds since the epoch. */
  readonly baseTimestamp: number
  /** The largest timestamp in it, in milliseconds since the epoch. */
  readonly maxTimestamp: number
  /** Kafka's number of the leader that appended it; 0 in the embedded engine. */
  readonly partitionLeaderEpoch: number
  /** -1 where the producer is not idempotent. */
  readonly producerId: number
  /** Which run of that producer id; a higher one fences the lower. -1 where the producer is not idempotent. */
  readonly producerEpoch: number
  /** The first record's place in what that producer sent to the partition; -1 where it is not idempotent. */
  readonly baseSequence: number
  /** True for a batch that is part of a transaction. */
  readonly isTransactional: boolean
  /** A marker of a transaction or of the cluster, which no consumer sees. */
  readonly isControl: boolean
  /** How its records are compressed; they are decoded when they are walked. */
  readonly compression: CompressionType
  /** True where the broker, not the producer, set the time (Kafka's LogAppendTime). */
  readonly isLogAppendTime: boolean
  /**
   * When compaction may take the tombstones of this batch, in milliseconds since the epoch; undefined before it has met
   * them for the first time. Kafka: delete horizon.
   */
  readonly deleteHorizonMs: number | undefined
  /** Gives the batch its place in the log. Changes the header only: neither field is covered by the checksum. */
  assignOffsets(baseOffset: number, partitionLeaderEpoch: number): void
  /** Sets the time of the whole batch, as Kafka's LogAppendTime does. The checksum is computed anew when it is needed. */
  stampLogAppendTime(timestamp: number): void
  /** The bytes as Kafka writes them, checksum included. A view: not to be written to. */
  bytes(): Uint8Array
  /** Copies the batch to `target` at `position`. The checksum is left out if it was not needed yet. */
  copyTo(target: Uint8Array, position: number): void
  /**
   * Walks its records, of which a compressed batch may hold 128 MiB and has OTTLA_MESSAGE_TOO_LARGE beyond. Throws
   * OTTLA_CORRUPTION where the bytes are not what the header says.
   */
  records(): RecordCursor
}

/** What the attributes of a batch may name. */
export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** The name of a header and its value. A record may hold several of one name, in order. */
export type RecordHeader = readonly [name: string, value: Uint8Array | null]

/** One mutable cursor over a batch: no object per record. */
export interface RecordCursor {
  /** Steps to the next record; false after the last. Throws OTTLA_CORRUPTION on bytes that are no record. */
  next(): boolean
  /** Of the record on which the cursor stands. */
  readonly offset: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** A view of the batch's memory, made when asked for. */
  readonly key: Uint8Array | null
  /** A view of the batch's memory, made when asked for. */
  readonly value: Uint8Array | null
  /** False for a tombstone. Known without a view. */
  readonly hasValue: boolean
  /** Key, value and headers as they stand in the batch, but for the length in front. A view of its memory. */
  readonly body: Uint8Array
  /** Known without a view. */
  readonly bodySizeInBytes: number
  /** Known without decoding the headers. */
  readonly headerCount: number
  /** Decoded when asked for. Throws OTTLA_CORRUPTION where the bytes are no headers. */
  headers(): RecordHeader[]
}
