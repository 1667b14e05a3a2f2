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
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly partitionLeaderEpoch: number
  /** -1 where the producer is not idempotent. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  /** A marker of a transaction or of the cluster, which no consumer sees. */
  readonly isControl: boolean
  readonly compression: CompressionType
  /** True where the broker, not the producer, set the time (Kafka's LogAppendTime). */
  readonly isLogAppendTime: boolean
  /** Gives the batch its place in the log. Changes the header only: neither field is covered by the checksum. */
  assignOffsets(baseOffset: number, partitionLeaderEpoch: number): void
  /** Sets the time of the whole batch, as Kafka's LogAppendTime does. The checksum is computed anew when it is needed. */
  stampLogAppendTime(timestamp: number): void
  /** The bytes as Kafka writes them, checksum included. A view: not to be written to. */
  bytes(): Uint8Array
  /** Copies the batch to `target` at `position`. The checksum is left out if it was not needed yet. */
  copyTo(target: Uint8Array, position: number): void
  /** Walks its records. Throws OTTLA_CORRUPTION where the bytes are not what the header says. */
  records(): RecordCursor
}

export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** The name of a header and its value. A record may hold several of one name, in order. */
export type RecordHeader = readonly [name: string, value: Uint8Array | null]

/** One mutable cursor over a batch: no object per record. */
export interface RecordCursor {
  /** Steps to the next record; false after the last. Throws OTTLA_CORRUPTION on bytes that are no record. */
  next(): boolean
  readonly offset: number
  readonly timestamp: number
  /** A view of the batch's memory, made when asked for. */
  readonly key: Uint8Array | null
  /** A view of the batch's memory, made when asked for. */
  readonly value: Uint8Array | null
  readonly headerCount: number
  /** Decoded when asked for. Throws OTTLA_CORRUPTION where the bytes are no headers. */
  headers(): RecordHeader[]
}
