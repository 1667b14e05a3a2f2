import type { Storage } from '../storage/storage.js'
import { registerTests } from './register-tests.js'
import { runRandomOperations } from './storage-random-operations.js'
import { appendTests, readTests } from './storage-suite-append.js'
import { placeTests, reopenTests } from './storage-suite-places.js'
import { replaceTests, segmentTests, truncateTests } from './storage-suite-segments.js'
import { type StorageTest, StorageUnderTest } from './storage-under-test.js'

/** What `storageSuite` takes. */
export interface StorageSuiteOptions {
  /** Registers a test: `test` of vitest, of node:test, or a function of yours. With a `skip`, skips are told to it. */
  test: SuiteTest
  /** A fresh, empty storage, not yet open. */
  factory: () => Storage | Promise<Storage>
  /**
   * A second storage over the place of one that was closed, or the same one if it can be opened again. What was synced
   * must be there again. Without it the tests of reopening are left out.
   */
  reopen?: ((storage: Storage) => Storage | Promise<Storage>) | undefined
  /** The names of tests to leave out, each with the reason. */
  skip?: Readonly<Record<string, string>>
  /** Of the test with random operations; a failure names it. */
  seed?: number
}

/** A function that registers a test: that of vitest, of node:test or of your own. */
export interface SuiteTest {
  (name: string, body: () => Promise<void>): unknown
  /** Registers a test that is left out; without it, nobody is told. */
  skip?: (name: string, body: () => Promise<void>) => unknown
}

/**
 * Registers the tests that every storage must pass: the sentences of `Storage` and `PartitionStorage`, one by one, and
 * a comparison with a model under random operations. Throws for a name in `skip` that no test has.
 *
 * @example
 * storageSuite({ test, factory: () => new MemoryStorage() })
 */
export function storageSuite(options: StorageSuiteOptions): void {
  const { test, factory, reopen, skip = {}, seed = 1 } = options
  const bodies = Object.entries(suiteTests(seed, reopen)).map(([name, run]): [string, () => Promise<void>] => [
    name,
    async () => {
      const place = await StorageUnderTest.open(await factory())
      try {
        await run(await place.log('orders', 0, { topicId: 'b3R0bGEtc3RvcmFnZS1zdQ', indexIntervalBytes: 512 }), place)
      } finally {
        await place.close()
      }
    },
  ])
  registerTests('storage suite', Object.fromEntries(bodies), test, skip)
}

function suiteTests(seed: number, reopen: StorageSuiteOptions['reopen']): Record<string, StorageTest> {
  return {
    ...appendTests,
    ...readTests,
    ...segmentTests,
    ...truncateTests,
    ...replaceTests,
    ...placeTests,
    'random operations leave what the model says': (log, place) => runRandomOperations(log, place, seed),
    ...(reopen === undefined ? {} : reopenTests(reopen)),
  }
}
