import type { PartitionLog } from '../log/partition-log.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'

/** One record of a log that is read for its newest value of each key. */
export interface KeyedRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

const REPLAY_BYTES = 1 << 20

/** Appends the records as one batch: all of them or none. */
export async function appendRecords(log: PartitionLog, records: readonly KeyedRecord[], now: number): Promise<void> {
  const builder = new RecordBatchBuilder()
  for (const { key, value } of records) builder.append(now, key, value)
  await log.append(builder.close())
}

/** Walks a log from its start to its end. */
export async function replay(
  log: PartitionLog,
  onRecord: (key: Uint8Array, value: Uint8Array | null) => void,
): Promise<void> {
  let offset = log.logStartOffset
  while (offset < log.highWatermark) {
    const batches = await log.read(offset, REPLAY_BYTES)
    if (batches.length === 0) return
    for (const batch of batches) {
      const records = batch.records()
      while (!batch.isControl && records.next()) if (records.key !== null) onRecord(records.key, records.value)
      offset = batch.lastOffset + 1
    }
  }
}
