import type { Options } from 'tsup'
import packageConfig from '../tsup.config.js'

/**
 * The modules that are measured by themselves, built as the package is: what esbuild makes of a module's constants can
 * halve the speed of its code, so what is measured must be what ships.
 */
const config: Options = {
  ...packageConfig,
  entry: {
    crc32c: 'src/record/crc32c.ts',
    'encoded-batch': 'src/record/encoded-batch.ts',
    'record-batch-builder': 'src/record/record-batch-builder.ts',
  },
  outDir: 'bench/.cache/modules',
  format: ['esm'],
  dts: false,
  // What is done to the package afterwards is not for these.
  onSuccess: async () => {},
}

export default config
