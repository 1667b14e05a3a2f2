import fc from 'fast-check'
import { describe, it } from 'vitest'
import { disorderlyScripts, orderlyScripts, play } from '../client/consuming-world.js'

const RUNS = Number(process.env.OTTLA_MODEL_RUNS ?? 1_500)

describe('many scripts of produce, join, leave, pause, fail and restart', () => {
  it('bring each message to one end in each group, in the order of its key', async () => {
    await fc.assert(
      fc.asyncProperty(orderlyScripts, (steps) => play(steps, true)),
      { numRuns: RUNS },
    )
  })

  it('bring each message to an end in each group when members also stop, hang, crash and seek', async () => {
    await fc.assert(
      fc.asyncProperty(disorderlyScripts, (steps) => play(steps, false)),
      { numRuns: RUNS },
    )
  })
})
