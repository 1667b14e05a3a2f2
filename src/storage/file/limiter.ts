/** Lets a bounded number of tasks run at a time; the others wait in turn. */
export class Limiter {
  readonly #maxRunning: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#maxRunning) this.#running++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await task()
    } finally {
      // The place passes on to the next in line, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
