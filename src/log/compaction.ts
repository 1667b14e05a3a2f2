import type { RecordBatch, RecordCursor } from '../record/record-batch.js'
import type { Segment } from '../storage/storage.js'

export interface CompactionSettings {
  readonly segmentBytes: number
  /** How much of the log must be dirty, from 0 to 1. Kafka: min.cleanable.dirty.ratio. */
  readonly minCleanableDirtyRatio: number
  /** How long a tombstone stays after compaction first met it. Kafka: delete.retention.ms. */
  readonly deleteRetentionMs: number
  /** How long a message is left alone. Kafka: min.compaction.lag.ms. */
  readonly minCompactionLagMs: number
  /** How long a message waits at most, whatever the ratio. Kafka: max.compaction.lag.ms. */
  readonly maxCompactionLagMs: number
}

/** What decides beside the segments and the settings. */
export interface CompactionState {
  /** Up to where the log was compacted before; undefined where nobody knows. */
  readonly cleanedTo: number | undefined
  readonly logStartOffset: number
  /** Nothing at or above it is touched: the high watermark, or where the first open transaction begins. */
  readonly lastStableOffset: number
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf: (timestamp: number) => number
}

/**
 * What compaction may work on, all of it whole sealed segments:
 *
 *     first segment        first dirty offset       first uncleanable offset
 *          |  clean: each key once  |  dirty: not looked at yet  |  young, unstable or active
 */
export interface CleanableRange {
  readonly firstDirtyOffset: number
  readonly firstUncleanableOffset: number
  /** Bytes of it that are dirty, and the share that they are. */
  readonly dirtyBytes: number
  readonly dirtyRatio: number
  /** Something in it has waited for longer than it may. */
  readonly isOverdue: boolean
}

/** Kafka's LogCleanerManager. The active segment is never part of it. */
export function cleanableRange(
  segments: readonly Segment[],
  settings: CompactionSettings,
  state: CompactionState,
): CleanableRange {
  const { cleanedTo = 0, logStartOffset, lastStableOffset, ageOf } = state
  const logEndOffset = segments.at(-1)?.endOffset ?? 0
  // The log may be shorter than it was, or begin later.
  const firstDirtyOffset = cleanedTo < logStartOffset || cleanedTo > logEndOffset ? logStartOffset : cleanedTo
  const isYoung = ({ maxTimestamp }: Segment): boolean => ageOf(maxTimestamp) < settings.minCompactionLagMs
  let firstUncleanableOffset = segments[0]?.baseOffset ?? 0
  let cleanBytes = 0
  let dirtyBytes = 0
  let oldestDirty = Number.POSITIVE_INFINITY
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    if (next === undefined || next.baseOffset > lastStableOffset) break
    const isDirty = next.baseOffset > firstDirtyOffset
    if (isDirty && settings.minCompactionLagMs > 0 && segment.sizeInBytes > 0 && isYoung(segment)) break
    firstUncleanableOffset = next.baseOffset
    if (!isDirty) {
      cleanBytes += segment.sizeInBytes
      continue
    }
    dirtyBytes += segment.sizeInBytes
    if (segment.firstTimestamp > 0) oldestDirty = Math.min(oldestDirty, segment.firstTimestamp)
  }
  return {
    firstDirtyOffset: Math.min(firstDirtyOffset, firstUncleanableOffset),
    firstUncleanableOffset,
    dirtyBytes,
    dirtyRatio: dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes),
    isOverdue: dirtyBytes > 0 && ageOf(oldestDirty) > settings.maxCompactionLagMs,
  }
}

/** True where compaction goes about it by itself. */
export function isDue(range: CleanableRange, settings: CompactionSettings): boolean {
  return range.isOverdue || range.dirtyRatio > settings.minCleanableDirtyRatio
}

/** The widest step from a segment's base offset that its index can hold: an int32. */
const LARGEST_RELATIVE_OFFSET = 2 ** 31 - 1

/** Which segments below `endOffset` become one: neighbours that fit `segmentBytes` as they are. */
export function groupSegments(
  segments: readonly Segment[],
  segmentBytes: number,
  endOffset: number,
): (readonly Segment[])[] {
  const groups: Segment[][] = []
  let sizeInBytes = 0
  for (const segment of segments) {
    if (segment.baseOffset >= endOffset) break
    const group = groups.at(-1)
    const base = group?.[0]?.baseOffset ?? 0
    const fits = sizeInBytes + segment.sizeInBytes <= segmentBytes
    if (group !== undefined && fits && segment.endOffset - 1 - base <= LARGEST_RELATIVE_OFFSET) {
      group.push(segment)
      sizeInBytes += segment.sizeInBytes
    } else {
      groups.push([segment])
      sizeInBytes = segment.sizeInBytes
    }
  }
  return groups
}

/** What one compaction goes by. */
export interface RecordRules {
  /** The latest offset of a key, -1 where it was not met. */
  readonly latestOffsetOf: (key: Uint8Array) => number
  /** What lies beyond this offset was not looked at, and stays. */
  readonly lookedTo: number
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf: (timestamp: number) => number
  readonly deleteRetentionMs: number
}

/** True where the tombstones of a batch have been there for long enough. */
export function tombstonesMayGo(batch: RecordBatch, { ageOf, deleteRetentionMs }: RecordRules): boolean {
  const { deleteHorizonMs } = batch
  return deleteHorizonMs !== undefined && ageOf(deleteHorizonMs - deleteRetentionMs) >= deleteRetentionMs
}

/** Kafka's Cleaner.shouldRetainRecord. A record without a key, which no compacted topic takes, goes. */
export function isRetained(record: RecordCursor, tombstonesGo: boolean, rules: RecordRules): boolean {
  if (record.offset > rules.lookedTo) return true
  const { key } = record
  if (key === null || record.offset < rules.latestOffsetOf(key)) return false
  return record.hasValue || !tombstonesGo
}
