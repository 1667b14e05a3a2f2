import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BATCH_HEADER_BYTES, decodeBatches, verifyBatch } from '../../src/record/encoded-batch.js'
import type { RecordHeader } from '../../src/record/record-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { codePoint } from '../code-point.js'
import { type WalkedRecord, walk } from './walk.js'

const NOW = 1_700_000_000_000

const invalid: unknown = expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' })

// Sizes on both sides of the powers of 128, where a length prefix grows.
const field = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 40, maxLength: 80 }),
  fc.integer({ min: 8150, max: 8210 }).map((size) => new Uint8Array(size).fill(7)),
)
const name = fc.oneof(
  fc.string({ unit: codePoint, maxLength: 70 }),
  fc.constantFrom('', 'trace', 'trace', 'größe', '订单', '🦦'.repeat(20), '\uFEFFbom', 'x'.repeat(63), 'é'.repeat(40)),
)
const header: fc.Arbitrary<RecordHeader> = fc.tuple(name, fc.option(fc.uint8Array({ maxLength: 20 }), { nil: null }))
const timestamp = fc.oneof(
  fc.constantFrom(-1, 0, NOW, NOW + 2 ** 31, NOW - 2 ** 31 - 1, 2 ** 53 - 2),
  fc.integer({ min: NOW - 5, max: NOW + 5 }),
  fc.integer({ min: -1, max: 2 ** 53 - 2 }),
)
const record = fc.record({ timestamp, key: field, value: field, headers: fc.array(header, { maxLength: 4 }) })
const producer = fc.option(
  fc.record({
    producerId: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
    producerEpoch: fc.integer({ min: 0, max: 2 ** 15 - 1 }),
    baseSequence: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    isTransactional: fc.boolean(),
  }),
)

/** Bytes as hex: comparing long arrays element by element takes seconds. */
function plain(records: readonly WalkedRecord[]): unknown {
  const hex = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString('hex')
  return records.map(({ key, value, headers, ...rest }) => ({
    ...rest,
    key: hex(key),
    value: hex(value),
    headers: headers.map(([name, headerValue]) => [name, hex(headerValue)]),
  }))
}

describe('RecordBatchBuilder', () => {
  it('writes what a reader gives back', () => {
    const builder = new RecordBatchBuilder(1)
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 12 }),
        producer,
        fc.integer({ min: 0, max: 2 ** 53 - 100 }),
        (records, fields, baseOffset) => {
          builder.reset()
          for (const { timestamp, key, value, headers } of records) {
            const before = builder.sizeInBytes
            builder.append(timestamp, key, value, headers)
            const bound = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
            expect(builder.sizeInBytes - before).toBeLessThanOrEqual(bound)
          }
          expect(builder.recordCount).toBe(records.length)
          const size = builder.sizeInBytes
          const batch = fields === null ? builder.close() : builder.close(fields)
          batch.assignOffsets(baseOffset, 3)
          const bytes = batch.bytes()
          expect(bytes.length).toBe(size)

          const [read, ...others] = decodeBatches(bytes, 0, bytes.length, { verify: true })
          if (read === undefined) throw new Error('no batch was read')
          expect(others).toEqual([])
          expect(read).toMatchObject({
            baseOffset,
            lastOffset: baseOffset + records.length - 1,
            recordCount: records.length,
            sizeInBytes: size,
            baseTimestamp: records[0]?.timestamp,
            maxTimestamp: Math.max(...records.map((one) => one.timestamp)),
            partitionLeaderEpoch: 3,
            ...(fields ?? { producerId: -1, producerEpoch: -1, baseSequence: -1, isTransactional: false }),
          })
          expect(plain(walk(read))).toEqual(
            plain(records.map((one, index) => ({ offset: baseOffset + index, ...one }))),
          )
        },
      ),
      { numRuns: 300 },
    )
  })

  it('starts anew after reset, in the same memory', () => {
    const builder = new RecordBatchBuilder()
    builder.append(NOW, null, new Uint8Array(5000))
    const first = builder.close()
    builder.reset()
    expect([builder.recordCount, builder.sizeInBytes]).toEqual([0, BATCH_HEADER_BYTES])
    builder.append(NOW + 1, null, Uint8Array.of(1))
    const second = builder.close()
    expect(second.buffer).toBe(first.buffer)
    expect(second.maxTimestamp).toBe(NOW + 1)
    expect(walk(second)).toMatchObject([{ offset: 0, timestamp: NOW + 1, value: Uint8Array.of(1) }])
  })

  it('refuses to change a batch that is closed, and to close one without records', () => {
    const builder = new RecordBatchBuilder()
    expect(() => builder.close()).toThrow(invalid)
    builder.append(NOW, null, null)
    const batch = builder.close()
    expect(() => builder.append(NOW, null, null)).toThrow(invalid)
    expect(() => builder.close()).toThrow(invalid)
    expect(walk(batch).length).toBe(1)
  })

  it('refuses times that are none, and adds nothing', () => {
    const builder = new RecordBatchBuilder()
    for (const wrong of [-2, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(() => builder.append(wrong, null, null)).toThrow(invalid)
    }
    builder.append(-1, null, null)
    // The difference to the first one would be 2^53.
    expect(() => builder.append(2 ** 53 - 1, null, null)).toThrow(invalid)
    expect(builder.recordCount).toBe(1)
    expect(walk(builder.close())).toMatchObject([{ timestamp: -1 }])
  })

  it('computes the checksum when the bytes are asked for, and not before', () => {
    const builder = new RecordBatchBuilder()
    builder.append(NOW, null, Uint8Array.of(1, 2, 3))
    const batch = builder.close()
    const copied = new Uint8Array(batch.sizeInBytes + 2)
    batch.copyTo(copied, 2)
    expect([...copied.subarray(2 + 17, 2 + 21)]).toEqual([0, 0, 0, 0])
    expect(() => verifyBatch(batch)).toThrow(expect.objectContaining({ code: 'OTTLA_CORRUPTION' }))

    const bytes = batch.bytes()
    verifyBatch(batch)
    batch.assignOffsets(2 ** 40, 7)
    verifyBatch(batch)
    expect(Buffer.from(batch.bytes()).equals(bytes)).toBe(true)
  })
})
