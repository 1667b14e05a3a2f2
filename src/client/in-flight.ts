import type { Clock } from '../time/clock.js'
import type { Delivery } from './delivery.js'
import type { MessageHandler } from './dispatch.js'
import { labelled } from './inside-handler.js'
import type { Message } from './message.js'
import { OffsetTracker } from './offset-tracker.js'
import { ProcessHold } from './process-hold.js'
import type { Slots } from './slots.js'

/** Beside a handler that does not end, the others of its partition go on for so many messages, none of which can be committed. */
const MAX_SPAN = 10_000

export interface InFlightOptions {
  readonly clock: Clock
  /** On the stack of every handler: see inside-handler.ts. */
  readonly label: string
  /** Undefined where nothing bounds the member's handlers but one for each partition. */
  readonly slots: Slots | undefined
  readonly delivery: Delivery
  /** Told when there is something new to commit. */
  readonly onMark: () => void
  /** Told when a handler outlasts its turn of the event loop. */
  readonly onLongHandler: () => void
  /** Told when no handler runs any more. */
  readonly onRest: () => void
  /** Told what a handler that runs beside others threw. */
  readonly onThrown: (message: Message, error: unknown) => void
}

/**
 * The messages of one partition that were handed out and are not done: those on which handlers work, and those that wait
 * behind another of their key. While a handler outlasts its turn of the event loop it holds the process.
 */
export class InFlight {
  readonly #options: InFlightOptions
  readonly #tracker = new OffsetTracker()
  readonly #hold: ProcessHold
  readonly #handleInTurn: (first: Message, key: unknown, handler: MessageHandler) => Promise<void>
  /** By key, while one of its messages is handled: that one, and those behind it. */
  readonly #queues = new Map<unknown, Message[]>()
  #behindCount = 0
  #running = 0
  #isHoldDue = false
  /** Told when a handler that runs beside others is done. */
  #onHandled: (() => void) | undefined

  constructor(options: InFlightOptions) {
    this.#options = options
    this.#hold = new ProcessHold(options.clock)
    this.#handleInTurn = labelled(options.label, (first, key, handler) => this.#handleQueue(first, key, handler))
  }

  /** Messages that were handed out and are not done. */
  get count(): number {
    return this.#running + this.#behindCount
  }

  /** The oldest offset that a handler works on, undefined where none runs. `position` is the first that was not delivered. */
  handledOffset(position: number): number | undefined {
    return this.#running > 0 ? this.#tracker.committable(position) : undefined
  }

  /** The offset to commit when everything below `position` was delivered. */
  committable(position: number): number {
    return this.#tracker.committable(position)
  }

  /** True while nothing further may be handed out beside the others. */
  isFull(lookahead: number): boolean {
    return this.#behindCount >= lookahead || this.#tracker.span >= MAX_SPAN
  }

  /** A handler begins. */
  begin(): void {
    this.#running++
  }

  /** A handler has ended. */
  end(): void {
    this.#running--
    if (this.#running === 0) this.#hold.release()
  }

  /** A handler that outlasts its turn of the event loop keeps the process running, whatever it waits for. */
  outlastsCall(): void {
    if (this.#isHoldDue) return
    this.#isHoldDue = true
    void this.#options.clock.nextTurn().then(() => {
      this.#isHoldDue = false
      if (this.#running === 0) return
      this.#hold.take()
      this.#options.onLongHandler()
    })
  }

  /** True where another message of this key is handled: this one then needs no slot of its own. */
  hasKey(key: unknown): boolean {
    return this.#queues.has(key)
  }

  /** Hands a message out beside the others, or behind the one of its key that is handled. */
  add(message: Message, key: unknown, handler: MessageHandler): void {
    this.#tracker.deliver(message.offset)
    const queue = this.#queues.get(key)
    if (queue === undefined) {
      this.#queues.set(key, [message])
      void this.#handleInTurn(message, key, handler)
    } else {
      queue.push(message)
      this.#behindCount++
    }
  }

  /** Resolves when no handler runs. */
  async handled(): Promise<void> {
    while (this.#running > 0) await this.nextHandled()
  }

  /** Resolves when a handler that runs beside others is done, or at `wake`. */
  nextHandled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHandled = resolve
    })
  }

  wake(): void {
    this.#onHandled?.()
  }

  /** What waits behind another message is not handled. */
  dropBehind(): void {
    for (const queue of this.#queues.values()) queue.length = 1
    this.#behindCount = 0
  }

  /** The process waits for its handlers no more. */
  releaseProcess(): void {
    this.#hold.end()
  }

  /** Handles a message and then, in the same slot, those that gathered behind it. Never rejects. */
  async #handleQueue(first: Message, key: unknown, handler: MessageHandler): Promise<void> {
    const { delivery, slots, onMark, onRest, onThrown } = this.#options
    this.begin()
    this.outlastsCall()
    const queue = this.#queues.get(key) ?? [first]
    for (let message: Message | undefined = first; message !== undefined; message = queue[0]) {
      if (message !== first) this.#behindCount--
      try {
        await handler(message, delivery)
      } catch (error) {
        onThrown(message, error)
        break
      }
      queue.shift()
      this.#tracker.done(message.offset)
      onMark()
      this.#onHandled?.()
    }
    this.#behindCount -= Math.max(queue.length - 1, 0)
    this.#queues.delete(key)
    this.end()
    slots?.release()
    this.#onHandled?.()
    if (this.#running === 0) onRest()
  }
}
