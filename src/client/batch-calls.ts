import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { type PartitionDelivery, RetriedDelivery } from './delivery.js'
import { type Batch, type BatchDispatch, isThenable } from './dispatch.js'
import type { Failures } from './failures.js'
import type { InFlight, Outlook } from './in-flight.js'
import type { Message } from './message.js'
import { handlerFailed } from './retry.js'
import type { Slots } from './slots.js'

export interface BatchCallsOptions {
  readonly at: TopicPartition
  readonly clock: Clock
  readonly handler: BatchDispatch['handler']
  readonly slots: Slots | undefined
  readonly delivery: PartitionDelivery
  readonly failures: Failures
  readonly inFlight: InFlight
  readonly outlook: () => Outlook
  /** Everything below it is done. */
  readonly position: () => number
  /** Told where it is to be then. */
  readonly onDone: (position: number) => void
  /** Told what stops the member. */
  readonly onFailure: (error: unknown) => void
}

/** What a handler threw. */
interface Thrown {
  readonly error: unknown
}

/** What a handler throws, if it does; a promise of that while it runs. */
type Trying = Thrown | undefined | Promise<Thrown | undefined>

/**
 * Calls a handler that takes batches, again and again where it fails. What `batch.resolve` named is done, and no later
 * try gets it. The last of several tries is made with each message that is left alone, so that one bad message does not
 * take the others of its batch along; so is the next one where `retryIf` says that no try would help.
 */
export class BatchCalls {
  readonly #options: BatchCallsOptions

  constructor(options: BatchCallsOptions) {
    this.#options = options
  }

  /**
   * Hands over messages that reach up to `end`; the slot that they need is taken, and is let go of. True when all of
   * them are done, at once where the handler returns nothing. False when what is not is given up, and comes again. Never
   * rejects.
   */
  call(messages: readonly Message[], end: number): true | Promise<boolean> {
    const trying = this.#try(messages, end, 1)
    if (trying !== undefined) return this.#goOn(messages, end, 1, trying)
    this.#options.slots?.release()
    return true
  }

  /** Goes on with try number `firstAttempt`, which has begun. The slot that it has is let go of. */
  async #goOn(given: readonly Message[], end: number, firstAttempt: number, begun: Trying): Promise<boolean> {
    const { clock, failures, inFlight, outlook, position, slots } = this.#options
    const { attempts } = failures.policy
    let messages = given
    let trying: Trying = begun
    let hasSlot = true
    try {
      for (let attempt = firstAttempt; ; attempt++) {
        const thrown = await trying
        if (thrown === undefined) return true
        const { error } = thrown
        const left = messages.filter((message) => message.offset >= position())
        const [first] = left
        if (first === undefined) return this.#failAfterAll(messages, error, attempt)
        const waitMs = inFlight.retryInMs(error, attempt)
        if (waitMs === 'given up') return false
        const isEach = left.length > 1 && attempt < attempts && (waitMs === undefined || attempt + 1 === attempts)
        if (waitMs === undefined && !isEach) return await this.#exhausted(left, end, error, attempt)
        if (outlook() === 'over') return false
        failures.retried(first, error, attempt)
        hasSlot = false
        slots?.release()
        if (clock.turnIsSpent()) await clock.nextTurn()
        if (isEach) return await this.#tryEach(left, end, waitMs ?? 0, attempt + 1)
        hasSlot = await inFlight.untilRetry(first.offset, waitMs ?? 0, attempt + 1)
        if (!hasSlot) return false
        messages = left
        trying = this.#try(messages, end, attempt + 1)
      }
    } finally {
      if (hasSlot) slots?.release()
    }
  }

  /** The first waits for its time, the others follow on. */
  async #tryEach(messages: readonly Message[], end: number, waitMs: number, attempt: number): Promise<boolean> {
    for (const [index, message] of messages.entries()) {
      const endOfMessage = index === messages.length - 1 ? end : message.offset + 1
      if (!(await this.#options.inFlight.untilRetry(message.offset, index === 0 ? waitMs : 0, attempt))) return false
      const trying = this.#try([message], endOfMessage, attempt)
      if (!(await this.#goOn([message], endOfMessage, attempt, trying))) return false
    }
    return true
  }

  /** Makes one try: over when it returns, unless the handler returns a promise. */
  #try(messages: readonly Message[], end: number, attempt: number): Trying {
    const { at, delivery, handler, inFlight, onDone, position } = this.#options
    let isOver = false
    const over = (thrown: Thrown | undefined): Thrown | undefined => {
      if (thrown === undefined) onDone(end)
      isOver = true
      inFlight.end()
      if (attempt > 1) inFlight.forgetTry((messages[0] as Message).offset)
      return thrown
    }
    const batch: Batch<Message> = {
      topic: at.topic,
      partition: at.partition,
      messages,
      resolve: (through) => {
        // Too late: the batch is over, and the position is elsewhere.
        if (!isOver) onDone(Math.max(position(), Math.min(through.offset + 1, end)))
      },
    }
    inFlight.begin()
    try {
      const returned = handler(batch, attempt === 1 ? delivery : new RetriedDelivery(delivery, attempt))
      if (isThenable(returned)) {
        inFlight.outlastsCall()
        return Promise.resolve(returned).then(
          () => over(undefined),
          (error) => over({ error }),
        )
      }
    } catch (error) {
      return over({ error })
    }
    return over(undefined)
  }

  async #exhausted(left: readonly Message[], end: number, error: unknown, attempts: number): Promise<boolean> {
    const { inFlight, onDone, outlook } = this.#options
    for (const [index, message] of left.entries()) {
      if (!(await inFlight.exhausted(message, error, attempts))) return false
      const isLast = index === left.length - 1
      onDone(isLast ? end : message.offset + 1)
      if (!isLast && outlook() === 'over') return false
    }
    return true
  }

  /** It threw though all its messages are done: there is nothing to try again, and nothing may be silent. */
  #failAfterAll(messages: readonly Message[], error: unknown, attempt: number): boolean {
    const { delivery, onFailure } = this.#options
    const last = messages[messages.length - 1]
    if (last !== undefined && !delivery.isAbort(error)) onFailure(handlerFailed(last, error, attempt))
    return false
  }
}
