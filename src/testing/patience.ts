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
  await pause(GRACE_MS)
  check(!settled, `${what} should wait, but was answered at once.`)
}

/** Between two questions at most: an engine at the other end of a network is not to be kept busy by them. */
const LONGEST_PAUSE_MS = 32

/** Asks again until `holds` is true. */
export async function eventually(holds: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = systemClock.monotonic() + PATIENCE_MS
  for (let pauseMs = 0; !(await holds()); pauseMs = Math.min(2 * pauseMs + 1, LONGEST_PAUSE_MS)) {
    check(systemClock.monotonic() < giveUpAt, `${what} should be so by now, but was not within ${PATIENCE_MS} ms.`)
    await pause(pauseMs)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.schedule(resolve, ms, { keepAlive: true })
  })
}
