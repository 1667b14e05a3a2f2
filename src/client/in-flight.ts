import { Cancellation, type CancelSignal } from '../cancellation.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { Clock } from '../time/clock.js'
import { type RawRecord, rawRecord } from './decode.js'
import { type PartitionDelivery, RetriedDelivery } from './delivery.js'
import { type MessageHandler, NOT_HANDLED } from './dispatch.js'
import type { Failures } from './failures.js'
import { labelled } from './inside-handler.js'
import type { Message } from './message.js'
import { OffsetTracker } from './offset-tracker.js'
import { ProcessHold } from './process-hold.js'
import type { Slots } from './slots.js'

/** A message that is to be handed out beside others. */
export interface Deliverable {
  readonly message: Message
  /** Of key, value and headers as they were sent. */
  readonly sizeInBytes: number
  /** Messages of one key are handled one after the other. */
  readonly key: string | number
  /** Where it stands; undefined once it is handed out. */
  batch: RecordBatch | undefined
}

/** The messages of one key, of which a handler works on the first, or that one waits for its next try. */
interface KeyQueue {
  /** Undefined when it is over: a table that a Map has outgrown may live on, and with it all that it held. */
  first: Deliverable | undefined
  behind: Deliverable[] | undefined
}

type QueueHandler = (queue: KeyQueue, handler: MessageHandler) => Promise<void>

/** Beside a handler that does not end, the others of its partition go on for so many messages, none of which can be committed. */
const MAX_SPAN = 10_000

/** Of messages on which no handler works, though they were handed out: sixteen fetches. */
const MAX_HELD_BYTES = 16 * 2 ** 20

/** What may become of a message that is to be tried again: it may wait for its time and go on, must stand still, or is given up. */
export type Outlook = 'open' | 'paused' | 'over'

export interface InFlightOptions {
  readonly clock: Clock
  /** On the stack of every handler: see inside-handler.ts. */
  readonly label: string
  /** Undefined where nothing bounds the member's handlers but one for each partition. */
  readonly slots: Slots | undefined
  readonly delivery: PartitionDelivery
  readonly failures: Failures
  /** Asked again after each `wake`. What is over stays so until nothing is in flight. */
  readonly outlook: () => Outlook
  /** Told when there is something new to commit. */
  readonly onMark: () => void
  /** Told when a handler outlasts its turn of the event loop. */
  readonly onLongHandler: () => void
  /** Told when no handler runs any more, and when a message begins or ends to wait for its next try. */
  readonly onRest: () => void
  /** Told what stops the member. */
  readonly onFailure: (error: unknown) => void
}

/** An offset on which a handler works, and for the how many-th time. */
export interface Handling {
  readonly offset: number
  readonly attempt: number
}

/**
 * The messages of one partition that were handed out and are not done: those on which handlers work, those that failed
 * and wait for their next try, and those that wait behind another of their key. A message that waits for its next try
 * takes no slot. While a handler outlasts its turn of the event loop, and while a try is due, the process is held.
 */
export class InFlight {
  readonly #options: InFlightOptions
  readonly #hold: ProcessHold
  readonly #handleInTurn: QueueHandler
  /** By key, while one of its messages is in flight. */
  readonly #queues = new Map<unknown, KeyQueue>()
  /** Offsets that wait for their next try: true while only time brings it on. */
  readonly #waiting = new Map<number, boolean>()
  /** The number of the try, of offsets that are not at their first. */
  readonly #attempts = new Map<number, number>()
  #tracker = new OffsetTracker()
  /** Those that are being handed out, oldest first, where a message may be asked for as it stands there. */
  #batches: RecordBatch[] = []
  /** By offset, those of messages that were handed out beside others and are not done: nothing keeps a batch but these. */
  readonly #batchOf = new Map<number, RecordBatch>()
  /** Keys whose first message failed, and is not done. */
  readonly #failedKeys = new Set<unknown>()
  /** Keys of which a message has failed since none was in flight: thousands may stand behind it. */
  readonly #heldUpKeys = new Set<unknown>()
  #behindCount = 0
  /** Of those, behind messages that failed. */
  #behindFailed = 0
  /** Of those behind others, and of those that failed and are not done. */
  #heldBytes = 0
  #running = 0
  #isHoldDue = false
  /** True while a handler that has ended lets go of its slot. */
  #isPassing = false
  /** What that slot was then given to. */
  #passed: KeyQueue | undefined
  #isDropped = false
  /** Told when a handler that runs beside others is done, or has failed. */
  #onHandled: (() => void) | undefined
  /** Ends the waits of those that are to be tried again, so that they ask for their outlook. */
  #woken = new Cancellation()

