import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import { BATCH_HEADER_BYTES } from '../record/batch-layout.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { Clock } from '../time/clock.js'
import { Batcher, type BatcherOptions } from './batcher.js'
import {
  checkMessage,
  EncodedMessages,
  encodeKey,
  encodeValue,
  headersOf,
  partitionOf,
  timestampOf,
} from './encode-message.js'
import type { RetryRules } from './idempotent-sender.js'
import type { OutgoingMessage, SendResult } from './message.js'
import { byPartition } from './messages-by-partition.js'
import type { BatchPool } from './open-batch.js'
import { aSignal, checkOptions, describe, invalid } from './options.js'
import { type Partitioner, partitionForKey, StickyPartitioner } from './partitioner.js'
import type { ProducerCounters } from './producer-counters.js'
import { ProducerIdentity, type ProducerIds } from './producer-identity.js'
import { PRODUCER_OPTIONS, type ProducerOptions, retryRules } from './producer-options.js'
import { type QueuedSend, SendQueue } from './send-queue.js'
import { SendOfMany } from './sender.js'
import { type AnyTopic, isTopic, type Topic } from './topic.js'
import type { KnownTopic, TopicDirectory } from './topic-directory.js'
import { isSendHeard, traceSend } from './tracing.js'
import { TurnEnd } from './turn-end.js'

