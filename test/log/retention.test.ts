import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type RetentionSettings, segmentsToDrop, shouldRoll } from '../../src/log/retention.js'
import type { Segment } from '../../src/storage/storage.js'

const FOREVER: RetentionSettings = { retentionMs: -1, retentionBytes: -1 }

/** Segments of ten offsets each, named by their size and largest timestamp. */
function segments(...sizesAndTimes: readonly (readonly [sizeInBytes: number, maxTimestamp: number])[]): Segment[] {
  return sizesAndTimes.map(([sizeInBytes, maxTimestamp], index) => ({
    baseOffset: index * 10,
    endOffset: index * 10 + (sizeInBytes === 0 ? 0 : 10),
    sizeInBytes,
    maxTimestamp,
    firstTimestamp: maxTimestamp,
  }))
}

/** By a clock that shows `now`, with nothing deleted and all of it durable unless told otherwise. */
function dropped(
  log: readonly Segment[],
  settings: RetentionSettings,
  now: number,
  logStartOffset: number,
  highWatermark: number = Number.POSITIVE_INFINITY,
): number {
  return segmentsToDrop(log, settings, { ageOf: (timestamp) => now - timestamp, logStartOffset, highWatermark })
}

const anySegments = fc
  .array(fc.tuple(fc.nat(100), fc.nat(100)), { minLength: 1, maxLength: 8 })
  .map((pairs) => segments(...pairs))
const anySettings = fc.record({
  retentionMs: fc.integer({ min: -1, max: 100 }),
  retentionBytes: fc.integer({ min: -1, max: 400 }),
})

describe('segmentsToDrop', () => {
  it('keeps everything without limits', () => {
    expect(dropped(segments([10, 1], [10, 2], [10, 3]), FOREVER, 1e15, 0)).toBe(0)
  })

  it.each([
    [31, 0],
    [30, 0],
    [29, 0],
    [21, 0],
    [20, 1],
    [11, 1],
    [10, 2],
    [1, 2],
    [0, 3],
  ])('by size: of three segments of 10 bytes, %i bytes of retention drop %i', (retentionBytes, count) => {
    expect(dropped(segments([10, 1], [10, 1], [10, 1]), { ...FOREVER, retentionBytes }, 1, 0)).toBe(count)
  })

  it.each([
    [1100, 0],
    [1101, 1],
    [1200, 1],
    [1201, 2],
    [1300, 2],
    [1301, 3],
  ])('by age: at %i, what is over 100 ms older than 1000, 1100 and 1200 makes %i go', (now, count) => {
    const log = segments([10, 1000], [10, 1100], [10, 1200])
    expect(dropped(log, { ...FOREVER, retentionMs: 100 }, now, 0)).toBe(count)
  })

  it('stops at a segment that reaches into the future, whatever comes after it', () => {
    const log = segments([10, 9e15], [10, 1], [10, 1])
    expect(dropped(log, { ...FOREVER, retentionMs: 0 }, 1000, 0)).toBe(0)
  })

  it('does not take messages without a timestamp for old ones', () => {
    expect(dropped(segments([10, -1], [10, 1]), { ...FOREVER, retentionMs: 0 }, 1000, 0)).toBe(0)
  })

  it('lets an empty sealed segment hold nothing up', () => {
    expect(dropped(segments([0, -1], [10, 1], [10, 2]), { ...FOREVER, retentionMs: 0 }, 1000, 0)).toBe(3)
  })

  it.each([
    [0, 0],
    [9, 0],
    [10, 1],
    [19, 1],
    [25, 2],
    [30, 2],
  ])('below the log start offset %i, %i of three segments go, with no limit set', (logStartOffset, count) => {
    expect(dropped(segments([10, 1], [10, 1], [10, 1]), FOREVER, 1, logStartOffset)).toBe(count)
  })

  it('counts by size what is left after the log start offset', () => {
    const log = segments([10, 1], [10, 1], [10, 1], [10, 1])
    expect(dropped(log, { ...FOREVER, retentionBytes: 30 }, 1, 10)).toBe(1)
    expect(dropped(log, { ...FOREVER, retentionBytes: 20 }, 1, 10)).toBe(2)
  })

  it('drops nothing that reaches beyond the high watermark', () => {
    const log = segments([10, 1], [10, 1], [10, 1])
    const settings = { ...FOREVER, retentionBytes: 0 }
    expect([9, 10, 19, 20].map((highWatermark) => dropped(log, settings, 1, 0, highWatermark))).toEqual([0, 1, 1, 2])
    expect([29, 30].map((highWatermark) => dropped(log, settings, 1, 0, highWatermark))).toEqual([2, 3])
  })

  it('drops an expired active segment, for which another is begun, but not an empty one', () => {
    expect(dropped(segments([10, 1]), { ...FOREVER, retentionMs: 0 }, 2, 0)).toBe(1)
    expect(dropped(segments([0, -1]), { ...FOREVER, retentionMs: 0, retentionBytes: 0 }, 2, 0)).toBe(0)
    expect(dropped(segments([10, 1]), FOREVER, 2, 10)).toBe(0)
  })

  it('never drops an empty active segment, and leaves no first segment that a rule would drop', () => {
    fc.assert(
      fc.property(anySegments, anySettings, fc.nat(200), fc.nat(100), (log, settings, now, logStartOffset) => {
        const count = dropped(log, settings, now, logStartOffset)
        expect(count).toBeGreaterThanOrEqual(0)
        expect(count).toBeLessThanOrEqual(log.length)
        if (log.at(-1)?.sizeInBytes === 0) expect(count).toBeLessThan(log.length)
        expect(dropped(log.slice(count), settings, now, logStartOffset)).toBe(0)
        const left = log.slice(count).reduce((sum, segment) => sum + segment.sizeInBytes, 0)
        const total = log.reduce((sum, segment) => sum + segment.sizeInBytes, 0)
        if (settings.retentionMs < 0 && logStartOffset < 10 && settings.retentionBytes >= 0) {
          expect(left).toBeGreaterThanOrEqual(Math.min(settings.retentionBytes, total))
        }
      }),
    )
  })
})

