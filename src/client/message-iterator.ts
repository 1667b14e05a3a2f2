import { NOT_HANDLED } from './dispatch.js'
import type { Message } from './message.js'
import { invalid } from './options.js'
import type { Slots } from './slots.js'

/** What `messages` returns: an iterator to which can be said that the message it gave last has failed. */
export interface MessageStream<M> extends AsyncIterableIterator<M> {
  /**
   * The message that is out failed with this error. When the next one is asked for, it is not marked as done, and what
   * the options of `messages` say of failures happens: it comes again after its wait, goes to the dead-letter topic, is
   * skipped, or stops the member, which ends the loop with OTTLA_HANDLER_FAILED. Throws OTTLA_INVALID_ARGUMENT where no
   * message is out. Changes nothing where the member closed meanwhile: then the message comes again anyway.
   */
  fail(error: unknown): void
}

interface Ask<M> {
  readonly resolve: (result: IteratorResult<M>) => void
  readonly reject: (error: unknown) => void
}

/**
 * A member's messages for `for await`. The member's one slot is free only while somebody asks for a message, so it
 * offers one at a time, and nothing before the first is asked for. Asking for the next says that the one before is done.
 */
export class MessageIterator<M extends Message> implements MessageStream<M> {
  readonly #slots: Slots
  readonly #close: () => Promise<void>
  readonly #asks: Ask<M>[] = []
  /** The message that is out: the loop waits for what becomes of it. */
  #out: { resolve: (outcome: typeof NOT_HANDLED | undefined) => void; reject: (error: unknown) => void } | undefined
  /** What the message that is out failed with. */
  #failed: { readonly error: unknown } | undefined
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
    return new Promise((resolve, reject) => {
      this.#out = { resolve, reject }
    })
  }

  /** The message that is out counts as not handled: nobody waits for it any more. */
  giveBack(): void {
    this.#out?.resolve(NOT_HANDLED)
    this.#out = undefined
    this.#failed = undefined
  }

  fail(error: unknown): void {
    if (this.#out === undefined && !this.#hasEnded) {
      throw invalid('No message is out that could have failed: fail is for the one that the iterator gave last')
    }
    this.#failed = { error }
  }

  /** The member has closed, or failed with `failure`. */
  end(failure?: unknown): void {
    this.#hasEnded = true
    this.#failure = failure
    this.giveBack()
    for (const ask of this.#asks.splice(0)) this.#tellEnd().then(ask.resolve, ask.reject)
  }

  next(): Promise<IteratorResult<M>> {
    const [out, failed] = [this.#out, this.#failed]
    this.#out = undefined
    this.#failed = undefined
    if (failed === undefined) out?.resolve(undefined)
    else out?.reject(failed.error)
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
