import type { CancelSignal } from '../cancellation.js'

/**
 * A request that waits for its answer. It is settled once; what comes later is ignored. An abort settles it too, after
 * `onAbort` has taken it out of wherever it waits.
 */
export class PendingAnswer<T> {
  readonly promise: Promise<T>
  readonly #signal: CancelSignal | undefined
  readonly #aborted: () => void
  #resolve: (answer: T) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(signal: CancelSignal | undefined, onAbort: (answer: PendingAnswer<T>) => void) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#signal = signal
    this.#aborted = () => onAbort(this)
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  resolve(answer: T): void {
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.#resolve(answer)
  }

  reject(error: unknown): void {
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.#reject(error)
  }
}
