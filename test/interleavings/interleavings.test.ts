import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Fault, racesWith } from './broken-copy.js'
import { race } from './races.js'

/** Seeds that once found that `idle` took a member for settled while the group had begun the next rebalance. */
const FOUND = [1673374639, 2091343331]
const RUNS = Number(process.env.OTTLA_INTERLEAVING_RUNS ?? 150)

describe('members that join and leave in order, whatever continues first', () => {
  it('handle each message once, and no partition is with two of them', async () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 })
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        expect((await race(seed, 'seeded')).violations).toEqual([])
      }),
      { numRuns: RUNS, examples: FOUND.map((seed) => [seed]) },
    )
  })

  it('do so again from the same seed, and otherwise from another', async () => {
    const { trace } = await race(7, 'seeded')
    expect(trace.length).toBeGreaterThan(50)
    expect((await race(7, 'seeded')).trace).toEqual(trace)
    expect((await race(7, 'first in, first out')).trace).not.toEqual(trace)
  })
})

const faults: Record<string, Fault> = {
  'passes a partition on before its commit is written': {
    file: 'client/held-partitions.ts',
    right: 'const isCommitted = await committer.commitDone(loops)',
    wrong: 'void committer.commitDone(loops); const isCommitted = true; for (let n = 0; n < 5; n++) await null',
  },
}

describe.each(Object.entries(faults))('a member that %s', (_, fault) => {
  it('is found out by some order, and never by that of a queue', async () => {
    const broken = await racesWith(fault)
    let found = 0
    for (let seed = 0; seed < 40; seed++) {
      expect((await broken.race(seed, 'first in, first out')).violations).toEqual([])
      found += (await broken.race(seed, 'seeded')).violations.length > 0 ? 1 : 0
    }
    expect(found).toBeGreaterThan(0)
  })
})
