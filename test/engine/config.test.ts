import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  alterTopicConfigs,
  brokerSettings,
  type ConfigEntry,
  describeBrokerConfigs,
  describeTopicConfigs,
  parseTopicConfigs,
  topicConfigEntries,
  topicSettings,
} from '../../src/engine/config.js'
import { OttlaError } from '../../src/errors.js'

/** Of Apache Kafka 4.2's LogConfig: name, type, default, least value, the broker's config that is its default. */
const KAFKA_TOPIC_CONFIGS = [
  ['cleanup.policy', 'LIST', 'delete', undefined, 'log.cleanup.policy'],
  ['retention.ms', 'LONG', '604800000', -1, 'log.retention.ms'],
  ['retention.bytes', 'LONG', '-1', -1, 'log.retention.bytes'],
  ['segment.bytes', 'INT', '1073741824', 1048576, 'log.segment.bytes'],
  ['segment.ms', 'LONG', '604800000', 1, 'log.roll.ms'],
  ['min.cleanable.dirty.ratio', 'DOUBLE', '0.5', undefined, 'log.cleaner.min.cleanable.ratio'],
  ['delete.retention.ms', 'LONG', '86400000', 0, 'log.cleaner.delete.retention.ms'],
  ['min.compaction.lag.ms', 'LONG', '0', 0, 'log.cleaner.min.compaction.lag.ms'],
  ['max.compaction.lag.ms', 'LONG', '9223372036854775807', 1, 'log.cleaner.max.compaction.lag.ms'],
  ['max.message.bytes', 'INT', '1048588', 0, 'message.max.bytes'],
  ['index.interval.bytes', 'INT', '4096', 0, 'log.index.interval.bytes'],
  ['message.timestamp.type', 'STRING', 'CreateTime', undefined, 'log.message.timestamp.type'],
] as const

/** Of Apache Kafka 4.2's KafkaConfig. */
const KAFKA_BROKER_CONFIGS = [
  ['num.partitions', 'INT', '1'],
  ['log.retention.check.interval.ms', 'LONG', '300000'],
  ['log.cleaner.backoff.ms', 'LONG', '15000'],
  ['log.cleaner.dedupe.buffer.size', 'LONG', '134217728'],
  ['metadata.log.segment.bytes', 'INT', '1073741824'],
  ['offsets.topic.segment.bytes', 'INT', '104857600'],
  ['group.initial.rebalance.delay.ms', 'INT', '3000'],
  ['group.min.session.timeout.ms', 'INT', '6000'],
  ['group.max.session.timeout.ms', 'INT', '1800000'],
  ['offset.metadata.max.bytes', 'INT', '4096'],
  // Kafka counts minutes, as offsets.retention.minutes: seven days too.
  ['offsets.retention.ms', 'LONG', '604800000'],
  ['offsets.retention.check.interval.ms', 'LONG', '600000'],
  ['offsets.topic.num.partitions', 'INT', '50'],
  ['producer.id.expiration.ms', 'INT', '86400000'],
] as const

const INT_MAX = 2 ** 31 - 1

function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (OttlaError.is(error) && error.code === 'OTTLA_INVALID_CONFIG') return error.message
    throw error
  }
  return 'not refused'
}

const camelCase = (name: string): string => name.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())

function entryOf(entries: readonly ConfigEntry[], name: string): ConfigEntry {
  const entry = entries.find((one) => one.name === name)
  if (entry === undefined) throw new Error(`no ${name}`)
  return entry
}

