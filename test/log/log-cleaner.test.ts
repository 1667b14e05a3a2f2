import { describe, expect, it } from 'vitest'
import { ATTRIBUTES_AT, CONTROL_BIT, CRC_AT } from '../../src/record/batch-layout.js'
import { readInt16, writeInt16, writeInt32 } from '../../src/record/big-endian.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { batch, COMPACTED, CompactedLog } from './compacting.js'

const pairs = async (subject: CompactedLog): Promise<unknown[]> =>
  (await subject.kept()).map(({ offset, key, value }) => [offset, key, value])

/** A batch whose attributes name a codec that nobody knows. */
function withCodec(encoded: EncodedBatch, codec: number): EncodedBatch {
  const bytes = Uint8Array.from(encoded.bytes())
  writeInt16(bytes, ATTRIBUTES_AT, readInt16(bytes, ATTRIBUTES_AT) | codec)
  writeInt32(bytes, CRC_AT, 0)
  return new EncodedBatch(bytes, 0, bytes.length)
}

/** The end of a transaction: version 0, type 1, that it was committed. */
function marker(producer: { producerId: number; producerEpoch: number }): EncodedBatch {
  const builder = new RecordBatchBuilder()
  builder.append(1, Uint8Array.of(0, 0, 0, 1), Uint8Array.of(0, 0, 0, 0, 0, 0))
  const encoded = builder.close({ ...producer, baseSequence: 2, isTransactional: true })
  const bytes = Uint8Array.from(encoded.bytes())
  writeInt16(bytes, ATTRIBUTES_AT, readInt16(bytes, ATTRIBUTES_AT) | CONTROL_BIT)
  writeInt32(bytes, CRC_AT, 0)
  return new EncodedBatch(bytes, 0, bytes.length)
}

