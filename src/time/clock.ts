/**
 * The one seam to time. Nothing else in ottla reads a clock, sets a timer or yields to the event loop.
 * The natives are captured at load, so that fake timers of a test runner do not reach the engine.
 */
export interface Clock {
  /** Wall clock, milliseconds since the epoch: for timestamps of messages. May jump. */
  now(): number
  /** Milliseconds that only ever rise: for waiting. */
  monotonic(): number
  /**
   * Calls `callback` once, `delayMs` from now, and returns the function that cancels it. A timer lets the process
   * end unless `keepAlive` is true.
   */
  schedule(callback: () => void, delayMs: number, options?: { keepAlive?: boolean }): () => void
  /** True when the current turn of the event loop has been used for so long that a loop should yield. */
  turnIsSpent(): boolean
  /** Resolves in a later turn of the event loop, after its I/O. */
  nextTurn(): Promise<void>
  /** True where time passes only when a test says so; `idle()` then tells a wait for time from a wait for work. */
  readonly manual: boolean
}

const dateNow = Date.now
const { hrtime } = process
const { setTimeout, clearTimeout, setImmediate } = globalThis

/** The same clock as performance.now, whose module takes longer to load than a broker to open. */
function performanceNow(): number {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

/** A loop that has held one turn of the event loop for this long lets others run. */
const TURN_BUDGET_MS = 2

/** setTimeout fires at once above this; longer waits are cut into pieces. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

class SystemClock implements Clock {
  readonly manual = false
  /** When the current turn was first asked about; 0 while nobody has asked. */
  #turnStartedAt = 0
  readonly #turnEnded = (): void => {
    this.#turnStartedAt = 0
  }

  now(): number {
    return dateNow()
  }

  monotonic(): number {
    return performanceNow()
  }

  schedule(callback: () => void, delayMs: number, options?: { keepAlive?: boolean }): () => void {
    const due = performanceNow() + delayMs
    let timer: ReturnType<typeof setTimeout>
    const wait = (): void => {
      const leftMs = due - performanceNow()
      timer = setTimeout(
        leftMs > LONGEST_TIMEOUT_MS ? wait : callback,
        Math.min(Math.max(leftMs, 0), LONGEST_TIMEOUT_MS),
      )
      if (options?.keepAlive !== true) timer.unref()
    }
    wait()
    return () => clearTimeout(timer)
  }

  turnIsSpent(): boolean {
    const now = performanceNow()
    if (this.#turnStartedAt === 0) {
      this.#turnStartedAt = now
      setImmediate(this.#turnEnded)
      return false
    }
    return now - this.#turnStartedAt > TURN_BUDGET_MS
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
}

/** The machine's own time. */
export const systemClock: Clock = new SystemClock()
