import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { decodeMessage, type MessageCodecs } from './decode.js'
import type { Message } from './message.js'
import { OffsetTracker } from './offset-tracker.js'
import { PartitionReader } from './partition-reader.js'
import type { Slots } from './slots.js'

/** What a handler is told besides the message. */
export interface Delivery {
  /** The group's id. */
  readonly group: string
  /** 1 for the first try. */
  readonly attempt: number
  /** Aborts when the partition is lost or the member closes; made when first asked for. */
  readonly signal: AbortSignal
}

/** Messages of one partition, in order. */
export interface Batch<M> extends Readonly<TopicPartition> {
  readonly messages: readonly M[]
  /** Everything up to and including this message is done, whatever becomes of the rest. */
  resolve(through: M): void
}

/** How messages reach the user: one by one or by the batch. */
export type Dispatch =
  | {
      readonly kind: 'each'
      readonly handler: (message: Message, delivery: Delivery) => unknown
      readonly ordering: 'partition' | 'key' | 'none'
      /** Messages that wait behind others of their key, at most. */
      readonly lookahead: number
    }
  | {
      readonly kind: 'batch'
      readonly handler: (batch: Batch<Message>, delivery: Delivery) => unknown
      readonly maxMessages: number
      readonly maxWaitMs: number
    }

export interface DeliveryLoopOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly at: TopicPartition
  readonly group: string
  readonly codecs: MessageCodecs
  readonly dispatch: Dispatch
  /** Undefined where nothing bounds the member's handlers but one for each partition. */
  readonly slots: Slots | undefined
  readonly startOffset: number
  readonly isPaused: boolean
  /** On the stack of every handler: see inside-handler.ts. */
  readonly label: string
  /** Where to go on from when the position lies outside the log, or a rejection that ends the loop. */
  readonly onOutOfRange: (error: OttlaError) => Promise<number>
  /** Told when there is something new to commit. Once, until `committed` is called. */
  readonly onMark: () => void
  /** Told when the loop has caught up, or stands still. */
  readonly onRest: () => void
  readonly onFailure: (error: OttlaError) => void
}

/** What `idle` asks a loop. */
export interface LoopProgress {
  /** Everything below it was delivered. */
  readonly position: number
  readonly inFlight: number
  readonly isPaused: boolean
  /** True where only the passing of time brings it on. */
  readonly waitsForTime: boolean
}

/** What a handler of ours returns for a message that is to be delivered again. */
export const NOT_HANDLED: unique symbol = Symbol('not handled')

/** A loop looks at the time once in so many messages. */
const MESSAGES_PER_TIME_CHECK = 8

/**
 * Delivers one partition to one member, from the fetch to the handler. The loop owns the position: what was delivered
 * lies below it, and `committableOffset` is the contiguous prefix of that which is done.
 *
 * A pause, a seek or a stop lets the handlers finish that have their message already, and hands out no further one.
 */
export class DeliveryLoop {
  readonly at: TopicPartition
  readonly #options: DeliveryLoopOptions
  readonly #reader: PartitionReader
  readonly #delivery: LoopDelivery
  readonly #tracker = new OffsetTracker()
  /** Messages behind others of their key. A key is here while one of its messages is handled. */
  readonly #behind = new Map<unknown, Message[]>()
  readonly #handleBeside: (message: Message, key: unknown) => Promise<void>
  readonly #ended: Promise<void>
  #behindCount = 0
  /** Handlers that run now. */
  #running = 0
  #position: number
  #soughtOffset: number | undefined
  #committedOffset: number
  #isMarked = false
  #isPaused: boolean
  #status: 'running' | 'stopping' | 'failed' = 'running'
  /** Set when the loop must look up from its batch: a pause, a seek, a stop or a failure. */
  #isInterrupted = false
  /** Ends a wait: for messages, for a batch to fill, for the end of a pause. */
  #interruption = new AbortController()
  #waitsForTime = false
  /** Told when a handler that runs beside others is done. */
  #onHandled: (() => void) | undefined

