import type { SendResult } from './message.js'

/** Who waits for the messages of one `send` of several, which it tells apart by their slots: settled when the last is acknowledged, or the first fails. */
export class SendOfMany {
  readonly promise: Promise<SendResult[]>
  readonly #results: SendResult[]
  #settle!: (outcome: SendResult[] | Promise<never>) => void
  #left: number

  constructor(count: number) {
    this.promise = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.#results = new Array(count)
    this.#left = count
    if (count === 0) this.#settle(this.#results)
  }

  /** The message was appended. */
  acknowledged(slot: number, result: SendResult): void {
    this.#results[slot] = result
    if (--this.#left === 0) this.#settle(this.#results)
  }

  /** One of the messages was refused; what becomes of the others is not told. */
  failed(error: unknown): void {
    // Several of its batches may be refused, and nobody would hear of a second rejection.
    if (this.#left < 0) return
    this.#left = -1
    this.#settle(Promise.reject(error))
  }
}
