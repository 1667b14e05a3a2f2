import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { RecordHeader } from '../record/record-batch.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { Clock } from '../time/clock.js'
import { Batcher, type Sender } from './batcher.js'
import { encodeHeaders, type OutgoingMessage, type SendResult } from './message.js'
import { aFunction, aSignal, checkOptions, describe, invalid, type OptionRule, oneOf, wholeNumber } from './options.js'
import { type Partitioner, partitionForKey, StickyPartitioner } from './partitioner.js'
import { type AnyTopic, isTopic, type Topic } from './topic.js'
import type { KnownTopic, TopicDirectory } from './topic-directory.js'

export interface Abortable {
  /** Ends a wait; the promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface ProducerOptions {
  /**
   * Milliseconds for which a batch that is not full waits for more. Default 0: a batch holds what one turn of the
   * event loop sent, or what gathered while the batch before it was written. Kafka: linger.ms.
   */
  lingerMs?: number
  /** Bytes at which a batch is full. Default 65,536. Kafka: batch.size, there 16,384. */
  batchBytes?: number
  /** Bytes that may wait for their acknowledgement at once. Default 32 MiB. Kafka: buffer.memory. */
  maxInFlightBytes?: number
  /** What `send` does when `maxInFlightBytes` are under way: wait for room (default), or reject with OTTLA_QUEUE_FULL. */
  onFull?: 'wait' | 'reject'
  /** Chooses partitions in place of Java's murmur2 over the key. Kafka: partitioner.class. */
  partitioner?: Partitioner
}

