/** A promise of how something ends, which may be rejected before anybody looks. */
export class Outcome {
  #isAwaited = false
  #isSettled = false
  readonly #promise: Promise<void>
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor() {
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#promise.catch(() => undefined)
  }

  /** A promise of its own for each reader: who reads it and does not catch is told by Node. */
  get promise(): Promise<void> {
    this.#isAwaited = true
    return this.#promise.then()
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  resolve(): void {
    this.#isSettled = true
    this.#resolve()
  }

  /** True where somebody hears of it this way: it was not settled before, and somebody had asked. */
  reject(error: unknown): boolean {
    const isHeard = this.#isAwaited && !this.#isSettled
    this.#isSettled = true
    this.#reject(error)
    return isHeard
  }
}