describe('compact', () => {
  it('keeps the newest value of each key, with its offset, in sealed segments alone', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', '1'], ['b', '1'])
    await subject.append(['a', '2'])
    await subject.append(['c', '1'])
    await subject.seal()
    await subject.append(['c', '2'], ['c', '3'])
    const { highWatermark } = subject.log
    expect(await subject.compact()).toBe(5)
    expect(await pairs(subject)).toEqual([
      [1, 'b', '1'],
      [2, 'a', '2'],
      // The value in the active segment was not looked at.
      [3, 'c', '1'],
      [5, 'c', '2'],
      [6, 'c', '3'],
    ])
    expect(subject.log.highWatermark).toBe(highWatermark)
    expect(subject.log.cleaner.isFullyCompacted).toBe(true)
    expect(await subject.append(['a', '3'])).toBe(highWatermark)
  })

  it('copies batches that lose nothing as they are, and drops those that lose all', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', '1'])
    await subject.append(['b', '1'], ['c', '1'])
    await subject.append(['a', '2'])
    await subject.seal()
    const [, untouched] = (await subject.batches()).map((each) => Buffer.from(each.bytes()).toString('hex'))
    await subject.compact()
    const after = await subject.batches()
    expect(after.map(({ baseOffset, lastOffset, recordCount }) => [baseOffset, lastOffset, recordCount])).toEqual([
      [1, 2, 2],
      [3, 3, 1],
      [4, 4, 1],
    ])
    expect(Buffer.from(after[0]?.bytes() ?? []).toString('hex')).toBe(untouched)
  })

  it('keeps base offset, last offset, times and headers of what is left of a batch', async () => {
    const subject = await CompactedLog.open()
    const at = subject.clock.now()
    await subject.append(['a', '1'], ['b', '1'], ['a', '1'])
    await subject.clock.advance(5)
    await subject.append(['a', '2'])
    await subject.seal()
    await subject.compact()
    const [first] = await subject.batches()
    expect([first?.baseOffset, first?.lastOffset, first?.recordCount, first?.maxTimestamp]).toEqual([0, 2, 1, at])
    expect((await subject.kept())[0]).toEqual({ offset: 1, key: 'b', value: '1', timestamp: at })
  })

  it('keeps tombstones for deleteRetentionMs after it first met them, then takes them', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', '1'])
    await subject.append(['a', null], ['b', '1'])
    await subject.seal()
    // Its age does not count, only how long compaction has known of it: a reader had no less time to see it.
    await subject.clock.advance(1_000_000)
    await subject.compact()
    expect(await pairs(subject)).toEqual([
      [1, 'a', null],
      [2, 'b', '1'],
    ])
    expect((await subject.batches())[0]?.deleteHorizonMs).toBe(subject.clock.now() + 10_000)
    await subject.clock.advance(9_999)
    await subject.compact()
    expect(await pairs(subject)).toHaveLength(2)
    await subject.clock.advance(1)
    await subject.compact()
    expect(await pairs(subject)).toEqual([[2, 'b', '1']])
  })

  it('keeps the time at which it met a tombstone when its batch loses more', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', null], ['b', '1'], ['c', '1'])
    await subject.seal()
    await subject.compact()
    const horizon = subject.clock.now() + 10_000
    await subject.clock.advance(5000)
    await subject.append(['b', '2'])
    await subject.seal()
    await subject.compact()
    expect(await pairs(subject)).toEqual([
      [0, 'a', null],
      [2, 'c', '1'],
      [4, 'b', '2'],
    ])
    expect((await subject.batches())[0]?.deleteHorizonMs).toBe(horizon)
  })

  it('keeps the end of what was sealed, also when that was a tombstone whose time is over', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', null])
    subject.log.settings = { ...COMPACTED, segmentBytes: 1 }
    await subject.append(['b', '1'])
    await subject.compact()
    await subject.clock.advance(10_000)
    await subject.compact()
    expect(await pairs(subject)).toEqual([[1, 'b', '1']])
    expect(subject.storage.segments.map(({ endOffset }) => endOffset)).toEqual([1, 2])
  })

  it('reads the same times behind a delete horizon', async () => {
    const subject = await CompactedLog.open()
    const at = subject.clock.now()
    await subject.append(['a', null], ['b', '1'])
    await subject.seal()
    await subject.compact()
    expect((await subject.kept()).map(({ timestamp }) => timestamp)).toEqual([at, at])
    expect((await subject.batches())[0]?.maxTimestamp).toBe(at)
  })

  it('merges small segments up to segmentBytes', async () => {
    const subject = await CompactedLog.open({ settings: { ...COMPACTED, segmentBytes: 500 } })
    for (let round = 0; round < 40; round++) await subject.append(['a', String(round)], [`key-${round}`, 'x'])
    await subject.seal()
    const before = subject.storage.segments.length
    subject.log.settings = { ...COMPACTED, segmentBytes: 100_000 }
    await subject.compact()
    expect(before).toBeGreaterThan(4)
    expect(subject.storage.segments).toHaveLength(2)
    expect((await pairs(subject)).at(-1)).toEqual([79, 'key-39', 'x'])
    expect(await pairs(subject)).toHaveLength(41)
  })

  it('keeps the end of what was sealed, also when all of it is newer elsewhere', async () => {
    const subject = await CompactedLog.open({ settings: { ...COMPACTED, segmentBytes: 300 } })
    for (let round = 0; round < 30; round++) await subject.append(['a', String(round)])
    await subject.seal()
    await subject.seal()
    await subject.compact()
    const [last, active] = subject.storage.segments.slice(-2)
    expect(last?.endOffset).toBe(active?.baseOffset)
    expect(await pairs(subject)).toEqual([[29, 'a', '29']])
  })

  it('keeps the header of the last batch of an idempotent producer, so that its next one follows', async () => {
    const subject = await CompactedLog.open()
    const from = (baseSequence: number) => ({ producerId: 7, producerEpoch: 0, baseSequence })
    const now = subject.clock.now()
    await subject.log.append(batch(now, [['a', '1']], from(0)))
    await subject.log.append(
      batch(
        now,
        [
          ['a', '2'],
          ['b', '1'],
        ],
        from(1),
      ),
    )
    await subject.append(['a', '3'], ['b', '2'])
    await subject.seal()
    await subject.compact()
    const [emptied] = await subject.batches()
    expect([emptied?.recordCount, emptied?.baseOffset, emptied?.lastOffset, emptied?.producerId]).toEqual([0, 1, 2, 7])
    await subject.close()
    const reopened = await CompactedLog.open({}, subject.place, subject.clock)
    // The one that is repeated is known, the next one is taken, one after that is not.
    const repeated = batch(
      now,
      [
        ['a', '2'],
        ['b', '1'],
      ],
      from(1),
    )
    expect((await reopened.log.append(repeated)).baseOffset).toBe(1)
    const gap = reopened.log.append(batch(now, [['a', '9']], from(4)))
    await expect(gap).rejects.toMatchObject({ code: 'OTTLA_OUT_OF_ORDER_SEQUENCE' })
    await reopened.log.append(batch(now, [['a', '4']], from(3)))
  })

  it('takes no more than minCompactionLagMs allows, and is due when maxCompactionLagMs is over', async () => {
    const subject = await CompactedLog.open({
      settings: { ...COMPACTED, minCompactionLagMs: 1000, maxCompactionLagMs: 5000, minCleanableDirtyRatio: 1 },
    })
    await subject.append(['a', '1'])
    await subject.append(['a', '2'])
    await subject.seal()
    expect(await subject.compact()).toBeUndefined()
    await subject.clock.advance(1000)
    expect(subject.log.cleaner.isDue).toBe(false)
    await subject.clock.advance(4001)
    expect(subject.log.cleaner.isDue).toBe(true)
    await subject.compact()
    expect(await pairs(subject)).toEqual([[1, 'a', '2']])
  })

  it('goes on where it stopped when there are more keys than fit its memory', async () => {
    const subject = await CompactedLog.open({ settings: { ...COMPACTED, segmentBytes: 2000 } })
    for (let round = 0; round < 3; round++) {
      for (let key = 0; key < 50; key++) await subject.append([`key-${key}`, String(round)])
    }
    await subject.seal()
    let rounds = 0
    while (!subject.log.cleaner.isFullyCompacted) {
      await subject.log.cleaner.compact({ maxMapBytes: 24 * 30, onlyIfDue: false })
      rounds++
    }
    expect(rounds).toBeGreaterThan(3)
    expect((await subject.kept()).map(({ key, value }) => [key, value])).toEqual(
      Array.from({ length: 50 }, (_, key) => [`key-${key}`, '2']),
    )
  })

  it('leaves an open transaction and what follows it alone; once it has ended its batches and marker stay whole', async () => {
    const subject = await CompactedLog.open()
    const { log, clock } = subject
    const transaction = { producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true }
    await log.append(
      batch(
        clock.now(),
        [
          ['a', '1'],
          ['a', '2'],
        ],
        transaction,
      ),
    )
    await subject.append(['a', null])
    await subject.seal()
    expect(await subject.compact()).toBeUndefined()
    await log.append(marker({ producerId: 7, producerEpoch: 0 }))
    await subject.seal()
    await subject.compact()
    await clock.advance(20_000)
    await subject.compact()
    expect((await subject.batches()).map(({ isControl, recordCount }) => [isControl, recordCount])).toEqual([
      [false, 2],
      // Without the tombstone the value of the transaction, of which nobody can say here how it ended, would be back.
      [false, 1],
      [false, 1],
      [true, 1],
      [false, 1],
    ])
  })

  it('copies a batch that it cannot decompress as it is, and keeps tombstones behind it', async () => {
    const subject = await CompactedLog.open()
    await subject.append(['a', '1'])
    await subject.log.append(withCodec(batch(subject.clock.now(), [['b', '1']]), 7))
    await subject.append(['a', null], ['b', null])
    await subject.seal()
    await subject.compact()
    await subject.clock.advance(20_000)
    await subject.compact()
    const batches = await subject.batches()
    expect(batches.map(({ baseOffset, recordCount }) => [baseOffset, recordCount])).toEqual([
      [1, 1],
      [2, 2],
      [4, 1],
    ])
  })

  /** Each turn is spent as soon as it is asked about. */
  class SpentClock extends ManualClock {
    turns = 0
    override turnIsSpent(): boolean {
      return true
    }
    override nextTurn(): Promise<void> {
      this.turns++
      return Promise.resolve()
    }
  }

  it('lets others run every few records, also within a large batch', async () => {
    const clock = new SpentClock({ now: 1_000_000 })
    const subject = await CompactedLog.open({}, undefined, clock)
    const keys = Array.from({ length: 640 }, (_, index) => [`key-${index}`, '1'] as const)
    await subject.append(...keys)
    await subject.append(...keys.slice(0, 320))
    await subject.seal()
    clock.turns = 0
    await subject.compact()
    // The keys are read once, judged once, and those of the first batch that stay copied once: every 64 records a turn.
    expect(clock.turns).toBeGreaterThanOrEqual((960 + 960 + 640) / 64)
  })

  it('lets others run every 64 KiB that it copies, and before it takes the checksum of all', async () => {
    const clock = new SpentClock({ now: 1_000_000 })
    const subject = await CompactedLog.open({}, undefined, clock)
    const large = 'x'.repeat(32 * 1024)
    await subject.append(['gone', '1'], ...Array.from({ length: 16 }, (_, index) => [`key-${index}`, large] as const))
    await subject.append(['gone', '2'])
    await subject.seal()
    clock.turns = 0
    await subject.compact()
    expect(clock.turns).toBeGreaterThanOrEqual((16 * 32) / 64 + 1)
  })

  it('goes on while messages are appended and read, and closes in the midst of it', async () => {
    const subject = await CompactedLog.open({ settings: { ...COMPACTED, segmentBytes: 500_000 } })
    for (let n = 0; n < 20; n++) {
      await subject.append(...Array.from({ length: 2000 }, (_, i) => [`key-${i}`, String(n)] as const))
    }
    await subject.seal()
    const compacted = subject.compact()
    let appended = 0
    for (let turn = 0; turn < 3; turn++) {
      await subject.append(['late', String(turn)])
      appended++
    }
    expect(appended).toBe(3)
    const closed = subject.close()
    await expect(compacted).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    await closed
    const reopened = await CompactedLog.open({}, subject.place, subject.clock)
    await reopened.compact()
    const latest = new Map((await reopened.kept()).map(({ key, value }) => [key, value]))
    expect(latest.get('late')).toBe('2')
    expect(latest.get('key-199')).toBe('19')
  })
})
