import type { RecordBatch } from '../record/record-batch.js'
import type { Clock } from '../time/clock.js'

/** One partition of one topic. */
export interface TopicPartition {
  /** The topic's name. */
  topic: string
  /** Counted from 0. */
  partition: number
}

/**
 * Where logs are kept: the contract for storages. A storage keeps closed record batches in the order in which they
 * were appended; it never looks at a single record, assigns no offset and decides nothing: the log above it says when
 * to roll, what to drop and when to sync. `storageSuite` of 'ottla/testing' checks an implementation against this page.
 *
 * A storage is opened by one broker at a time. Calls on one `PartitionStorage` that change it do not overlap: the log
 * is its only writer and waits for each. `read` and `findOffset` may run beside them, and so may one `replace` beside
 * `append`, `sync`, `roll` and `saveSnapshot`, since its batches may be long in coming. While a storage is not open, every
 * call but `open` and `close` is refused with OTTLA_CLOSED.
 */
export interface Storage {
  /**
   * What an acknowledgement waits for: 'append' when `append` has done all that this storage promises, 'sync' when
   * the log must call `sync` first. Kafka's high watermark follows from it.
   */
  readonly acknowledgeAfter: 'append' | 'sync'
  /** False once it was opened where the last holder did not close it, so that an end of each log may be lost. */
  readonly openedCleanly?: boolean | undefined
  /** True where the logs are only looked at, perhaps beside their writer: every change is refused. */
  readonly readOnly?: boolean | undefined
  /** The segment size for topics that do not set one, in bytes. Without it Kafka's 1 GiB. */
  readonly segmentBytes?: number | undefined
  /** Takes hold of the place, refusing it with OTTLA_LOCKED while another broker has it, and lists what is there. */
  open(context: StorageContext): Promise<void>
  /** The partitions that exist, in no particular order. */
  partitions(): Promise<TopicPartition[]>
  /** Opens one partition, with what it held when it was closed. Makes it, empty and from offset 0 on, if it does not exist. */
  openPartition(at: TopicPartition, options?: PartitionOptions): Promise<PartitionStorage>
  /** Removes a partition and all it holds. Not an error if there is none. */
  deletePartition(at: TopicPartition): Promise<void>
  /**
   * Releases the place, after its partitions were closed. May be called more than once. With `clean: false` what
   * opening found is not settled yet, so that the next opening must not take this for a clean close.
   */
  close(options?: { readonly clean?: boolean }): Promise<void>
}

/** What the broker hands to a storage that it opens. */
export interface StorageContext {
  /** The only source of time and timers for the storage. */
  readonly clock: Clock
  /** Told of what opening had to mend, such as a torn tail that was cut. */
  readonly onRecovery: (report: RecoveryReport) => void
}

/** What the broker knows of a partition that it opens. */
export interface PartitionOptions {
  /** Kafka's topic id: 22 characters, base64url. Kept beside the log where the storage has a place for it. */
  topicId?: string
  /** Exempt from limits such as a memory storage's `maxBytes`. */
  internal?: boolean
  /** Bytes between two entries of the offset index. Kafka: index.interval.bytes, 4096. */
  indexIntervalBytes?: number
}

/** What opening after a crash had to mend. */
export type RecoveryReport = TornTail | RewrittenTail | MovedOffset | Repair

/** A last write that was not whole: it was cut off. */
export interface TornTail extends TopicPartition {
  /** What happened: the member of `RecoveryReport` that this is. */
  readonly kind: 'torn-tail'
  /** The file that was cut. */
  readonly file: string
  /** Where in the file it was cut, in bytes. */
  readonly position: number
  /** How many bytes were cut off. */
  readonly removedBytes: number
  /** Where those bytes lie now, if there was a whole batch among them; undefined for a mere scrap. */
  readonly keptAs: string | undefined
  /** The log end offset now. */
  readonly logEndOffset: number
  /** What was wrong there, in words. */
  readonly reason: string
}

/**
 * Batches that were written and of which nothing says that they were synced. They are whole, may never have been
 * acknowledged, and are in the log for good now: written once more and synced.
 */
export interface RewrittenTail extends TopicPartition {
  /** What happened: the member of `RecoveryReport` that this is. */
  readonly kind: 'rewritten-tail'
  /** The file that they are in. */
  readonly file: string
  /** Where in the file they begin, in bytes. */
  readonly position: number
  /** How many bytes they are. */
  readonly rewrittenBytes: number
  /** The offset of the first of them: every one below was known to be durable. */
  readonly firstOffset: number
  /** The log end offset now. */
  readonly logEndOffset: number
}

