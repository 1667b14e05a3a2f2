import type { SendResult } from './message.js'

/**
 * Who waits for a record: one `send`. That of a single message is just the function that settles its promise, with the
 * result or with a rejected promise, since an object for each message would cost as much as encoding it.
 */
export type Sender = SettleOne | SenderOfMany

export type SettleOne = (outcome: SendResult | Promise<never>) => void

/** A `send` of several messages, which it tells apart by their slots. */
export interface SenderOfMany {
  acknowledged(slot: number, result: SendResult): void
  failed(error: unknown): void
}

/** Tells a `send` what became of the message that it calls `slot`. */
export function acknowledge(sender: Sender, slot: number, result: SendResult): void {
  if (typeof sender === 'function') sender(result)
  else sender.acknowledged(slot, result)
}

/** Fails a `send`, whichever of its messages it was. */
export function fail(sender: Sender, error: unknown): void {
  if (typeof sender === 'function') sender(Promise.reject(error))
  else sender.failed(error)
}

/** A `send` of several: settled when the last is, or the first fails. */
export class SendOfMany implements SenderOfMany {
  readonly promise: Promise<SendResult[]>
  readonly #results: SendResult[]
  readonly #settle: (outcome: SendResult[] | Promise<never>) => void
  #left: number

  constructor(count: number) {
    this.promise = new Promise(takeSettle)
    this.#settle = settleNew as (outcome: SendResult[] | Promise<never>) => void
    this.#results = new Array(count)
    this.#left = count
    if (count === 0) this.#settle(this.#results)
  }

  acknowledged(slot: number, result: SendResult): void {
    this.#results[slot] = result
    if (--this.#left === 0) this.#settle(this.#results)
  }

  failed(error: unknown): void {
    this.#settle(Promise.reject(error))
  }
}

/**
 * Where a new promise puts what settles it: `new Promise(takeSettle)`, and `settleNew` is that promise's until the next
 * one is made. An executor of its own for each promise, or an object to return both, would cost as much as the promise.
 */
export let settleNew: (outcome: never) => void
export function takeSettle(resolve: (outcome: never) => void): void {
  settleNew = resolve
}
