import { OttlaError } from '../errors.js'
import {
  ALL_CONFIGS,
  BROKER_CONFIGS,
  type BrokerSettings,
  brokerCamelNames,
  brokerConfig,
  type Config,
  type ConfigDefaults,
  defaultOf,
  type OwnBrokerSettings,
  spellings,
  TOPIC_CONFIGS,
  TOPIC_NAMES,
  TOPIC_SETTINGS,
  type TopicConfigOptions,
  type TopicSettings,
} from './config-tables.js'
import { type ConfigValues, textOf } from './config-values.js'
import { nearestName } from './nearest-name.js'

/** Kafka's names of types, as DescribeConfigs has them. */
export type ConfigType = ConfigValues<unknown>['type']
export type ConfigSource = 'DYNAMIC_TOPIC_CONFIG' | 'STATIC_BROKER_CONFIG' | 'DEFAULT_CONFIG'

export interface ConfigEntry {
  readonly name: string
  readonly value: string
  readonly isDefault: boolean
  readonly source: ConfigSource
  /** The value that holds, then those that would hold without it. */
  readonly synonyms: ConfigSynonyms
  readonly type: ConfigType
  readonly documentation: string
  readonly readOnly: boolean
  readonly isSensitive: boolean
}

export type ConfigSynonyms = readonly [ConfigSynonym, ...ConfigSynonym[]]

export interface ConfigSynonym {
  readonly name: string
  readonly value: string
  readonly source: ConfigSource
}

/** A config that a broker takes, in words: for a file or a page that lists them. */
export interface BrokerConfig {
  readonly name: string
  readonly type: ConfigType
  readonly allowed: string
  readonly kafkaDefault: string
  readonly documentation: string
  readonly accepts: (value: string) => boolean
}

export function listBrokerConfigs(): BrokerConfig[] {
  return ALL_CONFIGS.map((config) => ({
    name: config.brokerName,
    type: config.type,
    allowed: config.allowed,
    kafkaDefault: textOf(defaultOf(config, 'kafka')),
    documentation: config.documentation,
    accepts: (value) => config.parse(value) !== undefined,
  }))
}

/**
 * The broker's configs, by Kafka's names or the same in camelCase, over the defaults; `storage` may bring its own
 * segment size. Throws OTTLA_INVALID_CONFIG.
 */