  constructor(options: InFlightOptions) {
    this.#options = options
    this.#hold = new ProcessHold(options.clock)
    this.#handleInTurn = labelled(options.label, this.#queueHandler())
  }

  /** Messages on which handlers work, and those behind them. */
  get count(): number {
    return this.#running + this.#behindCount - this.#behindFailed
  }

  /** Messages that wait for their next try. */
  get waitingCount(): number {
    return this.#waiting.size
  }

  /** True where messages wait for their next try, and only time brings any of them on. */
  get waitsForTime(): boolean {
    return this.#waiting.size > 0 && [...this.#waiting.values()].every((isTimed) => isTimed)
  }

  /** The oldest message on which a handler works, undefined where none runs. `position` is the first that was not delivered. */
  handling(position: number): Handling | undefined {
    if (this.#running === 0) return undefined
    let offset = this.#queues.size === 0 ? position : Number.POSITIVE_INFINITY
    for (const { first } of this.#queues.values()) {
      if (first === undefined || this.#waiting.has(first.message.offset)) continue
      offset = Math.min(offset, first.message.offset)
    }
    return { offset, attempt: this.#attempts.get(offset) ?? 1 }
  }

  /** The offset to commit when everything below `position` was delivered. */
  committable(position: number): number {
    return this.#tracker.committable(position)
  }

  /** True while nothing further may be handed out beside the others. */
  isFull(lookahead: number): boolean {
    if (this.#tracker.span >= MAX_SPAN || this.#heldBytes >= MAX_HELD_BYTES) return true
    // Until then a key that failed holds up nobody but itself.
    return this.#behindCount - this.#behindFailed >= lookahead
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
    if (this.#isHoldDue || this.#hold.isTaken) return
    this.#isHoldDue = true
    void this.#options.clock.nextTurn().then(() => {
      this.#isHoldDue = false
      if (this.#running === 0) return
      this.#hold.take()
      this.#options.onLongHandler()
    })
  }

  /** Messages of this batch are handed out next. Of those before, what lies below `position` was delivered. */
  reading(batch: RecordBatch, position: number): void {
    if (!this.#options.failures.needsRecords) return
    this.#batches = this.#batches.filter(({ lastOffset }) => lastOffset >= position)
    this.#batches.push(batch)
  }

  /** Hands a message out behind the one of its key that is in flight. False where none is. */
  addBehind(added: Deliverable): boolean {
    const queue = this.#queues.get(added.key)
    if (queue === undefined) return false
    this.#handedOut(added)
    queue.behind ??= []
    queue.behind.push(added)
    this.#behindCount++
    this.#heldBytes += added.sizeInBytes
    if (this.#failedKeys.has(added.key)) this.#behindFailed++
    return true
  }

  /** Hands a message out beside the others. None of its key is in flight, and the slot that it needs is taken. */
  start(first: Deliverable, handler: MessageHandler): void {
    this.#handedOut(first)
    const queue: KeyQueue = { first, behind: undefined }
    this.#queues.set(first.key, queue)
    this.begin()
    this.outlastsCall()
    if (this.#isPassing) {
      this.#isPassing = false
      this.#passed = queue
    } else void this.#handleInTurn(queue, handler)
  }

  #handedOut(deliverable: Deliverable): void {
    const { batch, message } = deliverable
    this.#tracker.deliver(message.offset)
    if (batch !== undefined && this.#options.failures.needsRecords) this.#batchOf.set(message.offset, batch)
    deliverable.batch = undefined
  }

  /**
   * Goes on with a message of which the first try failed, as the options have it. The slot of that try is let go of while
   * nothing is handled, and at the end. True when the message is done: handled after all, or dealt with otherwise. False
   * when it is given up, and comes again. Never rejects.
   */
  async tryAgain(message: Message, thrown: unknown, handler: MessageHandler): Promise<boolean> {
    const { clock, delivery, failures, outlook, slots } = this.#options
    let hasSlot = true
    try {
      let error = thrown
      for (let attempt = 1; ; attempt++) {
        const waitMs = this.retryInMs(error, attempt)
        if (waitMs === 'given up') return false
        if (waitMs === undefined) return await this.exhausted(message, error, attempt)
        if (outlook() === 'over') return false
        failures.retried(message, error, attempt)
        slots?.release()
        hasSlot = await this.untilRetry(message.offset, waitMs, attempt + 1)
        if (!hasSlot) return false
        this.begin()
        this.outlastsCall()
        try {
          return (await handler(message, new RetriedDelivery(delivery, attempt + 1))) !== NOT_HANDLED
        } catch (again) {
          error = again
        } finally {
          this.end()
          this.forgetTry(message.offset)
        }
        if (clock.turnIsSpent()) await clock.nextTurn()
      }
    } finally {
      if (hasSlot) slots?.release()
    }
  }

  /** Milliseconds until the next try of a message that failed; undefined where it is used up. */
  retryInMs(error: unknown, attempt: number): number | undefined | 'given up' {
    const { delivery, failures, onFailure } = this.#options
    if (delivery.isAbort(error)) return 'given up'
    let waitMs: number | undefined
    try {
      waitMs = failures.policy.retryInMs(error, attempt)
    } catch (failure) {
      onFailure(failure)
      return 'given up'
    }
    // Whoever has the partition now has the message too, and makes tries of its own.
    const isOthers = delivery.isLost && !(waitMs === undefined && failures.stopsMember)
    return isOthers ? 'given up' : waitMs
  }

  /** The tries of a message are used up. True when it is dealt with, false where that stops the member. Never rejects. */
  async exhausted(
    message: Message,
    error: unknown,
    attempts: number,
    record: () => RawRecord = () => this.#recordOf(message),
  ): Promise<boolean> {
    const { failures, onFailure } = this.#options
    this.begin()
    this.outlastsCall()
    try {
      await failures.exhausted(message, error, attempts, record)
      return true
    } catch (failure) {
      onFailure(failure)
      return false
    } finally {
      this.end()
    }
  }

  /**
   * Waits for the time of the next try, for the end of a pause and for a slot, which is then taken. False where the
   * message is given up meanwhile.
   */
  async untilRetry(offset: number, waitMs: number, attempt: number): Promise<boolean> {
    const { clock, onRest, outlook, slots } = this.#options
    const dueMs = clock.monotonic() + waitMs
    this.#attempts.set(offset, attempt)
    try {
      for (;;) {
        const woken = this.#woken
        const leftMs = dueMs - clock.monotonic()
        const now = outlook()
        if (now === 'over') {
          this.#attempts.delete(offset)
          return false
        }
        this.#waiting.set(offset, now === 'open' && leftMs > 0)
        onRest()
        if (now === 'paused') await untilAborted(woken)
        else if (leftMs > 0) await this.#passes(leftMs, woken)
        else if (slots === undefined) return true
        else if (await slots.acquire(woken)) {
          if (outlook() === 'open') return true
          slots.release()
        }
      }
    } finally {
      this.#waiting.delete(offset)
      onRest()
    }
  }

  /** A try for which `untilRetry` waited is over. */
  forgetTry(offset: number): void {
    this.#attempts.delete(offset)
  }

  /** Resolves when nothing is in flight. */
  async settled(): Promise<void> {
    while (this.#running > 0 || this.#queues.size > 0) await this.nextHandled()
  }

  /** What was given up does not count any more: the loop goes on elsewhere. */
  forget(): void {
    this.#tracker = new OffsetTracker()
    this.#batchOf.clear()
  }

  /** Resolves when a handler that runs beside others is done or has failed, or at `wake`. */
  nextHandled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHandled = resolve
    })
  }

  wake(): void {
    const woken = this.#woken
    this.#woken = new Cancellation()
    woken.abort()
    this.#tellHandled()
  }

  #tellHandled(): void {
    const tell = this.#onHandled
    this.#onHandled = undefined
    tell?.()
  }

  /** What waits behind another message is not handled. */
  dropBehind(): void {
    this.#isDropped = true
    for (const queue of this.#queues.values()) this.#drop(queue)
    this.#behindFailed = 0
  }

  /** What gathered behind a message that failed is not handled, also where that message was handled meanwhile. */
  dropHeldUp(): void {
    for (const key of this.#heldUpKeys) {
      const queue = this.#queues.get(key)
      const count = queue === undefined ? 0 : this.#drop(queue)
      if (this.#failedKeys.has(key)) this.#behindFailed -= count
    }
  }

  /** Those behind the first of a queue go. Returns how many they were. */
  #drop(queue: KeyQueue): number {
    const { behind } = queue
    if (behind === undefined) return 0
    queue.behind = undefined
    this.#behindCount -= behind.length
    for (const { sizeInBytes } of behind) this.#heldBytes -= sizeInBytes
    return behind.length
  }

  /** The process waits for its handlers no more. */
  releaseProcess(): void {
    this.#hold.end()
  }

  /**
   * What handles the first message of a queue and then, in the same slot, those that gather behind it. Where that slot
   * comes back when it is let go of, it goes on with what has it then. Never rejects.
   */
  #queueHandler(): QueueHandler {
    const { delivery, slots, onMark, onRest } = this.#options
    return async (given, handler) => {
      let hasSlot = true
      let queue: KeyQueue | undefined = given
      while (queue?.first !== undefined) {
        const { first }: KeyQueue = queue
        let failed: { error: unknown } | undefined
        try {
          await handler(first.message, delivery)
        } catch (error) {
          failed = { error }
        }
        if (failed !== undefined) hasSlot = false
        let next: Deliverable | undefined
        if (failed === undefined || (await this.#tryFirstAgain(queue, first, failed.error, handler))) {
          const { offset } = first.message
          this.#tracker.done(offset)
          this.#batchOf.delete(offset)
          onMark()
          next = queue.behind?.shift()
        }
        if (next !== undefined) {
          queue.first = next
          this.#behindCount--
          this.#heldBytes -= next.sizeInBytes
          this.#tellHandled()
          if (hasSlot) continue
          this.begin()
          hasSlot = slots === undefined || (await slots.acquire(NEVER))
          if (!this.#isDropped) continue
        }
        this.#drop(queue)
        this.#queues.delete(first.key)
        this.#heldUpKeys.delete(first.key)
        queue.first = undefined
        queue = hasSlot ? this.#passSlot() : undefined
        this.#tellHandled()
      }
      if (this.#running === 0) onRest()
    }
  }

  /** A handler has ended, and its slot is free. Returns what was handed out in it at once. */
  #passSlot(): KeyQueue | undefined {
    this.end()
    this.#isPassing = true
    this.#options.slots?.release()
    this.#isPassing = false
    const passed = this.#passed
    this.#passed = undefined
    return passed
  }

  /** The first of a queue failed. True when it is done after all. */
  async #tryFirstAgain(
    queue: KeyQueue,
    first: Deliverable,
    thrown: unknown,
    handler: MessageHandler,
  ): Promise<boolean> {
    const { key, message, sizeInBytes } = first
    this.end()
    this.#failedKeys.add(key)
    this.#heldUpKeys.add(key)
    this.#behindFailed += queue.behind?.length ?? 0
    this.#heldBytes += sizeInBytes
    // The loop may wait because of those behind it, which count no more.
    this.#tellHandled()
    const isDone = await this.tryAgain(message, thrown, handler)
    this.#behindFailed -= queue.behind?.length ?? 0
    this.#heldBytes -= sizeInBytes
    this.#failedKeys.delete(key)
    return isDone
  }

  #recordOf(message: Message): RawRecord {
    const own = this.#batchOf.get(message.offset)
    for (const batch of own === undefined ? this.#batches : [own]) {
      const records = batch.records()
      while (batch.lastOffset >= message.offset && records.next()) {
        if (records.offset === message.offset) return rawRecord(message, records)
      }
    }
    throw new TypeError(`Offset ${message.offset} is in no batch that was kept`)
  }

  #passes(waitMs: number, woken: CancelSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        woken.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#options.clock.schedule(end, waitMs, { keepAlive: true })
      woken.addEventListener('abort', end)
    })
  }
}

const NEVER: CancelSignal = new Cancellation()

export function untilAborted(signal: CancelSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
