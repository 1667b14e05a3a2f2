import type { Codec } from '../codec/codec.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { RecordHeader } from '../record/record-batch.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import { encodeHeaders, type OutgoingMessage } from './message.js'
import { describe, invalid } from './options.js'
import type { AnyTopic } from './topic.js'

type Encoder = Pick<Codec<unknown>, 'name' | 'encode'>

/**
 * Records of one `send`, encoded, on their way to batches: a column for each field, those apart from the values only
 * where a message has that field (benchmark: memory-batch). An object for each message would cost as much as encoding it.
 */
export class EncodedMessages {
  readonly count: number
  /** An upper bound of what all of them take in batches, and of what the largest takes. */
  bytes = 0
  largestBytes = 0
  readonly #values: (Uint8Array | null)[]
  #keys: (Uint8Array | null)[] | undefined
  #headers: (readonly RecordHeader[])[] | undefined
  #timestamps: number[] | undefined
  #partitions: number[] | undefined

  constructor(count: number) {
    this.count = count
    this.#values = new Array(count)
  }

  /**
   * All of them. Throws OTTLA_INVALID_ARGUMENT for what is no message, OTTLA_ENCODE for a key or value that its codec
   * refuses. What only few messages have is looked at apart (benchmark: append-raw).
   */
  encode(topic: AnyTopic, given: readonly OutgoingMessage<unknown, unknown>[]): void {
    const values = this.#values
    let keys = this.#keys
    let bytes = 0
    let largestBytes = 0
    // By index, since the holes of an array are messages that are missing.
    for (let slot = 0; slot < this.count; slot++) {
      const message = given[slot] as OutgoingMessage<unknown, unknown>
      checkMessage(topic, message)
      const value = encodeValue(topic, message.value)
      const key = encodeKey(topic, message.key)
      values[slot] = value
      if (key !== null) {
        if (keys === undefined) this.#keys = keys = new Array(this.count)
        keys[slot] = key
      }
      if (message.headers !== undefined || message.timestamp !== undefined || message.partition !== undefined) {
        this.#setRare(slot, headersOf(message), timestampOf(message), partitionOf(message))
      }
      const size = RecordBatchBuilder.recordSizeUpperBound(key, value, this.headers(slot))
      bytes += size
      if (size > largestBytes) largestBytes = size
    }
    this.bytes = bytes
    this.largestBytes = largestBytes
  }

  set(
    slot: number,
    value: Uint8Array | null,
    key: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number | undefined,
    partition: number | undefined,
  ): void {
    this.#values[slot] = value
    if (key !== null) this.#setKey(slot, key)
    this.#setRare(slot, headers, timestamp, partition)
    const bytes = RecordBatchBuilder.recordSizeUpperBound(key, value, headers)
    this.bytes += bytes
    if (bytes > this.largestBytes) this.largestBytes = bytes
  }

  value(slot: number): Uint8Array | null {
    return this.#values[slot] ?? null
  }

  key(slot: number): Uint8Array | null {
    return this.#keys === undefined ? null : (this.#keys[slot] ?? null)
  }

  headers(slot: number): readonly RecordHeader[] | undefined {
    return this.#headers === undefined ? undefined : this.#headers[slot]
  }

  /** Undefined: when it comes to its batch. */
  timestamp(slot: number): number | undefined {
    return this.#timestamps === undefined ? undefined : this.#timestamps[slot]
  }

  /** Given, or chosen by the user's partitioner. */
  partition(slot: number): number | undefined {
    return this.#partitions === undefined ? undefined : this.#partitions[slot]
  }

  get havePartitions(): boolean {
    return this.#partitions !== undefined
  }

  setPartition(slot: number, partition: number): void {
    this.#partitions ??= new Array(this.count)
    this.#partitions[slot] = partition
  }

  /** An upper bound of what it takes in a batch. */
  bytesOf(slot: number): number {
    return RecordBatchBuilder.recordSizeUpperBound(this.key(slot), this.value(slot), this.headers(slot))
  }

  /** The size of a batch that holds nothing else; exact, unless key and value alone are over the limit. */
  sizeAlone(slot: number, limit: number): number {
    const key = this.key(slot)
    const value = this.value(slot)
    const bytes = (key?.length ?? 0) + (value?.length ?? 0)
    if (bytes > limit) return bytes
    const builder = new RecordBatchBuilder()
    builder.append(this.timestamp(slot) ?? 0, key, value, this.headers(slot))
    return builder.sizeInBytes
  }

