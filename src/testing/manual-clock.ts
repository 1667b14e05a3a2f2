import { OttlaError } from '../errors.js'
import { type Clock, systemClock } from '../time/clock.js'

/** Turns of the event loop that the engine gets for its work before and after each timer. */
const TURNS_BETWEEN_TIMERS = 10

/**
 * A clock for tests: time stands still until `advance` moves it. Turns of the event loop are real ones, so work that
 * waits for no time goes on as ever.
 *
 * @example
 * const clock = new ManualClock()
 * const broker = await Broker.open({ clock })
 * await clock.advance(30_000)
 */
export class ManualClock implements Clock {
  readonly manual = true
  #startedAt: number
  readonly #timers = new Set<Timer>()
  #elapsedMs = 0
  #advancing: Promise<void> = Promise.resolve()

  /** `now` is what the wall clock shows at first, in milliseconds since the epoch: by default the machine's time. */
  constructor(options: { now?: number } = {}) {
    this.#startedAt = options.now ?? systemClock.now()
  }

  /** The wall clock. It moves with `advance`, and with `setWall`. */
  now(): number {
    return this.#startedAt + this.#elapsedMs
  }

  /** Milliseconds advanced so far. */
  monotonic(): number {
    return this.#elapsedMs
  }

  /** Calls `callback` from the `advance` that reaches its time. It never holds the process, whatever the options. */
  schedule(callback: () => void, delayMs: number): () => void {
    const timer = { dueMs: this.#elapsedMs + Math.max(delayMs, 0), callback }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  turnIsSpent(): boolean {
    return systemClock.turnIsSpent()
  }

  nextTurn(): Promise<void> {
    return systemClock.nextTurn()
  }

  /**
   * Sets the wall clock, forward or back, as a user or a time server does: `now` shows `wallMs`. No time passes by it, so
   * no timer fires.
   */
  setWall(wallMs: number): void {
    this.#startedAt = wallMs - this.#elapsedMs
  }

  /** Timers that are set and have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /**
   * Moves time forward by `ms` and fires what becomes due, in the order of time and one by one, timers set on the way
   * included. Between them the engine works on for several turns of the event loop; a handler that is blocked is not
   * waited for. `advance(0)` lets the engine work and fires what is due now. Calls wait for each other.
   * Rejects with what a timer's callback threw, and with OTTLA_INVALID_ARGUMENT where `ms` is no number from 0 up.
   */
  advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0) {
      const error = new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A clock cannot be advanced by ${ms} ms. Give a number from 0 up.`,
      )
      return Promise.reject(error)
    }
    const advanced = this.#advancing.then(() => this.#advanceTo(this.#elapsedMs + ms))
    // The caller hears of a failure; the next call does not.
    this.#advancing = advanced.catch(() => {})
    return advanced
  }

  async #advanceTo(targetMs: number): Promise<void> {
    await letEngineWork()
    for (let timer = this.#earliest(); timer !== undefined && timer.dueMs <= targetMs; timer = this.#earliest()) {
      this.#timers.delete(timer)
      this.#elapsedMs = timer.dueMs
      timer.callback()
      await letEngineWork()
    }
    this.#elapsedMs = targetMs
  }

  /** The first one set where several are due at the same time. */
  #earliest(): Timer | undefined {
    let earliest: Timer | undefined
    for (const timer of this.#timers) {
      if (earliest === undefined || timer.dueMs < earliest.dueMs) earliest = timer
    }
    return earliest
  }
}

interface Timer {
  readonly dueMs: number
  readonly callback: () => void
}

async function letEngineWork(): Promise<void> {
  for (let turn = 0; turn < TURNS_BETWEEN_TIMERS; turn++) await systemClock.nextTurn()
}
