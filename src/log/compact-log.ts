import { OttlaError } from '../errors.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { Segment } from '../storage/storage.js'
import { BatchCleaner, mapKeys } from './clean-batches.js'
import { type CleanableRange, groupSegments } from './compaction.js'
import type { CleanedLog } from './log-cleaner.js'
import { OffsetMap } from './offset-map.js'

/** How much is read at a time. */
const READ_BYTES = 256 * 1024

/**
 * Reduces the segments of the range to the newest record of each key. Returns up to where it has looked: to the end of
 * the range, unless there were more keys than fit `maxMapBytes`. Rejects with OTTLA_CLOSED once the log closes.
 */
export async function compactLog(log: CleanedLog, range: CleanableRange, maxMapBytes: number): Promise<number> {
  const { firstDirtyOffset, firstUncleanableOffset } = range
  const { segments } = log.storage
  const map = new OffsetMap(firstUncleanableOffset - firstDirtyOffset, maxMapBytes)
  const isWhole = await mapRange(log, range, map)
  const cleanedTo = isWhole ? firstUncleanableOffset : map.latestOffset + 1
  const cleaner = batchCleaner(log, map, cleanedTo, firstUncleanableOffset)
  for (const group of groupSegments(segments, log.settings().segmentBytes, cleanedTo)) {
    await replace(log, group, cleaner)
  }
  return cleanedTo
}

/** False where the map was full before the end. */
async function mapRange(
  log: CleanedLog,
  { firstDirtyOffset, firstUncleanableOffset }: CleanableRange,
  map: OffsetMap,
): Promise<boolean> {
  for await (const batch of batchesOf(log, firstDirtyOffset, firstUncleanableOffset)) {
    if (!(await mapKeys(batch, firstDirtyOffset, map, () => pace(log)))) return false
  }
  return true
}

function batchCleaner(
  log: CleanedLog,
  map: OffsetMap,
  cleanedTo: number,
  firstUncleanableOffset: number,
): BatchCleaner {
  const { settings, ageOf, clock, isLastOfProducer } = log
  const { deleteRetentionMs } = settings()
  return new BatchCleaner(
    {
      latestOffsetOf: (key) => map.get(key),
      lookedTo: cleanedTo - 1,
      ageOf,
      deleteRetentionMs,
      deleteHorizonMs: clock.now() + deleteRetentionMs,
      // Without the last batch it would not be known where the log ended.
      keepsHeader: (batch) => batch.lastOffset + 1 === firstUncleanableOffset || isLastOfProducer(batch),
    },
    () => pace(log),
  )
}

async function replace(log: CleanedLog, group: readonly Segment[], cleaner: BatchCleaner): Promise<void> {
  const { storage } = log
  const [oldest] = group
  if (oldest === undefined) return
  const first = storage.segments.indexOf(oldest)
  // A lossy storage may have dropped it to make room.
  if (first < 0) return
  const endOffset = storage.segments[first + group.length]?.baseOffset ?? oldest.baseOffset
  await storage.replace(first, group.length, cleaned(log, oldest.baseOffset, endOffset, cleaner))
}

async function* cleaned(
  log: CleanedLog,
  from: number,
  endOffset: number,
  cleaner: BatchCleaner,
): AsyncGenerator<RecordBatch, void> {
  for await (const batch of batchesOf(log, from, endOffset)) {
    const left = await cleaner.clean(batch)
    if (left === undefined) continue
    await pace(log)
    yield left
  }
}

/** The batches of sealed segments from one offset up to another. Throws OTTLA_CLOSED once the log closes. */
async function* batchesOf(log: CleanedLog, from: number, endOffset: number): AsyncGenerator<RecordBatch, void> {
  for (let offset = from; offset < endOffset; ) {
    const batches = await log.storage.read(offset, READ_BYTES, endOffset)
    for (const batch of batches) {
      await pace(log)
      if (!log.isOpen()) throw new OttlaError('OTTLA_CLOSED', 'The log closed while it was compacted')
      yield batch
      offset = batch.lastOffset + 1
    }
    if (batches.length === 0) return
  }
}

function pace({ clock }: CleanedLog): void | Promise<void> {
  if (clock.turnIsSpent()) return clock.nextTurn()
}
