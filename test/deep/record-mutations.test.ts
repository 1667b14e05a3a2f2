import { expect, it } from 'vitest'
import { surviveMutations } from '../record/mutations.js'

it('damaged batches give typed errors only, a million times', { timeout: 600_000 }, () => {
  const { decoded, refused } = surviveMutations(1_000_000, 4_711)
  expect(decoded).toBeGreaterThan(100_000)
  expect(refused).toBeGreaterThan(1_000_000)
})
