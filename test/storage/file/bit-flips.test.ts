import { describe, expect, it } from 'vitest'
import { flipBits, killedWithTail, threeSegments } from './bit-flips.js'

// Every bit of every byte is for the deep tests; here every third byte loses one.
const bitOf = (byte: number): number[] => (byte % 3 === 0 ? [(byte / 3) % 8] : [])

describe('a flipped bit', { timeout: 60_000 }, () => {
  it('after a clean close is caught or harmless, all over every file', async () => {
    const { tried, failures, cut, caught, harmless } = await flipBits(await threeSegments(), bitOf)
    expect(failures).toEqual([])
    expect(cut).toBe(0)
    expect(Array.from(caught.values()).reduce((sum, count) => sum + count, 0) + harmless).toBe(tried)
    expect(caught.get('OTTLA_CORRUPTION')).toBeGreaterThan(166)
  })

  it('after a crash is caught, harmless, or behind the durable mark, where it is cut and reported', async () => {
    const { failures, cut, caught } = await flipBits(await killedWithTail(), bitOf)
    expect(failures).toEqual([])
    expect(caught.get('OTTLA_CORRUPTION')).toBeGreaterThan(166)
    // The one batch that the mark did not reach yet.
    expect(cut).toBeGreaterThan(16)
    expect(cut).toBeLessThan(67)
  })
})
