import { expect, it } from 'vitest'
import { surviveOverConnections } from '../wire/connection-mutations.js'

/** The last measure of the memory against the first, which comes after a tenth of the frames. */
const MOST_GROWTH = 1.25

it('a broker outlives a hundred thousand damaged requests of real clients, and its memory does not grow', async () => {
  const frames = Number(process.env.OTTLA_DAMAGED_FRAMES ?? 100_000)
  const { answered, closed, left, curve } = await surviveOverConnections(
    frames,
    Number(process.env.OTTLA_SEED ?? 9_092),
  )
  console.log(`${frames} damaged frames: ${answered} answers, ${closed} connections closed, ${left} left waiting`)
  console.log(`living bytes after each tenth: ${curve.map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`).join(', ')}`)
  expect(answered).toBeGreaterThan(frames / 5)
  expect(closed).toBeGreaterThan(frames / 5)
  expect((curve.at(-1) ?? 0) / (curve[0] ?? 1)).toBeLessThan(MOST_GROWTH)
})
