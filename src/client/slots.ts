import type { CancelSignal } from '../cancellation.js'

/** Called with a slot when its turn has come. True where it waits for another one, behind those who wait then. */
export type SlotWaiter = () => boolean

/** A bound on how many handlers of one member run at once. First come, first served. */
export class Slots {
  #free: number
  readonly #waiting = new Set<SlotWaiter>()

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
      const take = (): boolean => {
        signal.removeEventListener('abort', giveUp)
        resolve(true)
        return false
      }
      const giveUp = (): void => {
        this.leave(take)
        resolve(false)
      }
      this.wait(take)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** The same, where a slot that comes as the signal aborts is of no use. */
  async acquireUnlessAborted(signal: CancelSignal): Promise<boolean> {
    if (!(await this.acquire(signal))) return false
    if (!signal.aborted) return true
    this.release()
    return false
  }

  /** Where no slot is free. The waiter is called within `release`. */
  wait(waiter: SlotWaiter): void {
    this.#waiting.add(waiter)
  }

  leave(waiter: SlotWaiter): void {
    this.#waiting.delete(waiter)
  }

  release(): void {
    for (const waiter of this.#waiting) {
      if (!waiter()) this.#waiting.delete(waiter)
      else if (this.#waiting.size > 1) {
        this.#waiting.delete(waiter)
        this.#waiting.add(waiter)
      }
      return
    }
    this.#free++
  }
}
