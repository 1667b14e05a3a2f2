import { describe, expect, it } from 'vitest'
import { failsWell } from './failing-calls.js'

// test/deep fails them all.
describe('a disk on which one call in seventy fails', { timeout: 60_000 }, () => {
  it.each([
    ['EIO', 'once', 3],
    ['ENOSPC', 'once', 7],
    ['EIO', 'from then on', 11],
  ] as const)(
    '%s, %s: an app loses nothing that was acknowledged, and can close and open again',
    async (fault, how, first) => {
      let failing = first
      while (await failsWell(failing, fault, how)) failing += 70
      expect(failing).toBeGreaterThan(100)
    },
  )
})
