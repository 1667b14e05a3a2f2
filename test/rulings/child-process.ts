import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync, type OutputFile } from 'esbuild'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Ended {
  /** Null for a process that had to be killed. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What the tests of one worker share: to bundle the sources takes a third of a second. */
let bundled: readonly OutputFile[] | undefined

function bundle(): readonly OutputFile[] {
  bundled ??= buildSync({
    entryPoints: { index: join(root, 'src/index.ts'), testing: join(root, 'src/testing/index.ts') },
    outdir: root,
    write: false,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  }).outputFiles
  return bundled
}

/** Writes a module that imports from 'ottla' as a user gets it. Returns the file, which is there until the test ends. */
export function buildModule(source: string): string {
  const place = mkdtempSync(join(tmpdir(), 'ottla-child-'))
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  // What ottla depends on is found where the project has it, and ottla itself by the name of the package it is part of.
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'))
  const exports = { '.': './index.js', './testing': './testing.js' }
  writeFileSync(join(place, 'package.json'), JSON.stringify({ name: 'ottla', type: 'module', exports }))
  for (const { path, contents } of bundle()) writeFileSync(join(place, basename(path)), contents)
  const script = join(place, 'script.js')
  writeFileSync(script, source)
  return script
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
