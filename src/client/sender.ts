import type { SendResult } from './message.js'

/** Who waits for a record: one `send`, told by `slot` which of its messages it was. */
export interface Sender {
  acknowledged(slot: number, result: SendResult): void
  failed(error: unknown): void
}

/** Where the resolvers of a new promise are put: a function of its own for each promise would cost more than the rest. */
let resolveNew: (value: never) => void
let rejectNew: (error: unknown) => void
function takeResolvers(resolve: (value: never) => void, reject: (error: unknown) => void): void {
  resolveNew = resolve
  rejectNew = reject
}

/** A `send` of one message. */
export class SendOfOne implements Sender {
  readonly promise: Promise<SendResult>
  readonly #resolve: (result: SendResult) => void
  readonly #reject: (error: unknown) => void

  constructor() {
    this.promise = new Promise<SendResult>(takeResolvers)
    // They were put there by the line above.
    this.#resolve = resolveNew as (result: SendResult) => void
    this.#reject = rejectNew
  }

  acknowledged(_slot: number, result: SendResult): void {
    this.#resolve(result)
  }

  failed(error: unknown): void {
    this.#reject(error)
  }
}

/** A `send` of several: settled when the last is, or the first fails. */
export class SendOfMany implements Sender {
  readonly promise: Promise<SendResult[]>
  readonly #results: SendResult[]
  readonly #resolve: (results: SendResult[]) => void
  readonly #reject: (error: unknown) => void
  #left: number

  constructor(count: number) {
    this.promise = new Promise<SendResult[]>(takeResolvers)
    // They were put there by the line above.
    this.#resolve = resolveNew as (results: SendResult[]) => void
    this.#reject = rejectNew
    this.#results = new Array(count)
    this.#left = count
    if (count === 0) this.#resolve(this.#results)
  }

  acknowledged(slot: number, result: SendResult): void {
    this.#results[slot] = result
    if (--this.#left === 0) this.#resolve(this.#results)
  }

  failed(error: unknown): void {
    this.#reject(error)
  }
}
