import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const tsc = fileURLToPath(import.meta.resolve('typescript/bin/tsc'))

// Here rather than in front of the tests, so that the compiler, which uses one core, has company.
it('sources, tests and examples pass the compiler', { timeout: 300_000 }, async () => {
  const printed = await new Promise<string>((resolve) => {
    execFile(process.execPath, [tsc, '--pretty', 'false'], { cwd: root }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
  expect(printed).toBe('')
})
