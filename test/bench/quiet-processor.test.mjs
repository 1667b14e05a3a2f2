import { expect, it } from 'vitest'
import { QuietProcessor } from '../../bench/harness/quiet-processor.mjs'

/** A processor of which each look takes 1 ms and finds the next of these speeds, the last one for ever. */
function machineWith(speeds) {
  let time = 0
  return {
    speed: () => {
      time++
      return speeds.length > 1 ? speeds.shift() : speeds[0]
    },
    now: () => time,
    pause: async (ms) => {
      time += ms
    },
  }
}

it('waits until the processor is nearly as fast as it was', async () => {
  const processor = new QuietProcessor({ mostMs: 1000, budgetMs: 1000 }, machineWith([100, 50, 84, 86]))
  expect(await processor.wait()).toBe(1)
  // Two looks that find it slow, a pause after each, and one that does not.
  expect(await processor.wait()).toBe(43)
})

it('gives up after the longest wait, and when all waits together were long enough', async () => {
  const processor = new QuietProcessor({ mostMs: 100, budgetMs: 150 }, machineWith([100, 50]))
  await processor.wait()
  expect(await processor.wait()).toBeLessThan(130)
  expect(await processor.wait()).toBeLessThan(80)
  // One look is what it takes from then on.
  expect(await processor.wait()).toBe(1)
})

it('does work again during which the processor became slow', async () => {
  // Before the work and after it, twice.
  const machine = machineWith([100, 50, 100, 100])
  const processor = new QuietProcessor({ mostMs: 1000, budgetMs: 1000, mostTries: 5 }, machine)
  let times = 0
  const seconds = await processor.time(async () => {
    times++
    await machine.pause(times === 1 ? 30 : 7)
  })
  expect([times, seconds]).toEqual([2, 0.007])
})

it('takes what it got after the last try, and when there is no time left', async () => {
  const tries = async (limits) => {
    const machine = machineWith([100, 50])
    const processor = new QuietProcessor({ mostMs: 10, ...limits }, machine)
    await processor.wait()
    let times = 0
    await processor.time(async () => {
      times++
      await machine.pause(100)
    })
    return times
  }
  expect(await tries({ budgetMs: 10_000, mostTries: 3 })).toBe(3)
  expect(await tries({ budgetMs: 100, mostTries: 10 })).toBe(2)
})