  constructor(options: DeliveryLoopOptions) {
    this.at = options.at
    this.#options = options
    this.#reader = new PartitionReader(options.engine, options.at)
    this.#delivery = new LoopDelivery(options.group)
    this.#position = options.startOffset
    this.#committedOffset = options.startOffset
    this.#isPaused = options.isPaused
    this.#handleBeside = labelled(options.label, (message, key) => this.#handleInTurn(message, key))
    this.#ended = labelled(options.label, () => this.#run())()
  }

  get progress(): LoopProgress {
    return {
      position: this.#soughtOffset ?? this.#position,
      inFlight: this.#running + this.#behindCount,
      isPaused: this.#isPaused,
      waitsForTime: this.#waitsForTime,
    }
  }

  /** What a commit should say now, or undefined if the group's offset says so already. */
  get committableOffset(): number | undefined {
    const offset = this.#soughtOffset ?? this.#tracker.committable(this.#position)
    return offset > this.#committedOffset ? offset : undefined
  }

  /** Takes note of what was committed; what was done since is marked anew. */
  committed(offset: number): void {
    this.#committedOffset = offset
    this.#isMarked = false
    if (this.committableOffset !== undefined) this.#mark()
  }

  /** Takes note that there was nothing to commit. */
  unmark(): void {
    this.#isMarked = false
  }

  pause(): void {
    this.#isPaused = true
    this.#interrupt()
  }

  resume(): void {
    this.#isPaused = false
    this.#interrupt()
  }

  /** Goes on from `offset` when the handlers that run now are done. */
  seek(offset: number): void {
    this.#soughtOffset = offset
    // Only a seek takes the group's offset back.
    this.#committedOffset = -1
    this.#interrupt()
    this.#mark()
  }

  /** Resolves when no handler runs any more. For a partition that is lost their signal aborts at once. */
  async stop(isLost: boolean): Promise<void> {
    if (this.#status === 'running') this.#status = 'stopping'
    this.#interrupt()
    if (isLost) {
      this.#dropBehind()
      this.#delivery.abort()
    }
    await this.#ended
  }

  /** Tells running handlers that the member closes. */
  abortHandlers(): void {
    this.#delivery.abort()
  }

  #interrupt(): void {
    this.#isInterrupted = true
    this.#interruption.abort()
    this.#onHandled?.()
  }

  #mark(): void {
    if (this.#isMarked) return
    this.#isMarked = true
    this.#options.onMark()
  }

  #fail(error: OttlaError): void {
    if (this.#status === 'failed') return
    this.#status = 'failed'
    this.#dropBehind()
    this.#interrupt()
    this.#options.onFailure(error)
  }

  async #run(): Promise<void> {
    while (this.#status === 'running') {
      this.#isInterrupted = false
      if (this.#interruption.signal.aborted) this.#interruption = new AbortController()
      const { signal } = this.#interruption
      try {
        if (this.#soughtOffset !== undefined) await this.#applySeek()
        else if (this.#isPaused) await aborted(signal)
        else await this.#deliverNext(signal)
      } catch (error) {
        this.#fail(asOttlaError(error, this.at))
      }
    }
    await this.#handled()
    this.#options.onRest()
  }

  async #applySeek(): Promise<void> {
    await this.#handled()
    this.#position = this.#soughtOffset ?? this.#position
    this.#soughtOffset = undefined
  }

  async #deliverNext(signal: AbortSignal): Promise<void> {
    const { dispatch, onRest } = this.#options
    const batches = await this.#read(signal)
    if (dispatch.kind === 'batch') await this.#deliverBatches(batches, dispatch, signal)
    else {
      for (const batch of batches) {
        const isWhole =
          dispatch.ordering === 'partition'
            ? await this.#deliverInOrder(batch, dispatch.handler)
            : await this.#deliverBeside(batch, dispatch.ordering, dispatch.lookahead)
        if (!isWhole) break
        // Past what holds no message too: a marker, or a gap that compaction left.
        this.#position = batch.lastOffset + 1
        this.#mark()
      }
    }
    onRest()
  }

