import { expect } from 'vitest'

/**
 * Compares bytes as bytes. By itself the matcher looks at each of them as at a property of an object: megabytes of
 * segments took it a tenth of the time of all tests. What is of two classes is left to it, as only it knows whether the
 * classes matter.
 */
function sameBytes(left: unknown, right: unknown): boolean | undefined {
  if (!(left instanceof Uint8Array && right instanceof Uint8Array)) return undefined
  return left.constructor === right.constructor ? Buffer.compare(left, right) === 0 : undefined
}

// This file runs before each file of tests, and those of one worker share their matchers.
const registered = Symbol.for('ottla.test.compare-bytes')
if (!Object.hasOwn(globalThis, registered)) {
  Object.defineProperty(globalThis, registered, { value: true })
  expect.addEqualityTesters([sameBytes])
}
