import { expect, it } from 'vitest'
import { surviveFrameMutations } from './frame-mutations.js'

it('damaged frames give typed errors only, twenty thousand times', () => {
  const { decoded, refused } = surviveFrameMutations(20_000, 20_261_126)
  // Both ways must be trodden, or the generator has gone blunt.
  expect(decoded).toBeGreaterThan(4_000)
  expect(refused).toBeGreaterThan(4_000)
})