  /** Copies what is to wait: `bytes()` hands over the sender's own array, which the sender may write to again. */
  copy(): void {
    for (let slot = 0; slot < this.count; slot++) {
      this.#values[slot] = copyOf(this.value(slot))
      if (this.#keys !== undefined) this.#keys[slot] = copyOf(this.key(slot))
      const headers = this.headers(slot)
      if (headers !== undefined) this.#setHeaders(slot, headers.map(copyOfHeader))
    }
  }

  #setRare(
    slot: number,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number | undefined,
    partition: number | undefined,
  ): void {
    if (headers !== undefined) this.#setHeaders(slot, headers)
    if (timestamp !== undefined) this.#setTimestamp(slot, timestamp)
    if (partition !== undefined) this.setPartition(slot, partition)
  }

  #setKey(slot: number, key: Uint8Array): void {
    this.#keys ??= new Array(this.count)
    this.#keys[slot] = key
  }

  #setHeaders(slot: number, headers: readonly RecordHeader[]): void {
    this.#headers ??= new Array(this.count)
    this.#headers[slot] = headers
  }

  #setTimestamp(slot: number, timestamp: number): void {
    this.#timestamps ??= new Array(this.count)
    this.#timestamps[slot] = timestamp
  }
}

/** Throws for what is no object, or has a field that no message has. */
export function checkMessage(topic: AnyTopic, message: OutgoingMessage<unknown, unknown>): void {
  if (typeof message !== 'object' || message === null) {
    throw noMessage(topic, message)
  }
  for (const field in message) if (!isMessageField(field)) throw unknownField(field)
}

export function encodeValue(topic: AnyTopic, value: unknown): Uint8Array | null {
  if (value === null) return null
  if (value === undefined) throw noValue(topic)
  return encodeWith(topic, topic.value, 'value', value)
}

export function encodeKey(topic: AnyTopic, key: unknown): Uint8Array | null {
  return key === undefined || key === null ? null : encodeWith(topic, topic.key, 'key', key)
}

export function headersOf({ headers }: OutgoingMessage<unknown, unknown>): readonly RecordHeader[] | undefined {
  return headers === undefined ? undefined : encodeHeaders(headers)
}

export function partitionOf({ partition }: OutgoingMessage<unknown, unknown>): number | undefined {
  return partition === undefined ? undefined : checkPartition(partition)
}

/** Compared one by one, which for a literal's names is a comparison of pointers. */
function isMessageField(name: string): boolean {
  return name === 'value' || name === 'key' || name === 'partition' || name === 'timestamp' || name === 'headers'
}

/** Not slice, which in a Buffer copies nothing. */
function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : new Uint8Array(bytes)
}

function copyOfHeader([name, value]: RecordHeader): RecordHeader {
  return [name, copyOf(value)]
}

export function timestampOf({ timestamp }: OutgoingMessage<unknown, unknown>): number | undefined {
  return timestamp === undefined ? undefined : checkTimestamp(timestamp)
}

function checkTimestamp(timestamp: number | Date): number {
  const milliseconds = typeof timestamp === 'number' ? timestamp : timestamp?.getTime?.()
  if (Number.isSafeInteger(milliseconds) && milliseconds >= 0) return milliseconds
  throw invalid(`A timestamp is a Date or whole milliseconds since 1970, not ${describe(timestamp)}`)
}

function encodeWith(topic: AnyTopic, codec: Encoder, part: 'key' | 'value', value: unknown): Uint8Array {
  let bytes: unknown
  try {
    bytes = codec.encode(value)
  } catch (cause) {
    throw refused(topic, codec, part, cause)
  }
  if (bytes instanceof Uint8Array) return bytes
  throw notBytes(topic, codec, part, bytes)
}

function noMessage(topic: AnyTopic, given: unknown): OttlaError {
  return invalid(`A message for ${topic.name} is an object such as { key, value }, not ${describe(given)}`)
}

function noValue(topic: AnyTopic): OttlaError {
  return invalid(`A message for ${topic.name} has no value: give one, or null for a tombstone`)
}

function refused(topic: AnyTopic, codec: Encoder, part: 'key' | 'value', cause: unknown): OttlaError {
  const message = `The ${part} for topic ${topic.name} cannot be encoded by ${codec.name}: ${reasonOf(cause)}`
  return new OttlaError('OTTLA_ENCODE', message, { cause })
}

function notBytes(topic: AnyTopic, codec: Encoder, part: 'key' | 'value', given: unknown): OttlaError {
  return new OttlaError(
    'OTTLA_ENCODE',
    `The codec ${codec.name} of topic ${topic.name} returned ${describe(given)} for a ${part}: encode returns a Uint8Array`,
  )
}

function unknownField(field: string): OttlaError {
  return invalid(`A message has no field ${field}: it takes value, key, partition, timestamp, headers`)
}

function checkPartition(partition: unknown): number {
  if (typeof partition === 'number' && Number.isInteger(partition) && partition >= 0) return partition
  throw invalid(`A partition is a whole number from 0 up, not ${describe(partition)}`)
}
