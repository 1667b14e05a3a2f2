import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crashesOf } from './crash-search.js'
import { EVERY_STEP, randomSteps } from './crash-workload.js'

// test/deep does more of them, and 'interval' too. Many disks are opened, which takes its time on a machine that is busy.
describe('a power cut', { timeout: 60_000 }, () => {
  it('after any call of any step leaves what was synced, in every way that it may leave the rest', async () => {
    const { failures, checked } = await crashesOf(EVERY_STEP, { seed: 1, random: 1, limit: 3 })
    expect(failures).toEqual([])
    expect(checked).toBeGreaterThan(400)
  })

  it("with durability 'os' takes an end of a log, and no middle", async () => {
    const { failures } = await crashesOf(EVERY_STEP, { seed: 2, random: 1, limit: 2, durability: 'os' })
    expect(failures).toEqual([])
  })

  it('loses nothing that was synced in random workloads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async (seed) => {
        const { failures } = await crashesOf(randomSteps(seed, 15), { seed, random: 1, limit: 3 })
        expect(failures).toEqual([])
      }),
      { numRuns: 2 },
    )
  })
})
