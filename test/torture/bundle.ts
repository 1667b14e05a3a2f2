import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Bundles the process that is to be killed into `outfile`, with the sources of ottla. */
export function bundleChild(outfile: string): string {
  buildSync({
    entryPoints: [join(root, 'test/torture/child.ts')],
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