/** What can be called off. */
export interface Abortable {
  /** Ends a wait; the promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** @internal */
export interface ProducerContext {
  readonly engine: Engine
  readonly clock: Clock
  readonly topics: TopicDirectory
  /** What the producers of this client are known by. */
  readonly ids: ProducerIds
  readonly counters: ProducerCounters
  /** Memory for the batches of all its producers. */
  readonly batches: BatchPool
  /** Told when something was settled, for `idle`. */
  readonly onProgress: () => void
  readonly onClose: (producer: Producer) => void
}

/** @internal What `idle` asks a producer. */
export interface PendingSends {
  readonly count: number
  /** True where only the passing of a linger will send them. */
  readonly waitForTime: boolean
}

/** A `send` that waits for the topic to be looked up or for room. */
interface WaitingSend extends QueuedSend {
  readonly topic: AnyTopic
  readonly messages: EncodedMessages
  readonly sender: SendOfMany
}

/** One topic's batchers, by partition. */
interface Destination {
  known: KnownTopic
  /** Of the directory, when it last said so. */
  revision: number
  /** Messages of up to so many bytes need no check unless they name a partition: -1 where the user's partitioner chooses. */
  plainBytes: number
  readonly batchers: (Batcher | undefined)[]
}

/** With fewer topics than these it is not worth looking whether they are still there. */
const LOOK_FOR_GONE_AT = 64

export let createProducer: (context: ProducerContext, options: ProducerOptions | undefined) => Producer
export let pendingSends: (producer: Producer) => PendingSends

/**
 * Sends messages to topics. Any number of sends may be under way; the messages of one producer to one partition keep
 * their order. `broker.producer(options)` makes one.
 */
export class Producer implements AsyncDisposable {
  readonly #context: ProducerContext
  readonly #lingerMs: number
  readonly #batchBytes: number
  readonly #maxInFlightBytes: number
  readonly #onFull: 'wait' | 'reject'
  readonly #partitioner: Partitioner | undefined
  /** Undefined where it is not idempotent. */
  readonly #identity: ProducerIdentity | undefined
  readonly #sticky = new StickyPartitioner()
  readonly #destinations = new Map<string, Destination>()
  /** How many of them there are when those are looked for whose topics are gone. */
  #lookForGoneAt = LOOK_FOR_GONE_AT
  readonly #waiting = new SendQueue<WaitingSend>(({ sender }, reason) => {
    sender.failed(reason)
    // What stands behind it may be smaller.
    void this.#admit()
  })
  readonly #batcherOptions: BatcherOptions
  /** Sends whose refusal is about to be told. */
  readonly #refusals = new Set<Promise<void>>()
  /** Where the last send went, while what is known of topics has not changed and the producer is open. */
  #last: { readonly topic: AnyTopic; readonly revision: number; readonly destination: Destination } | undefined
  #inFlightBytes = 0
  #inFlightRecords = 0
  #isClosed = false
  #isAdmitting = false

  static {
    createProducer = (context, options) => new Producer(context, options)
    pendingSends = (producer) => producer.#pending()
  }

  private constructor(context: ProducerContext, options: ProducerOptions = {}) {
    checkOptions('a producer', options, PRODUCER_OPTIONS)
    this.#context = context
    this.#lingerMs = options.lingerMs ?? 0
    this.#batchBytes = options.batchBytes ?? 65_536
    this.#maxInFlightBytes = options.maxInFlightBytes ?? 32 * 2 ** 20
    this.#onFull = options.onFull ?? 'wait'
    this.#partitioner = options.partitioner
    this.#identity = options.idempotent === false ? undefined : new ProducerIdentity(context.ids)
    this.#batcherOptions = this.#optionsOfBatchers(retryRules(options))
  }

  /**
   * Appends one message, or several, to a topic. Resolves with where each went once the storage's durability holds:
   * in memory when it is appended, on files when it is written and, with `durability: 'fsync'`, synced. Values are
   * encoded during the call. Never waits for a consumer.
   *
   * Rejects with OTTLA_ENCODE (a value that its codec refuses), OTTLA_INVALID_ARGUMENT, OTTLA_MESSAGE_TOO_LARGE,
   * OTTLA_INVALID_RECORD (no key, where the topic is compacted), OTTLA_UNKNOWN_TOPIC_OR_PARTITION, OTTLA_QUEUE_FULL,
   * OTTLA_STORAGE_FULL, OTTLA_STORAGE_FAILED, OTTLA_READ_ONLY, OTTLA_INVALID_PRODUCER_EPOCH or OTTLA_CLOSED. A
   * refused argument sends nothing; of several messages that fail later, some may be in the log. The signal ends the
   * wait for room, not what is under way.
   *
   * @example
   * const { partition, offset } = await producer.send(orders, { key: 'alice', value: order })
   */
  send<Value, Key, Input>(
    topic: Topic<Value, Key, Input>,
    messages: readonly OutgoingMessage<NoInfer<Input>, NoInfer<Key>>[],
    options?: Abortable,
  ): Promise<SendResult[]>
  send<Value, Key, Input>(
    topic: Topic<Value, Key, Input>,
    message: OutgoingMessage<NoInfer<Input>, NoInfer<Key>>,
    options?: Abortable,
  ): Promise<SendResult>
  send(
    topic: AnyTopic,
    messages: OutgoingMessage<unknown, unknown> | readonly OutgoingMessage<unknown, unknown>[],
    options?: Abortable,
  ): Promise<SendResult | SendResult[]> {
    if (isSendHeard() && isTopic(topic)) return this.#sendTraced(topic, messages, options)
    return this.#send(topic, messages, options)
  }

  #send(
    topic: AnyTopic,
    messages: OutgoingMessage<unknown, unknown> | readonly OutgoingMessage<unknown, unknown>[],
    options: Abortable | undefined,
  ): Promise<SendResult | SendResult[]> {
    if (Array.isArray(messages)) {
      const sender = new SendOfMany(messages.length)
      try {
        this.#sendMany(topic, messages, options, sender)
      } catch (error) {
        sender.failed(error)
      }
      return sender.promise
    }
    try {
      // Array.isArray does not narrow a readonly array away.
      return this.#sendOne(topic, messages as OutgoingMessage<unknown, unknown>, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Closes every open batch now, and resolves when all that was sent before the call is settled, well or not. */
  async flush(options?: Abortable): Promise<void> {
    checkOptions('flush', options, { signal: aSignal })
    const signal = options?.signal
    signal?.throwIfAborted()
    const settled = this.#settled()
    await (signal === undefined ? settled : untilAborted(settled, signal))
  }

  /**
   * Takes no more sends, flushes, and resolves when all are settled: what waits to be sent again is tried once more, at
   * once. May be called more than once.
   */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#last = undefined
    for (const { batchers } of this.#destinations.values()) for (const batcher of batchers) batcher?.hurry()
    await this.flush()
    this.#identity?.release()
    this.#context.onClose(this)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #sendTraced(
    topic: AnyTopic,
    given: OutgoingMessage<unknown, unknown> | readonly OutgoingMessage<unknown, unknown>[],
    options: Abortable | undefined,
  ): Promise<SendResult | SendResult[]> {
    const isMany = Array.isArray(given)
    const messages: readonly OutgoingMessage<unknown, unknown>[] = isMany ? given : [given]
    const results = await traceSend(topic.name, messages, async (copies) => {
      const sent = await this.#send(topic, copies, options)
      return sent as SendResult[]
    })
    return isMany ? results : (results[0] as SendResult)
  }

  #sendOne(
    topic: AnyTopic,
    message: OutgoingMessage<unknown, unknown>,
    options: Abortable | undefined,
  ): Promise<SendResult> {
    if (topic !== this.#last?.topic || options !== undefined) this.#checkCall(topic, options)
    checkMessage(topic, message)
    const value = encodeValue(topic, message.value)
    const key = encodeKey(topic, message.key)
    const headers = headersOf(message)
    const timestamp = timestampOf(message)
    const partition = partitionOf(message)
    const bytes = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
    const destination = this.#destinationNow(topic, bytes)
    // Without an object of its own where there is nothing to wait for, choose or refuse: nearly always (benchmark: memory-send).
    if (destination !== undefined && partition === undefined && bytes <= destination.plainBytes) {
      const batcher = this.#batcherFor(topic, destination, this.#partitionFor(topic, key, destination))
      const sent = batcher.append(timestamp, key, value, headers, bytes)
      this.#inFlightBytes += bytes
      this.#inFlightRecords++
      return sent
    }
    const messages = new EncodedMessages(1)
    messages.set(0, value, key, headers, timestamp, partition)
    const sender = new SendOfMany(1)
    this.#sendEncoded(topic, messages, sender, destination, options?.signal)
    return sender.promise.then(([result]) => result as SendResult)
  }

  #sendMany(
    topic: AnyTopic,
    given: readonly OutgoingMessage<unknown, unknown>[],
    options: Abortable | undefined,
    sender: SendOfMany,
  ): void {
    this.#checkCall(topic, options)
    const messages = new EncodedMessages(given.length)
    messages.encode(topic, given)
    this.#sendEncoded(topic, messages, sender, this.#destinationNow(topic, messages.bytes), options?.signal)
  }

  #sendEncoded(
    topic: AnyTopic,
    messages: EncodedMessages,
    sender: SendOfMany,
    destination: Destination | undefined,
    signal: AbortSignal | undefined,
  ): void {
    if (destination !== undefined) this.#appendAll(topic, destination, messages, sender)
    else if (messages.count > 0) this.#wait(topic, messages, sender, signal)
  }

  #checkCall(topic: AnyTopic, options: Abortable | undefined): void {
    if (this.#isClosed) throw closed()
    if (!isTopic(topic)) throw invalid(`The first argument of send is a Topic, not ${describe(topic)}`)
    if (options === undefined) return
    checkOptions('send', options, { signal: aSignal })
    if (options.signal?.aborted === true) throw options.signal.reason
  }

  /** Undefined where a send must wait: for the topic to be known, for room, or for those in front. */
  #destinationNow(topic: AnyTopic, bytes: number): Destination | undefined {
    return this.#waiting.size === 0 && this.#hasRoom(bytes) ? this.#destination(topic) : undefined
  }

  #wait(topic: AnyTopic, messages: EncodedMessages, sender: SendOfMany, signal: AbortSignal | undefined): void {
    const { bytes } = messages
    if (this.#onFull === 'reject' && !this.#hasRoom(bytes, this.#waiting.bytes)) {
      this.#refuse(sender, queueFull(this.#inFlightBytes + this.#waiting.bytes, bytes, this.#maxInFlightBytes))
      return
    }
    messages.copy()
    this.#waiting.push({ topic, messages, bytes, sender, signal })
    void this.#admit()
  }

  /** Lets the sends that wait go on, in their order, as topics become known and room is made. */
  async #admit(): Promise<void> {
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    for (;;) {
      const next = this.#waiting.first
      if (next === undefined || !this.#hasRoom(next.bytes)) break
      const { topic, messages, sender } = next
      let failure: unknown
      if (this.#destination(topic) === undefined) {
        await this.#context.topics.lookUp(topic.name).catch((error: unknown) => {
          failure = error
        })
        // Aborted meanwhile, or changed again and forgotten: see anew.
        if (this.#waiting.first !== next) continue
        if (failure === undefined && this.#destination(topic) === undefined) continue
      }
      this.#waiting.shift()
      const destination = this.#destination(topic)
      if (destination === undefined) {
        this.#forgetIfGone(topic.name, failure)
        this.#refuse(sender, failure)
      } else {
        try {
          this.#appendAll(topic, destination, messages, sender)
        } catch (error) {
          this.#refuse(sender, error)
        }
      }
    }
    this.#isAdmitting = false
    // What waits for room waits for no linger.
    if (this.#waiting.size > 0 && this.#lingerMs > 0) this.#flushBatches()
    this.#context.onProgress()
  }

  /** A caller that tries again and again must not keep the event loop from what would let it succeed. */
  #refuse(sender: SendOfMany, error: unknown): void {
    const { clock } = this.#context
    if (!clock.turnIsSpent()) {
      sender.failed(error)
      return
    }
    const told = clock.nextTurn().then(() => {
      this.#refusals.delete(told)
      sender.failed(error)
      this.#context.onProgress()
    })
    this.#refusals.add(told)
  }

  /** All are checked before the first is appended, so that a refused send leaves nothing behind. */
  #appendAll(topic: AnyTopic, destination: Destination, messages: EncodedMessages, sender: SendOfMany): void {
    if (messages.havePartitions || messages.largestBytes > destination.plainBytes) {
      for (let slot = 0; slot < messages.count; slot++) this.#check(topic, destination.known, messages, slot)
    }
    this.#place(topic, destination, messages, sender)
    this.#inFlightBytes += messages.bytes
    this.#inFlightRecords += messages.count
  }

  #place(topic: AnyTopic, destination: Destination, messages: EncodedMessages, sender: SendOfMany): void {
    const { partitionCount } = destination.known
    // One partition takes them all, and none is looked at for its place (benchmark: memory-batch).
    if (partitionCount === 1) {
      this.#batcherFor(topic, destination, 0).appendAllFor(sender, messages)
      return
    }
    const placed = byPartition(messages, partitionCount)
    if (placed !== undefined) {
      for (const partition of placed.partitions) {
        const batcher = this.#batcherFor(topic, destination, partition)
        batcher.appendAllFor(sender, messages, placed.first(partition), placed.next)
      }
      return
    }
    const nextSlot = new Int32Array(messages.count)
    for (let slot = 0; slot < messages.count; slot++) {
      const key = messages.key(slot)
      const value = messages.value(slot)
      const headers = messages.headers(slot)
      const partition = messages.partition(slot) ?? this.#partitionFor(topic, key, destination)
      const bytes = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
      const batcher = this.#batcherFor(topic, destination, partition)
      batcher.appendFor(sender, slot, nextSlot, messages.timestamp(slot), key, value, headers, bytes)
    }
  }

  /** Throws what keeps the message out of the topic, and has a partitioner of the user's choose. */
  #check(
    topic: AnyTopic,
    { maxMessageBytes, partitionCount }: KnownTopic,
    messages: EncodedMessages,
    slot: number,
  ): void {
    if (messages.bytesOf(slot) + BATCH_HEADER_BYTES > maxMessageBytes) {
      const bytes = messages.sizeAlone(slot, maxMessageBytes)
      if (bytes > maxMessageBytes) throw tooLarge(topic, bytes, maxMessageBytes)
    }
    let partition = messages.partition(slot)
    if (partition === undefined) {
      if (this.#partitioner === undefined) return
      partition = this.#partitioner({
        topic: topic.name,
        key: messages.key(slot),
        value: messages.value(slot),
        partitionCount,
      })
      if (partition === undefined) return
      messages.setPartition(slot, partition)
    }
    if (Number.isInteger(partition) && partition >= 0 && partition < partitionCount) return
    throw noSuchPartition(topic, partition, partitionCount)
  }

  #partitionFor(topic: AnyTopic, key: Uint8Array | null, destination: Destination): number {
    const { partitionCount } = destination.known
    if (partitionCount === 1) return 0
    if (key === null) return this.#sticky.partition(topic.name, partitionCount)
    return partitionForKey(key, partitionCount)
  }

  #destination(topic: AnyTopic): Destination | undefined {
    const last = this.#last
    // Most sends go where the one before went, and find it there without two look-ups.
    if (topic === last?.topic && this.#context.topics.revision === last.revision) return last.destination
    const destination = this.#findDestination(topic.name)
    this.#last =
      destination === undefined || this.#isClosed
        ? undefined
        : { topic, revision: this.#context.topics.revision, destination }
    return destination
  }

  #findDestination(topic: string): Destination | undefined {
    const { topics } = this.#context
    const destination = this.#destinations.get(topic)
    // Of many topics each look-up is one more place that no cache of the processor holds (benchmark: growth-topics).
    if (destination?.revision === topics.revision) return destination
    const known = topics.get(topic)
    if (known === undefined) return undefined
    if (destination === undefined) {
      const { revision } = topics
      const made: Destination = { known, revision, plainBytes: this.#plainBytesFor(known), batchers: [undefined] }
      this.#destinations.set(topic, made)
      if (this.#destinations.size >= this.#lookForGoneAt) void this.#lookForGone()
      return made
    }
    if (destination.known !== known) this.#renew(destination, known)
    destination.revision = topics.revision
    return destination
  }

  /** Topics that are gone, and that nobody sends to again, would add up. */
  async #lookForGone(): Promise<void> {
    const { clock, topics } = this.#context
    this.#lookForGoneAt = Number.POSITIVE_INFINITY
    for (const topic of [...this.#destinations.keys()]) {
      if (topics.get(topic) !== undefined) continue
      await topics.lookUp(topic).catch((error: unknown) => this.#forgetIfGone(topic, error))
      if (clock.turnIsSpent()) await clock.nextTurn()
    }
    this.#lookForGoneAt = Math.max(LOOK_FOR_GONE_AT, 2 * this.#destinations.size)
  }

  /** Once nothing is on its way to it. */
  #forgetIfGone(topic: string, error: unknown): void {
    if (!isUnknownTopic(error) || this.#context.topics.get(topic) !== undefined) return
    const batchers = this.#destinations.get(topic)?.batchers
    if (batchers === undefined || batchers.some((batcher) => batcher?.isEmpty === false)) return
    this.#destinations.delete(topic)
    this.#sticky.forget(topic)
    // Should it be there after all, what is sent then must not be taken for a repetition of what it holds.
    this.#identity?.moveOn()
  }

  /** The batchers stay, and so does the order of what they have under way. */
  #renew(destination: Destination, known: KnownTopic): void {
    const isAnother = destination.known.topicId !== known.topicId
    destination.known = known
    destination.plainBytes = this.#plainBytesFor(known)
    for (const batcher of destination.batchers) {
      if (batcher === undefined) continue
      void batcher.flush()
      if (isAnother) batcher.beginAlone()
      batcher.batchBytes = this.#batchBytesFor(known)
    }
  }

  #plainBytesFor({ maxMessageBytes }: KnownTopic): number {
    return this.#partitioner === undefined ? maxMessageBytes - BATCH_HEADER_BYTES : -1
  }

  #batchBytesFor(known: KnownTopic): number {
    return Math.min(this.#batchBytes, known.maxMessageBytes)
  }

  #batcherFor(topic: AnyTopic, destination: Destination, partition: number): Batcher {
    return destination.batchers[partition] ?? this.#newBatcher(topic, destination, partition)
  }

  #newBatcher(topic: AnyTopic, destination: Destination, partition: number): Batcher {
    const at = { topic: topic.name, partition }
    const batcher = new Batcher(this.#batcherOptions, at, this.#batchBytesFor(destination.known))
    if (this.#isClosed) batcher.hurry()
    destination.batchers[partition] = batcher
    return batcher
  }

  #optionsOfBatchers(rules: RetryRules): BatcherOptions {
    const { engine, clock, topics, counters, batches, onProgress } = this.#context
    const identity = this.#identity
    return {
      engine,
      clock,
      lingerMs: this.#lingerMs,
      batches,
      turnEnd: new TurnEnd(clock),
      onClosed: ({ topic, partition }) => this.#sticky.onBatchClosed(topic, partition),
      onSettled: ({ topic }, records, bytes, error, sizeInBytes, closedAt) => {
        this.#inFlightRecords -= records
        this.#inFlightBytes -= bytes
        if (error === undefined) counters.acknowledged(records, sizeInBytes)
        else counters.failed(records)
        if (closedAt >= 0) counters.took(clock.monotonic() - closedAt)
        if (isUnknownTopic(error)) topics.forget(topic)
        if (this.#waiting.size > 0) void this.#admit()
        onProgress()
      },
      idempotence: identity && { engine, clock, identity, rules, counters, onProgress },
    }
  }

  /** One that is larger than the limit goes alone. */
  #hasRoom(bytes: number, waitingBytes = 0): boolean {
    const taken = this.#inFlightBytes + waitingBytes
    return taken === 0 || taken + bytes <= this.#maxInFlightBytes
  }

  async #settled(): Promise<void> {
    this.#flushBatches()
    // In their order, so once the last of them is in a batch, all are in batches or settled.
    if (this.#waiting.size > 0) await new Promise<void>((resolve) => this.#waiting.whenPassed(resolve))
    await Promise.all([...this.#flushBatches(), ...this.#refusals])
  }

  #flushBatches(): Promise<unknown>[] {
    const underWay: Promise<unknown>[] = []
    for (const { batchers } of this.#destinations.values()) {
      for (const batcher of batchers) {
        const settled = batcher?.flush()
        if (settled !== undefined) underWay.push(settled)
      }
    }
    return underWay
  }

  #pending(): PendingSends {
    const count = this.#inFlightRecords + this.#waiting.size + this.#refusals.size
    const batchers = [...this.#destinations.values()].flatMap((destination) => destination.batchers)
    const isTold = this.#refusals.size === 0 && !this.#isAdmitting
    const waitForTime = count > 0 && isTold && batchers.every((batcher) => batcher?.waitsForTime !== false)
    return { count, waitForTime }
  }
}

