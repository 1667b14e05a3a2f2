import { check } from './expect.js'
import type { SuiteTest } from './storage-suite.js'

/** Registers each test of a suite. Throws for a name in `skip` that no test has; a skip is told with its reason. */
export function registerTests(
  suite: string,
  tests: Readonly<Record<string, () => Promise<void>>>,
  test: SuiteTest,
  skip: Readonly<Record<string, string>>,
): void {
  for (const name of Object.keys(skip)) {
    check(name in tests, `The ${suite} has no test "${name}" to skip. It has: ${Object.keys(tests).join('; ')}.`)
  }
  for (const [name, body] of Object.entries(tests)) {
    const reason = skip[name]
    if (reason === undefined) test(name, body)
    else test.skip?.(`${name} (${reason})`, body)
  }
}
