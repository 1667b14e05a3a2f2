import fc from 'fast-check'
import { expect, it } from 'vitest'
import { brokerCrashes } from '../crashes/search.js'

it('a power cut at any call of a long run leaves messages, topics and committed offsets as an app may rely on them', async () => {
  let total = 0
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async (seed) => {
      const { failures, checked } = await brokerCrashes(seed, { steps: 25, limit: 4 })
      total += checked
      expect(failures).toEqual([])
    }),
    { numRuns: 10 },
  )
  console.log(`brokers: ${total} crash states`)
})
