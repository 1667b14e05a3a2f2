import { expect, it } from 'vitest'
import { failsWell } from '../crashes/failing-calls.js'

it.each([
  ['EIO', 'once', 2],
  ['ENOSPC', 'once', 3],
  ['EMFILE', 'once', 5],
  [{ bytes: 20 }, 'once', 5],
  ['EIO', 'from then on', 5],
  ['ENOSPC', 'from then on', 5],
] as const)(
  'an app loses nothing that was acknowledged when any call fails: %j, %s, one call in %i',
  async (fault, how, step) => {
    let failing = 0
    while (await failsWell(failing, fault, how)) failing += step
    console.log(`${JSON.stringify(fault)}, ${how}: ${Math.ceil(failing / step)} calls failed, one by one`)
    expect(failing).toBeGreaterThan(100)
  },
)