/** @internal */
export interface ProducerContext {
  readonly engine: Engine
  readonly clock: Clock
  readonly topics: TopicDirectory
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

const PRODUCER_OPTIONS: Readonly<Record<string, OptionRule>> = {
  lingerMs: wholeNumber(0, 2 ** 31 - 1),
  batchBytes: wholeNumber(1, 2 ** 30),
  maxInFlightBytes: wholeNumber(1),
  onFull: oneOf('wait', 'reject'),
  partitioner: aFunction,
}

const MESSAGE_FIELDS: ReadonlySet<string> = new Set(['value', 'key', 'partition', 'timestamp', 'headers'])

/** One record, encoded, on its way to a batch. */
interface EncodedMessage {
  key: Uint8Array | null
  value: Uint8Array | null
  readonly headers: readonly RecordHeader[] | undefined
  readonly timestamp: number
  readonly partition: number | undefined
  /** An upper bound of what it takes in a batch. */
  readonly bytes: number
}

/** A `send` that waits for the topic to be looked up or for room. */
interface WaitingSend {
  readonly topic: AnyTopic
  readonly messages: readonly EncodedMessage[]
  readonly sender: Sender
  readonly signal: AbortSignal | undefined
  readonly onAbort: () => void
}

/** One topic's batchers, by partition. */
interface Destination {
  readonly known: KnownTopic
  readonly batchers: (Batcher | undefined)[]
}

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
  readonly #sticky = new StickyPartitioner()
  readonly #destinations = new Map<string, Destination>()
  readonly #waiting: WaitingSend[] = []
  readonly #drainListeners: (() => void)[] = []
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
  }

  /**
   * Appends one message, or several, to a topic. Resolves with where each went once the storage's durability holds:
   * in memory when it is appended, on files when it is written and, with `durability: 'fsync'`, synced. Values are
   * encoded during the call. Never waits for a consumer.
   *
   * Rejects with OTTLA_ENCODE (a value that its codec refuses), OTTLA_INVALID_ARGUMENT, OTTLA_MESSAGE_TOO_LARGE,
   * OTTLA_UNKNOWN_TOPIC_OR_PARTITION, OTTLA_QUEUE_FULL, OTTLA_STORAGE_FULL, OTTLA_STORAGE_FAILED or OTTLA_CLOSED. A
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
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw closed()
      if (!isTopic(topic)) throw invalid(`The first argument of send is a Topic, not ${describe(topic)}`)
      if (options !== undefined) checkOptions('send', options, { signal: aSignal })
      const signal = options?.signal
      if (signal?.aborted === true) return reject(signal.reason)
      if (Array.isArray(messages)) {
        if (messages.length === 0) return resolve([])
        const encoded = messages.map((message) => this.#encode(topic, message))
        this.#submit(topic, encoded, new SendOfMany(messages.length, resolve, reject), signal)
        return
      }
      // Array.isArray does not narrow a readonly array away.
      const encoded = this.#encode(topic, messages as OutgoingMessage<unknown, unknown>)
      this.#submit(topic, [encoded], new SendOfOne(resolve, reject), signal)
    })
  }

  /** Closes every open batch now, and resolves when all that was sent before the call is settled, well or not. */
  flush(options?: Abortable): Promise<void> {
    return new Promise((resolve, reject) => {
      checkOptions('flush', options, { signal: aSignal })
      const signal = options?.signal
      if (signal?.aborted === true) return reject(signal.reason)
      this.#flushBatches()
      if (this.#pending().count === 0) return resolve()
      const onAbort = (): void => reject(signal?.reason)
      signal?.addEventListener('abort', onAbort)
      this.#drainListeners.push(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
    })
  }

  /** Takes no more sends, flushes, and resolves when all are settled. May be called more than once. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    this.#context.onClose(this)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #encode(topic: AnyTopic, message: OutgoingMessage<unknown, unknown>): EncodedMessage {
    if (typeof message !== 'object' || message === null) {
      throw invalid(`A message for ${topic.name} is an object such as { key, value }, not ${describe(message)}`)
    }
    for (const field in message) {
      if (!MESSAGE_FIELDS.has(field)) {
        throw invalid(`A message has no field ${field}: it takes ${[...MESSAGE_FIELDS].join(', ')}`)
      }
    }
    const { value, key, partition } = message
    if (value === undefined) {
      throw invalid(`A message for ${topic.name} has no value: give one, or null for a tombstone`)
    }
    const valueBytes = value === null ? null : encodeWith(topic, 'value', value)
    const keyBytes = key === undefined || key === null ? null : encodeWith(topic, 'key', key)
    const headers = message.headers === undefined ? undefined : encodeHeaders(message.headers)
    return {
      key: keyBytes,
      value: valueBytes,
      headers,
      timestamp: this.#timestampOf(message),
      partition: partition === undefined ? undefined : checkPartition(partition),
      bytes: RecordBatchBuilder.recordSizeUpperBound(keyBytes, valueBytes, headers),
    }
  }

  #timestampOf(message: OutgoingMessage<unknown, unknown>): number {
    const { timestamp } = message
    if (timestamp === undefined) return this.#context.clock.now()
    const milliseconds = typeof timestamp === 'number' ? timestamp : timestamp?.getTime?.()
    if (Number.isSafeInteger(milliseconds) && milliseconds >= 0) return milliseconds
    throw invalid(`A timestamp is a Date or whole milliseconds since 1970, not ${describe(timestamp)}`)
  }

  #submit(topic: AnyTopic, messages: readonly EncodedMessage[], sender: Sender, signal: AbortSignal | undefined): void {
    // The common case: the topic is known, nothing waits and there is room.
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      const destination = this.#destination(topic.name)
      if (destination !== undefined) return this.#append(topic, destination, messages, sender)
    }
    if (!this.#hasRoom() && this.#onFull === 'reject') {
      throw new OttlaError(
        'OTTLA_QUEUE_FULL',
        `${this.#inFlightBytes} bytes wait for their acknowledgement, which is maxInFlightBytes: send again later, or use onFull: 'wait'`,
      )
    }
    const waiting: WaitingSend = {
      topic,
      messages: messages.map(kept),
      sender,
      signal,
      onAbort: () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        sender.failed(signal?.reason)
        this.#announceDrain()
      },
    }
    signal?.addEventListener('abort', waiting.onAbort)
    this.#waiting.push(waiting)
    void this.#admit()
  }

  /** Lets the sends that wait go on, in their order, as topics become known and room is made. */
  async #admit(): Promise<void> {
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || !this.#hasRoom()) break
      let failure: unknown
      if (this.#destination(next.topic.name) === undefined) {
        await this.#context.topics.lookUp(next.topic.name).catch((error: unknown) => {
          failure = error
        })
        // It may have been aborted meanwhile.
        if (this.#waiting[0] !== next) continue
      }
      this.#waiting.shift()
      next.signal?.removeEventListener('abort', next.onAbort)
      const destination = this.#destination(next.topic.name)
      if (destination === undefined) next.sender.failed(failure)
      else {
        try {
          this.#append(next.topic, destination, next.messages, next.sender)
        } catch (error) {
          next.sender.failed(error)
        }
      }
    }
    this.#isAdmitting = false
    this.#announceDrain()
  }

  #append(topic: AnyTopic, destination: Destination, messages: readonly EncodedMessage[], sender: Sender): void {
    const { maxMessageBytes, partitionCount } = destination.known
    // All are checked before the first is appended, so that a refused send leaves nothing behind.
    for (const { key, value, partition } of messages) {
      const bytes = (key?.length ?? 0) + (value?.length ?? 0)
      if (bytes > maxMessageBytes) {
        throw new OttlaError(
          'OTTLA_MESSAGE_TOO_LARGE',
          `A message of ${bytes} bytes is over maxMessageBytes (${maxMessageBytes}) of ${topic.name}: send less at once or raise it with alterTopic`,
        )
      }
      if (partition !== undefined && partition >= partitionCount)
        throw noSuchPartition(topic, partition, partitionCount)
    }
    for (let slot = 0; slot < messages.length; slot++) {
      const message = messages[slot] as EncodedMessage
      const partition = message.partition ?? this.#partitionOf(topic, message, partitionCount)
      this.#inFlightBytes += message.bytes
      this.#inFlightRecords++
      const batcher = destination.batchers[partition] ?? this.#batcher(topic, partition, destination)
      batcher.append(message.timestamp, message.key, message.value, message.headers, message.bytes, sender, slot)
    }
  }

  #partitionOf(topic: AnyTopic, { key, value }: EncodedMessage, partitionCount: number): number {
    const chosen = this.#partitioner?.({ topic: topic.name, key, value, partitionCount })
    if (chosen !== undefined) {
      if (Number.isInteger(chosen) && chosen >= 0 && chosen < partitionCount) return chosen
      throw noSuchPartition(topic, chosen, partitionCount)
    }
    if (partitionCount === 1) return 0
    if (key === null) return this.#sticky.partition(topic.name, partitionCount)
    return partitionForKey(key, partitionCount)
  }

  #destination(topic: string): Destination | undefined {
    const known = this.#context.topics.get(topic)
    if (known === undefined) return undefined
    let destination = this.#destinations.get(topic)
    if (destination?.known !== known) {
      for (const batcher of destination?.batchers ?? []) batcher?.flush()
      destination = { known, batchers: [] }
      this.#destinations.set(topic, destination)
    }
    return destination
  }

  #batcher(topic: AnyTopic, partition: number, destination: Destination): Batcher {
    const { engine, clock, topics, onProgress } = this.#context
    const batcher = new Batcher({
      at: { topic: topic.name, partition },
      engine,
      clock,
      lingerMs: this.#lingerMs,
      batchBytes: Math.min(this.#batchBytes, destination.known.maxMessageBytes),
      onClosed: () => this.#sticky.onBatchClosed(topic.name, partition),
      onSettled: (records, bytes, error) => {
        this.#inFlightRecords -= records
        this.#inFlightBytes -= bytes
        if (OttlaError.is(error) && error.code === 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION') topics.forget(topic.name)
        if (this.#waiting.length > 0) void this.#admit()
        this.#announceDrain()
        onProgress()
      },
    })
    destination.batchers[partition] = batcher
    return batcher
  }

  #hasRoom(): boolean {
    return this.#inFlightBytes < this.#maxInFlightBytes
  }

  #flushBatches(): void {
    for (const { batchers } of this.#destinations.values()) {
      for (const batcher of batchers) batcher?.flush()
    }
  }

  #announceDrain(): void {
    if (this.#pending().count > 0) {
      // Sends that were admitted during a flush belong to it.
      if (this.#drainListeners.length > 0) this.#flushBatches()
      return
    }
    for (const listener of this.#drainListeners.splice(0)) listener()
  }

  #pending(): PendingSends {
    const count = this.#inFlightRecords + this.#waiting.length
    const batchers = [...this.#destinations.values()].flatMap((destination) => destination.batchers)
    const waitForTime = count > 0 && batchers.every((batcher) => batcher === undefined || batcher.waitsForTime)
    return { count, waitForTime }
  }
}

