import { CLEANUP_POLICY, type ConfigValues, int, LARGEST_LONG, long, RATIO, TIMESTAMP_TYPE } from './config-values.js'

export type CleanupPolicy = 'delete' | 'compact' | 'compact,delete'
export type MessageTimestampType = 'CreateTime' | 'LogAppendTime'

/** What holds for one topic: its own configs over the broker's. */
export interface TopicSettings {
  /** Whether old segments are dropped, or reduced to the latest message of each key, or both. Default 'delete'. */
  readonly cleanupPolicy: CleanupPolicy
  /** Milliseconds; -1, the default, keeps messages whatever their age. */
  readonly retentionMs: number
  /** Bytes of one partition; -1, the default, keeps messages whatever the size. */
  readonly retentionBytes: number
  /** Bytes of one segment. Default 1 GiB, or what the storage asks for. */
  readonly segmentBytes: number
  /** Milliseconds between the first message of a segment and one that begins the next. Default 7 days. */
  readonly segmentMs: number
  /** How much of a log, from 0 to 1, must be new before it is compacted again. Default 0.5. */
  readonly minCleanableDirtyRatio: number
  /** Milliseconds for which compaction keeps a tombstone after it first met it. Default one day. */
  readonly deleteRetentionMs: number
  /** Milliseconds for which compaction leaves a message alone. Default 0. */
  readonly minCompactionLagMs: number
  /** Milliseconds after which compaction is due however little is new. Default: no limit. */
  readonly maxCompactionLagMs: number
  /** Bytes of one record batch. Default 1048588. */
  readonly maxMessageBytes: number
  /** Bytes between two entries of the offset index. Default 4096. */
  readonly indexIntervalBytes: number
  /** Whether the producer or the broker sets the time. Default 'CreateTime'. */
  readonly messageTimestampType: MessageTimestampType
}

/** A topic's configs as a user writes them; one that is left out follows the broker's. */
export type TopicConfigOptions = {
  readonly [Setting in keyof TopicSettings]?: TopicSettings[Setting] | undefined
}

export interface OwnBrokerSettings {
  readonly numPartitions: number
  readonly retentionCheckIntervalMs: number
  readonly cleanerBackoffMs: number
  readonly cleanerDedupeBufferSize: number
  readonly metadataLogSegmentBytes: number
  readonly offsetsTopicSegmentBytes: number
  readonly groupInitialRebalanceDelayMs: number
  readonly groupMinSessionTimeoutMs: number
  readonly groupMaxSessionTimeoutMs: number
  readonly offsetMetadataMaxBytes: number
  readonly offsetsRetentionMs: number
  readonly offsetsRetentionCheckIntervalMs: number
  readonly offsetsTopicNumPartitions: number
  readonly producerIdExpirationMs: number
}

/** Whose defaults hold for what is not given: an embedded broker loses nothing by itself, a Kafka of its own does. */
export type ConfigDefaults = 'ottla' | 'kafka'

export interface BrokerSettings extends OwnBrokerSettings {
  readonly topicDefaults: TopicSettings
  readonly defaults: ConfigDefaults
  /** The configs that were given, by Kafka's names. */
  readonly given: Readonly<Record<string, string>>
}

export interface Config<Value extends number | string> extends ConfigValues<Value> {
  /** Kafka's name of the broker's config: for a topic's config, of the default that topics take. */
  readonly brokerName: string
  readonly defaultValue: Value
  /** Where Kafka's differs. */
  readonly kafkaDefaultValue?: Value
  readonly documentation: string
}

export interface TopicConfig<Value extends number | string> extends Config<Value> {
  readonly topicName: string
}

const DAY_MS = 86_400_000

