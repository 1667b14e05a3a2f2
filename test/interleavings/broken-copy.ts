import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { Outcome } from './races.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Fault {
  /** In src. */
  readonly file: string
  readonly right: string
  readonly wrong: string
}

/** The races on a copy of the sources in which one place is wrong. The sources themselves are left alone. */
export async function racesWith({ file, right, wrong }: Fault): Promise<{
  race(seed: number, order: 'seeded' | 'first in, first out'): Promise<Outcome>
}> {
  const broken = join(root, 'src', file)
  const source = readFileSync(broken, 'utf8')
  if (!source.includes(right)) throw new Error(`${file} has no "${right}" any more: say what is to be broken there`)
  const outfile = join(root, '.cache', 'interleavings', `${basename(file, '.ts')}-${Date.now()}.mjs`)
  await build({
    entryPoints: [join(root, 'test/interleavings/races.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    plugins: [
      {
        name: 'broken',
        setup: ({ onLoad }) => {
          onLoad({ filter: /\.ts$/ }, ({ path }) =>
            path === broken ? { contents: source.replace(right, wrong), loader: 'ts' } : undefined,
          )
        },
      },
    ],
  })
  return import(/* @vite-ignore */ pathToFileURL(outfile).href)
}
