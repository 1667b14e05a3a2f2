import type { GroupEmitter } from './events.js'
import type { Message } from './message.js'
import { type FailureOptions, handlerFailed, RetryPolicy } from './retry.js'

/** What becomes of the messages of one member that fail, as its options have it. */
export class Failures {
  readonly policy: RetryPolicy
  readonly #isSkipping: boolean
  readonly #events: GroupEmitter

  /** Throws OTTLA_INVALID_ARGUMENT for options that it does not take. */
  constructor(options: FailureOptions, events: GroupEmitter) {
    this.policy = new RetryPolicy(options)
    this.#isSkipping = options.onExhausted === 'skip'
    this.#events = events
  }

  /** True where a message that is used up stops the member. */
  get stopsMember(): boolean {
    return !this.#isSkipping
  }

  /** Try number `attempt` of the message failed, and another is going to be made. */
  retried(message: Message, error: unknown, attempt: number): void {
    this.#events.emit('retry', message, error, attempt)
  }

  /** The tries of the message are used up. Resolves when it is dealt with, or rejects with what stops the member. */
  async exhausted(message: Message, error: unknown, attempts: number): Promise<void> {
    if (!this.#isSkipping) throw handlerFailed(message, error, attempts)
    this.#events.emit('skipped', message, error)
  }
}
