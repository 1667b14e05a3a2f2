import { expect, it } from 'vitest'
import { surviveOverConnections } from './connection-mutations.js'

it('a broker outlives six hundred damaged requests of real clients, one by one', async () => {
  const { answered, closed, reasons } = await surviveOverConnections(600, 20_261_127)
  // Both ways must be trodden, or the generator has gone blunt.
  expect(answered).toBeGreaterThan(120)
  expect(closed).toBeGreaterThan(120)
  expect([...reasons].filter((reason) => !/cannot be read at byte|is not spoken here/.test(reason))).toEqual([])
})
