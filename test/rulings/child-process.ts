import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Ended {
  /** Null for a process that had to be killed. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Builds a module that imports from 'ottla' as a user gets it. Returns the file, which is there until the test ends. */
export function buildModule(source: string): string {
  const place = mkdtempSync(join(tmpdir(), 'ottla-child-'))
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  // What ottla depends on is found where the project has it.
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'))
  const script = join(place, 'script.mjs')
  writeFileSync(script, source)
  const outfile = join(place, 'bundle.mjs')
  buildSync({
    entryPoints: [script],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    alias: { ottla: join(root, 'src/index.ts'), 'ottla/testing': join(root, 'src/testing/index.ts') },
  })
  return outfile
}

/** Runs such a module in a process of its own until that ends by itself. */
export function runModule(source: string, timeoutMs = 10_000): Promise<Ended> {
  const module = buildModule(source)
  return new Promise((resolve) => {
    execFile(process.execPath, [module], { timeout: timeoutMs }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : null, stdout, stderr })
    })
  })
}
