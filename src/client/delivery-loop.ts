import { Cancellation, type CancelSignal } from '../cancellation.js'
import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import { noRecords } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { BatchDelivery } from './batch-delivery.js'
import { ConcurrentCalls } from './concurrent-calls.js'
import { decodeMessage, type MessageCodecs, rawMessage, UndecodableError } from './decode.js'
import { PartitionDelivery } from './delivery.js'
import { type Dispatch, isThenable, MESSAGES_PER_TIME_CHECK, type MessageHandler, NOT_HANDLED } from './dispatch.js'
import type { Failures } from './failures.js'
import { type Handling, InFlight, type Outlook, untilAborted } from './in-flight.js'
import { labelled } from './inside-handler.js'
import { PartitionReader } from './partition-reader.js'
import type { Slots } from './slots.js'

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
  /** What the group's offset says; -1 where it is to be set to the start offset. */
  readonly committedOffset: number
  /** On the stack of every handler: see inside-handler.ts. */
  readonly label: string
  /** Where to go on from when the position lies outside the log, or a rejection that stops the member. */
  readonly onOutOfRange: (error: OttlaError) => Promise<number>
  /** Told when it goes on from there, instead of from `offset`. */
  readonly onReset: (offset: number, resetTo: number) => void
  /** Told when there is something new to commit. */
  readonly onMark: () => void
  /** Told when a handler outlasts its turn of the event loop. */
  readonly onLongHandler: () => void
  /** Told when the loop has caught up, or stands still. */
  readonly onRest: () => void
  readonly onFailure: (error: OttlaError) => void
  /** What becomes of messages that fail. */
  readonly failures: Failures
}

/** What `idle` asks a loop. */
export interface LoopProgress {
  /** Everything below it was delivered. */
  readonly position: number
  /** Messages that are being handled, or are next. */
  readonly inFlight: number
  /** Messages that failed and wait for their next try. */
  readonly toBeRetried: number
  readonly isPaused: boolean
  /** True where only the passing of time brings on what is delivered. */
  readonly waitsForTime: boolean
  /** True where only the passing of time brings on what is to be tried again, and nothing is delivered before. */
  readonly retriesWaitForTime: boolean
  /** True where nothing further is delivered before something in flight is done. */
  readonly isHeldUp: boolean
}

/**
 * Why a loop stops. Whoever loses a partition may not finish what waits; the others' handlers are told by their signal.
 * Nobody waits any more for a handler that is abandoned, nor does the process.
 */
export type StopCause = 'revoked' | 'lost' | 'closing' | 'abandoned'

/**
 * Delivers one partition to one member, from the fetch to the handler. The loop owns the position: what was delivered
 * lies below it, and `committableOffset` is the contiguous prefix of that which is done.
 *
 * A pause, a seek or a stop lets what was handed out be handled, and hands out nothing further. Messages that wait
 * behind another of their key are handed out: later ones of other keys may be done already. Only a stop gives back those
 * behind one that failed.
 */
export class DeliveryLoop {
  readonly at: TopicPartition
  readonly #options: DeliveryLoopOptions
  readonly #reader: PartitionReader
  readonly #delivery: PartitionDelivery
  readonly #inFlight: InFlight
  /** Undefined where messages are handed out one by one. */
  readonly #batchDelivery: BatchDelivery | undefined
  /** Undefined where nothing is handed out beside what is in flight. */
  readonly #concurrentCalls: ConcurrentCalls | undefined
  readonly #ended: Promise<void>
  #position: number
  #soughtOffset: number | undefined
  #seekCount = 0
  #committedOffset: number
  #isPaused = false
  #status: 'running' | 'stopping' | 'failed' = 'running'
  /**
   * Aborts when the loop must look up: at a pause, a seek, a stop or a failure. Ends a wait for messages, for a slot, for a
   * batch to fill, for the end of a pause.
   */
  #interruption = new Cancellation()
  #waitsForTime = false
  #isHeldUp: boolean

