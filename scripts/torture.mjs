// Kills a process that writes, again and again over one directory, and checks after each time that what it acknowledged
// is there: npm run torture -- --rounds 1000 [--seed 1]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const place = mkdtempSync(join(tmpdir(), 'ottla-torture-build-'))
const bundle = (name) => {
  const outfile = join(place, `${name}.mjs`)
  buildSync({
    entryPoints: [join(root, `test/torture/${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    alias: { ottla: join(root, 'src/index.ts') },
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  })
  return outfile
}
const { status } = spawnSync(process.execPath, [bundle('main'), '--child', bundle('child'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
rmSync(place, { recursive: true })
process.exitCode = status ?? 1