describe('the table of configs', () => {
  it("has Kafka's names, types and, where a server asks for them, defaults", () => {
    const kafka = brokerSettings({}, {}, 'kafka')
    expect(describeTopicConfigs({}, kafka).map(({ name, type, value }) => [name, type, value])).toEqual(
      KAFKA_TOPIC_CONFIGS.map(([name, type, value]) => [name, type, value]),
    )
    expect(describeBrokerConfigs(kafka).map(({ name, type, value }) => [name, type, value])).toEqual([
      ...KAFKA_TOPIC_CONFIGS.map(([, type, value, , brokerName]) => [brokerName, type, value]),
      ...KAFKA_BROKER_CONFIGS,
    ])
    const entries = [...describeBrokerConfigs(kafka), ...describeTopicConfigs({}, kafka)]
    expect(entries.filter(({ isDefault }) => !isDefault)).toEqual([])
  })

  it.each(KAFKA_TOPIC_CONFIGS.filter(([, , , least]) => least !== undefined))(
    "has Kafka's range of %s",
    (name, type, _, least = 0) => {
      const largest = type === 'INT' ? INT_MAX : Number.MAX_SAFE_INTEGER
      expect(parseTopicConfigs({ [name]: String(least) })).toEqual({ [name]: String(least) })
      expect(parseTopicConfigs({ [name]: String(largest) })).toEqual({ [name]: String(largest) })
      expect(refusal(() => parseTopicConfigs({ [name]: String(least - 1) }))).toContain(`from ${least} to ${largest}`)
      expect(refusal(() => parseTopicConfigs({ [name]: String(largest + 1) }))).toContain(`from ${least} to ${largest}`)
    },
  )

  it('loses no data and makes nobody wait by default', () => {
    const { topicDefaults, ...broker } = brokerSettings(undefined)
    expect(topicDefaults).toEqual({
      cleanupPolicy: 'delete',
      retentionMs: -1,
      retentionBytes: -1,
      segmentBytes: 1_073_741_824,
      segmentMs: 604_800_000,
      minCleanableDirtyRatio: 0.5,
      deleteRetentionMs: 86_400_000,
      minCompactionLagMs: 0,
      maxCompactionLagMs: 2 ** 63,
      maxMessageBytes: 1_048_588,
      indexIntervalBytes: 4096,
      messageTimestampType: 'CreateTime',
    })
    expect(broker).toEqual({
      numPartitions: 1,
      retentionCheckIntervalMs: 300_000,
      cleanerBackoffMs: 15_000,
      cleanerDedupeBufferSize: 134_217_728,
      metadataLogSegmentBytes: 8_388_608,
      offsetsTopicSegmentBytes: 8_388_608,
      groupInitialRebalanceDelayMs: 0,
      groupMinSessionTimeoutMs: 6000,
      groupMaxSessionTimeoutMs: 1_800_000,
      offsetMetadataMaxBytes: 4096,
      offsetsRetentionMs: -1,
      producerIdExpirationMs: 86_400_000,
      offsetsRetentionCheckIntervalMs: 600_000,
      offsetsTopicNumPartitions: 1,
      defaults: 'ottla',
      given: {},
    })
  })
})

describe('brokerSettings', () => {
  it("takes Kafka's names and the same in camelCase, numbers and strings", () => {
    for (const config of [{ 'log.retention.ms': 5 }, { logRetentionMs: 5 }, { logRetentionMs: '5' }]) {
      const settings = brokerSettings(config)
      expect(settings.topicDefaults.retentionMs).toBe(5)
      expect(settings.given).toEqual({ 'log.retention.ms': '5' })
    }
    expect(brokerSettings({ numPartitions: 3 }).numPartitions).toBe(3)
    expect(brokerSettings({ logRetentionMs: undefined }).given).toEqual({})
  })

  it('knows every config by both names', () => {
    for (const { name, value } of describeBrokerConfigs(brokerSettings({}))) {
      expect(brokerSettings({ [name]: value }).given).toEqual({ [name]: value })
      expect(brokerSettings({ [camelCase(name)]: value }).given).toEqual({ [name]: value })
    }
  })

  it('refuses one config under two names', () => {
    expect(refusal(() => brokerSettings({ numPartitions: 1, 'num.partitions': 1 }))).toContain('given twice')
  })

  it.each([
    ['logRetentionMS', 'logRetentionMs'],
    ['retentionMs', 'logRetentionMs'],
    ['max.message.bytes', 'messageMaxBytes'],
    ['segment.ms', 'logRollMs'],
    ['numPartition', 'numPartitions'],
  ])('refuses %s, names the nearest, %s, and all there are', (name, nearest) => {
    const message = refusal(() => brokerSettings({ [name]: 1 }))
    expect(message).toContain(`Did you mean '${nearest}'?`)
    expect(message).toContain('There are: logCleanupPolicy, logRetentionMs,')
  })

  it('names no nearest where none is near', () => {
    expect(refusal(() => brokerSettings({ zookeeperConnect: 1 }))).not.toContain('Did you mean')
  })

  it('refuses session time-outs that no member could keep to', () => {
    const config = { groupMinSessionTimeoutMs: 10, groupMaxSessionTimeoutMs: 9 }
    expect(refusal(() => brokerSettings(config))).toContain('no member could join')
  })

  it("takes the storage's segment size where none is given, however small", () => {
    const settings = brokerSettings({}, { segmentBytes: 4096 })
    expect(settings.topicDefaults.segmentBytes).toBe(4096)
    expect(entryOf(describeBrokerConfigs(settings), 'log.segment.bytes')).toMatchObject({
      value: '4096',
      source: 'STATIC_BROKER_CONFIG',
    })
    const given = brokerSettings({ logSegmentBytes: 2 ** 21 }, { segmentBytes: 4096 })
    expect(given.topicDefaults.segmentBytes).toBe(2 ** 21)
    expect(given.given).toEqual({ 'log.segment.bytes': String(2 ** 21) })
  })
})