class SendOfOne implements Sender {
  readonly acknowledged: (slot: number, result: SendResult) => void
  readonly failed: (error: unknown) => void

  constructor(resolve: (result: SendResult) => void, reject: (error: unknown) => void) {
    this.acknowledged = (_slot, result) => resolve(result)
    this.failed = reject
  }
}

class SendOfMany implements Sender {
  readonly #results: SendResult[]
  readonly #resolve: (results: SendResult[]) => void
  readonly failed: (error: unknown) => void
  #left: number

  constructor(count: number, resolve: (results: SendResult[]) => void, reject: (error: unknown) => void) {
    this.#results = new Array(count)
    this.#left = count
    this.#resolve = resolve
    this.failed = reject
  }

  acknowledged(slot: number, result: SendResult): void {
    this.#results[slot] = result
    if (--this.#left === 0) this.#resolve(this.#results)
  }
}

function encodeWith(topic: AnyTopic, part: 'key' | 'value', value: unknown): Uint8Array {
  const codec = topic[part]
  let bytes: unknown
  try {
    bytes = codec.encode(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new OttlaError(
      'OTTLA_ENCODE',
      `The ${part} for topic ${topic.name} cannot be encoded by ${codec.name}: ${why}`,
      {
        cause,
      },
    )
  }
  if (bytes instanceof Uint8Array) return bytes
  throw new OttlaError(
    'OTTLA_ENCODE',
    `The codec ${codec.name} of topic ${topic.name} returned ${describe(bytes)} for a ${part}: encode returns a Uint8Array`,
  )
}

function checkPartition(partition: unknown): number {
  if (typeof partition === 'number' && Number.isInteger(partition) && partition >= 0) return partition
  throw invalid(`A partition is a whole number from 0 up, not ${describe(partition)}`)
}

/** What waits is copied: `bytes()` hands over the sender's own array, which the sender may write to again. */
function kept(message: EncodedMessage): EncodedMessage {
  return { ...message, key: message.key?.slice() ?? null, value: message.value?.slice() ?? null }
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
