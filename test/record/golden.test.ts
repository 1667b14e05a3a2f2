import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/record/crc32c.js'
import { decodeBatches, EncodedBatch, verifyBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { miscBatches, segmentHead } from './golden-batches.js'
import { walk } from './walk.js'

const T = 1_700_000_000_000
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const hex = (array: Uint8Array): string => Buffer.from(array).toString('hex')

describe('batches that Kafka wrote', () => {
  const golden = segmentHead()

  it('are written byte for byte', () => {
    const builder = new RecordBatchBuilder(64)
    for (const batch of golden) {
      for (const { timestamp, key, value, headers } of batch.records) builder.append(timestamp, key, value, headers)
      expect(builder.sizeInBytes).toBe(batch.bytes.length)
      const { producerId, producerEpoch, baseSequence } = batch
      const written = builder.close({ producerId, producerEpoch, baseSequence })
      written.assignOffsets(batch.baseOffset, 0)
      expect(hex(written.bytes())).toBe(hex(batch.bytes))
      builder.reset()
    }
  })

  it('are read as what was put in', () => {
    // Side by side as in a segment, and not at the start of their memory.
    const segment = Buffer.concat([Buffer.alloc(3), ...golden.map((batch) => batch.bytes)])
    const batches = decodeBatches(segment, 3, segment.length, { verify: true })
    expect(batches.length).toBe(golden.length)
    for (const [index, expected] of golden.entries()) {
      const batch = batches[index]
      if (batch === undefined) throw new Error('a batch is missing')
      expect(batch).toMatchObject({
        baseOffset: expected.baseOffset,
        lastOffset: expected.baseOffset + expected.records.length - 1,
        recordCount: expected.records.length,
        sizeInBytes: expected.bytes.length,
        baseTimestamp: expected.records[0]?.timestamp,
        maxTimestamp: Math.max(...expected.records.map((record) => record.timestamp)),
        partitionLeaderEpoch: 0,
        producerId: expected.producerId,
        producerEpoch: expected.producerEpoch,
        baseSequence: expected.baseSequence,
        isTransactional: false,
        isControl: false,
        compression: 'none',
        isLogAppendTime: false,
      })
      expect(walk(batch)).toEqual(expected.records.map((record, i) => ({ offset: expected.baseOffset + i, ...record })))
      expect(hex(batch.bytes())).toBe(hex(expected.bytes))
    }
  })
})

describe('the odd batches that Kafka wrote', () => {
  const misc = miscBatches()
  const named = (name: string): EncodedBatch => {
    const found = misc.get(name)
    if (found === undefined) throw new Error(`no golden batch ${name}`)
    return new EncodedBatch(found, 0, found.length)
  }

  it('are all verified', () => {
    expect(misc.size).toBe(11)
    for (const name of misc.keys()) verifyBatch(named(name))
  })

  it('hold a record without key and value, and a header without name and value', () => {
    expect(walk(named('null_key_null_value_headers'))).toEqual([
      {
        offset: 7,
        timestamp: T,
        key: null,
        value: null,
        headers: [
          ['h1', Uint8Array.of(1, 2)],
          ['', null],
        ],
      },
    ])
  })

  it('hold timestamps that run backwards', () => {
    const batch = named('three_records_ts_backwards')
    expect(walk(batch).map(({ offset, timestamp }) => [offset, timestamp - T])).toEqual([
      [100, 0],
      [101, -5],
      [102, 9],
    ])
    expect(batch.partitionLeaderEpoch).toBe(3)
    expect(batch.maxTimestamp).toBe(T + 9)
  })

  it('may be compressed', () => {
    const batch = named('gzip_two_records')
    expect(batch.compression).toBe('gzip')
    expect(walk(batch).map(({ offset, key }) => [offset, key && Buffer.from(key).toString()])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ])
  })

  it('are written the same for idempotent and transactional producers', () => {
    const builder = new RecordBatchBuilder()
    const producer = { producerId: 9, producerEpoch: 1, baseSequence: 5 }
    builder.append(T, bytes('a'), bytes('1'))
    expect(hex(builder.close({ ...producer, isTransactional: true }).bytes())).toBe(
      hex(named('transactional_pid9').bytes()),
    )
    expect(named('transactional_pid9').isTransactional).toBe(true)
  })

  it('tell control batches and their markers', () => {
    const commit = named('commit_marker_coord_epoch_4')
    expect(commit).toMatchObject({ isControl: true, isTransactional: true, producerId: 9, baseOffset: 1 })
    expect(walk(commit).map((record) => record.key)).toEqual([Uint8Array.of(0, 0, 0, 1)])
  })

  it('give every record the time of the append where the broker set it', () => {
    const batch = named('log_append_time')
    expect(batch.isLogAppendTime).toBe(true)
    expect(walk(batch).map((record) => record.timestamp - T)).toEqual([77, 77])
  })

  it('may be empty after compaction', () => {
    const batch = named('empty_batch_after_compaction')
    expect(batch).toMatchObject({ recordCount: 0, baseOffset: 10, lastOffset: 14, baseTimestamp: -1 })
    expect(walk(batch)).toEqual([])
  })

  it('carry lengths of more than one byte', () => {
    const [record] = walk(named('max_varints'))
    expect(record?.value?.length).toBe(300)
  })

  it('carry the checksum of the bytes from the attributes on', () => {
    const batch = named('one_record_epoch0')
    expect(crc32c(batch.buffer, 21, batch.sizeInBytes)).toBe(0xe99b8dd8)
  })
})
