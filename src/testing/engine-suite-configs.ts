import type { ConfigEntry } from '../engine/config.js'
import type { AlterConfigsOptions } from '../engine/engine.js'
import type { OttlaError } from '../errors.js'
import { batchOf, type EngineTest, type EngineUnderTest, only } from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { checkKafkaError, checkKafkaRefusal, checkNoError } from './kafka-error.js'

export const configTests: Readonly<Record<string, EngineTest>> = {
  'a config that was set is described with its source, and the others by their defaults': async (subject) => {
    const name = await subject.topic(1, { 'max.message.bytes': '2000' })
    const { entries, error } = only(await subject.engine.describeConfigs([{ type: 'topic', name }]))
    checkNoError(error, 'Describing the configs of a topic')
    const set = entryOf(entries, 'max.message.bytes')
    checkEqual(set.value, '2000', 'The value of the config that was set')
    checkEqual(set.source, 'DYNAMIC_TOPIC_CONFIG', 'The source of the config that was set')
    checkEqual(set.isDefault, false, 'Whether the config that was set is a default')
    checkEqual(set.synonyms[0].value, '2000', 'The first synonym of the config that was set')
    for (const config of ['cleanup.policy', 'segment.bytes', 'retention.ms', 'index.interval.bytes']) {
      check(entryOf(entries, config).source !== 'DYNAMIC_TOPIC_CONFIG', `${config} is described as set.`)
    }
    checkEqual(entryOf(entries, 'cleanup.policy').value, 'delete', 'The default of cleanup.policy')
  },

  'only the configs that are asked for are described': async (subject) => {
    const name = await subject.topic(1, { 'max.message.bytes': '2000' })
    const asked = {
      type: 'topic',
      name,
      configNames: ['segment.bytes', 'max.message.bytes', 'no.such.config'],
    } as const
    const { entries, error } = only(await subject.engine.describeConfigs([asked]))
    checkNoError(error, 'Describing some configs of a topic')
    checkEqual(
      entries
        .map((entry) => entry.name)
        .sort()
        .join(),
      'max.message.bytes,segment.bytes',
      'The configs',
    )
    checkEqual(entryOf(entries, 'max.message.bytes').value, '2000', 'The value of the config that was set')
  },

  'a config is set, changed, and taken back to its default by null': async (subject) => {
    const name = await subject.topic()
    const byDefault = await configOf(subject, name, 'retention.ms')
    for (const value of ['60000', '120000']) {
      checkNoError(
        await alter(subject, name, { 'retention.ms': value, 'retention.bytes': '10000' }),
        'Setting a config',
      )
      checkEqual(await configOf(subject, name, 'retention.ms'), value, 'retention.ms')
    }
    checkNoError(await alter(subject, name, { 'retention.ms': null }), 'Taking a config back')
    checkEqual(await configOf(subject, name, 'retention.ms'), byDefault, 'retention.ms after it was taken back')
    checkEqual(await configOf(subject, name, 'retention.bytes'), '10000', 'A config that was not named')
    checkNoError(await alter(subject, name, { 'retention.ms': null }), 'Taking back a config that is not set')
  },

  'an invalid value or an unknown config changes nothing': async (subject) => {
    const name = await subject.topic(1, { 'retention.ms': '60000' })
    const refused: Record<string, string | null>[] = [
      { 'retention.ms': 'soon' },
      { 'retention.ms': '-2' },
      { 'retention.ms': '120000', 'no.such.config': '1' },
      { 'retention.ms': '120000', 'cleanup.policy': 'forget' },
    ]
    for (const configs of refused) {
      checkKafkaError(await alter(subject, name, configs), 'INVALID_CONFIG', `Setting ${JSON.stringify(configs)}`)
      checkEqual(
        await configOf(subject, name, 'retention.ms'),
        '60000',
        `retention.ms after ${JSON.stringify(configs)}`,
      )
    }
  },

  'a change that is only to be checked changes nothing': async (subject) => {
    const name = await subject.topic(1, { 'retention.ms': '60000', 'min.compaction.lag.ms': '100' })
    const checked = (configs: Record<string, string | null>): Promise<OttlaError | null> =>
      alter(subject, name, configs, { validateOnly: true })
    checkNoError(await checked({ 'retention.ms': '120000' }), 'Checking a value')
    checkNoError(await checked({ 'retention.ms': null }), 'Checking whether a config can be taken back')
    checkEqual(await configOf(subject, name, 'retention.ms'), '60000', 'retention.ms after it was checked')
    checkKafkaError(await checked({ 'retention.ms': 'soon' }), 'INVALID_CONFIG', 'Checking an invalid value')
    const together = await checked({ 'max.compaction.lag.ms': '99' })
    checkKafkaError(together, 'INVALID_CONFIG', 'Checking a value that does not go with the others')
  },

  'a config that was changed holds for what comes next': async (subject) => {
    const name = await subject.topic()
    const large = (): Promise<unknown> => subject.produce(name, batchOf([{ value: new Uint8Array(3000) }]))
    await large()
    checkNoError(await alter(subject, name, { 'max.message.bytes': '2000' }), 'Setting max.message.bytes')
    await checkKafkaRefusal('MESSAGE_TOO_LARGE', large, 'A batch over the limit that was set')
    checkNoError(await alter(subject, name, { 'max.message.bytes': null }), 'Taking max.message.bytes back')
    await large()
    checkEqual(await subject.latest(name), 2, 'The high watermark')
  },

  'the configs of compaction are taken within their ranges': async (subject) => {
    const set = {
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.25',
      'delete.retention.ms': '1000',
      'min.compaction.lag.ms': '100',
      'max.compaction.lag.ms': '100',
      'segment.ms': '3600000',
    }
    const name = await subject.topic(1, set)
    for (const [config, value] of Object.entries(set)) checkEqual(await configOf(subject, name, config), value, config)
    for (const configs of [
      { 'min.cleanable.dirty.ratio': '1.1' },
      { 'min.cleanable.dirty.ratio': '-0.1' },
      { 'min.cleanable.dirty.ratio': 'half' },
      { 'delete.retention.ms': '-1' },
      { 'min.compaction.lag.ms': '-1' },
      { 'min.compaction.lag.ms': '101' },
      { 'max.compaction.lag.ms': '0' },
      { 'max.compaction.lag.ms': '99' },
    ]) {
      checkKafkaError(await alter(subject, name, configs), 'INVALID_CONFIG', `Setting ${JSON.stringify(configs)}`)
    }
    checkNoError(await alter(subject, name, { 'max.compaction.lag.ms': '9223372036854775807' }), 'Setting no limit')
    checkEqual(await configOf(subject, name, 'max.compaction.lag.ms'), '9223372036854775807', 'The largest long')
  },

  'configs of an unknown topic are an error': async (subject) => {
    const [name, known] = [subject.newName(), await subject.topic()]
    const described = await subject.engine.describeConfigs([
      { type: 'topic', name },
      { type: 'topic', name: known },
    ])
    checkKafkaError(described[0]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Describing an unknown topic')
    checkNoError(described[1]?.error ?? null, 'Describing the other topic')
    const altered = await alter(subject, name, { 'retention.ms': '60000' })
    checkKafkaError(altered, 'UNKNOWN_TOPIC_OR_PARTITION', 'Altering an unknown topic')
    const invalid = only(await subject.engine.describeConfigs([{ type: 'topic', name: 'two words' }]))
    checkKafkaError(invalid.error, 'INVALID_TOPIC_EXCEPTION', 'Describing a name that no topic can have')
    const refused = await alter(subject, 'two words', { 'retention.ms': '60000' })
    checkKafkaError(refused, 'INVALID_TOPIC_EXCEPTION', 'Altering a name that no topic can have')
  },

  "the broker's configs are described": async ({ engine }) => {
    const { entries, error } = only(await engine.describeConfigs([{ type: 'broker', name: '' }]))
    checkNoError(error, 'Describing the configs of the broker')
    for (const name of ['num.partitions', 'message.max.bytes', 'log.retention.ms', 'group.min.session.timeout.ms']) {
      entryOf(entries, name)
    }
  },
}

async function alter(
  subject: EngineUnderTest,
  name: string,
  configs: Record<string, string | null>,
  options?: AlterConfigsOptions,
): Promise<OttlaError | null> {
  return only(await subject.engine.alterConfigs([{ type: 'topic', name, configs }], options)).error
}

async function configOf(subject: EngineUnderTest, name: string, config: string): Promise<string> {
  return entryOf(only(await subject.engine.describeConfigs([{ type: 'topic', name }])).entries, config).value
}

export function entryOf(entries: readonly ConfigEntry[], name: string): ConfigEntry {
  const entry = entries.find((each) => each.name === name)
  check(entry !== undefined, `The config ${name} is not described.`)
  return entry
}
