import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { ViteUserConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Where .ci/run collects a report of each run; unset for people. */
const reportDirectory = process.env.OTTLA_TEST_REPORTS

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The compiler and npm take longest: begun last they would keep one core waiting for them at the end. */
class PackageFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isOfPackage = ({ project }: TestSpecification): boolean => project.name === 'package'
    return [...sorted.filter(isOfPackage), ...sorted.filter((file) => !isOfPackage(file))]
  }
}

const config: ViteUserConfig = {
  resolve: {
    // Tests and snippets import the package by its name and get the sources.
    alias: [
      { find: /^ottla$/, replacement: source('src/index.ts') },
      { find: /^ottla\/testing$/, replacement: source('src/testing/index.ts') },
      { find: /^ottla\/wire$/, replacement: source('src/wire/index.ts') },
    ],
  },
  test: {
    setupFiles: ['test/compare-bytes.ts'],
    // One more than can run: at any time one waits for a disk, a process that starts or a time that passes.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: PackageFirst },
    reporters: reportDirectory
      ? ['default', ['json', { outputFile: `${reportDirectory}/${process.pid}.json` }]]
      : ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts', 'test/bench/*.test.mjs'],
          exclude: ['test/deep/**', 'test/package/**'],
          testTimeout: 20_000,
          hookTimeout: 20_000,
          // None mocks a module or leaves anything behind, and to load the package for each file takes a quarter of the time.
          isolate: false,
        },
      },
      {
        extends: true,
        test: { name: 'package', include: ['test/package/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 180_000 },
      },
      {
        extends: true,
        // A hook too: to remove what ten thousand topics left takes as long as the disk takes.
        test: { name: 'deep', include: ['test/deep/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 600_000 },
      },
    ],
  },
}

export default config
