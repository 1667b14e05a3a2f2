import type { Clock } from '../time/clock.js'

const LONGEST_MS = 2 ** 31 - 1

/** Keeps the process running while it is taken. A timer that does nothing is what a process waits for. */
export class ProcessHold {
  readonly #clock: Clock
  #cancel: (() => void) | undefined
  #hasEnded = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isTaken(): boolean {
    return this.#cancel !== undefined
  }

  take(): void {
    if (!this.#hasEnded) this.#cancel ??= this.#schedule()
  }

  release(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  /** Releases it for good. */
  end(): void {
    this.#hasEnded = true
    this.release()
  }

  #schedule(): () => void {
    return this.#clock.schedule(
      () => {
        this.#cancel = this.#schedule()
      },
      LONGEST_MS,
      { keepAlive: true },
    )
  }
}
