import { systemClock } from '../time/clock.js'
import { check } from './expect.js'

/*
 * How the engine suite waits. What it waits for is an answer or a fact, never an amount of time; the limits are there
 * so that a broken engine fails a test and does not hang it.
 */
const PATIENCE_MS = 3000
/** Long enough for an answer that should not come to show itself. */
const GRACE_MS = 50

/** Resolves as `answer` does, and fails where it is not there within `limitMs`. */
export function promptly<T>(answer: Promise<T>, what: string, limitMs: number = PATIENCE_MS): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = systemClock.schedule(
      () => reject(new Error(`${what} should be answered by now, but was not within ${limitMs} ms.`)),
      limitMs,
      { keepAlive: true },
    )
    answer.finally(cancel).then(resolve, reject)
  })
}

/** Fails where `answer` comes, although nothing has happened that it waits for. */
export async function checkPending(answer: Promise<unknown>, what: string): Promise<void> {
  let settled = false
  const noted = (): void => {
    settled = true
  }
  answer.then(noted, noted)
  await new Promise<void>((resolve) => {
    systemClock.schedule(resolve, GRACE_MS, { keepAlive: true })
  })
  check(!settled, `${what} should wait, but was answered at once.`)
}

/** Asks again until `holds` is true. */
export async function eventually(holds: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = systemClock.monotonic() + PATIENCE_MS
  while (!(await holds())) {
    check(systemClock.monotonic() < giveUpAt, `${what} should be so by now, but was not within ${PATIENCE_MS} ms.`)
    await systemClock.nextTurn()
  }
}
