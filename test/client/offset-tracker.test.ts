import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OffsetTracker } from '../../src/client/offset-tracker.js'

describe('OffsetTracker', () => {
  it('says the position while nothing is under way', () => {
    expect(new OffsetTracker().committable(7)).toBe(7)
  })

  it('stops at the first message that is not done', () => {
    const tracker = new OffsetTracker()
    for (const offset of [10, 11, 12, 13]) tracker.deliver(offset)
    for (const offset of [11, 13]) tracker.done(offset)
    expect(tracker.committable(14)).toBe(10)
    tracker.done(10)
    expect(tracker.committable(14)).toBe(12)
    tracker.done(12)
    expect(tracker.committable(14)).toBe(14)
  })

  it('steps over gaps between delivered messages', () => {
    const tracker = new OffsetTracker()
    for (const offset of [3, 9]) tracker.deliver(offset)
    tracker.done(3)
    expect(tracker.committable(10)).toBe(9)
    tracker.done(9)
    expect(tracker.committable(20)).toBe(20)
  })

  it('is the contiguous prefix of delivered messages, whatever the order in which they are done', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(4), { minLength: 1, maxLength: 3000 }),
        fc.infiniteStream(fc.nat()),
        (gaps, picks) => {
          const tracker = new OffsetTracker()
          const open: number[] = []
          let position = 0
          for (const gap of gaps) {
            const offset = position + gap
            tracker.deliver(offset)
            open.push(offset)
            position = offset + 1
            while (open.length > 0 && (picks.next().value as number) % 2 === 0) {
              const [offset] = open.splice((picks.next().value as number) % open.length, 1)
              tracker.done(offset as number)
            }
            expect(tracker.committable(position)).toBe(open.length === 0 ? position : Math.min(...open))
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  it('spans what was delivered from the oldest that is not done', () => {
    const tracker = new OffsetTracker()
    for (const offset of [10, 11, 12]) tracker.deliver(offset)
    tracker.done(11)
    expect(tracker.span).toBe(3)
    tracker.done(10)
    expect(tracker.span).toBe(1)
  })
})
