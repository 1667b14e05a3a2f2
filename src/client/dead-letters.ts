import { bytes } from '../codec/bytes.js'
import type { Engine } from '../engine/engine.js'
import { checkTopicName, isInternalTopic } from '../engine/topic-name.js'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { RecordHeader } from '../record/record-batch.js'
import type { RawRecord } from './decode.js'
import type { MessageHeaders } from './message.js'
import { describe, invalid } from './options.js'
import type { Producer } from './producer.js'
import type { Subscription } from './subscription.js'
import { type AnyTopic, isTopic, TOPIC_DECLARATION, Topic } from './topic.js'
import { describeTopic } from './topic-directory.js'

/** Where a message in a dead-letter topic came from, and what it failed with: what its headers say. */
export interface DeadLetter {
  /** The topic in which it was consumed. */
  readonly topic: string
  /** Its partition there. */
  readonly partition: number
  /** Its number in that partition. */
  readonly offset: number
  /** Its time there, in milliseconds since the epoch. */
  readonly timestamp: number
  /** The `name` of the error; of what was thrown and is no error, its type. */
  readonly errorName: string
  /** The error in words, cut after 2,048 characters. */
  readonly errorMessage: string
  /** Cut after 8,192 characters; null of what was thrown without one. */
  readonly errorStack: string | null
  /** How often it was tried; 0 of a message that could not be decoded. */
  readonly attempts: number
  /** The group that could not handle it. */
  readonly group: string
}

/**
 * The headers that a dead letter has behind those that it was sent with, in this order. All are text: numbers in decimal.
 * The stack is null where there is none.
 */
const HEADERS = {
  topic: 'ottla.original.topic',
  partition: 'ottla.original.partition',
  offset: 'ottla.original.offset',
  timestamp: 'ottla.original.timestamp',
  errorName: 'ottla.error.name',
  errorMessage: 'ottla.error.message',
  errorStack: 'ottla.error.stack',
  attempts: 'ottla.attempts',
  group: 'ottla.group',
} as const satisfies Record<keyof DeadLetter, string>

export const DEAD_LETTER_HEADERS: readonly string[] = Object.values(HEADERS)

const LONGEST = { name: 128, message: 2048, stack: 8192 }
/** What the headers take at most, above the largest message of the topic that is consumed. */
const HEADERS_BYTES = 65_536
const LARGEST_MAX_MESSAGE_BYTES = 2 ** 31 - 1

/**
 * Where a message of a dead-letter topic came from and what it failed with; undefined for one that ottla did not put
 * there.
 *
 * @example
 * await broker.consumerGroup('alerts', { topics: ['orders.dlq'] }).run((message) => alert(deadLetterOf(message)))
 */
export function deadLetterOf({ headers }: { readonly headers: MessageHeaders }): DeadLetter | undefined {
  const [topic, errorName, errorMessage, group] = (['topic', 'errorName', 'errorMessage', 'group'] as const).map(
    (part) => headers.get(HEADERS[part]),
  )
  const [partition, offset, timestamp, attempts] = (['partition', 'offset', 'timestamp', 'attempts'] as const).map(
    (part) => Number(headers.get(HEADERS[part]) ?? Number.NaN),
  )
  const isWhole = [partition, offset, timestamp, attempts].every(Number.isSafeInteger)
  if (topic === undefined || group === undefined || !isWhole) return undefined
  return {
    topic,
    partition: partition as number,
    offset: offset as number,
    timestamp: timestamp as number,
    errorName: errorName ?? '',
    errorMessage: errorMessage ?? '',
    errorStack: headers.get(HEADERS.errorStack) ?? null,
    attempts: attempts as number,
    group,
  }
}

export interface DeadLettersOptions {
  readonly engine: Engine
  readonly groupId: string
  readonly topic: AnyTopic | string
  readonly subscription: Subscription
  /** Checks that an existing topic is as it was declared. */
  readonly checkTopic: (topic: AnyTopic) => Promise<unknown>
  readonly producer: () => Producer
}

/** The dead-letter topic of one member: makes it, and parks messages in it. */
export class DeadLetters {
  readonly #options: DeadLettersOptions
  readonly #raw: Topic<Uint8Array, Uint8Array>
  #partitionCount = 0

  /** Throws OTTLA_INVALID_TOPIC for a name that no topic may have, and OTTLA_INVALID_ARGUMENT for one that the group consumes. */
  constructor(options: DeadLettersOptions) {
    const name = typeof options.topic === 'string' ? options.topic : options.topic.name
    checkTopicName(name)
    if (isInternalTopic(name)) throw invalid(`The dead-letter topic cannot be ${name}, which is the broker's own`)
    if (options.subscription.matches(name)) {
      throw invalid(
        `Group ${options.groupId} consumes ${name}, so it cannot be its dead-letter topic: what failed would come again for ever`,
      )
    }
    this.#options = options
    this.#raw = new Topic(name, { key: bytes(), value: bytes() })
  }

