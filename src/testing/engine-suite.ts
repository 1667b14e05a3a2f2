import type { Engine } from '../engine/engine.js'
import { closeTests } from './engine-suite-close.js'
import { commitTests } from './engine-suite-commits.js'
import { configTests } from './engine-suite-configs.js'
import { fetchTests } from './engine-suite-fetch.js'
import { groupTests } from './engine-suite-groups.js'
import { offsetTests } from './engine-suite-offsets.js'
import { produceTests } from './engine-suite-produce.js'
import { staticMemberTests } from './engine-suite-static-members.js'
import { topicTests } from './engine-suite-topics.js'
import { type EngineTest, EngineUnderTest } from './engine-under-test.js'
import { registerTests } from './register-tests.js'
import type { SuiteTest } from './storage-suite.js'

/** What `engineSuite` takes. */
export interface EngineSuiteOptions {
  /** Registers a test: `test` of vitest, of node:test, or a function of yours. With a `skip`, skips are told to it. */
  test: SuiteTest
  /** An open engine on the machine's own clock: a new one, or one that the tests share, since each uses new names. */
  factory: () => Engine | Promise<Engine>
  /**
   * Called after each test, whether it passed or not. By default it closes the engine: give your own to share one. The
   * tests that close the engine themselves are then skipped.
   */
  dispose?: (engine: Engine) => unknown
  /** The names of tests to leave out, each with the reason. */
  skip?: Readonly<Record<string, string>>
}

/**
 * Registers the tests that every engine must pass: Kafka's answers to each verb, with Kafka's error numbers. Apache
 * Kafka 4.2 passes it. Throws for a name in `skip` that no test has.
 *
 * @example
 * engineSuite({ test, factory: () => EmbeddedEngine.open({ storage: new MemoryStorage(), clock, settings }) })
 */
export function engineSuite(options: EngineSuiteOptions): void {
  const { test, factory, dispose = (engine: Engine) => engine.close(), skip = {} } = options
  const bodies = Object.entries(TESTS).map(([name, run]): [string, () => Promise<void>] => [
    name,
    async () => {
      const engine = await factory()
      try {
        await run(new EngineUnderTest(engine))
      } finally {
        await dispose(engine)
      }
    },
  ])
  const reasons = options.dispose === undefined ? skip : { ...NOT_OURS_TO_CLOSE, ...skip }
  registerTests('engine suite', Object.fromEntries(bodies), test, reasons)
}

const TESTS: Readonly<Record<string, EngineTest>> = {
  ...topicTests,
  ...configTests,
  ...produceTests,
  ...fetchTests,
  ...offsetTests,
  ...groupTests,
  ...staticMemberTests,
  ...commitTests,
  ...closeTests,
}

const NOT_OURS_TO_CLOSE: Readonly<Record<string, string>> = Object.fromEntries(
  Object.keys(closeTests).map((name) => [name, 'the engine is not this test’s alone']),
)
