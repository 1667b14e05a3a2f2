import type { CancelSignal } from '../cancellation.js'
import type { Engine } from '../engine/engine.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import { PartitionReader } from './partition-reader.js'

/**
 * Where the last `count` messages of a partition begin, between the start of the log and its end. Offsets alone do not
 * tell: markers are no messages, and compaction leaves gaps. So the log is gone through backwards, a stretch at a time,
 * each as long as all before; without gaps the first one is enough, and its records are not even decoded.
 */
export async function startOfLast(
  engine: Engine,
  at: TopicPartition,
  count: number,
  { start, end }: { start: number; end: number },
  signal: CancelSignal,
): Promise<number> {
  let from = end
  let wanted = count
  let stretch = count
  while (from > start && wanted > 0 && !signal.aborted) {
    const until = from
    from = Math.max(until - stretch, start)
    const found = await countMessages(engine, at, from, until, signal)
    if (found > wanted) return skipMessages(engine, at, from, until, found - wanted, signal)
    wanted -= found
    stretch = end - from
  }
  return from
}

async function countMessages(
  engine: Engine,
  at: TopicPartition,
  from: number,
  until: number,
  signal: CancelSignal,
): Promise<number> {
  let count = 0
  for await (const batch of batchesIn(engine, at, from, until, signal)) {
    const isDense = batch.lastOffset - batch.baseOffset + 1 === batch.recordCount
    if (isDense) count += Math.min(batch.lastOffset + 1, until) - Math.max(batch.baseOffset, from)
    else for (const offset of offsetsOf(batch)) if (offset >= from && offset < until) count++
  }
  return count
}

/** The offset after the first `count` messages. */
async function skipMessages(
  engine: Engine,
  at: TopicPartition,
  from: number,
  until: number,
  count: number,
  signal: CancelSignal,
): Promise<number> {
  let left = count
  for await (const batch of batchesIn(engine, at, from, until, signal)) {
    for (const offset of offsetsOf(batch)) if (offset >= from && left-- === 0) return offset
  }
  return until
}

/** Those that hold messages. */
async function* batchesIn(
  engine: Engine,
  at: TopicPartition,
  from: number,
  until: number,
  signal: CancelSignal,
): AsyncGenerator<RecordBatch, undefined> {
  const reader = new PartitionReader(engine, at)
  for (let position = from; position < until && !signal.aborted; ) {
    const batches = await reader.read(position, signal)
    for (const batch of batches) if (!batch.isControl && batch.baseOffset < until) yield batch
    position = (batches.at(-1)?.lastOffset ?? position) + (batches.length > 0 ? 1 : 0)
  }
  return undefined
}

function* offsetsOf(batch: RecordBatch): Generator<number, undefined> {
  const records = batch.records()
  while (records.next()) yield records.offset
  return undefined
}
