import fc from 'fast-check'
import { describe, it } from 'vitest'
import { disorderlyScripts, orderlyScripts, play } from './consuming-world.js'

/** Ten times as many are played in test/deep. */
const RUNS = Number(process.env.OTTLA_MODEL_RUNS ?? 100)

describe('any script of produce, join, leave, pause, fail and restart', () => {
  it('brings each message to one end in each group, in the order of its key', async () => {
    await fc.assert(
      fc.asyncProperty(orderlyScripts, (steps) => play(steps, true)),
      { numRuns: RUNS },
    )
  })

  it('brings each message to an end in each group when members also stop, hang, crash and seek', async () => {
    await fc.assert(
      fc.asyncProperty(disorderlyScripts, (steps) => play(steps, false)),
      { numRuns: RUNS },
    )
  })
})