/** The configs of topics, by the names users write. Names, types and ranges are those of Kafka 4.2. */
export const TOPIC_CONFIGS: { readonly [Setting in keyof TopicSettings]: TopicConfig<TopicSettings[Setting]> } = {
  cleanupPolicy: {
    topicName: 'cleanup.policy',
    brokerName: 'log.cleanup.policy',
    defaultValue: 'delete',
    ...CLEANUP_POLICY,
    documentation: 'Whether old segments are dropped, or reduced to the latest message of each key, or both.',
  },
  retentionMs: {
    topicName: 'retention.ms',
    brokerName: 'log.retention.ms',
    defaultValue: -1,
    kafkaDefaultValue: 7 * DAY_MS,
    ...long(-1),
    documentation: 'How long messages are kept at least, in milliseconds; -1 for ever.',
  },
  retentionBytes: {
    topicName: 'retention.bytes',
    brokerName: 'log.retention.bytes',
    defaultValue: -1,
    ...long(-1),
    documentation: 'How large a partition grows before its oldest segments are dropped, in bytes; -1 without limit.',
  },
  segmentBytes: {
    topicName: 'segment.bytes',
    brokerName: 'log.segment.bytes',
    defaultValue: 2 ** 30,
    ...int(2 ** 20),
    documentation: 'How large a segment grows before a new one begins, in bytes.',
  },
  segmentMs: {
    topicName: 'segment.ms',
    brokerName: 'log.roll.ms',
    defaultValue: 7 * DAY_MS,
    ...long(1),
    documentation: 'How far the timestamps of a segment reach before a new one begins, in milliseconds.',
  },
  minCleanableDirtyRatio: {
    topicName: 'min.cleanable.dirty.ratio',
    brokerName: 'log.cleaner.min.cleanable.ratio',
    defaultValue: 0.5,
    ...RATIO,
    documentation: 'How much of a log must be new before it is compacted again, from 0 to 1.',
  },
  deleteRetentionMs: {
    topicName: 'delete.retention.ms',
    brokerName: 'log.cleaner.delete.retention.ms',
    defaultValue: DAY_MS,
    ...long(0),
    documentation: 'How long compaction keeps a tombstone after it first met it, in milliseconds.',
  },
  minCompactionLagMs: {
    topicName: 'min.compaction.lag.ms',
    brokerName: 'log.cleaner.min.compaction.lag.ms',
    defaultValue: 0,
    ...long(0),
    documentation: 'How long compaction leaves a message alone, in milliseconds.',
  },
  maxCompactionLagMs: {
    topicName: 'max.compaction.lag.ms',
    brokerName: 'log.cleaner.max.compaction.lag.ms',
    defaultValue: LARGEST_LONG,
    ...long(1),
    documentation: 'How long a message may wait for compaction however little is new, in milliseconds.',
  },
  maxMessageBytes: {
    topicName: 'max.message.bytes',
    brokerName: 'message.max.bytes',
    defaultValue: 1_048_588,
    ...int(0),
    documentation: 'How large a record batch may be, in bytes, after compression.',
  },
  indexIntervalBytes: {
    topicName: 'index.interval.bytes',
    brokerName: 'log.index.interval.bytes',
    defaultValue: 4096,
    ...int(0),
    documentation: 'How far the entries of the offset index lie apart, in bytes of the log.',
  },
  messageTimestampType: {
    topicName: 'message.timestamp.type',
    brokerName: 'log.message.timestamp.type',
    defaultValue: 'CreateTime',
    ...TIMESTAMP_TYPE,
    documentation: 'Whether the producer sets the time of a message or the broker, when it appends it.',
  },
}

