import type { Segment } from '../storage/storage.js'

export interface RetentionSettings {
  /** -1 keeps a segment whatever its age. */
  readonly retentionMs: number
  /** -1 keeps a segment whatever the size of the log. */
  readonly retentionBytes: number
}

/** The widest step from a segment's base offset that its index can hold: an int32. */
const LARGEST_RELATIVE_OFFSET = 2 ** 31 - 1

/** What decides beside the segments and the settings. */
export interface RetentionState {
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf: (timestamp: number) => number
  readonly logStartOffset: number
  /** Nothing at or above it goes, so that the log start offset cannot pass it. */
  readonly highWatermark: number
}

/**
 * How many of the oldest segments go: below the log start offset, then by size, then by age. All of them, the active
 * one included, where that has expired too: another one is begun first then, as in Kafka. An empty active one stays.
 */
export function segmentsToDrop(
  segments: readonly Segment[],
  settings: RetentionSettings,
  state: RetentionState,
): number {
  const { retentionMs, retentionBytes } = settings
  const { ageOf, logStartOffset, highWatermark } = state
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
  if (retentionMs >= 0) dropWhile((segment) => isOlderThan(segment, retentionMs, ageOf))
  return count
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

/**
 * Messages without a timestamp have no age here and stay (Kafka goes by the file's time, which a copy changes). An
 * empty sealed segment, which compaction can leave, has nothing to keep.
 */
function isOlderThan(segment: Segment, retentionMs: number, ageOf: (timestamp: number) => number): boolean {
  if (segment.sizeInBytes === 0) return true
  return segment.maxTimestamp >= 0 && ageOf(segment.maxTimestamp) > retentionMs
}
