import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { findKey, KEY_NAMES, SERVER_KEYS } from '../../src/cli/server-keys.js'
import { UNUSED_KEYS } from '../../src/cli/unused-keys.js'

interface KafkaKey {
  readonly name: string
  readonly type: string
  readonly defaultValue: string
  /** Such as `[1,...]` or `[a, b]`; '' where Kafka checks nothing but the type. */
  readonly range: string
}

const KAFKA_KEYS: readonly KafkaKey[] = readFileSync(
  new URL('../fixtures/cli/kafka-broker-configs.tsv', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [name = '', type = '', defaultValue = '', range = ''] = line.split('\t')
    return { name, type, defaultValue: /^(null|\(required\))$/.test(defaultValue) ? '' : defaultValue, range }
  })

const BITS: Readonly<Record<string, bigint>> = { SHORT: 16n, INT: 32n, LONG: 64n }

/** Where a range here is narrower than Kafka's, and why. */
const NARROWER = new Set([
  // Kafka takes negative numbers that no broker could work with.
  'group.initial.rebalance.delay.ms',
  'group.min.session.timeout.ms',
  'group.max.session.timeout.ms',
  'offset.metadata.max.bytes',
  // Kafka takes less than it can work with, and refuses it when the cleaner starts.
  'log.cleaner.dedupe.buffer.size',
  // Nobody could connect, or send a request.
  'max.connections',
  'socket.request.max.bytes',
  // Kafka looks at these only after it has read them all.
  'log.retention.ms',
  'log.retention.minutes',
  'log.retention.hours',
  'log.roll.ms',
  'log.flush.interval.ms',
])

/** The values at the edges of what Kafka takes, and those just beyond. */
function edges({ type, range }: KafkaKey): { inside: string[]; outside: string[] } {
  const bits = BITS[type]
  if (bits === undefined) return { inside: [], outside: [] }
  const [, least, most] = /^\[(-?\d+),\.\.\.(?:,(-?\d+))?\]$/.exec(range) ?? []
  const min = least === undefined ? -(2n ** (bits - 1n)) : BigInt(least)
  const max = most === undefined ? 2n ** (bits - 1n) - 1n : BigInt(most)
  return { inside: [`${min}`, `${max}`], outside: [`${min - 1n}`, `${max + 1n}`, '', '1.5', 'many', '1_000', '0x10'] }
}

function accepts(name: string, value: string): boolean {
  const key = findKey(name)
  if (key === undefined) throw new Error(`${name} is not known`)
  return key.values.accepts(value)
}

describe('the table of keys', () => {
  it(`knows every key of Kafka: ${KAFKA_KEYS.length}`, () => {
    expect([...KEY_NAMES].sort()).toEqual(KAFKA_KEYS.map(({ name }) => name).sort())
  })

  it("has Kafka's types", () => {
    const types = (names: readonly string[]) => names.map((name) => [name, findKey(name)?.values.type])
    expect(types(KAFKA_KEYS.map(({ name }) => name))).toEqual(KAFKA_KEYS.map(({ name, type }) => [name, type]))
  })

  it("has Kafka's defaults of the keys that are set in introductions or used here", () => {
    const defaults = new Map(KAFKA_KEYS.map(({ name, defaultValue }) => [name, defaultValue]))
    // Kafka computes these three from others.
    const computed = { 'log.retention.ms': '', 'log.roll.ms': '', 'log.dirs': '' }
    for (const { name, kafkaDefault } of SERVER_KEYS) {
      if (name in computed) continue
      expect([name, kafkaDefault]).toEqual([name, defaults.get(name)])
    }
  })

  it('takes what Kafka takes and refuses what Kafka refuses, at the edges of each range', () => {
    for (const key of KAFKA_KEYS) {
      const { inside, outside } = edges(key)
      const taken = inside.filter((value) => accepts(key.name, value))
      if (!NARROWER.has(key.name)) expect([key.name, taken]).toEqual([key.name, inside])
      expect([key.name, outside.filter((value) => accepts(key.name, value))]).toEqual([key.name, []])
    }
  })

  it('takes one of the words that Kafka takes', () => {
    for (const { name, type, range } of KAFKA_KEYS) {
      const [, words] = /^(?:\(case insensitive\) )?\[([^.]*)\]$/.exec(range) ?? []
      if (words === undefined || type === 'LIST') continue
      expect([name, words.split(', ').filter((word) => !accepts(name, word))]).toEqual([name, []])
      expect(accepts(name, 'another')).toBe(false)
    }
  })

  it.each(['auto.create.topics.enable', 'delete.topic.enable'])('takes true and false in any case for %s', (name) => {
    expect(['true', 'FALSE', 'yes', '1', ''].map((value) => accepts(name, value))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
  })

  it('says of each key what it does, or why nothing', () => {
    expect(SERVER_KEYS.filter(({ use, reason }) => (use === undefined) === (reason === undefined))).toEqual([])
  })

  it('has no key twice', () => {
    const unused = UNUSED_KEYS.flatMap(({ keys }) => Object.keys(keys))
    const all = [...unused, ...SERVER_KEYS.map(({ name }) => name)]
    expect(all.filter((name, index) => all.indexOf(name) < index)).toEqual([])
  })

  it("knows a listener's own form of a key", () => {
    expect(findKey('listener.name.internal.ssl.keystore.password')?.values.type).toBe('PASSWORD')
    const jaas = findKey('listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config')
    expect(jaas).toMatchObject({ values: { type: 'PASSWORD' }, secures: 'sasl', listener: 'sasl_ssl' })
    expect(findKey('listener.name.internal.no.such.key')).toBeUndefined()
  })
})