export function brokerSettings(
  config: Readonly<Record<string, unknown>> = {},
  storage: { readonly segmentBytes?: number | undefined } = {},
  defaults: ConfigDefaults = 'ottla',
): BrokerSettings {
  const values = new Map<string, unknown>()
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined) continue
    const known = brokerConfig(name)
    if (known === undefined) throw unknownConfig('broker', name, brokerCamelNames())
    if (values.has(known.brokerName)) throw invalid(`The broker config '${known.brokerName}' is given twice.`)
    values.set(known.brokerName, value)
  }
  const given: Record<string, string> = {}
  const read = <Value extends number | string>(of: Config<Value>, fallback: Value): Value => {
    if (!values.has(of.brokerName)) return fallback
    const value = parseValue('broker', of.brokerName, of, values.get(of.brokerName))
    given[of.brokerName] = textOf(value)
    return value
  }
  const topicDefault = <Setting extends keyof TopicSettings>(setting: Setting): TopicSettings[Setting] =>
    read(TOPIC_CONFIGS[setting], defaultOf(TOPIC_CONFIGS[setting], defaults))
  const own = <Setting extends keyof OwnBrokerSettings>(setting: Setting): OwnBrokerSettings[Setting] =>
    read(BROKER_CONFIGS[setting], defaultOf(BROKER_CONFIGS[setting], defaults))

  if (storage.segmentBytes !== undefined) given[TOPIC_CONFIGS.segmentBytes.brokerName] = textOf(storage.segmentBytes)
  const settings: BrokerSettings = {
    topicDefaults: {
      cleanupPolicy: topicDefault('cleanupPolicy'),
      retentionMs: topicDefault('retentionMs'),
      retentionBytes: topicDefault('retentionBytes'),
      segmentBytes: read(
        TOPIC_CONFIGS.segmentBytes,
        storage.segmentBytes ?? defaultOf(TOPIC_CONFIGS.segmentBytes, defaults),
      ),
      segmentMs: topicDefault('segmentMs'),
      minCleanableDirtyRatio: topicDefault('minCleanableDirtyRatio'),
      deleteRetentionMs: topicDefault('deleteRetentionMs'),
      minCompactionLagMs: topicDefault('minCompactionLagMs'),
      maxCompactionLagMs: topicDefault('maxCompactionLagMs'),
      maxMessageBytes: topicDefault('maxMessageBytes'),
      indexIntervalBytes: topicDefault('indexIntervalBytes'),
      messageTimestampType: topicDefault('messageTimestampType'),
    },
    numPartitions: own('numPartitions'),
    retentionCheckIntervalMs: own('retentionCheckIntervalMs'),
    cleanerBackoffMs: own('cleanerBackoffMs'),
    cleanerDedupeBufferSize: own('cleanerDedupeBufferSize'),
    metadataLogSegmentBytes: own('metadataLogSegmentBytes'),
    offsetsTopicSegmentBytes: own('offsetsTopicSegmentBytes'),
    groupInitialRebalanceDelayMs: own('groupInitialRebalanceDelayMs'),
    groupMinSessionTimeoutMs: own('groupMinSessionTimeoutMs'),
    groupMaxSessionTimeoutMs: own('groupMaxSessionTimeoutMs'),
    offsetMetadataMaxBytes: own('offsetMetadataMaxBytes'),
    offsetsRetentionMs: own('offsetsRetentionMs'),
    offsetsRetentionCheckIntervalMs: own('offsetsRetentionCheckIntervalMs'),
    offsetsTopicNumPartitions: own('offsetsTopicNumPartitions'),
    producerIdExpirationMs: own('producerIdExpirationMs'),
    defaults,
    given,
  }
  if (settings.groupMinSessionTimeoutMs > settings.groupMaxSessionTimeoutMs) {
    throw invalid(
      `group.min.session.timeout.ms, ${settings.groupMinSessionTimeoutMs}, is above group.max.session.timeout.ms, ` +
        `${settings.groupMaxSessionTimeoutMs}: no member could join.`,
    )
  }
  return settings
}

/** A topic's configs by Kafka's names, as createTopics and alterConfigs carry them: checked, in one spelling. Throws OTTLA_INVALID_CONFIG. */
export function parseTopicConfigs(configs: Readonly<Record<string, string | null>>): Record<string, string> {
  const parsed: Record<string, string> = {}
  for (const [name, value] of Object.entries(configs)) {
    const config = TOPIC_NAMES.get(name)
    if (config === undefined) throw unknownConfig('topic', name, [...TOPIC_NAMES.keys()])
    parsed[name] = textOf(parseValue('topic', name, config, value))
  }
  return checkTogether(parsed)
}

/** A topic's configs after changes by Kafka's names: a null takes a config back to its default. Throws OTTLA_INVALID_CONFIG. */
export function alterTopicConfigs(
  configs: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const altered = { ...configs }
  for (const [name, value] of Object.entries(changes)) {
    if (value !== null) Object.assign(altered, parseTopicConfigs({ [name]: value }))
    else if (TOPIC_NAMES.has(name)) delete altered[name]
    else throw unknownConfig('topic', name, [...TOPIC_NAMES.keys()])
  }
  return checkTogether(altered)
}

/** What Kafka checks beside each value. */
function checkTogether(configs: Record<string, string>): Record<string, string> {
  const { 'min.compaction.lag.ms': least, 'max.compaction.lag.ms': most } = configs
  if (least === undefined || most === undefined || Number(least) <= Number(most)) return configs
  throw invalid(`min.compaction.lag.ms, ${least}, is above max.compaction.lag.ms, ${most}: no time would do.`)
}

/** What holds for a topic whose own configs, by Kafka's names, are `overrides`: those of `parseTopicConfigs`. */
export function topicSettings(overrides: Readonly<Record<string, string>>, broker: BrokerSettings): TopicSettings {
  const read = <Setting extends keyof TopicSettings>(setting: Setting): TopicSettings[Setting] => {
    const config = TOPIC_CONFIGS[setting]
    const value = overrides[config.topicName]
    return value === undefined
      ? broker.topicDefaults[setting]
      : parseValue<TopicSettings[Setting]>('topic', config.topicName, config, value)
  }
  return {
    cleanupPolicy: read('cleanupPolicy'),
    retentionMs: read('retentionMs'),
    retentionBytes: read('retentionBytes'),
    segmentBytes: read('segmentBytes'),
    segmentMs: read('segmentMs'),
    minCleanableDirtyRatio: read('minCleanableDirtyRatio'),
    deleteRetentionMs: read('deleteRetentionMs'),
    minCompactionLagMs: read('minCompactionLagMs'),
    maxCompactionLagMs: read('maxCompactionLagMs'),
    maxMessageBytes: read('maxMessageBytes'),
    indexIntervalBytes: read('indexIntervalBytes'),
    messageTimestampType: read('messageTimestampType'),
  }
}

