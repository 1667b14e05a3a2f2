import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EncodedBatch, verifyBatch } from '../../src/record/encoded-batch.js'
import type { RecordBatch, RecordHeader } from '../../src/record/record-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { emptiedBatch, RetainedBatchBuilder } from '../../src/record/retained-batch.js'

const anyBytes = fc.option(fc.uint8Array({ maxLength: 200 }))
const anyRecord = fc.record({
  timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
  key: anyBytes,
  value: anyBytes,
  headers: fc.array(fc.tuple(fc.string({ maxLength: 5 }), anyBytes), { maxLength: 2 }),
  stays: fc.boolean(),
})

interface Read {
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: RecordHeader[]
}

function recordsOf(batch: RecordBatch): Read[] {
  const found: Read[] = []
  const records = batch.records()
  while (records.next()) {
    const { offset, timestamp, key, value } = records
    found.push({ offset, timestamp, key, value, headers: records.headers() })
  }
  return found
}

/** What of a header does not depend on the records. */
const identity = (batch: RecordBatch): unknown => {
  const { baseOffset, lastOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence } = batch
  const { isTransactional, isControl, isLogAppendTime } = batch
  return [baseOffset, lastOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence].concat(
    [isTransactional, isControl, isLogAppendTime].map(Number),
  )
}

function verified(batch: EncodedBatch): EncodedBatch {
  const bytes = batch.bytes()
  const again = new EncodedBatch(bytes, 0, bytes.length)
  verifyBatch(again)
  return again
}

describe('RetainedBatchBuilder', () => {
  it('keeps the chosen records with offsets, times and headers, and the identity of their batch', () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 12 }),
        fc.option(fc.integer({ min: 0, max: 2 ** 45 }), { nil: undefined }),
        fc.boolean(),
        (records, deleteHorizonMs, isStamped) => {
          const builder = new RecordBatchBuilder()
          for (const { timestamp, key, value, headers } of records) builder.append(timestamp, key, value, headers)
          const batch = builder.close({ producerId: 7, producerEpoch: 2, baseSequence: 2 ** 31 - 3 })
          batch.assignOffsets(1000, 0)
          if (isStamped) batch.stampLogAppendTime(123_456)
          const before = recordsOf(batch)
          const retained = new RetainedBatchBuilder(batch, deleteHorizonMs)
          const cursor = batch.records()
          const stay = (offset: number): boolean => records[offset - 1000]?.stays === true
          while (cursor.next()) if (stay(cursor.offset)) retained.append(cursor)
          const expected = before.filter(({ offset }) => stay(offset))
          fc.pre(expected.length > 0)
          const after = verified(retained.close())
          expect(recordsOf(after)).toEqual(expected)
          expect(identity(after)).toEqual(identity(batch))
          expect(after.deleteHorizonMs).toBe(deleteHorizonMs)
          expect(after.recordCount).toBe(expected.length)
          const latest = Math.max(...expected.map(({ timestamp }) => timestamp))
          expect(after.maxTimestamp).toBe(isStamped ? 123_456 : latest)
          expect(after.baseTimestamp).toBe(deleteHorizonMs ?? expected[0]?.timestamp)
          // What loses nothing and gets no horizon is what a producer would have written.
          if (expected.length === before.length && deleteHorizonMs === undefined && !isStamped) {
            expect(Buffer.from(after.bytes()).equals(Buffer.from(batch.bytes()))).toBe(true)
          }
        },
      ),
    )
  })

  it('keeps the header of a batch that has lost all, as Kafka writes it', () => {
    const builder = new RecordBatchBuilder()
    for (let n = 0; n < 3; n++) builder.append(100 + n, null, null)
    const batch = builder.close({ producerId: 7, producerEpoch: 2, baseSequence: 5 })
    batch.assignOffsets(10, 0)
    const emptied = verified(emptiedBatch(batch))
    expect(identity(emptied)).toEqual(identity(batch))
    expect([emptied.recordCount, emptied.sizeInBytes, emptied.baseTimestamp, emptied.maxTimestamp]).toEqual([
      0, 61, -1, 102,
    ])
    expect(recordsOf(emptied)).toEqual([])
  })
})