  constructor(options: DeliveryLoopOptions) {
    this.at = options.at
    this.#options = options
    this.#reader = new PartitionReader(options.engine, options.at)
    this.#delivery = new PartitionDelivery(options.group)
    const { clock, slots, failures } = options
    const delivery = this.#delivery
    const outlook = (): Outlook => this.#outlook()
    const onFailure = (error: unknown): void => this.#fail(asOttlaError(error, this.at))
    // Not spread: V8 gives each object that is made like that a hidden class of its own, and what many partitions, or
    // members, run through would be slow for all of them (benchmarks: growth-partitions, growth-groups).
    this.#inFlight = new InFlight({
      clock,
      label: options.label,
      slots,
      delivery,
      failures,
      outlook,
      onMark: options.onMark,
      onLongHandler: options.onLongHandler,
      onRest: options.onRest,
      onFailure,
    })
    const { dispatch } = options
    if (dispatch.kind === 'batch') {
      this.#batchDelivery = new BatchDelivery({
        at: options.at,
        clock,
        codecs: options.codecs,
        handler: dispatch.handler,
        maxMessages: dispatch.maxMessages,
        maxWaitMs: dispatch.maxWaitMs,
        slots,
        reader: this.#reader,
        delivery,
        failures,
        inFlight: this.#inFlight,
        outlook,
        position: () => this.#position,
        onDone: (position) => {
          this.#position = position
          options.onMark()
        },
        onWaiting: (isWaiting) => {
          this.#waitsForTime = isWaiting
          if (isWaiting) options.onRest()
        },
        onFailure,
      })
    } else if (dispatch.ordering !== 'partition') {
      this.#concurrentCalls = new ConcurrentCalls({
        at: options.at,
        clock,
        codecs: options.codecs,
        handler: dispatch.handler,
        isByKey: dispatch.ordering === 'key',
        lookahead: dispatch.lookahead,
        slots,
        inFlight: this.#inFlight,
        position: () => this.#position,
        onHandedOut: (position) => {
          this.#position = position
        },
        isInterrupted: () => this.#interruption.aborted,
        onHeldUp: (isHeldUp) => {
          this.#isHeldUp = isHeldUp
          if (isHeldUp) options.onRest()
        },
      })
    }
    this.#isHeldUp = this.#concurrentCalls === undefined
    this.#position = options.startOffset
    this.#committedOffset = options.committedOffset
    this.#ended = labelled(options.label, async () => {
      await this.#run()
    })()
  }

  get progress(): LoopProgress {
    return {
      position: this.#soughtOffset ?? this.#position,
      inFlight: this.#inFlight.count,
      toBeRetried: this.#inFlight.waitingCount,
      isPaused: this.#isPaused,
      waitsForTime: this.#waitsForTime,
      retriesWaitForTime: this.#inFlight.waitsForTime,
      isHeldUp: this.#isHeldUp,
    }
  }

  /** The oldest message on which a handler works, undefined where none runs. */
  get handling(): Handling | undefined {
    return this.#inFlight.handling(this.#position)
  }

  /** What a commit should say now, or undefined if the group's offset says so already. */
  get committableOffset(): number | undefined {
    const offset = this.#soughtOffset ?? this.#inFlight.committable(this.#position)
    return offset > this.#committedOffset ? offset : undefined
  }

  /** A commit of `offset` begins; what is returned is called when it is done. After a seek in between, what the group's offset says is open. */
  committing(offset: number): () => void {
    const seekCount = this.#seekCount
    return () => {
      this.#committedOffset = seekCount === this.#seekCount ? offset : -1
    }
  }

  pause(): void {
    this.#isPaused = true
    this.#interrupt()
  }

  resume(): void {
    this.#isPaused = false
    this.#interrupt()
  }

  /** Goes on from `offset` when what was handed out is handled. */
  seek(offset: number): void {
    this.#soughtOffset = offset
    // Only a seek takes the group's offset back.
    this.#committedOffset = -1
    this.#seekCount++
    this.#interrupt()
    this.#options.onMark()
  }

  /** Resolves when no handler runs any more. */
  async stop(cause: StopCause): Promise<void> {
    if (this.#status === 'running') this.#status = 'stopping'
    this.#interrupt()
    if (cause === 'lost' || cause === 'abandoned') this.#inFlight.dropBehind()
    // The time to finish in is for what is read ahead, not for the thousands that a backoff lets gather.
    else this.#inFlight.dropHeldUp()
    if (cause === 'abandoned') this.#inFlight.releaseProcess()
    if (cause !== 'revoked') this.#delivery.abort(cause === 'lost')
    await this.#ended
  }

  #outlook(): Outlook {
    if (this.#status !== 'running' || this.#soughtOffset !== undefined) return 'over'
    return this.#isPaused ? 'paused' : 'open'
  }

  #interrupt(): void {
    this.#interruption.abort()
    this.#inFlight.wake()
  }

  #fail(error: OttlaError): void {
    if (this.#status === 'failed') return
    this.#status = 'failed'
    this.#inFlight.dropBehind()
    this.#interrupt()
    this.#options.onFailure(error)
  }

  async #run(): Promise<void> {
    const { clock, onRest } = this.#options
    while (this.#status === 'running') {
      if (this.#interruption.signal.aborted) this.#interruption = new Cancellation()
      const { signal } = this.#interruption
      try {
        if (this.#soughtOffset !== undefined) await this.#applySeek()
        else if (this.#isPaused) await untilAborted(signal)
        else {
          const position = this.#position
          const fetched = await this.#reader.fetched(position, signal)
          const delivering = this.#deliver(this.#reader.take(fetched, position, signal), signal)
          if (delivering !== undefined) await delivering
          onRest()
        }
      } catch (error) {
        await this.#recover(error, signal)
      }
      // Where neither fetches nor handlers ever wait, nobody else would get a turn.
      if (clock.turnIsSpent()) await clock.nextTurn()
    }
    await this.#inFlight.settled()
    onRest()
  }

  async #applySeek(): Promise<void> {
    await this.#inFlight.settled()
    this.#inFlight.forget()
    this.#position = this.#soughtOffset ?? this.#position
    this.#soughtOffset = undefined
    this.#options.onRest()
  }

  /** Goes on after what reading or decoding threw, or fails. */
  async #recover(error: unknown, signal: CancelSignal): Promise<void> {
    if (error instanceof UndecodableError) return this.#passOver(error)
    const code = OttlaError.is(error) ? error.code : undefined
    // The topic was deleted: the rebalance that follows takes the partition away.
    if (code === 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION') return untilAborted(signal)
    try {
      if (code !== 'OTTLA_OFFSET_OUT_OF_RANGE') throw error
      const removed = this.#position
      const offset = await this.#options.onOutOfRange(error as OttlaError)
      // A seek gives up what waits for its next try, and nobody asked for that.
      await this.#settledBeforeReset()
      if (this.#status !== 'running' || this.#soughtOffset !== undefined) return
      this.seek(offset)
      this.#options.onReset(removed, offset)
    } catch (failure) {
      this.#fail(asOttlaError(failure, this.at))
    }
  }

  async #settledBeforeReset(): Promise<void> {
    const wasHeldUp = this.#isHeldUp
    this.#isHeldUp = true
    this.#options.onRest()
    await this.#inFlight.settled()
    this.#isHeldUp = wasHeldUp
  }

  /** The same bytes would fail again, so there is no other try. */
  async #passOver(error: UndecodableError): Promise<void> {
    const { record } = error
    if (!(await this.#inFlight.exhausted(rawMessage(record), error, 0, () => record))) return
    this.#position = record.offset + 1
    this.#options.onMark()
    this.#options.onRest()
  }

  /** Undefined where all of it is over with the call. */
  #deliver(batches: readonly RecordBatch[], signal: CancelSignal): Promise<void> | undefined {
    const { dispatch, onMark } = this.#options
    if (this.#concurrentCalls !== undefined) return this.#concurrentCalls.deliver(batches, signal).then(onMark)
    if (dispatch.kind === 'each') return this.#deliverAllInOrder(batches, dispatch.handler, signal)
    return this.#batchDelivery?.deliver(batches, signal)
  }

  async #deliverAllInOrder(
    batches: readonly RecordBatch[],
    handler: MessageHandler,
    signal: CancelSignal,
  ): Promise<void> {
    const { clock, onMark } = this.#options
    for (const batch of batches) {
      this.#inFlight.reading(batch, this.#position)
      if (!(await this.#deliverInOrder(batch, handler, signal))) break
      // Past what holds no message too: a marker, or a gap that compaction left.
      this.#position = batch.lastOffset + 1
      onMark()
      if (clock.turnIsSpent()) await clock.nextTurn()
    }
  }

  /** One message after the other: the common case and the hot path. False when it was interrupted. */
  async #deliverInOrder(batch: RecordBatch, handler: MessageHandler, signal: CancelSignal): Promise<boolean> {
    const { at, clock, codecs, slots, onMark } = this.#options
    const inFlight = this.#inFlight
    const records = batch.isControl ? noRecords() : batch.records()
    let count = 0
    while (records.next()) {
      const { offset } = records
      if (offset < this.#position) continue
      if (signal.aborted) return false
      const message = decodeMessage(at, codecs, records)
      if (slots !== undefined && !(await slots.acquireUnlessAborted(signal))) return false
      let failed: { error: unknown } | undefined
      inFlight.begin()
      try {
        let outcome = handler(message, this.#delivery)
        // A handler that returns nothing is not awaited.
        if (isThenable(outcome)) {
          inFlight.outlastsCall()
          outcome = await outcome
        }
        if (outcome === NOT_HANDLED) return false
      } catch (error) {
        failed = { error }
      } finally {
        inFlight.end()
        if (failed === undefined) slots?.release()
      }
      if (failed !== undefined && !(await inFlight.tryAgain(message, failed.error, handler))) return false
      this.#position = offset + 1
      onMark()
      if (++count % MESSAGES_PER_TIME_CHECK === 0 && clock.turnIsSpent()) await clock.nextTurn()
    }
    return !signal.aborted
  }
}

function asOttlaError(error: unknown, at: TopicPartition): OttlaError {
  if (OttlaError.is(error)) return error
  return new OttlaError('OTTLA_STORAGE_FAILED', `Reading ${at.topic}-${at.partition} failed: ${reasonOf(error)}`, {
    cause: error,
  })
}
