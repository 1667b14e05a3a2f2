import type { Codec } from '../codec/codec.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { RecordCursor } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import { decodeHeaders, type Message, NO_HEADERS } from './message.js'

type Decoder = Pick<Codec<unknown>, 'name' | 'decode'>

/** How a topic's records become messages. */
export interface MessageCodecs {
  readonly key: Decoder
  readonly value: Decoder
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
    key: (key === null ? null : decodeWith(at, offset, 'key', codecs.key, key)) as string | null,
    value: value === null ? null : decodeWith(at, offset, 'value', codecs.value, value),
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
  offset: number,
  part: 'key' | 'value',
  codec: Decoder,
  bytes: Uint8Array,
): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    throw new OttlaError(
      'OTTLA_DECODE',
      `The ${part} of ${at.topic}-${at.partition} offset ${offset} cannot be decoded by ${codec.name}: ${reasonOf(cause)}`,
      { cause },
    )
  }
}