/** A committed offset beyond the end of the log, whose messages a power cut took: it was set back to the end. */
export interface MovedOffset extends TopicPartition {
  /** What happened: the member of `RecoveryReport` that this is. */
  readonly kind: 'moved-offset'
  /** Whose offset it was. */
  readonly groupId: string
  /** What the group had committed. */
  readonly committedOffset: number
  /** What it has committed now. */
  readonly logEndOffset: number
}

/** Damage that was mended because `repair` asked for it. */
export interface Repair extends TopicPartition {
  /** What happened: the member of `RecoveryReport` that this is. */
  readonly kind: 'repair'
  /** What was asked for. */
  readonly repair: 'truncate' | 'salvage'
  /** The file that was damaged or missing. */
  readonly file: string
  /** Where in it the damage began, in bytes. */
  readonly position: number
  /** How many bytes are in the log no more. */
  readonly removedBytes: number
  /** Where those bytes lie now; undefined where there were none. */
  readonly keptAs: string | undefined
  /** The first offset that is missing now. */
  readonly firstOffset: number
  /** One past the last offset that is missing, as far as that can be known. */
  readonly endOffset: number
  /** What was wrong there, in words. */
  readonly reason: string
}

/** A run of batches that is kept, dropped and replaced as one. */
export interface Segment {
  /** The offset it was rolled at: Kafka's file name. */
  readonly baseOffset: number
  /** One past the last offset in it; equal to `baseOffset` while it is empty. */
  readonly endOffset: number
  /** Of its batches, without indexes. */
  readonly sizeInBytes: number
  /** The largest timestamp in it, -1 while it is empty. */
  readonly maxTimestamp: number
  /** The timestamp of its first batch (that batch's largest), -1 while it is empty. Kafka rolls by age from here. */
  readonly firstTimestamp: number
}

/**
 * The stored log of one partition. A method that has nothing to wait for may return without a promise. What these
 * sentences rule out is refused with OTTLA_INVALID_ARGUMENT, and every call but `close` after it was closed with
 * OTTLA_CLOSED; a call that is refused changes nothing.
 */
export interface PartitionStorage {
  /** Oldest first, never empty. The last one is the active segment, the only one that grows. */
  readonly segments: readonly Segment[]
  /** Every offset below this one survives a power cut. Moved by `sync`. The log end offset where nothing ever survives one. */
  readonly durableEndOffset: number
  /**
   * Adds closed batches, whole and in this order, to the active segment. Their offsets are set, and follow on what
   * is there (a gap is allowed, a step back is not). Once it returns or resolves they can be read, and the memory of
   * `batches` belongs to the caller again. When it throws nothing was added, and a later append may succeed.
   */
  append(batches: readonly RecordBatch[]): void | Promise<void>
  /** Makes all that was appended before the call durable, then moves `durableEndOffset`. Does nothing where nothing can be lost. */
  sync(): void | Promise<void>
  /**
   * Batches from the one that holds `offset` (or the first after it) on, up to `maxBytes` in all, but at least one
   * if there is any. Never one that holds `endOffset` or a later offset. The bytes handed out are never written again.
   */
  read(offset: number, maxBytes: number, endOffset: number): readonly RecordBatch[] | Promise<readonly RecordBatch[]>
  /** The base offset of the first batch whose largest timestamp is at or after `timestamp`, or undefined. */
  findOffset(timestamp: number): number | undefined | Promise<number | undefined>
  /** Seals the active segment and begins a new one at `baseOffset`, which is at or after the end. Does nothing to an empty one at that base. */
  roll(baseOffset: number): void | Promise<void>
  /** Removes the oldest segments, as many as are named by `count`; never the active one. Reads under way finish or fail, they do not return other data. */
  drop(count: number): void | Promise<void>
  /** Removes every batch that holds `offset` or a later one. The end is then at most `offset`. */
  truncate(offset: number): void | Promise<void>
  /** Puts `batches` in the place of `count` sealed segments from index `first` on, as one segment with the first one's base: all or nothing, even through a crash. It takes its place once the last batch has come. */
  replace(
    first: number,
    count: number,
    batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>,
  ): void | Promise<void>
  /** Keeps the producers' state as of `offset`: Kafka's NNN.snapshot. A cache: a storage without a place for it forgets it. */
  saveSnapshot(offset: number, bytes: Uint8Array): void | Promise<void>
  /** The newest kept state at or below `offset`, if there is one. */
  loadSnapshot(offset: number): Snapshot | undefined | Promise<Snapshot | undefined>
  /** Flushes what is pending and releases files. May be called more than once. */
  close(): void | Promise<void>
}

/** The producers' state that was kept at some offset. */
export interface Snapshot {
  /** The state covers every batch below it. */
  readonly offset: number
  /** In Kafka's format; the storage does not look inside. */
  readonly bytes: Uint8Array
}
