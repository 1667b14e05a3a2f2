import type { RecordBatch, RecordHeader } from '../../src/record/record-batch.js'

export interface WalkedRecord {
  offset: number
  timestamp: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: RecordHeader[]
}

/** All that a cursor has to tell, record by record. */
export function walk(batch: RecordBatch): WalkedRecord[] {
  const walked: WalkedRecord[] = []
  const cursor = batch.records()
  while (cursor.next()) {
    const { offset, timestamp, key, value } = cursor
    walked.push({ offset, timestamp, key, value, headers: cursor.headers() })
  }
  return walked
}
