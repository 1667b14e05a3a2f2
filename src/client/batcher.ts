import type { Engine, ProduceResult } from '../engine/engine.js'
import type { RecordHeader } from '../record/record-batch.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { SendResult } from './message.js'

/** Who waits for a record: one `send`, told by `slot` which of its messages it was. */
export interface Sender {
  acknowledged(slot: number, result: SendResult): void
  failed(error: unknown): void
}

export interface BatcherOptions {
  readonly at: TopicPartition
  readonly engine: Engine
  readonly clock: Clock
  readonly lingerMs: number
  readonly batchBytes: number
  /** Told of each batch that closed: a record without a key then goes elsewhere. */
  readonly onClosed: () => void
  /** Told of each batch that was acknowledged or refused. */
  readonly onSettled: (records: number, bytes: number, error?: unknown) => void
}

/** A batch that still takes records, and who waits for them. */
class OpenBatch {
  readonly builder = new RecordBatchBuilder()
  readonly senders: Sender[] = []
  readonly slots: number[] = []
  readonly timestamps: number[] = []
  /** What the records count against the producer's `maxInFlightBytes`. */
  bytes = 0
}

/** How many emptied batches keep their memory for the next ones. */
const SPARE_BATCHES = 4

/**
 * Gathers the records of one partition into batches and hands each to the engine when it closes: when it is full, when
 * `lingerMs` is over, or, without a linger, as soon as the turn's sends are in it and no earlier batch is under way. So
 * senders never wait for company, and whatever gathers during one write shares the next.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #spare: OpenBatch[] = []
  #open: OpenBatch | undefined
  #underWay = 0
  #isCloseScheduled = false
  #cancelLinger: (() => void) | undefined
  #acksDue: Promise<void> | undefined

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  /** True where nothing is under way: records, if there are any, wait for their linger. */
  get waitsForTime(): boolean {
    return this.#underWay === 0 && (this.#open === undefined || this.#cancelLinger !== undefined)
  }

  append(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    bytes: number,
    sender: Sender,
    slot: number,
  ): void {
    let open = this.#open
    if (open !== undefined && open.builder.sizeInBytes + bytes > this.#options.batchBytes) {
      this.#close()
      open = undefined
    }
    if (open === undefined) {
      open = this.#spare.pop() ?? new OpenBatch()
      this.#open = open
    }
    open.builder.append(timestamp, key, value, headers)
    open.senders.push(sender)
    open.slots.push(slot)
    open.timestamps.push(timestamp)
    open.bytes += bytes
    if (open.builder.sizeInBytes >= this.#options.batchBytes) this.#close()
    else this.#scheduleClose()
  }

  /** Closes the open batch now, whatever its linger. */
  flush(): void {
    if (this.#open !== undefined) this.#close()
  }

  #scheduleClose(): void {
    const { lingerMs, clock } = this.#options
    if (lingerMs > 0) {
      this.#cancelLinger ??= clock.schedule(() => this.#close(), lingerMs, { keepAlive: true })
      return
    }
    if (this.#underWay > 0 || this.#isCloseScheduled) return
    this.#isCloseScheduled = true
    // After the microtasks: senders that were just acknowledged send again in those, and join this batch.
    process.nextTick(this.#closeScheduled)
  }

  readonly #closeScheduled = (): void => {
    this.#isCloseScheduled = false
    if (this.#underWay === 0) this.flush()
  }

  #close(): void {
    const open = this.#open
    this.#cancelLinger?.()
    this.#cancelLinger = undefined
    if (open === undefined) return
    this.#open = undefined
    this.#underWay++
    this.#options.onClosed()
    const { at, engine } = this.#options
    engine.produce({ topic: at.topic, partition: at.partition, batch: open.builder.close() }).then(
      (result) => this.#acknowledge(open, result),
      (error) => this.#fail(open, error),
    )
  }

  #acknowledge(batch: OpenBatch, result: ProduceResult): void {
    // Senders that await each message in memory would otherwise never leave this turn of the event loop.
    const { clock } = this.#options
    if (this.#acksDue === undefined && !clock.turnIsSpent()) return this.#settle(batch, result)
    const due = (this.#acksDue ?? clock.nextTurn()).then(() => {
      if (this.#acksDue === due) this.#acksDue = undefined
      this.#settle(batch, result)
    })
    this.#acksDue = due
  }

  #settle(batch: OpenBatch, { baseOffset, logAppendTime }: ProduceResult): void {
    const { topic, partition } = this.#options.at
    const { senders, slots, timestamps } = batch
    for (let index = 0; index < senders.length; index++) {
      const timestamp = logAppendTime >= 0 ? logAppendTime : (timestamps[index] as number)
      const result = { topic, partition, offset: baseOffset + index, timestamp }
      senders[index]?.acknowledged(slots[index] as number, result)
    }
    this.#recycle(batch)
  }

  #fail(batch: OpenBatch, error: unknown): void {
    for (const sender of batch.senders) sender.failed(error)
    this.#recycle(batch, error)
  }

  #recycle(batch: OpenBatch, error?: unknown): void {
    const { length } = batch.senders
    const { bytes } = batch
    this.#underWay--
    batch.builder.reset()
    batch.senders.length = 0
    batch.slots.length = 0
    batch.timestamps.length = 0
    batch.bytes = 0
    // The memory of one huge message is not kept.
    if (this.#spare.length < SPARE_BATCHES && bytes <= 2 * this.#options.batchBytes) this.#spare.push(batch)
    this.#options.onSettled(length, bytes, error)
    if (this.#open !== undefined) this.#scheduleClose()
  }
}