/** A user's options as Kafka's names and strings. Throws OTTLA_INVALID_CONFIG, which names `otherOptions` of the caller too. */
export function topicConfigEntries(
  options: TopicConfigOptions,
  otherOptions: readonly string[] = [],
): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const [name, value] of Object.entries(options)) {
    const setting = TOPIC_SETTINGS.find((known) => known === name)
    if (setting === undefined) throw unknownConfig('topic', name, [...otherOptions, ...TOPIC_SETTINGS])
    if (value === undefined) continue
    const config = TOPIC_CONFIGS[setting]
    entries[config.topicName] = textOf(parseValue<number | string>('topic', name, config, value))
  }
  return entries
}

/** All of them, or those that `names` has. */
export function describeTopicConfigs(
  overrides: Readonly<Record<string, string>>,
  broker: BrokerSettings,
  names?: readonly string[],
): ConfigEntry[] {
  const entries: ConfigEntry[] = []
  for (const setting of TOPIC_SETTINGS) {
    const config = TOPIC_CONFIGS[setting]
    const { topicName: name } = config
    if (names?.includes(name) === false) continue
    const value = overrides[name]
    const inherited = brokerSynonyms(config, broker)
    const synonyms: ConfigSynonyms =
      value === undefined ? inherited : [{ name, value, source: 'DYNAMIC_TOPIC_CONFIG' }, ...inherited]
    entries.push(describe(name, config, synonyms, false))
  }
  return entries
}

/** The broker's own configs and the topics' defaults, or those that `names` has. All are read only: they are given when the broker opens. */
export function describeBrokerConfigs(broker: BrokerSettings, names?: readonly string[]): ConfigEntry[] {
  const asked = names === undefined ? ALL_CONFIGS : ALL_CONFIGS.filter(({ brokerName }) => names.includes(brokerName))
  return asked.map((config) => describe(config.brokerName, config, brokerSynonyms(config, broker), true))
}

function brokerSynonyms(config: Config<number | string>, broker: BrokerSettings): ConfigSynonyms {
  const { brokerName: name } = config
  const byDefault: ConfigSynonym = {
    name,
    value: textOf(defaultOf(config, broker.defaults)),
    source: 'DEFAULT_CONFIG',
  }
  const value = broker.given[name]
  return value === undefined ? [byDefault] : [{ name, value, source: 'STATIC_BROKER_CONFIG' }, byDefault]
}

function describe(
  name: string,
  { type, documentation }: Config<number | string>,
  synonyms: ConfigSynonyms,
  readOnly: boolean,
): ConfigEntry {
  const { value, source } = synonyms[0]
  return {
    name,
    value,
    isDefault: source === 'DEFAULT_CONFIG',
    source,
    synonyms,
    type,
    documentation,
    readOnly,
    isSensitive: false,
  }
}

function parseValue<Value extends number | string>(
  scope: 'topic' | 'broker',
  name: string,
  config: Config<Value>,
  value: unknown,
): Value {
  const parsed = config.parse(value)
  if (parsed !== undefined) return parsed
  const shown = typeof value === 'string' ? `'${value}'` : typeof value === 'number' ? value : value && typeof value
  throw invalid(`The ${scope} config '${name}' cannot be ${shown}: it takes ${config.allowed}.`)
}

function unknownConfig(scope: 'topic' | 'broker', name: string, allowed: readonly string[]): OttlaError {
  const nearest = nearestName(name, allowed, spellings())
  const hint = nearest === undefined ? '' : ` Did you mean '${nearest}'?`
  return invalid(`There is no ${scope} config '${name}'.${hint} There are: ${allowed.join(', ')}.`)
}

function invalid(message: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_CONFIG', message)
}
