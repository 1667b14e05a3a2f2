import { describe, expect, it } from 'vitest'
import { EVERY_BIT, flipBits, killedWithTail, threeSegments } from '../storage/file/bit-flips.js'

describe('every bit of every byte of every file', () => {
  it.each([
    ['after a clean close', threeSegments, 0],
    ['after a crash', killedWithTail, 3000],
  ] as const)('%s is caught or harmless, or cut behind the durable mark', async (name, make, mostCut) => {
    const { tried, failures, cut, caught, harmless } = await flipBits(await make(), () => EVERY_BIT)
    console.log(`${name}: ${tried} flips, caught ${JSON.stringify([...caught])}, harmless ${harmless}, cut ${cut}`)
    expect(failures).toEqual([])
    expect(cut).toBeLessThanOrEqual(mostCut)
  })
})
