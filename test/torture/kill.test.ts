import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { bundleChild } from './bundle.js'
import { torture } from './rounds.js'

const directory = temporaryDirectories()

// The deep tests do fifty rounds, and `npm run torture -- --rounds 1000` as many as wanted.
it('a process that is killed at any moment loses nothing that it acknowledged', { timeout: 60_000 }, async () => {
  const place = directory()
  const child = bundleChild(join(place, 'child.mjs'))
  const findings = await torture({ rounds: 5, seed: Date.now() % 10_000, directory: join(place, 'data'), child })
  expect(findings).toMatchObject({ rounds: 5 })
  expect(findings.acknowledged).toBeGreaterThan(0)
})
