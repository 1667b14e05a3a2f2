import { Cancellation, type CancelSignal } from '../cancellation.js'
import { noRecords } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { BatchCalls, type BatchCallsOptions } from './batch-calls.js'
import { decodeMessages, type MessageCodecs } from './decode.js'
import type { Message } from './message.js'
import type { PartitionReader } from './partition-reader.js'
import type { Slots } from './slots.js'

export interface BatchDeliveryOptions extends BatchCallsOptions {
  readonly codecs: MessageCodecs
  readonly maxMessages: number
  readonly maxWaitMs: number
  readonly reader: PartitionReader
  /** Told when nothing but the passing of time, or a message, brings on what is delivered, and when that is over. */
  readonly onWaiting: (isWaiting: boolean) => void
}

/** Hands over the messages of one partition by the batch: up to `maxMessages`, or what came within `maxWaitMs`. */
export class BatchDelivery {
  readonly #options: BatchDeliveryOptions
  readonly #calls: BatchCalls

  constructor(options: BatchDeliveryOptions) {
    this.#options = options
    this.#calls = new BatchCalls(options)
  }

  /**
   * Hands over what was fetched until the signal aborts. Undefined where all of it is over with the call. Rejects with
   * what reading or decoding throws, after what comes before.
   */
  deliver(batches: readonly RecordBatch[], signal: CancelSignal): Promise<void> | undefined {
    const { maxMessages, maxWaitMs } = this.#options
    const [batch] = batches
    // A small batch that comes alone is one call of the handler, and nothing waits for another (benchmark: growth-partitions).
    if (batch !== undefined && batches.length === 1 && maxWaitMs === 0 && !batch.isControl) {
      if (batch.lastOffset - batch.baseOffset < maxMessages) return this.#deliverWhole(batch, signal)
    }
    return this.#deliverInPieces(batches, signal)
  }

  /** Hands over a batch of no more than `maxMessages` in one call of the handler. */
  #deliverWhole(batch: RecordBatch, signal: CancelSignal): Promise<void> | undefined {
    const { at, codecs, inFlight, maxMessages, position } = this.#options
    const messages: Message[] = []
    const start = position()
    try {
      inFlight.reading(batch, start)
      decodeMessages(at, codecs, batch.records(), start, messages, maxMessages)
    } catch (error) {
      return this.#deliverBefore(error, messages, signal)
    }
    return this.#deliverLast(messages, batch.lastOffset + 1, signal)
  }

  /**
   * Hands over what was fetched in pieces of `maxMessages`, after waiting for the last one to fill. All that runs a handler
   * is awaited, also in front of `return`: what is inside a handler is told by who awaits whom, from the first turn on.
   */
  async #deliverInPieces(batches: readonly RecordBatch[], signal: CancelSignal): Promise<void> {
    const { at, clock, codecs, inFlight, maxMessages, maxWaitMs, position } = this.#options
    let messages: Message[] = []
    let end = position()
    // By default nothing is waited for, and the time is nobody's business (benchmark: growth-partitions).
    const fillUntil = maxWaitMs > 0 ? clock.monotonic() + maxWaitMs : 0
    let fetched = batches
    try {
      for (;;) {
        for (let index = 0; index < fetched.length; index++) {
          const batch = fetched[index] as RecordBatch
          // Behind the last it is the loop that looks at the time.
          if (index > 0 && clock.turnIsSpent()) await clock.nextTurn()
          inFlight.reading(batch, position())
          const records = batch.isControl ? noRecords() : batch.records()
          while (decodeMessages(at, codecs, records, end, messages, maxMessages)) {
            end = endOf(messages)
            // Awaited also where it is over, so that whoever hears of it from the handler can pause before the next call.
            if (!(await this.#deliverBatch(messages, end, signal))) return
            messages = []
            if (clock.turnIsSpent()) await clock.nextTurn()
          }
          end = batch.lastOffset + 1
        }
        const leftMs = maxWaitMs > 0 && messages.length > 0 ? fillUntil - clock.monotonic() : 0
        if (leftMs <= 0 || signal.aborted) break
        if (clock.turnIsSpent()) await clock.nextTurn()
        fetched = await this.#readWithin(end, leftMs, signal)
      }
    } catch (error) {
      return await this.#deliverBefore(error, messages, signal)
    }
    return await this.#deliverLast(messages, end, signal)
  }

  /** What came before that which cannot be read or decoded is handled first. */
  async #deliverBefore(error: unknown, messages: readonly Message[], signal: CancelSignal): Promise<void> {
    if (messages.length === 0 || (await this.#deliverBatch(messages, endOf(messages), signal))) throw error
  }

  /** Hands over what is left up to `end`, past what holds no message too: a marker, or a gap that compaction left. */
  #deliverLast(messages: readonly Message[], end: number, signal: CancelSignal): Promise<void> | undefined {
    if (messages.length === 0) {
      if (!signal.aborted) this.#options.onDone(end)
      return undefined
    }
    const delivered = this.#deliverBatch(messages, end, signal)
    return typeof delivered === 'boolean' ? undefined : delivered.then(() => undefined)
  }

  /** More messages, if any come in time. */
  async #readWithin(offset: number, waitMs: number, signal: CancelSignal): Promise<readonly RecordBatch[]> {
    const { clock, reader, onWaiting } = this.#options
    const over = new Cancellation()
    const end = (): void => over.abort()
    const cancelTimer = clock.schedule(end, waitMs, { keepAlive: true })
    signal.addEventListener('abort', end)
    onWaiting(true)
    try {
      return await reader.read(offset, over.signal)
    } finally {
      onWaiting(false)
      cancelTimer()
      signal.removeEventListener('abort', end)
    }
  }

  /** False when the loop must look up, or what failed is given up. A promise only where a slot or the handler makes it wait (benchmark: growth-partitions). */
  #deliverBatch(messages: readonly Message[], end: number, signal: CancelSignal): boolean | Promise<boolean> {
    const { slots } = this.#options
    if (signal.aborted) return false
    if (slots !== undefined) return this.#deliverInSlot(slots, messages, end, signal)
    const called = this.#calls.call(messages, end)
    return called === true ? !signal.aborted : called.then((isDone) => isDone && !signal.aborted)
  }

  async #deliverInSlot(
    slots: Slots,
    messages: readonly Message[],
    end: number,
    signal: CancelSignal,
  ): Promise<boolean> {
    if (!(await slots.acquireUnlessAborted(signal))) return false
    return (await this.#calls.call(messages, end)) && !signal.aborted
  }
}

/** What follows on the last of them. */
function endOf(messages: readonly Message[]): number {
  return (messages[messages.length - 1] as Message).offset + 1
}
