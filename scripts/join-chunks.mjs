// An application loads one file of ours and what stands in it, not nine: to find and read each takes an ES module loader
// its time. esbuild makes a file of every set of modules that has the same users, and cannot be told to make fewer.
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const entries = ['index', 'testing/index', 'wire/index', 'cli/main']

const bundle = await rollup({
  input: Object.fromEntries(entries.map((name) => [name, join(dist, `${name}.js`)])),
  external: (id) => !id.startsWith('.') && !id.startsWith(dist),
  // Nothing is left out here.
  treeshake: false,
  preserveEntrySignatures: 'strict',
  onwarn: (warning) => {
    throw new Error(warning.message)
  },
})

/** What the main entry point loads at once. */
const core = new Set()
function addWithImports(id, getModuleInfo) {
  if (core.has(id) || !id.startsWith(dist)) return
  core.add(id)
  for (const imported of getModuleInfo(id).importedIds) addWithImports(imported, getModuleInfo)
}

const { output } = await bundle.generate({
  format: 'es',
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
  hoistTransitiveImports: false,
  onlyExplicitManualChunks: true,
  manualChunks: (id, { getModuleInfo }) => {
    addWithImports(join(dist, 'index.js'), getModuleInfo)
    return core.has(id) ? 'core' : undefined
  },
})

const before = await readdir(dist, { recursive: true })
const after = new Map(output.map(({ fileName, code }) => [fileName, code]))
for (const name of before) if (name.endsWith('.js') && !after.has(name)) await rm(join(dist, name))
for (const [name, code] of after) await writeFile(join(dist, name), code)
