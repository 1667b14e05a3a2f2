import { isUint8Array } from 'node:util/types'
import { isWellFormed } from '../codec/utf8.js'
import type { OttlaError } from '../errors.js'
import type { RecordHeader } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import { describe, invalid } from './options.js'
import type { Topic } from './topic.js'

/**
 * The headers of a message, in the order in which they were sent. Like the Web's Headers, but case-sensitive, with
 * duplicates, and with bytes: a value that was sent as text is read back with `get`.
 */
export interface MessageHeaders extends Iterable<[name: string, value: Uint8Array | null]> {
  /** The last header of that name as text; undefined without one, or where its value is null. */
  get(name: string): string | undefined
  /** The last header of that name as it is; undefined without one. */
  getBytes(name: string): Uint8Array | null | undefined
  /** Every header of that name as text, in order. */
  getAll(name: string): (string | null)[]
  /** True where there is a header of that name, whatever its value. */
  has(name: string): boolean
}

/**
 * A message as a consumer gets it: plain data with own properties, so that spreading, JSON.stringify, console.log and
 * toEqual work. `value` is null (a tombstone) only where the topic's value type includes null.
 */
export interface Message<Value = unknown, Key = string> extends Readonly<TopicPartition> {
  /** Its number in the partition. */
  readonly offset: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** Decoded by the topic's key codec; null where it was sent without one. */
  readonly key: Key | null
  /** Decoded by the topic's value codec; null for a tombstone. */
  readonly value: Value
  /** Without any, it is empty. */
  readonly headers: MessageHeaders
}

/** The message that a topic's consumers get; of a topic named by a string or a RegExp, bytes. */
export type MessageOf<T> =
  T extends Topic<infer Value, infer Key, infer _Input> ? Message<Value, Key> : Message<Uint8Array, Uint8Array>

/** A message to send. */
export interface OutgoingMessage<Input, Key = string> {
  /** null is a tombstone; undefined is refused. */
  value: Input
  /** Messages with equal keys go to one partition, in order. Without one, batches are spread. */
  key?: Key | null
  /** The partition, instead of the one that the key says. */
  partition?: number
  /** Milliseconds since the epoch, or a Date. Default: now. */
  timestamp?: number | Date
  /** By name, or as pairs where a name repeats. Text becomes UTF-8. */
  headers?: Record<string, string | Uint8Array | null> | Iterable<readonly [string, string | Uint8Array | null]>
}

/** Where a message went. */
export interface SendResult extends Readonly<TopicPartition> {
  /** Its number in the partition. */
  readonly offset: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
}

/** Keeps a byte order mark, which a TextDecoder drops unless told not to. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const encoder = new TextEncoder()

class DecodedHeaders implements MessageHeaders {
  readonly #entries: readonly RecordHeader[]

  constructor(entries: readonly RecordHeader[]) {
    this.#entries = entries
  }

  get(name: string): string | undefined {
    const value = this.getBytes(name)
    return value === undefined || value === null ? undefined : decoder.decode(value)
  }

  getBytes(name: string): Uint8Array | null | undefined {
    let found: Uint8Array | null | undefined
    for (const [entry, value] of this.#entries) if (entry === name) found = value
    return found
  }

  getAll(name: string): (string | null)[] {
    return this.#entries
      .filter(([entry]) => entry === name)
      .map(([, value]) => (value === null ? null : decoder.decode(value)))
  }

  has(name: string): boolean {
    return this.#entries.some(([entry]) => entry === name)
  }

  *[Symbol.iterator](): Iterator<[name: string, value: Uint8Array | null]> {
    for (const [name, value] of this.#entries) yield [name, value]
  }

  /** JSON.stringify shows text: an array of [name, value], since names may repeat. */
  toJSON(): [name: string, value: string | null][] {
    return this.#entries.map(([name, value]) => [name, value === null ? null : decoder.decode(value)])
  }

  [Symbol.for('nodejs.util.inspect.custom')](): unknown {
    return this.toJSON()
  }
}

/** Shared by all messages without headers. */
export const NO_HEADERS: MessageHeaders = Object.freeze(new DecodedHeaders([]))

export function decodeHeaders(entries: readonly RecordHeader[]): MessageHeaders {
  return entries.length === 0 ? NO_HEADERS : new DecodedHeaders(entries)
}

/** Headers as records have them. Throws OTTLA_INVALID_ARGUMENT for a name or value that is neither text nor bytes, or text that UTF-8 cannot hold. */
export function encodeHeaders(headers: NonNullable<OutgoingMessage<unknown>['headers']>): RecordHeader[] {
  if (typeof headers !== 'object' || headers === null) {
    throw invalid(`The headers of a message are an object or [name, value] pairs, not ${describe(headers)}`)
  }
  const entries: Iterable<unknown> = Symbol.iterator in headers ? headers : Object.entries(headers)
  return Array.from(entries, encodeHeader)
}

function encodeHeader(entry: unknown): RecordHeader {
  if (!Array.isArray(entry) || entry.length !== 2) {
    throw invalid(`A header is a pair [name, value], not ${describe(entry)}`)
  }
  const [name, value]: unknown[] = entry
  if (typeof name !== 'string') throw invalid(`A header's name is a string, not ${describe(name)}`)
  if (!isWellFormed(name)) throw notWellFormed(`The name of header ${name}`)
  if (typeof value === 'string') {
    if (!isWellFormed(value)) throw notWellFormed(`The text of header ${name}`)
    return [name, encoder.encode(value)]
  }
  if (value === null || isUint8Array(value)) return [name, value]
  throw invalid(`The header ${name} is ${describe(value)}: give a string, a Uint8Array or null`)
}

function notWellFormed(what: string): OttlaError {
  return invalid(`${what} holds half of a surrogate pair, for which UTF-8 has no bytes: send such text as bytes`)
}
