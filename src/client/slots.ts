import type { CancelSignal } from '../cancellation.js'

/** A bound on how many handlers of one member run at once. First come, first served. */
export class Slots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** True when a slot was free, which is taken then. */
  tryAcquire(): boolean {
    if (this.#free === 0) return false
    this.#free--
    return true
  }

  /** True when a slot was free, else a promise: of true with a slot, of false when the signal aborted the wait. */
  acquire(signal: CancelSignal): true | Promise<boolean> {
    if (this.tryAcquire()) return true
    return new Promise((resolve) => {
      const take = (): void => {
        signal.removeEventListener('abort', giveUp)
        resolve(true)
      }
      const giveUp = (): void => {
        this.#waiting.delete(take)
        resolve(false)
      }
      this.#waiting.add(take)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
