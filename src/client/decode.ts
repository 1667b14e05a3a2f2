import type { Codec } from '../codec/codec.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { RecordCursor, RecordHeader } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import { decodeHeaders, type Message, NO_HEADERS } from './message.js'

type Decoder = Pick<Codec<unknown>, 'name' | 'decode'>

/** How a topic's records become messages. */
export interface MessageCodecs {
  readonly key: Decoder
  readonly value: Decoder
}

/** A message as it stands in the log. */
export interface RawRecord extends Readonly<TopicPartition> {
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** The codec could not decode a key or value: OTTLA_DECODE. */
export class UndecodableError extends OttlaError {
  declare readonly record: RawRecord

  constructor(record: RawRecord, part: 'key' | 'value', codec: Decoder, cause: unknown) {
    super(
      'OTTLA_DECODE',
      `The ${part} of ${record.topic}-${record.partition} offset ${record.offset} cannot be decoded by ${codec.name}: ${reasonOf(cause)}`,
      { cause },
    )
    // Out of the way of whoever looks at the error.
    Object.defineProperty(this, 'record', { value: record })
  }
}

export function rawRecord(at: TopicPartition, record: RecordCursor): RawRecord {
  const { offset, timestamp, key, value } = record
  return { topic: at.topic, partition: at.partition, offset, timestamp, key, value, headers: record.headers() }
}

/** As a message whose key and value are bytes, whatever the types of its topic say. */
export function rawMessage({ key, headers, ...record }: RawRecord): Message {
  const bytes: unknown = key
  return { ...record, key: bytes as string | null, headers: decodeHeaders(headers) }
}

/** The message of the record on which the cursor stands. Throws OTTLA_DECODE, naming the message. */
export function decodeMessage(at: TopicPartition, codecs: MessageCodecs, record: RecordCursor): Message {
  const { key, value, offset } = record
  return {
    topic: at.topic,
    partition: at.partition,
    offset,
    timestamp: record.timestamp,
    // The types of a topic's key and value stand in its declaration alone.
    key: (key === null ? null : decodeWith(at, record, 'key', codecs.key, key)) as string | null,
    value: value === null ? null : decodeWith(at, record, 'value', codecs.value, value),
    headers: record.headerCount === 0 ? NO_HEADERS : decodeHeaders(record.headers()),
  }
}

/** Adds the messages of the records that follow, `offset` and above, until there are `maxMessages`. True when there are so many. */
export function decodeMessages(
  at: TopicPartition,
  codecs: MessageCodecs,
  records: RecordCursor,
  offset: number,
  messages: Message[],
  maxMessages: number,
): boolean {
  while (records.next()) {
    if (records.offset < offset) continue
    messages.push(decodeMessage(at, codecs, records))
    if (messages.length >= maxMessages) return true
  }
  return false
}

function decodeWith(
  at: TopicPartition,
  record: RecordCursor,
  part: 'key' | 'value',
  codec: Decoder,
  bytes: Uint8Array,
): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    throw new UndecodableError(rawRecord(at, record), part, codec, cause)
  }
}
