import { describe, expect, it } from 'vitest'
import { flatMemory } from '../rulings/flat-memory.js'

describe('memory', () => {
  it('stays flat with a handler that sleeps, while a producer writes half a gibibyte to files', async () => {
    const { wroteBytes, most } = await flatMemory(2 ** 29)
    expect(wroteBytes).toBeGreaterThanOrEqual(2 ** 29)
    // The same bound as for a tenth of it, in the unit tests.
    expect(most).toBeLessThan(24 * 2 ** 20)
  })
})
