import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SegmentIndex } from '../../src/storage/segment-index.js'

interface Batch {
  firstOffset: number
  lastOffset: number
  position: number
  sizeInBytes: number
  maxTimestamp: number
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function indexOf(batches: readonly Batch[], baseOffset: number, indexIntervalBytes?: number): SegmentIndex {
  const index = new SegmentIndex(baseOffset, indexIntervalBytes)
  for (const batch of batches) index.add(batch.lastOffset, batch.position, batch.sizeInBytes, batch.maxTimestamp)
  return index
}

/** Batches of a segment at offset 100, with gaps, and timestamps that also go back. */
const segments = fc
  .array(fc.record({ gap: fc.nat(2), offsets: fc.nat(4), size: fc.integer({ min: 61, max: 900 }), time: fc.nat(50) }), {
    maxLength: 60,
  })
  .map((shapes) => {
    let nextOffset = 100
    let position = 0
    return shapes.map(({ gap, offsets, size, time }): Batch => {
      const firstOffset = nextOffset + gap
      const batch = { firstOffset, lastOffset: firstOffset + offsets, position, sizeInBytes: size, maxTimestamp: time }
      nextOffset = batch.lastOffset + 1
      position += size
      return batch
    })
  })

describe('SegmentIndex', () => {
  it('has the bytes of the index files that Kafka wrote', () => {
    const golden = JSON.parse(
      readFileSync(new URL('../fixtures/segment-index/kafka-1499.json', import.meta.url), 'utf8'),
    ) as { baseOffset: number; batches: [number, number, number][]; index: string; timeindex: string }
    const index = new SegmentIndex(golden.baseOffset)
    let position = 0
    for (const [lastOffset, sizeInBytes, maxTimestamp] of golden.batches) {
      index.add(lastOffset, position, sizeInBytes, maxTimestamp)
      position += sizeInBytes
    }
    index.seal()
    expect(hex(index.encodeOffsetIndex())).toBe(golden.index)
    expect(hex(index.encodeTimeIndex())).toBe(golden.timeindex)
  })

  it('adds no entry for the first batch, and one when more than the interval lies behind', () => {
    const index = new SegmentIndex(0, 100)
    index.add(0, 0, 101, 1)
    expect(index.offsetEntryCount).toBe(0)
    index.add(1, 101, 100, 2)
    expect(index.offsetEntryCount).toBe(1)
    index.add(2, 201, 1, 3)
    expect(index.offsetEntryCount).toBe(1)
    index.add(3, 202, 1, 4)
    expect(index.offsetEntryCount).toBe(2)
    expect(hex(index.encodeOffsetIndex())).toBe('000000010000006500000003000000ca')
  })

  it('adds a time entry only for a later timestamp, with the first batch that has it', () => {
    const index = new SegmentIndex(10, 10)
    index.add(10, 0, 20, 500)
    index.add(11, 20, 20, 300)
    index.add(12, 40, 20, 500)
    index.add(13, 60, 20, 2 ** 41)
    index.seal()
    index.seal()
    expect(hex(index.encodeTimeIndex())).toBe('00000000000001f4000000000000020000000000' + '00000003')
    expect(index.maxTimestamp).toBe(2 ** 41)
  })

  it('adds the last time entry when it is sealed, none for an empty segment or one without timestamps', () => {
    const index = new SegmentIndex(0)
    index.seal()
    expect(index.timeEntryCount).toBe(0)
    index.add(4, 0, 100, -1)
    index.seal()
    expect(index.timeEntryCount).toBe(0)
    index.add(5, 100, 100, 7)
    index.seal()
    expect(hex(index.encodeTimeIndex())).toBe('000000000000000700000005')
  })

  it('names a position from which a scan finds the batch of an offset, close before it', () => {
    fc.assert(
      fc.property(segments, fc.integer({ min: 90, max: 500 }), (batches, offset) => {
        const wanted = batches.find(({ lastOffset }) => lastOffset >= offset)
        const position = indexOf(batches, 100, 1000).positionFor(offset)
        const scanned = batches.find((batch) => batch.position >= position && batch.lastOffset >= offset)
        expect(scanned).toEqual(wanted)
        // An interval, and the two batches at its ends.
        if (wanted !== undefined) expect(wanted.position - position).toBeLessThan(1000 + 2 * 900)
        expect(batches.length === 0 ? position === 0 : batches.some((batch) => batch.position === position)).toBe(true)
      }),
    )
  })

  it('names a position from which a scan finds the first batch at a time, also where timestamps go back', () => {
    fc.assert(
      fc.property(segments, fc.integer({ min: -1, max: 55 }), fc.boolean(), (batches, timestamp, sealed) => {
        const index = indexOf(batches, 100, 700)
        if (sealed) index.seal()
        const position = index.positionForTime(timestamp)
        const scanned = batches.find((batch) => batch.position >= position && batch.maxTimestamp >= timestamp)
        expect(scanned).toEqual(batches.find(({ maxTimestamp }) => maxTimestamp >= timestamp))
      }),
    )
  })

  it('is, after truncation and adding what is left, what it would be had nothing else been added', () => {
    fc.assert(
      fc.property(segments, fc.integer({ min: 99, max: 500 }), fc.boolean(), (batches, offset, sealed) => {
        const index = indexOf(batches, 100, 300)
        if (sealed) index.seal()
        const left = batches.filter(({ lastOffset }) => lastOffset < offset)
        const position = index.truncateTo(offset)
        for (const batch of left) {
          if (batch.position < position) continue
          index.add(batch.lastOffset, batch.position, batch.sizeInBytes, batch.maxTimestamp)
        }
        const fresh = indexOf(left, 100, 300)
        expect(index.maxTimestamp).toBe(fresh.maxTimestamp)
        for (const each of [index, fresh]) {
          each.add(1000, 100_000, 400, 25)
          each.add(1001, 100_400, 400, 60)
          each.seal()
        }
        expect(hex(index.encodeOffsetIndex())).toBe(hex(fresh.encodeOffsetIndex()))
        expect(hex(index.encodeTimeIndex())).toBe(hex(fresh.encodeTimeIndex()))
      }),
    )
  })

  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(segments, (batches) => {
        const index = indexOf(batches, 100, 300)
        index.seal()
        const size = batches.reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0)
        const decoded = SegmentIndex.decode(100, size, index.encodeOffsetIndex(), index.encodeTimeIndex(), 300)
        expect(decoded?.maxTimestamp).toBe(index.maxTimestamp)
        const offsets = Array.from({ length: 102 }, (_, n) => 95 + 3 * n)
        expect(offsets.map((each) => decoded?.positionFor(each))).toEqual(
          offsets.map((each) => index.positionFor(each)),
        )
        const times = Array.from({ length: 56 }, (_, n) => n - 1)
        expect(times.map((each) => decoded?.positionForTime(each))).toEqual(
          times.map((each) => index.positionForTime(each)),
        )
      }),
    )
  })

  it('refuses bytes that cannot be the index of the segment', () => {
    const decode = (index: string, timeindex: string): SegmentIndex | undefined =>
      SegmentIndex.decode(0, 1000, Buffer.from(index, 'hex'), Buffer.from(timeindex, 'hex'))
    expect(decode('0000000500000064', '000000000000000700000005')?.positionFor(9)).toBe(100)
    expect(decode('00000005000000', '')).toBeUndefined()
    expect(decode('', '0000000000000007')).toBeUndefined()
    expect(decode('00000005000003e8', '')).toBeUndefined()
    expect(decode('0000000000000000', '')).toBeUndefined()
    expect(decode('00000005000000640000000500000065', '')).toBeUndefined()
    expect(decode('00000005000000640000000600000064', '')).toBeUndefined()
    expect(decode('ffffffff00000064', '')).toBeUndefined()
    expect(decode('', '000000000000000700000005000000000000000700000006')).toBeUndefined()
    expect(decode('', '000000000000000700000005000000000000000800000005')).toBeUndefined()
  })

  it('holds ten million entries', () => {
    const index = new SegmentIndex(0, 0)
    for (let offset = 0; offset <= 10_000_000; offset++) index.add(offset, offset * 100, 100, offset)
    expect(index.offsetEntryCount).toBe(10_000_000)
    for (let offset = 1; offset < 10_000_000; offset += 99_991) {
      expect(index.positionFor(offset)).toBe(offset * 100)
      expect(index.positionForTime(offset)).toBe(offset * 100)
    }
  })
})
