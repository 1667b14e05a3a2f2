import type { Clock } from '../time/clock.js'

const LONGEST_MS = 2 ** 31 - 1

/** Keeps the process running while it is taken. A timer that does nothing is what a process waits for. */
export class ProcessHold {
  readonly #clock: Clock
  #cancel: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  take(): void {
    this.#cancel ??= this.#schedule()
  }

  release(): void {
    this.#cancel?.()
    this.#cancel = undefined
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
