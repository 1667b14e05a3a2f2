import { expect, it } from 'vitest'
import { surviveMutations } from './mutations.js'

it('damaged batches give typed errors only, ten thousand times', () => {
  const { decoded, refused } = surviveMutations(10_000, 20_261_123)
  // Both ways must be trodden, or the generator has gone blunt.
  expect(decoded).toBeGreaterThan(1000)
  expect(refused).toBeGreaterThan(10_000)
})
