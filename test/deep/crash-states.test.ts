import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crashesOf } from '../storage/file/crash-search.js'
import { EVERY_STEP, randomSteps } from '../storage/file/crash-workload.js'

describe('a power cut', () => {
  it.each(['fsync', 'interval', 'os'] as const)(
    "with durability '%s' leaves what was synced, after any call and in every way",
    async (durability) => {
      for (const seed of [1, 2, 3]) {
        const { failures, checked } = await crashesOf(EVERY_STEP, { seed, random: 6, durability })
        expect(failures).toEqual([])
        console.log(`durability ${durability}, seed ${seed}: ${checked} crash states`)
      }
    },
  )

  it('loses nothing that was synced in random workloads', async () => {
    let total = 0
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async (seed) => {
        const { failures, checked } = await crashesOf(randomSteps(seed, 25), { seed, random: 4, limit: 8 })
        total += checked
        expect(failures).toEqual([])
      }),
      { numRuns: 60 },
    )
    console.log(`random workloads: ${total} crash states`)
  })
})
