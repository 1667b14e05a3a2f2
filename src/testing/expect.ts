import { type ErrorCode, OttlaError } from '../errors.js'

/*
 * What the suites check with. They run under any test runner, so a failed check is an Error with a sentence.
 */

export function check(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(sentence)
}

export function checkEqual<T>(actual: T, expected: T, what: string): void {
  check(Object.is(actual, expected), `${what} is ${String(actual)}, but should be ${String(expected)}.`)
}

export function checkBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  checkEqual(actual.length, expected.length, `The length of ${what}`)
  for (let at = 0; at < expected.length; at++) {
    if (actual[at] !== expected[at]) {
      throw new Error(`${what} has ${actual[at]} at byte ${at} of ${expected.length}, but should have ${expected[at]}.`)
    }
  }
}

/** `act` must throw, or reject, with an OttlaError of that code. */
export async function checkRefused(code: ErrorCode, act: () => unknown, what: string): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (OttlaError.is(error) && error.code === code) return
    throw new Error(`${what} should be refused with ${code}, but failed with another error.`, { cause: error })
  }
  throw new Error(`${what} should be refused with ${code}, but was not.`)
}