  async #read(signal: AbortSignal): Promise<readonly RecordBatch[]> {
    try {
      return await this.#reader.read(this.#position, signal)
    } catch (error) {
      if (!OttlaError.is(error) || error.code !== 'OTTLA_OFFSET_OUT_OF_RANGE') throw error
      this.#position = await this.#options.onOutOfRange(error)
      return []
    }
  }

  /** One message after the other: the common case and the hot path. False when it was interrupted. */
  async #deliverInOrder(
    batch: RecordBatch,
    handler: (message: Message, delivery: Delivery) => unknown,
  ): Promise<boolean> {
    const { at, clock, codecs, slots } = this.#options
    if (batch.isControl) return true
    const records = batch.records()
    let count = 0
    while (records.next()) {
      const { offset } = records
      if (offset < this.#position) continue
      if (this.#isInterrupted) return false
      const message = decodeMessage(at, codecs, records)
      if (slots !== undefined) {
        await slots.acquire()
        if (this.#isInterrupted) {
          slots.release()
          return false
        }
      }
      this.#running = 1
      try {
        let outcome = handler(message, this.#delivery)
        // A handler that returns nothing is not awaited.
        if (isThenable(outcome)) outcome = await outcome
        if (outcome === NOT_HANDLED) return false
      } catch (error) {
        this.#fail(handlerFailed(message, error))
        return false
      } finally {
        this.#running = 0
        slots?.release()
      }
      this.#position = offset + 1
      this.#mark()
      if (++count % MESSAGES_PER_TIME_CHECK === 0 && clock.turnIsSpent()) await clock.nextTurn()
    }
    return !this.#isInterrupted
  }

  /** Starts handlers beside each other, one for each slot and key. False when it was interrupted. */
  async #deliverBeside(batch: RecordBatch, ordering: 'key' | 'none', lookahead: number): Promise<boolean> {
    const { at, clock, codecs, slots } = this.#options
    if (batch.isControl) return true
    const records = batch.records()
    let count = 0
    while (records.next()) {
      const { offset } = records
      if (offset < this.#position) continue
      while (this.#behindCount >= lookahead && !this.#isInterrupted) await this.#nextHandled()
      if (this.#isInterrupted) return false
      const message = decodeMessage(at, codecs, records)
      // Equal keys have equal bytes; the text of the bytes compares where an array would not. Without a key there is no order to keep.
      const key = ordering === 'key' && records.key !== null ? Buffer.from(records.key).toString('latin1') : offset
      const behind = this.#behind.get(key)
      if (behind !== undefined) {
        behind.push(message)
        this.#behindCount++
      } else {
        await slots?.acquire()
        if (this.#isInterrupted) {
          slots?.release()
          return false
        }
        this.#behind.set(key, [])
      }
      this.#tracker.deliver(offset)
      this.#position = offset + 1
      if (behind === undefined) void this.#handleBeside(message, key)
      if (++count % MESSAGES_PER_TIME_CHECK === 0 && clock.turnIsSpent()) await clock.nextTurn()
    }
    return !this.#isInterrupted
  }

  /** Handles a message and then, in the same slot, those that gathered behind it. Never rejects. */
  async #handleInTurn(first: Message, key: unknown): Promise<void> {
    const { dispatch, slots } = this.#options
    if (dispatch.kind !== 'each') return
    this.#running++
    let message: Message | undefined = first
    while (message !== undefined) {
      try {
        await dispatch.handler(message, this.#delivery)
      } catch (error) {
        this.#fail(handlerFailed(message, error))
        break
      }
      this.#tracker.done(message.offset)
      this.#mark()
      message = this.#behind.get(key)?.shift()
      if (message !== undefined) this.#behindCount--
      this.#onHandled?.()
    }
    this.#behind.delete(key)
    this.#running--
    slots?.release()
    this.#onHandled?.()
    if (this.#running === 0) this.#options.onRest()
  }

  /** Hands over what was fetched in pieces of `maxMessages`, after waiting for the last one to fill. */
  async #deliverBatches(
    batches: readonly RecordBatch[],
    dispatch: Dispatch & { kind: 'batch' },
    signal: AbortSignal,
  ): Promise<void> {
    const { at, clock, codecs } = this.#options
    const messages: Message[] = []
    let end = this.#position
    const fillUntil = clock.monotonic() + dispatch.maxWaitMs
    let fetched = batches
    for (;;) {
      for (const batch of fetched) {
        const records = batch.records()
        while (!batch.isControl && records.next()) {
          if (records.offset < end) continue
          messages.push(decodeMessage(at, codecs, records))
          end = records.offset + 1
          if (messages.length === dispatch.maxMessages) {
            if (!(await this.#deliverBatch(messages.splice(0), end, dispatch))) return
            if (clock.turnIsSpent()) await clock.nextTurn()
          }
        }
        end = batch.lastOffset + 1
      }
      const leftMs = fillUntil - clock.monotonic()
      if (messages.length === 0 || leftMs <= 0 || this.#isInterrupted) break
      fetched = await this.#readWithin(end, leftMs, signal)
    }
    if (this.#isInterrupted) return
    if (messages.length > 0) await this.#deliverBatch(messages, end, dispatch)
    else this.#position = end
    this.#mark()
  }

  /** More messages, if any come in time. */
  async #readWithin(offset: number, waitMs: number, signal: AbortSignal): Promise<readonly RecordBatch[]> {
    const { clock } = this.#options
    const over = new AbortController()
    const end = (): void => over.abort()
    const cancelTimer = clock.schedule(end, waitMs, { keepAlive: true })
    signal.addEventListener('abort', end)
    this.#waitsForTime = true
    try {
      return await this.#reader.read(offset, over.signal)
    } finally {
      this.#waitsForTime = false
      cancelTimer()
      signal.removeEventListener('abort', end)
    }
  }

  /** False when the loop must look up. */
  async #deliverBatch(messages: Message[], end: number, dispatch: Dispatch & { kind: 'batch' }): Promise<boolean> {
    const { at, slots } = this.#options
    if (this.#isInterrupted) return false
    await slots?.acquire()
    if (this.#isInterrupted) {
      slots?.release()
      return false
    }
    const batch: Batch<Message> = {
      topic: at.topic,
      partition: at.partition,
      messages,
      resolve: (through) => {
        this.#position = Math.max(this.#position, Math.min(through.offset + 1, end))
        this.#mark()
      },
    }
    this.#running = 1
    try {
      const returned = dispatch.handler(batch, this.#delivery)
      if (isThenable(returned)) await returned
      this.#position = end
      this.#mark()
      return !this.#isInterrupted
    } catch (error) {
      // What it resolved before is done; the rest is delivered again to whoever comes next.
      const failed = messages.find((message) => message.offset >= this.#position)
      this.#fail(handlerFailed(failed ?? (messages[0] as Message), error))
      return false
    } finally {
      this.#running = 0
      slots?.release()
    }
  }

  /** Resolves when no handler runs. */
  async #handled(): Promise<void> {
    while (this.#running > 0) await this.#nextHandled()
  }

  #nextHandled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHandled = resolve
    })
  }

  #dropBehind(): void {
    for (const messages of this.#behind.values()) messages.length = 0
    this.#behindCount = 0
  }
}

/** One for all messages of a partition: what it says is the same for each first try. */
class LoopDelivery implements Delivery {
  readonly group: string
  readonly attempt = 1
  #controller: AbortController | undefined
  #isAborted = false

  constructor(group: string) {
    this.group = group
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#isAborted) this.#controller.abort()
    }
    return this.#controller.signal
  }

  abort(): void {
    this.#isAborted = true
    this.#controller?.abort()
  }
}

/** The same function with a name that is found on the stack of all that it awaits. */
function labelled<Arguments extends unknown[]>(
  label: string,
  run: (...given: Arguments) => Promise<void>,
): (...given: Arguments) => Promise<void> {
  const named = async (...given: Arguments): Promise<void> => {
    await run(...given)
  }
  Object.defineProperty(named, 'name', { value: label })
  return named
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function handlerFailed(message: Message, cause: unknown): OttlaError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new OttlaError(
    'OTTLA_HANDLER_FAILED',
    `The handler failed at ${message.topic}-${message.partition} offset ${message.offset}: ${why}. The message is not committed, and is delivered again to the next member`,
    { cause },
  )
}

function asOttlaError(error: unknown, at: TopicPartition): OttlaError {
  if (OttlaError.is(error)) return error
  const why = error instanceof Error ? error.message : String(error)
  return new OttlaError('OTTLA_STORAGE_FAILED', `Reading ${at.topic}-${at.partition} failed: ${why}`, { cause: error })
}
