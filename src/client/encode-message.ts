import type { Codec } from '../codec/codec.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { RecordHeader } from '../record/record-batch.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import { encodeHeaders, type OutgoingMessage } from './message.js'
import { describe, invalid } from './options.js'
import type { AnyTopic } from './topic.js'

type Encoder = Pick<Codec<unknown>, 'name' | 'encode'>

/** One record, encoded, on its way to a batch. */
export class EncodedMessage {
  key: Uint8Array | null = null
  value: Uint8Array | null = null
  headers: readonly RecordHeader[] | undefined = undefined
  /** Undefined: when it comes to its batch. */
  timestamp: number | undefined = undefined
  /** Given, or chosen by the user's partitioner. */
  partition: number | undefined = undefined
  /** An upper bound of what it takes in a batch. */
  bytes = 0
}

/**
 * Fills in `encoded`, a new one unless it is given, after the last call of a codec. Throws OTTLA_INVALID_ARGUMENT for what is no message, OTTLA_ENCODE
 * for a key or value that its codec refuses.
 */
export function encodeMessage(
  topic: AnyTopic,
  message: OutgoingMessage<unknown, unknown>,
  encoded: EncodedMessage = new EncodedMessage(),
): EncodedMessage {
  if (typeof message !== 'object' || message === null) {
    throw invalid(`A message for ${topic.name} is an object such as { key, value }, not ${describe(message)}`)
  }
  for (const field in message) {
    if (!isMessageField(field)) {
      throw invalid(`A message has no field ${field}: it takes value, key, partition, timestamp, headers`)
    }
  }
  const { value, key, partition } = message
  if (value === undefined) {
    throw invalid(`A message for ${topic.name} has no value: give one, or null for a tombstone`)
  }
  const valueBytes = value === null ? null : encodeWith(topic, topic.value, 'value', value)
  const keyBytes = key === undefined || key === null ? null : encodeWith(topic, topic.key, 'key', key)
  const headers = message.headers === undefined ? undefined : encodeHeaders(message.headers)
  const timestamp = timestampOf(message)
  encoded.partition = partition === undefined ? undefined : checkPartition(partition)
  encoded.key = keyBytes
  encoded.value = valueBytes
  encoded.headers = headers
  encoded.timestamp = timestamp
  encoded.bytes = RecordBatchBuilder.recordSizeUpperBound(keyBytes, valueBytes, headers)
  return encoded
}

/** Compared one by one, which for a literal's names is a comparison of pointers. */
function isMessageField(name: string): boolean {
  return name === 'value' || name === 'key' || name === 'partition' || name === 'timestamp' || name === 'headers'
}

/** What waits is copied: `bytes()` hands over the sender's own array, which the sender may write to again. */
export function kept(message: EncodedMessage): EncodedMessage {
  const headers = message.headers?.map(([name, value]): RecordHeader => [name, copyOf(value)])
  return { ...message, key: copyOf(message.key), value: copyOf(message.value), headers }
}

/** Not slice, which in a Buffer copies nothing. */
function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : new Uint8Array(bytes)
}

/** The size of a batch that holds nothing else; exact, unless key and value alone are over the limit. */
export function sizeAlone({ timestamp, key, value, headers }: EncodedMessage, limit: number): number {
  const bytes = (key?.length ?? 0) + (value?.length ?? 0)
  if (bytes > limit) return bytes
  const builder = new RecordBatchBuilder()
  builder.append(timestamp ?? 0, key, value, headers)
  return builder.sizeInBytes
}

function timestampOf(message: OutgoingMessage<unknown, unknown>): number | undefined {
  const { timestamp } = message
  if (timestamp === undefined) return undefined
  const milliseconds = typeof timestamp === 'number' ? timestamp : timestamp?.getTime?.()
  if (Number.isSafeInteger(milliseconds) && milliseconds >= 0) return milliseconds
  throw invalid(`A timestamp is a Date or whole milliseconds since 1970, not ${describe(timestamp)}`)
}

function encodeWith(topic: AnyTopic, codec: Encoder, part: 'key' | 'value', value: unknown): Uint8Array {
  let bytes: unknown
  try {
    bytes = codec.encode(value)
  } catch (cause) {
    const message = `The ${part} for topic ${topic.name} cannot be encoded by ${codec.name}: ${reasonOf(cause)}`
    throw new OttlaError('OTTLA_ENCODE', message, { cause })
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
