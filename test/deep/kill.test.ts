import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { bundleChild } from '../torture/bundle.js'
import { torture } from '../torture/rounds.js'

const directory = temporaryDirectories()

it('a process that is killed fifty times loses nothing that it acknowledged', async () => {
  const place = directory()
  const child = bundleChild(join(place, 'child.mjs'))
  const findings = await torture({ rounds: 50, seed: Date.now() % 10_000, directory: join(place, 'data'), child })
  console.log(findings)
  expect(findings.rounds).toBe(50)
})
