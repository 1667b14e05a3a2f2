import type { Codec } from '../codec/codec.js'
import { msgpack } from '../codec/msgpack.js'
import { string } from '../codec/string.js'
import { topicConfigEntries } from '../engine/config.js'
import { checkTopicName } from '../engine/topic-name.js'
import { OttlaError } from '../errors.js'
import type { Message } from './message.js'
import { describe, invalid } from './options.js'

/** Kafka's topic configs, in camelCase. What is not given follows the broker's default. */
export interface TopicConfig {
  /** How many logs the topic is spread over: 1 to 10,000, rising only. Default: the broker's `numPartitions`, 1. */
  partitions?: number
  /**
   * 'delete' (default) drops old segments; 'compact' keeps the newest message of each key, and refuses messages without
   * one; 'compact,delete' does both. Kafka: cleanup.policy.
   */
  cleanupPolicy?: 'delete' | 'compact' | 'compact,delete'
  /** Milliseconds after which a segment may go; -1 (default) for never. Kafka: retention.ms, there 7 days. */
  retentionMs?: number
  /** Bytes of one partition above which its oldest segments go; -1 (default) for no limit. Kafka: retention.bytes. */
  retentionBytes?: number
  /** Bytes at which a new segment begins. Default 1 GiB. Kafka: segment.bytes. */
  segmentBytes?: number
  /** Milliseconds after which a new segment begins. Default 7 days. Kafka: segment.ms. */
  segmentMs?: number
  /** How much of a log, from 0 to 1, must be new before it is compacted again. Default 0.5. Kafka: min.cleanable.dirty.ratio. */
  minCleanableDirtyRatio?: number
  /** Milliseconds for which compaction keeps a tombstone, so that readers get to see it. Default one day. Kafka: delete.retention.ms. */
  deleteRetentionMs?: number
  /** Milliseconds for which compaction leaves a message alone. Default 0. Kafka: min.compaction.lag.ms. */
  minCompactionLagMs?: number
  /** Milliseconds after which a message is compacted however little is new. Default: no limit. Kafka: max.compaction.lag.ms. */
  maxCompactionLagMs?: number
  /** Bytes of the largest message (or batch of messages) that is taken. Default 1,048,588. Kafka: max.message.bytes. */
  maxMessageBytes?: number
  /** Bytes of the log between two entries of its index. Default 4,096. Kafka: index.interval.bytes. */
  indexIntervalBytes?: number
  /** Who sets the time of a message: who sends it (default) or the broker. Kafka: message.timestamp.type. */
  messageTimestampType?: 'CreateTime' | 'LogAppendTime'
}

/** What `new Topic` takes: configs and codecs. A key that is no string needs its codec. */
export type TopicOptions<Value, Key, Input> = TopicConfig & {
  /** Default `msgpack()`. */
  value?: Codec<Value, Input>
} & ([Key] extends [string]
    ? {
        /** Default `string()`. */
        key?: Codec<Key>
      }
    : { key: Codec<Key> })

/** The options of a topic, which may be left out where the key is a string. */
export type TopicArguments<Value, Key, Input> = [Key] extends [string]
  ? [options?: TopicOptions<Value, Key, Input>]
  : [options: TopicOptions<Value, Key, Input>]

/** Any topic, whatever its types. The types of a codec point both ways, so only `any` stands for all of them. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyTopic = Topic<any, any, any>

/** What the options say to an engine. */
export interface TopicDeclaration {
  /** -1: the broker's default. */
  readonly partitionCount: number
  /** By Kafka's names. */
  readonly configs: Readonly<Record<string, string>>
  /** True for a codec that was named in the options, which the topic that exists must then have. */
  readonly checksKey: boolean
  readonly checksValue: boolean
}

/** Set on each Topic, so that one made by another loaded copy of ottla is known for what it is. */
export const TOPIC_DECLARATION: unique symbol = Symbol.for('ottla.topic') as never

/**
 * A declaration of a topic: its name, its options and how its values and keys become bytes. Bound to no broker, so one
 * declaration serves every broker, test and process. `broker.topic(declaration)` creates the topic.
 *
 * Throws OTTLA_INVALID_TOPIC for a name that Kafka would refuse (1 to 249 of a-z A-Z 0-9 . _ -), OTTLA_INVALID_CONFIG
 * or OTTLA_INVALID_PARTITIONS for an option that is unknown or out of range.
 *
 * @example
 * const orders = new Topic('orders', { partitions: 4, value: json<Order>() })
 */
export class Topic<Value = unknown, Key = string, Input = Value> {
  /** The topic's name. */
  readonly name: string
  /** How its values become bytes. */
  readonly value: Codec<Value, Input>
  /** How its keys become bytes. */
  readonly key: Codec<Key>
  /** @internal */
  declare readonly [TOPIC_DECLARATION]: TopicDeclaration

  constructor(name: string, ...options: TopicArguments<Value, Key, Input>) {
    checkTopicName(name)
    const { value, key, partitions, ...config } = checkOptions(name, options[0])
    this.name = name
    // Without a codec of its own the types say unknown (or what the user promised) and string.
    this.value = (value === undefined ? msgpack() : value) as Codec<Value, Input>
    this.key = (key === undefined ? string() : key) as Codec<Key>
    checkCodec(name, 'value', this.value)
    checkCodec(name, 'key', this.key)
    const declaration: TopicDeclaration = {
      partitionCount: partitions === undefined ? -1 : checkPartitions(name, partitions),
      configs: topicConfigEntries(config, ['partitions', 'value', 'key']),
      checksKey: key !== undefined,
      checksValue: value !== undefined,
    }
    Object.defineProperty(this, TOPIC_DECLARATION, { value: declaration })
  }

  /** Tells the messages of one topic from those of the others that a group consumes; narrows the type. */
  // biome-ignore lint/suspicious/noExplicitAny: a message of any topic may be asked about
  is(message: Message<any, any>): message is Message<Value, Key> {
    return message.topic === this.name
  }
}

/** A topic of any loaded copy of ottla. */
export function isTopic(value: unknown): value is AnyTopic {
  return typeof value === 'object' && value !== null && TOPIC_DECLARATION in value
}

function checkOptions<Options extends object>(name: string, options: Options | undefined): Partial<Options> {
  if (options === undefined) return {}
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return options
  throw invalid(`The options of topic ${name} are an object, not ${describe(options)}`)
}

export function checkPartitions(topic: string, count: unknown): number {
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 10_000) return count
  throw new OttlaError(
    'OTTLA_INVALID_PARTITIONS',
    `Topic ${topic} cannot have ${String(count)} partitions: give a whole number from 1 to 10,000`,
  )
}

function checkCodec(topic: string, option: string, codec: unknown): void {
  const isCodec =
    typeof codec === 'object' &&
    codec !== null &&
    'name' in codec &&
    typeof codec.name === 'string' &&
    'encode' in codec &&
    typeof codec.encode === 'function' &&
    'decode' in codec &&
    typeof codec.decode === 'function'
  if (isCodec) return
  throw invalid(
    `The ${option} codec of topic ${topic} is not a codec: give one such as json(), called, or { name, encode, decode }`,
  )
}
