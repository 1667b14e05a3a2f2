import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DiskCall } from '../../src/testing/simulated-file-system.js'
import { brokerCrashes } from './search.js'

// test/deep does more and longer ones. Many disks are opened, which takes its time on a machine that is busy.
describe('a power cut at any call', { timeout: 60_000 }, () => {
  it('leaves messages, topics and committed offsets as an app may rely on them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async (seed) => {
        expect((await brokerCrashes(seed, { steps: 6, limit: 1 })).failures).toEqual([])
      }),
      { numRuns: 1 },
    )
  })

  it.each([
    ['of a log', '.log'],
    ['of the committed offsets', '__consumer_offsets-0/00000000000000000000.log'],
  ])('is noticed where the disk lies about syncs %s', async (_, suffix) => {
    const mutation = ({ act, path }: DiskCall) =>
      act === 'dataSync' && path.endsWith(suffix) ? { lies: true as const } : undefined
    expect((await brokerCrashes(8, { steps: 8, limit: 1, mutation })).failures.length).toBeGreaterThan(0)
  })
})