describe('shouldRoll', () => {
  const active: Segment = {
    baseOffset: 100,
    endOffset: 110,
    sizeInBytes: 600,
    firstTimestamp: 5000,
    maxTimestamp: 5500,
  }
  const settings = { segmentBytes: 1000, segmentMs: 1000 }
  const batch = { sizeInBytes: 400, maxTimestamp: 6000, lastOffset: 112 }

  it('is false for a batch that just fits in size, time and offset', () => {
    expect(shouldRoll(active, batch, settings)).toBe(false)
    expect(shouldRoll(active, { ...batch, lastOffset: 100 + 2 ** 31 - 1 }, settings)).toBe(false)
  })

  it.each([
    ['is one byte too large', { sizeInBytes: 401 }],
    ['is one millisecond too late', { maxTimestamp: 6001 }],
    ['ends at an offset that the index cannot hold', { lastOffset: 100 + 2 ** 31 }],
  ])('is true for a batch that %s', (_, change) => {
    expect(shouldRoll(active, { ...batch, ...change }, settings)).toBe(true)
  })

  it('counts age from the first batch of the segment, not from its latest', () => {
    const late = { ...active, firstTimestamp: 4000, maxTimestamp: 6000 }
    expect(shouldRoll(late, batch, settings)).toBe(true)
  })

  it('is false by age where the segment or the batch has no timestamp', () => {
    expect(shouldRoll({ ...active, firstTimestamp: -1 }, { ...batch, maxTimestamp: 9e15 }, settings)).toBe(false)
    expect(shouldRoll(active, { ...batch, maxTimestamp: -1 }, settings)).toBe(false)
  })

  it('lets an empty segment take a batch of any size and time, but not of any offset', () => {
    const empty: Segment = { baseOffset: 0, endOffset: 0, sizeInBytes: 0, firstTimestamp: -1, maxTimestamp: -1 }
    expect(shouldRoll(empty, { sizeInBytes: 5000, maxTimestamp: 9e15, lastOffset: 3 }, settings)).toBe(false)
    expect(shouldRoll(empty, { ...batch, lastOffset: 2 ** 31 }, settings)).toBe(true)
  })
})
