import { expect, it } from 'vitest'
import { surviveFrameMutations } from '../protocol/frame-mutations.js'

it('damaged frames give typed errors only, a million times', { timeout: 600_000 }, () => {
  const { decoded, refused } = surviveFrameMutations(1_000_000, 9_092)
  expect(decoded).toBeGreaterThan(200_000)
  expect(refused).toBeGreaterThan(200_000)
})