function isUnknownTopic(error: unknown): boolean {
  return OttlaError.is(error) && error.code === 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'
}

/** The outcome, or the reason of the abort if that comes first. */
function untilAborted(outcome: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    const settle = (done: () => void): void => {
      signal.removeEventListener('abort', onAbort)
      done()
    }
    outcome.then(
      () => settle(resolve),
      (error) => settle(() => reject(error)),
    )
  })
}

function tooLarge(topic: AnyTopic, bytes: number, limit: number): OttlaError {
  return new OttlaError(
    'OTTLA_MESSAGE_TOO_LARGE',
    `A message that takes ${bytes} bytes is over maxMessageBytes (${limit}) of ${topic.name}: send less at once or raise it with alterTopic`,
  )
}

function queueFull(underWay: number, bytes: number, limit: number): OttlaError {
  return new OttlaError(
    'OTTLA_QUEUE_FULL',
    `${underWay} bytes wait for their acknowledgement, and ${bytes} more would pass maxInFlightBytes (${limit}): send again later, or use onFull: 'wait'`,
  )
}

function noSuchPartition(topic: AnyTopic, partition: unknown, partitionCount: number): OttlaError {
  return new OttlaError(
    'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    `Topic ${topic.name} has no partition ${describe(partition)}: it has 0 to ${partitionCount - 1}`,
  )
}

function closed(): OttlaError {
  return new OttlaError('OTTLA_CLOSED', 'The producer is closed: make another with broker.producer()')
}