/** The configs of the broker that are no topic's default. */
export const BROKER_CONFIGS: { readonly [Setting in keyof OwnBrokerSettings]: Config<OwnBrokerSettings[Setting]> } = {
  numPartitions: {
    brokerName: 'num.partitions',
    defaultValue: 1,
    ...int(1),
    documentation: 'Partitions of a topic that is created without a number.',
  },
  retentionCheckIntervalMs: {
    brokerName: 'log.retention.check.interval.ms',
    defaultValue: 300_000,
    ...long(1),
    documentation: 'How often segments are looked through for those to drop, in milliseconds.',
  },
  cleanerBackoffMs: {
    brokerName: 'log.cleaner.backoff.ms',
    defaultValue: 15_000,
    ...long(0),
    documentation: 'How long after a segment was sealed its log is looked at for compaction, in milliseconds.',
  },
  cleanerDedupeBufferSize: {
    brokerName: 'log.cleaner.dedupe.buffer.size',
    defaultValue: 128 * 2 ** 20,
    ...long(2 ** 20),
    documentation: 'How much memory compaction takes at most for the keys it has met, in bytes: 24 for each.',
  },
  metadataLogSegmentBytes: {
    brokerName: 'metadata.log.segment.bytes',
    defaultValue: 8 * 2 ** 20,
    kafkaDefaultValue: 2 ** 30,
    ...int(8 * 2 ** 20),
    documentation: 'How large a segment of __cluster_metadata grows before a new one begins, in bytes.',
  },
  offsetsTopicSegmentBytes: {
    brokerName: 'offsets.topic.segment.bytes',
    defaultValue: 8 * 2 ** 20,
    kafkaDefaultValue: 100 * 2 ** 20,
    ...int(1),
    documentation: 'How large a segment of __consumer_offsets grows before a new one begins, in bytes.',
  },
  groupInitialRebalanceDelayMs: {
    brokerName: 'group.initial.rebalance.delay.ms',
    defaultValue: 0,
    kafkaDefaultValue: 3000,
    ...int(0),
    documentation: 'How long the first rebalance of a new group waits for more members, in milliseconds.',
  },
  groupMinSessionTimeoutMs: {
    brokerName: 'group.min.session.timeout.ms',
    defaultValue: 6000,
    ...int(0),
    documentation: 'The shortest session time-out that a member may ask for, in milliseconds.',
  },
  groupMaxSessionTimeoutMs: {
    brokerName: 'group.max.session.timeout.ms',
    defaultValue: 1_800_000,
    ...int(0),
    documentation: 'The longest session time-out that a member may ask for, in milliseconds.',
  },
  offsetMetadataMaxBytes: {
    brokerName: 'offset.metadata.max.bytes',
    defaultValue: 4096,
    ...int(0),
    documentation: 'How large the metadata of a committed offset may be, in bytes.',
  },
  offsetsRetentionMs: {
    // Kafka's own name counts minutes: offsets.retention.minutes.
    brokerName: 'offsets.retention.ms',
    defaultValue: -1,
    kafkaDefaultValue: 7 * DAY_MS,
    ...long(-1),
    documentation: 'How long the offsets of a group without members are kept, in milliseconds; -1 for ever.',
  },
  offsetsRetentionCheckIntervalMs: {
    brokerName: 'offsets.retention.check.interval.ms',
    defaultValue: 600_000,
    ...long(1),
    documentation: 'How often committed offsets are looked through for those that expired, in milliseconds.',
  },
  offsetsTopicNumPartitions: {
    brokerName: 'offsets.topic.num.partitions',
    defaultValue: 1,
    kafkaDefaultValue: 50,
    ...int(1),
    documentation: 'Partitions of __consumer_offsets, fixed when it is created.',
  },
  producerIdExpirationMs: {
    brokerName: 'producer.id.expiration.ms',
    defaultValue: DAY_MS,
    ...int(1),
    documentation: 'How long a partition knows an idempotent producer that sends nothing, in milliseconds.',
  },
}

/** TypeScript does not know that an object of our own has no further keys. */
export const TOPIC_SETTINGS = Object.keys(TOPIC_CONFIGS) as readonly (keyof TopicSettings)[]

export const TOPIC_NAMES: ReadonlyMap<string, Config<number | string>> = new Map(
  Object.values(TOPIC_CONFIGS).map((config) => [config.topicName, config]),
)
export const ALL_CONFIGS: readonly Config<number | string>[] = [
  ...Object.values(TOPIC_CONFIGS),
  ...Object.values(BROKER_CONFIGS),
]

/** The config of the broker of that name, which is Kafka's or the same in camelCase. */
export function brokerConfig(name: string): Config<number | string> | undefined {
  return ALL_CONFIGS.find(({ brokerName }) => brokerName === name || camelCase(brokerName) === name)
}

export function brokerCamelNames(): string[] {
  return ALL_CONFIGS.map(({ brokerName }) => camelCase(brokerName))
}

/** Every spelling of each config: what is mistaken for another is told apart by it. */
export function spellings(): string[][] {
  return [
    ...TOPIC_SETTINGS.map((setting) => {
      const { topicName, brokerName } = TOPIC_CONFIGS[setting]
      return [setting, topicName, camelCase(brokerName), brokerName]
    }),
    ...Object.values(BROKER_CONFIGS).map(({ brokerName }) => [camelCase(brokerName), brokerName]),
  ]
}

export function defaultOf<Value>(
  config: { readonly defaultValue: Value; readonly kafkaDefaultValue?: Value },
  defaults: ConfigDefaults,
): Value {
  return defaults === 'kafka' ? (config.kafkaDefaultValue ?? config.defaultValue) : config.defaultValue
}

function camelCase(name: string): string {
  return name.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())
}
