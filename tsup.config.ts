import type { Options } from 'tsup'

/**
 * The public types speak of AbortSignal and AsyncDisposable, which neither lib es2022 nor an empty `types` knows. What
 * is declared here merges with the declarations of lib.dom and @types/node where those are loaded.
 */
const ambientTypes = {
  banner: '/// <reference lib="esnext.disposable" />',
  footer: 'declare global {\n  interface AbortSignal {\n    readonly aborted: boolean\n  }\n}',
}

/**
 * Under isolatedDeclarations each file says its types itself, and `npm run typecheck` checks them: to emit them takes of
 * all libraries only the well-known symbols, as names of members. It is a third of the work.
 */
const declarationsAlone = {
  noCheck: true,
  lib: ['es5', 'es2018.asynciterable', 'esnext.disposable'],
  types: [],
}

/** esbuild calls a class that names itself `_Broker`: a user who prints a broker should read `Broker`. */
const classNames: NonNullable<Options['plugins']>[number] = {
  name: 'class-names',
  renderChunk(code) {
    const renamed = /^var (\w+) = class _\1\b/gm
    const names = [...code.matchAll(renamed)].map(([, name]) => name ?? '')
    return { code: names.reduce((text, name) => text.replace(new RegExp(`\\b_${name}\\b`, 'g'), name), code) }
  },
}

const config: Options = {
  entry: {
    index: 'src/index.ts',
    'testing/index': 'src/testing/index.ts',
    'wire/index': 'src/wire/index.ts',
    'cli/main': 'src/cli/main.ts',
  },
  format: ['esm', 'cjs'],
  target: 'node20',
  dts: { ...ambientTypes, compilerOptions: declarationsAlone },
  // The entry points of one format share their modules, so that no module of ottla is loaded twice.
  splitting: true,
  // Rollup turns the shared modules into CommonJS as they are. Without it tsup's own way rewrites `?.` and class fields.
  treeshake: true,
  plugins: [classNames],
  onSuccess: 'node scripts/join-chunks.mjs',
  removeNodeProtocol: false,
  clean: true,
  silent: true,
}

export default config
