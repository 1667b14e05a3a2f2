import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/testing/manual-clock.js'

describe('ManualClock', () => {
  it('stands still until it is advanced, and moves both clocks', async () => {
    const clock = new ManualClock({ now: 1_000 })
    expect([clock.now(), clock.monotonic(), clock.manual]).toEqual([1_000, 0, true])
    await clock.nextTurn()
    expect(clock.now()).toBe(1_000)
    await clock.advance(250)
    expect([clock.now(), clock.monotonic()]).toEqual([1_250, 250])
  })

  it('fires what is due in the order of time, each at its own moment', async () => {
    const clock = new ManualClock()
    const fired: string[] = []
    const note = (name: string) => () => fired.push(`${name} at ${clock.monotonic()}`)
    clock.schedule(note('late'), 30)
    clock.schedule(note('early'), 10)
    clock.schedule(note('early too'), 10)
    clock.schedule(note('beyond'), 31)
    await clock.advance(30)
    expect(fired).toEqual(['early at 10', 'early too at 10', 'late at 30'])
    expect(clock.pendingTimers).toBe(1)
  })

  it('fires timers that are set on the way', async () => {
    const clock = new ManualClock()
    const fired: number[] = []
    const again = (): void => {
      fired.push(clock.monotonic())
      clock.schedule(again, 10)
    }
    clock.schedule(again, 10)
    await clock.advance(35)
    expect(fired).toEqual([10, 20, 30])
  })

  it('lets work go on for several turns between two timers', async () => {
    const clock = new ManualClock()
    const seen: string[] = []
    const work = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn++) await clock.nextTurn()
      seen.push(`worked at ${clock.monotonic()}`)
    }
    clock.schedule(() => void work(), 10)
    clock.schedule(() => seen.push('next timer'), 20)
    await clock.advance(20)
    expect(seen).toEqual(['worked at 10', 'next timer'])
  })

  it('does not wait for work that is blocked', async () => {
    const clock = new ManualClock()
    clock.schedule(() => void new Promise(() => {}), 10)
    await clock.advance(20)
    expect(clock.monotonic()).toBe(20)
  })

  it('does not fire what was cancelled', async () => {
    const clock = new ManualClock()
    let fired = false
    const cancel = clock.schedule(() => {
      fired = true
    }, 10)
    cancel()
    cancel()
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(20)
    expect(fired).toBe(false)
  })

  it('adds up advances that are made at once', async () => {
    const clock = new ManualClock()
    await Promise.all([clock.advance(10), clock.advance(5)])
    expect(clock.monotonic()).toBe(15)
  })

  it('rejects with what a timer threw, and goes on afterwards', async () => {
    const clock = new ManualClock()
    clock.schedule(() => {
      throw new Error('from a timer')
    }, 10)
    await expect(clock.advance(20)).rejects.toThrow('from a timer')
    await clock.advance(20)
    expect(clock.monotonic()).toBe(30)
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to advance by %s', async (ms) => {
    await expect(new ManualClock().advance(ms)).rejects.toMatchObject({ code: 'OTTLA_INVALID_ARGUMENT' })
  })
})
