import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RunningTime } from '../../src/log/running-time.js'
import { ManualClock } from '../../src/testing/manual-clock.js'

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS

describe('ageOf', () => {
  it('is what the wall clock says while it and the broker run', async () => {
    const clock = new ManualClock({ now: 1000 })
    const time = new RunningTime(clock)
    await clock.advance(DAY_MS)
    time.look()
    expect([time.ageOf(1000), time.ageOf(1000 + DAY_MS), time.ageOf(2000 + DAY_MS)]).toEqual([DAY_MS, 0, -1000])
  })

  it('does not grow when the clock is set forward, and grows again from there', async () => {
    const clock = new ManualClock({ now: YEAR_MS })
    const time = new RunningTime(clock)
    await clock.advance(1000)
    clock.setWall(clock.now() + YEAR_MS)
    time.look()
    expect(time.ageOf(YEAR_MS)).toBe(1000)
    expect(time.ageOf(clock.now())).toBe(0)
    await clock.advance(500)
    expect([time.ageOf(YEAR_MS), time.ageOf(2 * YEAR_MS + 1000)]).toEqual([1500, 500])
  })

  it('is less when the clock was set back, never more', async () => {
    const clock = new ManualClock({ now: 2 * YEAR_MS })
    const time = new RunningTime(clock)
    clock.setWall(YEAR_MS)
    time.look()
    expect([time.ageOf(2 * YEAR_MS), time.ageOf(YEAR_MS)]).toEqual([-YEAR_MS, 0])
  })

  it('leaves out the time for which the broker was closed, at every later opening', () => {
    const clock = new ManualClock({ now: 0 })
    let kept = new RunningTime(clock).kept()
    for (let opening = 0; opening < 3; opening++) {
      clock.setWall(clock.now() + YEAR_MS)
      kept = new RunningTime(clock, kept).kept()
    }
    const time = new RunningTime(clock, kept)
    expect([time.ageOf(0), time.ageOf(YEAR_MS + 1), time.ageOf(3 * YEAR_MS)]).toEqual([0, 0, 0])
  })

  it('holds however often the broker is closed, and never says more than the time in which it ran', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ runsMs: fc.nat(DAY_MS), pausesMs: fc.nat(YEAR_MS) }), { maxLength: 700, minLength: 490 }),
        async (openings) => {
          const clock = new ManualClock({ now: YEAR_MS })
          let kept = { at: YEAR_MS, pauses: [] as { after: number; ms: number }[] }
          let ranMs = 0
          for (const { runsMs, pausesMs } of openings) {
            const time = new RunningTime(clock, kept)
            await clock.advance(runsMs)
            ranMs += runsMs
            kept = { ...time.kept(), pauses: [...time.kept().pauses] }
            expect(time.ageOf(YEAR_MS)).toBeLessThanOrEqual(ranMs + 60_000 * openings.length)
            clock.setWall(clock.now() + pausesMs)
          }
          expect(kept.pauses.length).toBeLessThanOrEqual(500)
        },
      ),
      { numRuns: 5 },
    )
  })
})
