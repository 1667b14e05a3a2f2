import type { Segment } from '../storage/storage.js'

export interface RetentionSettings {
  /** -1 keeps a segment whatever its age. */
  readonly retentionMs: number
  /** -1 keeps a segment whatever the size of the log. */
  readonly retentionBytes: number
}

/** The widest step from a segment's base offset that its index can hold: an int32. */
const LARGEST_RELATIVE_OFFSET = 2 ** 31 - 1

/**
 * How many of the oldest segments go: below the log start offset, then by size, then by age. Never the active one.
 * Nothing at or above the high watermark goes, so that the log start offset cannot pass it.
 */
export function segmentsToDrop(
  segments: readonly Segment[],
  settings: RetentionSettings,
  now: number,
  logStartOffset: number,
  highWatermark: number = Number.POSITIVE_INFINITY,
): number {
  return Math.min(countExpired(segments, settings, now, logStartOffset, highWatermark), segments.length - 1)
}

/**
 * True when `batch`, whose offsets are set, begins a new segment. What is about to be written before it counts by its
 * size, `gatheredBytes`, and where the segment is empty by its `firstTimestamp`. Age is counted between timestamps, as in Kafka, not
 * against a clock: a log that is imported or replayed gets the same segments again.
 */
export function shouldRoll(
  active: Segment,
  batch: { readonly sizeInBytes: number; readonly maxTimestamp: number; readonly lastOffset: number },
  settings: { readonly segmentBytes: number; readonly segmentMs: number },
  gatheredBytes: number = 0,
  firstTimestamp: number = active.firstTimestamp,
): boolean {
  if (batch.lastOffset - active.baseOffset > LARGEST_RELATIVE_OFFSET) return true
  // An empty segment takes a batch of any size: rolling it would only give another empty one.
  const sizeInBytes = active.sizeInBytes + gatheredBytes
  if (sizeInBytes === 0) return false
  if (sizeInBytes + batch.sizeInBytes > settings.segmentBytes) return true
  return firstTimestamp >= 0 && batch.maxTimestamp - firstTimestamp > settings.segmentMs
}

function countExpired(
  segments: readonly Segment[],
  settings: RetentionSettings,
  now: number,
  logStartOffset: number,
  highWatermark: number,
): number {
  const { retentionMs, retentionBytes } = settings
  let excessBytes = -retentionBytes
  for (const segment of segments) excessBytes += segment.sizeInBytes

  let count = 0
  const dropWhile = (expired: (segment: Segment, next: Segment | undefined) => boolean): void => {
    for (let segment = segments[count]; segment !== undefined; segment = segments[count]) {
      const next = segments[count + 1]
      if (next === undefined && segment.sizeInBytes === 0) return
      if ((next?.baseOffset ?? segment.endOffset) > highWatermark || !expired(segment, next)) return
      excessBytes -= segment.sizeInBytes
      count++
    }
  }
  dropWhile((_, next) => next !== undefined && next.baseOffset <= logStartOffset)
  if (retentionBytes >= 0) dropWhile((segment) => excessBytes >= segment.sizeInBytes)
  if (retentionMs >= 0) dropWhile((segment) => isOlderThan(segment, now - retentionMs))
  return count
}

/**
 * Messages without a timestamp have no age here and stay (Kafka goes by the file's time, which a copy changes). An
 * empty sealed segment, which compaction can leave, has nothing to keep.
 */
function isOlderThan(segment: Segment, timestamp: number): boolean {
  if (segment.sizeInBytes === 0) return true
  return segment.maxTimestamp >= 0 && segment.maxTimestamp < timestamp
}
