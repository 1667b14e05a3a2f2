import { NOT_HANDLED } from './delivery-loop.js'
import type { Message } from './message.js'

interface Offer<M> {
  readonly message: M
  readonly settle: (outcome: typeof NOT_HANDLED | undefined) => void
}

/**
 * A member's messages for `for await`. The member offers one message at a time and waits until the next is asked for:
 * that says that the one before is done.
 */
export class MessageIterator<M extends Message> implements AsyncIterableIterator<M> {
  readonly #close: () => Promise<void>
  #offered: Offer<M> | undefined
  #current: Offer<M> | undefined
  #asking: { resolve: (result: IteratorResult<M>) => void; reject: (error: unknown) => void } | undefined
  #end: { readonly error: unknown; isTold: boolean } | undefined

  /** `close` closes the member. */
  constructor(close: () => Promise<void>) {
    this.#close = close
  }

  /** The member's handler. */
  offer(message: M): Promise<typeof NOT_HANDLED | undefined> {
    return new Promise((settle) => {
      const offer = { message, settle }
      if (this.#end !== undefined) return settle(NOT_HANDLED)
      if (this.#asking === undefined) {
        this.#offered = offer
        return
      }
      const { resolve } = this.#asking
      this.#asking = undefined
      this.#current = offer
      resolve({ done: false, value: message })
    })
  }

  /** The member has closed, or failed with `error`. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { error, isTold: false }
    this.#giveBack()
    const asking = this.#asking
    this.#asking = undefined
    if (asking !== undefined) this.#tellEnd(this.#end).then(asking.resolve, asking.reject)
  }

  next(): Promise<IteratorResult<M>> {
    this.#current?.settle(undefined)
    this.#current = undefined
    const offer = this.#offered
    if (offer !== undefined) {
      this.#offered = undefined
      this.#current = offer
      return Promise.resolve({ done: false, value: offer.message })
    }
    if (this.#end !== undefined) return this.#tellEnd(this.#end)
    return new Promise((resolve, reject) => {
      this.#asking = { resolve, reject }
    })
  }

  /** `break`, `return` and `throw` come here: the member closes, and the last message is not marked as done. */
  async return(): Promise<IteratorResult<M>> {
    const closing = this.#close()
    this.#giveBack()
    await closing
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #giveBack(): void {
    this.#current?.settle(NOT_HANDLED)
    this.#offered?.settle(NOT_HANDLED)
    this.#current = undefined
    this.#offered = undefined
  }

  async #tellEnd(end: { readonly error: unknown; isTold: boolean }): Promise<IteratorResult<M>> {
    if (end.error !== undefined && !end.isTold) {
      end.isTold = true
      throw end.error
    }
    return { done: true, value: undefined }
  }
}
