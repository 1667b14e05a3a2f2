import { NOT_HANDLED } from './dispatch.js'
import type { Message } from './message.js'
import type { Slots } from './slots.js'

interface Ask<M> {
  readonly resolve: (result: IteratorResult<M>) => void
  readonly reject: (error: unknown) => void
}

/**
 * A member's messages for `for await`. The member's one slot is free only while somebody asks for a message, so it
 * offers one at a time, and nothing before the first is asked for. Asking for the next says that the one before is done.
 */
export class MessageIterator<M extends Message> implements AsyncIterableIterator<M> {
  readonly #slots: Slots
  readonly #close: () => Promise<void>
  readonly #asks: Ask<M>[] = []
  /** Settles the message that is out. */
  #settle: ((outcome: typeof NOT_HANDLED | undefined) => void) | undefined
  #hasAsked = false
  #hasEnded = false
  #failure: unknown

  /** `slots` are taken, all of them; `close` closes the member and rejects with what stopped it. */
  constructor(slots: Slots, close: () => Promise<void>) {
    this.#slots = slots
    this.#close = close
  }

  /** The member's handler. */
  offer(message: M): Promise<typeof NOT_HANDLED | undefined> | typeof NOT_HANDLED | undefined {
    const ask = this.#asks.shift()
    if (ask === undefined) return NOT_HANDLED
    ask.resolve({ done: false, value: message })
    // The next one was asked for already.
    if (this.#asks.length > 0) return undefined
    return new Promise((settle) => {
      this.#settle = settle
    })
  }

  /** The message that is out counts as not handled: nobody waits for it any more. */
  giveBack(): void {
    this.#settle?.(NOT_HANDLED)
    this.#settle = undefined
  }

  /** The member has closed, or failed with `failure`. */
  end(failure?: unknown): void {
    this.#hasEnded = true
    this.#failure = failure
    this.giveBack()
    for (const ask of this.#asks.splice(0)) this.#tellEnd().then(ask.resolve, ask.reject)
  }

  next(): Promise<IteratorResult<M>> {
    this.#settle?.(undefined)
    this.#settle = undefined
    if (this.#hasEnded) return this.#tellEnd()
    if (!this.#hasAsked) this.#slots.release()
    this.#hasAsked = true
    return new Promise((resolve, reject) => {
      this.#asks.push({ resolve, reject })
    })
  }

  /** `break`, `return` and `throw` come here: the member closes, and the message that is out is not marked as done. */
  async return(): Promise<IteratorResult<M>> {
    // What stopped the member is told by the end, once.
    await this.#close().catch((failure) => this.end(failure))
    this.end(this.#failure)
    return this.#tellEnd()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #tellEnd(): Promise<IteratorResult<M>> {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
    return { done: true, value: undefined }
  }
}