describe('parseTopicConfigs', () => {
  it('gives each value in one spelling', () => {
    const configs = { 'retention.ms': ' +0060 ', 'cleanup.policy': 'delete, compact' }
    const parsed = { 'retention.ms': '60', 'cleanup.policy': 'compact,delete' }
    expect(parseTopicConfigs(configs)).toEqual(parsed)
  })

  it.each([
    ['retention.ms', '5.5'],
    ['retention.ms', ''],
    ['retention.ms', '1e3'],
    ['retention.ms', '0x10'],
    ['retention.ms', '9223372036854775808'],
    ['retention.ms', null],
    ['min.cleanable.dirty.ratio', '1.1'],
    ['min.cleanable.dirty.ratio', '-0.1'],
    ['min.cleanable.dirty.ratio', 'NaN'],
    ['min.cleanable.dirty.ratio', '0,5'],
    ['cleanup.policy', ''],
    ['cleanup.policy', 'delete,delete'],
    ['cleanup.policy', 'Delete'],
    ['message.timestamp.type', 'createtime'],
  ])('refuses %s = %s', (name, value) => {
    expect(refusal(() => parseTopicConfigs({ [name]: value }))).toContain(`'${name}' cannot be`)
  })

  it("takes Kafka's largest long, and ratios as Java writes them", () => {
    const configs = { 'retention.ms': '9223372036854775807', 'min.cleanable.dirty.ratio': '1e-1' }
    const parsed = { 'retention.ms': '9223372036854775807', 'min.cleanable.dirty.ratio': '0.1' }
    expect(parseTopicConfigs(configs)).toEqual(parsed)
    expect(topicSettings(parsed, brokerSettings()).retentionMs).toBe(2 ** 63)
  })

  it('refuses a least compaction lag above the largest, also when one of them is altered', () => {
    const lag = { 'min.compaction.lag.ms': '100', 'max.compaction.lag.ms': '99' }
    expect(refusal(() => parseTopicConfigs(lag))).toContain('no time would do')
    expect(
      refusal(() => alterTopicConfigs({ 'min.compaction.lag.ms': '100' }, { 'max.compaction.lag.ms': '99' })),
    ).toContain('no time would do')
  })

  it.each(['compression.type', 'retentionMs', 'log.retention.ms', 'constructor', '__proto__', ''])(
    "refuses '%s', which is no topic config here",
    (name) => {
      const message = refusal(() => parseTopicConfigs({ [name]: '1' }))
      expect(message).toContain('There are: cleanup.policy, retention.ms,')
    },
  )
})

