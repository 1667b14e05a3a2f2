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
