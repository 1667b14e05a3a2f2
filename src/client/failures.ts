import { type DeadLetters, parkFailed } from './dead-letters.js'
import { type RawRecord, UndecodableError } from './decode.js'
import type { GroupEmitter } from './events.js'
import type { GroupCounters } from './group-counters.js'
import type { Message } from './message.js'
import { type FailureOptions, handlerFailed, RetryPolicy } from './retry.js'

/** What becomes of the messages of one member that fail, as its options have it. */
export class Failures {
  readonly policy: RetryPolicy
  readonly #deadLetters: DeadLetters | undefined
  readonly #isSkipping: boolean
  readonly #events: GroupEmitter
  readonly #counters: GroupCounters

  /** Throws OTTLA_INVALID_ARGUMENT for options that it does not take. `deadLetters` is there where they name a topic. */
  constructor(
    options: FailureOptions,
    deadLetters: DeadLetters | undefined,
    events: GroupEmitter,
    counters: GroupCounters,
  ) {
    this.policy = new RetryPolicy(options)
    this.#deadLetters = deadLetters
    this.#isSkipping = options.onExhausted === 'skip'
    this.#events = events
    this.#counters = counters
  }

  /** True where a message that is used up stops the member. */
  get stopsMember(): boolean {
    return !this.#isSkipping && this.#deadLetters === undefined
  }

  /** True where a message that is used up is asked for as it stands in the log. */
  get needsRecords(): boolean {
    return this.#deadLetters !== undefined
  }

  /** Before the first message is delivered, and when partitions come. Rejects where there can be no dead-letter topic. */
  async prepare(): Promise<void> {
    await this.#deadLetters?.prepare()
  }

  /** Try number `attempt` of the message failed, and another is going to be made. */
  retried(message: Message, error: unknown, attempt: number): void {
    this.#counters.retries++
    this.#events.emit('retry', message, error, attempt)
  }

  /** The tries of the message are used up. Resolves when it is dealt with, or rejects with what stops the member. */
  async exhausted(message: Message, error: unknown, attempts: number, record: () => RawRecord): Promise<void> {
    if (this.#deadLetters !== undefined) {
      await this.#park(this.#deadLetters, record(), error, attempts)
      this.#counters.deadLetters++
      this.#events.emit('deadLetter', message, error)
    } else if (this.#isSkipping) {
      this.#counters.skipped++
      this.#events.emit('skipped', message, error)
    } else throw error instanceof UndecodableError ? error : handlerFailed(message, error, attempts)
  }

  async #park(deadLetters: DeadLetters, record: RawRecord, error: unknown, attempts: number): Promise<void> {
    try {
      await deadLetters.park(record, error, attempts)
    } catch (cause) {
      throw parkFailed(record, deadLetters.name, error, cause)
    }
  }
}