describe('topicConfigEntries', () => {
  it("gives a user's options Kafka's names", () => {
    expect(topicConfigEntries({ retentionMs: 5, cleanupPolicy: 'compact', segmentBytes: undefined })).toEqual({
      'retention.ms': '5',
      'cleanup.policy': 'compact',
    })
  })

  it.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, -2, 2 ** 53])('refuses retentionMs: %d', (retentionMs) => {
    expect(refusal(() => topicConfigEntries({ retentionMs }))).toContain("'retentionMs' cannot be")
  })

  it("refuses Kafka's name for the user's, and a slip", () => {
    const options: Record<string, number> = { 'retention.ms': 5 }
    expect(refusal(() => topicConfigEntries(options))).toContain("Did you mean 'retentionMs'?")
    const slip: Record<string, number> = { retentionByte: 5 }
    expect(refusal(() => topicConfigEntries(slip))).toContain("Did you mean 'retentionBytes'?")
  })
})

describe('topicSettings', () => {
  it("puts the topic's configs over the broker's, and those over the defaults", () => {
    const broker = brokerSettings({ logRetentionMs: 1000, logRetentionBytes: 2000 })
    expect(topicSettings({ 'retention.ms': '5' }, broker)).toEqual({
      ...brokerSettings({}).topicDefaults,
      retentionMs: 5,
      retentionBytes: 2000,
    })
  })

  it('reads back what topicConfigEntries wrote', () => {
    const options = fc.record(
      {
        cleanupPolicy: fc.constantFrom('delete', 'compact', 'compact,delete'),
        retentionMs: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
        retentionBytes: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
        segmentBytes: fc.integer({ min: 2 ** 20, max: INT_MAX }),
        segmentMs: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        maxMessageBytes: fc.nat(INT_MAX),
        indexIntervalBytes: fc.nat(INT_MAX),
        messageTimestampType: fc.constantFrom('CreateTime', 'LogAppendTime'),
      },
      { requiredKeys: [] },
    )
    const broker = brokerSettings({})
    fc.assert(
      fc.property(options, (given) => {
        const entries = topicConfigEntries(given)
        expect(topicSettings(entries, broker)).toEqual({ ...broker.topicDefaults, ...given })
        expect(parseTopicConfigs(entries)).toEqual(entries)
      }),
    )
  })
})

describe('describeTopicConfigs', () => {
  it('says where a value comes from and what would hold without it', () => {
    const broker = brokerSettings({ logRetentionMs: 1000 })
    const entries = describeTopicConfigs({ 'retention.ms': '5' }, broker)
    const byDefault = { name: 'log.retention.ms', value: '-1', source: 'DEFAULT_CONFIG' }
    const byBroker = { name: 'log.retention.ms', value: '1000', source: 'STATIC_BROKER_CONFIG' }
    const byTopic = { name: 'retention.ms', value: '5', source: 'DYNAMIC_TOPIC_CONFIG' }
    expect(entryOf(entries, 'retention.ms')).toMatchObject({
      value: '5',
      isDefault: false,
      source: 'DYNAMIC_TOPIC_CONFIG',
      synonyms: [byTopic, byBroker, byDefault],
      readOnly: false,
      isSensitive: false,
    })
    expect(entryOf(describeTopicConfigs({}, broker), 'retention.ms')).toMatchObject({
      value: '1000',
      isDefault: false,
      source: 'STATIC_BROKER_CONFIG',
      synonyms: [byBroker, byDefault],
    })
    expect(entryOf(describeTopicConfigs({}, brokerSettings({})), 'retention.ms')).toMatchObject({
      value: '-1',
      isDefault: true,
      source: 'DEFAULT_CONFIG',
      synonyms: [byDefault],
    })
  })
})

describe('describeBrokerConfigs', () => {
  it('is read only, and tells what was given from the defaults', () => {
    const entries = describeBrokerConfigs(brokerSettings({ numPartitions: 3 }))
    expect(entries.every((entry) => entry.readOnly && entry.documentation !== '')).toBe(true)
    expect(entries.filter((entry) => !entry.isDefault).map(({ name, value, source }) => [name, value, source])).toEqual(
      [['num.partitions', '3', 'STATIC_BROKER_CONFIG']],
    )
  })
})