  /**
   * Makes the topic, with as many partitions as the largest one that is consumed, or checks the one that there is. While
   * none that is consumed exists, it does nothing, and is to be called again.
   */
  async prepare(): Promise<void> {
    if (this.#partitionCount > 0) return
    const { engine, subscription, topic } = this.#options
    const { name } = this.#raw
    const { topics } = await engine.metadata({ topics: null })
    const names = new Set(subscription.names(topics))
    const sources = topics.filter((source) => names.has(source.name))
    const exists = topics.some((other) => other.name === name)
    if (!exists && sources.length === 0) return
    if (!exists) await this.#create(sources)
    else if (typeof topic !== 'string') await this.#options.checkTopic(topic)
    this.#partitionCount = (await describeTopic(engine, name)).partitionCount
  }

  /** Appends the message with its key, value and headers as they were. Rejects with what its topic refuses it for. */
  async park(record: RawRecord, error: unknown, attempts: number): Promise<void> {
    await this.prepare()
    const { key, value, headers, partition } = record
    await this.#options.producer().send(this.#raw, {
      key,
      // The type leaves out tombstones, which are parked too.
      value: value as Uint8Array,
      headers: [...headers, ...this.#headersOf(record, error, attempts)],
      partition: partition % this.#partitionCount,
    })
  }

  get name(): string {
    return this.#raw.name
  }

  async #create(sources: readonly { name: string; partitionCount: number }[]): Promise<void> {
    const { engine, topic } = this.#options
    const { name } = this.#raw
    const declaration = typeof topic === 'string' ? undefined : topic[TOPIC_DECLARATION]
    const described = await engine.describeConfigs(sources.map((source) => ({ type: 'topic', name: source.name })))
    const limits = described.map(({ entries }) => Number(entries.find((entry) => entry.name === MAX_BYTES)?.value ?? 0))
    const limit = Math.min(Math.max(...limits) + HEADERS_BYTES, LARGEST_MAX_MESSAGE_BYTES)
    const declared = declaration?.partitionCount ?? -1
    const [outcome] = await engine.createTopics({
      topics: [
        {
          name,
          partitionCount: declared === -1 ? Math.max(...sources.map((source) => source.partitionCount)) : declared,
          configs: { [MAX_BYTES]: String(limit), ...declaration?.configs },
          // Messages of several topics may lie in it, and some that their codec cannot read: none is said to hold.
          ...(typeof topic === 'string' ? {} : { codecs: { key: topic.key.name, value: topic.value.name } }),
        },
      ],
    })
    // Another member was faster.
    if (outcome?.error && outcome.error.code !== 'OTTLA_TOPIC_EXISTS') throw outcome.error
  }

  #headersOf({ topic, partition, offset, timestamp }: RawRecord, error: unknown, attempts: number): RecordHeader[] {
    const { name, stack } = describeError(error)
    const values: Readonly<Record<keyof DeadLetter, string | number | null>> = {
      topic,
      partition,
      offset,
      timestamp,
      errorName: name.slice(0, LONGEST.name),
      errorMessage: reasonOf(error).slice(0, LONGEST.message),
      errorStack: stack?.slice(0, LONGEST.stack) ?? null,
      attempts,
      group: this.#options.groupId,
    }
    // As bytes, since what was thrown may hold text for which UTF-8 has none.
    return Object.entries(HEADERS).map(([part, header]) => {
      const value = values[part as keyof DeadLetter]
      return [header, value === null ? null : encoder.encode(String(value))]
    })
  }
}

const MAX_BYTES = 'max.message.bytes'
const encoder = new TextEncoder()

/** The message could not be parked: it stays where it is. */
export function parkFailed(record: RawRecord, topic: string, error: unknown, cause: unknown): OttlaError {
  const { topic: source, partition, offset } = record
  return new OttlaError(
    'OTTLA_DEAD_LETTER_FAILED',
    `${source}-${partition} offset ${offset} could not be put in the dead-letter topic ${topic}: ${reasonOf(cause)}. It had failed with: ${reasonOf(error)}. It is not committed, and is delivered again to the next member`,
    { cause },
  )
}

/** Anything can be thrown, also what cannot be asked. */
function describeError(error: unknown): { name: string; stack: string | undefined } {
  try {
    if (!(error instanceof Error)) return { name: typeof error, stack: undefined }
    return { name: String(error.name), stack: typeof error.stack === 'string' ? error.stack : undefined }
  } catch {
    return { name: 'Error', stack: undefined }
  }
}

export function checkDeadLetterTopic(topic: unknown): string {
  if (typeof topic === 'string') return topic
  if (isTopic(topic)) return topic.name
  throw invalid(`redrive takes a dead-letter topic or its name, not ${describe(topic)}`)
}
