import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type CompactionSettings,
  type CompactionState,
  cleanableRange,
  groupSegments,
  isDue,
  isRetained,
} from '../../src/log/compaction.js'
import type { Segment } from '../../src/storage/storage.js'
import { batch } from './compacting.js'

const SETTINGS: CompactionSettings = {
  segmentBytes: 100,
  minCleanableDirtyRatio: 0.5,
  deleteRetentionMs: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 2 ** 63,
}
const NOW = 10_000
const STATE: CompactionState = {
  cleanedTo: undefined,
  logStartOffset: 0,
  lastStableOffset: Number.POSITIVE_INFINITY,
  ageOf: (timestamp) => NOW - timestamp,
}

/** Segments of ten offsets each, by their size and their time, which is that of all that is in them. */
function segments(...sizesAndTimes: readonly (readonly [sizeInBytes: number, timestamp?: number])[]): Segment[] {
  return sizesAndTimes.map(([sizeInBytes, timestamp = 1], index) => ({
    baseOffset: index * 10,
    endOffset: index * 10 + 10,
    sizeInBytes,
    firstTimestamp: timestamp,
    maxTimestamp: timestamp,
  }))
}

describe('cleanableRange', () => {
  const log = segments([10], [10], [20], [10])

  it('is all but the active segment of a log that was never compacted', () => {
    expect(cleanableRange(log, SETTINGS, STATE)).toMatchObject({
      firstDirtyOffset: 0,
      firstUncleanableOffset: 30,
      dirtyBytes: 40,
      dirtyRatio: 1,
    })
    expect(cleanableRange(segments([10]), SETTINGS, STATE)).toMatchObject({ firstUncleanableOffset: 0, dirtyRatio: 0 })
  })

  it.each([
    [10, 30, 0.75],
    [20, 20, 0.5],
    [30, 0, 0],
  ])('counts as clean what was compacted before: up to %i, %i bytes are dirty', (cleanedTo, dirtyBytes, dirtyRatio) => {
    const range = cleanableRange(log, SETTINGS, { ...STATE, cleanedTo })
    expect(range).toMatchObject({ firstDirtyOffset: cleanedTo, dirtyBytes, dirtyRatio })
    expect(isDue(range, SETTINGS)).toBe(dirtyRatio > 0.5)
  })

  it('begins at the log start where the log is shorter than it was, or was cut from below', () => {
    expect(cleanableRange(log, SETTINGS, { ...STATE, cleanedTo: 41 }).firstDirtyOffset).toBe(0)
    expect(cleanableRange(log, SETTINGS, { ...STATE, cleanedTo: 10, logStartOffset: 15 }).firstDirtyOffset).toBe(15)
  })

  it.each([
    [30, 30],
    [29, 20],
    [9, 0],
  ])('ends before a segment that reaches beyond the stable offset %i: at %i', (lastStableOffset, end) => {
    expect(cleanableRange(log, SETTINGS, { ...STATE, lastStableOffset }).firstUncleanableOffset).toBe(end)
  })

  it('ends before a dirty segment that is younger than minCompactionLagMs', () => {
    const young = segments([10, 1], [10, NOW - 99], [10, 1], [10])
    const settings = { ...SETTINGS, minCompactionLagMs: 100 }
    expect(cleanableRange(young, settings, STATE).firstUncleanableOffset).toBe(10)
    expect(cleanableRange(young, settings, { ...STATE, cleanedTo: 20 }).firstUncleanableOffset).toBe(30)
  })

  it('is due whatever the ratio once its oldest dirty segment has waited for maxCompactionLagMs', () => {
    const old = segments([90, 1], [10, NOW - 100], [10])
    for (const [maxCompactionLagMs, due] of [
      [100, false],
      [99, true],
    ] as const) {
      const settings = { ...SETTINGS, maxCompactionLagMs }
      expect(isDue(cleanableRange(old, settings, { ...STATE, cleanedTo: 10 }), settings)).toBe(due)
    }
  })
})

describe('groupSegments', () => {
  it('puts neighbours together that fit segmentBytes, and leaves what lies behind the end alone', () => {
    const log = segments([60], [40], [1], [0], [100], [5], [10])
    const bases = groupSegments(log, 100, 55).map((group) => group.map(({ baseOffset }) => baseOffset))
    expect(bases).toEqual([[0, 10], [20, 30], [40], [50]])
  })

  it('puts no offsets together that an index cannot tell apart', () => {
    const [first, second] = segments([1], [1])
    if (first === undefined || second === undefined) throw new Error('no segments')
    const far = { ...second, baseOffset: 2 ** 31 - 10, endOffset: 2 ** 31 }
    expect(groupSegments([first, far], 100, 2 ** 40)).toHaveLength(1)
    expect(groupSegments([first, { ...far, endOffset: 2 ** 31 + 1 }], 100, 2 ** 40)).toHaveLength(2)
  })

  it('loses no segment, keeps their order and never makes one larger than both the limit and what was there', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(150), { maxLength: 20 }), fc.nat(200), (sizes, endOffset) => {
        const log = segments(...sizes.map((size) => [size] as const))
        const groups = groupSegments(log, 100, endOffset)
        expect(groups.flat()).toEqual(log.filter(({ baseOffset }) => baseOffset < endOffset))
        for (const group of groups) {
          const size = group.reduce((sum, segment) => sum + segment.sizeInBytes, 0)
          expect(size <= 100 || group.length === 1).toBe(true)
        }
      }),
    )
  })
})

describe('isRetained', () => {
  const rules = {
    latestOffsetOf: (key: Uint8Array) => (key.length === 1 ? 5 : -1),
    lookedTo: 8,
    ageOf: STATE.ageOf,
    deleteRetentionMs: 0,
  }

  it.each([
    ['the newest value of its key', 5, 'a', 'x', true],
    ['an older one', 4, 'a', 'x', false],
    ['the only one', 3, 'only', 'x', true],
    ['a tombstone that is new', 5, 'a', null, true],
    ['a record without a key', 5, null, 'x', false],
    ['a record without a key that was not looked at', 9, null, 'x', true],
  ] as const)('of %s', (_, offset, key, value, expected) => {
    const encoded = batch(1, [[key, value]])
    encoded.assignOffsets(offset, 0)
    const records = encoded.records()
    records.next()
    expect(isRetained(records, false, rules)).toBe(expected)
    const isTombstone = value === null
    expect(isRetained(records, true, rules)).toBe(expected && !isTombstone)
  })

  it('of a tombstone that was not looked at, though its time is over', () => {
    const encoded = batch(1, [['a', null]])
    encoded.assignOffsets(9, 0)
    const records = encoded.records()
    records.next()
    expect(isRetained(records, true, rules)).toBe(true)
  })
})
