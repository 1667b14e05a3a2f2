import type { PartitionStorage } from '../storage/storage.js'

export interface TimestampOffset {
  readonly offset: number
  readonly timestamp: number
}

/** What is searched by time. Its ends may move while a search waits for the storage. */
export interface SearchedLog {
  readonly storage: PartitionStorage
  /** Readers see what is from `start` on and below `end`. */
  ends(): { readonly start: number; readonly end: number }
}

/** The first record at or after `timestamp`, or undefined. */
export async function offsetForTimestamp(log: SearchedLog, timestamp: number): Promise<TimestampOffset | undefined> {
  const base = await log.storage.findOffset(timestamp)
  if (base === undefined) return undefined
  let from = Math.max(base, log.ends().start)
  // The batch that is found may hold its late record below the log start, so the search may run into later ones.
  while (from < log.ends().end) {
    const batches = await log.storage.read(from, 1, log.ends().end)
    const batch = batches[0]
    if (batch === undefined) return undefined
    if (batch.maxTimestamp >= timestamp && !batch.isControl) {
      const { start } = log.ends()
      const records = batch.records()
      while (records.next()) {
        if (records.timestamp >= timestamp && records.offset >= start) {
          return { offset: records.offset, timestamp: records.timestamp }
        }
      }
    }
    from = batch.lastOffset + 1
  }
  return undefined
}

/** The record with the largest timestamp (the first of equals), or undefined in an empty log. Kafka: ListOffsets -3. */
export async function offsetOfMaxTimestamp(log: SearchedLog): Promise<TimestampOffset | undefined> {
  const largest = maxTimestampOf(log.storage)
  if (largest < 0) return undefined
  const found = await offsetForTimestamp(log, largest)
  if (found !== undefined) return found
  // It stands above the high watermark or below the log start: what is largest in between is searched by halving.
  let latest = await offsetForTimestamp(log, 0)
  let none = largest
  while (latest !== undefined && none - latest.timestamp > 1) {
    const middle = latest.timestamp + Math.floor((none - latest.timestamp) / 2)
    const later = await offsetForTimestamp(log, middle)
    if (later === undefined) none = middle
    else latest = later
  }
  return latest
}

/** The largest timestamp in it, -1 where there is none. */
export function maxTimestampOf({ segments }: PartitionStorage): number {
  return segments.reduce((max, segment) => Math.max(max, segment.maxTimestamp), -1)
}
