import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  Broker,
  type ConsumerGroup,
  type ErrorCode,
  FileStorage,
  json,
  MemoryStorage,
  type Message,
  OttlaError,
  type Producer,
  string,
  Topic,
} from 'ottla'
import { describe, expect, it } from 'vitest'
import { brokers, contentsOf, refusal } from './client/brokers.js'
import { temporaryDirectories } from './storage/file/file-rig.js'

/*
 * Each bad input gives at once an error with a stable code and a sentence that says what to do, and leaves everything as
 * it was. What follows is written as JavaScript users would, whom no compiler holds back.
 */

const openBroker = brokers()
const temporaryDirectory = temporaryDirectories()
const orders = new Topic('orders', { partitions: 2, maxMessageBytes: 1_000, value: json<string>() })

interface Scene {
  readonly broker: Broker
  readonly producer: Producer
  /** A member that has not begun. */
  readonly member: ConsumerGroup<Message<string>>
  /** A member that runs, of a group of its own. */
  readonly running: ConsumerGroup<Message<string>>
}

async function scene(): Promise<Scene> {
  const broker = await openBroker()
  await broker.topic(orders)
  await broker.topic('colliding.name')
  const producer = broker.producer()
  await producer.send(orders, [
    { value: 'a', partition: 0 },
    { value: 'b', partition: 1 },
  ])
  const running = broker.consumerGroup('running', { topics: [orders] })
  await running.run(() => {})
  await broker.idle()
  return { broker, producer, member: broker.consumerGroup('billing', { topics: [orders] }), running }
}

/** Everything that a bad input could have changed. */
async function stateOf({ broker }: Scene): Promise<unknown> {
  await broker.idle()
  const groups = await broker.groups()
  return {
    topics: await broker.topics(),
    declared: (await broker.topic(orders)).name,
    contents: await contentsOf(broker, orders),
    groups: await Promise.all(groups.map((id) => broker.describeGroup(id))),
  }
}

/** Calls a method as JavaScript does, without types. */
function call(target: object, method: string, ...parameters: unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, method), target, parameters)
}

function make(made: unknown, ...parameters: unknown[]): unknown {
  return typeof made === 'function' ? Reflect.construct(made, parameters) : undefined
}

type BadInput = readonly [what: string, call: (scene: Scene) => unknown, code: ErrorCode]

const TOPIC_NAMES: BadInput[] = ['', '.', '..', 'a/b', 'a b', 'ä', 'x'.repeat(250), 5, null, undefined, {}].map(
  (name) => [`the topic name ${name}`, ({ broker }) => call(broker, 'topic', make(Topic, name)), 'OTTLA_INVALID_TOPIC'],
)

const PARTITION_COUNTS: BadInput[] = [0, -1, 10_001, 1.5, Number.NaN, '2'].flatMap((partitions): BadInput[] => [
  [
    `${partitions} partitions`,
    ({ broker }) => call(broker, 'topic', 'new-topic', { partitions }),
    'OTTLA_INVALID_PARTITIONS',
  ],
  [
    `a topic altered to ${partitions} partitions`,
    ({ broker }) => call(broker, 'alterTopic', 'orders', { partitions }),
    'OTTLA_INVALID_PARTITIONS',
  ],
])

/** Options that are numbers, with their maker and their code. */
const NUMBERS: readonly (readonly [
  option: string,
  make: (scene: Scene, options: object) => unknown,
  code: ErrorCode,
])[] = [
  ['lingerMs', ({ broker }, options) => call(broker, 'producer', options), 'OTTLA_INVALID_ARGUMENT'],
  ['batchBytes', ({ broker }, options) => call(broker, 'producer', options), 'OTTLA_INVALID_ARGUMENT'],
  ['maxInFlightBytes', ({ broker }, options) => call(broker, 'producer', options), 'OTTLA_INVALID_ARGUMENT'],
  ['retentionMs', ({ broker }, options) => call(broker, 'topic', 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
  ['retentionBytes', ({ broker }, options) => call(broker, 'topic', 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
  ['segmentBytes', ({ broker }, options) => call(broker, 'topic', 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
  ['segmentMs', ({ broker }, options) => call(broker, 'topic', 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
  ['maxMessageBytes', ({ broker }, options) => call(broker, 'topic', 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
  [
    'autoCommitIntervalMs',
    ({ broker }, options) => call(broker, 'consumerGroup', 'x', { topics: [orders], ...options }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['concurrency', ({ member }, options) => call(member, 'run', () => {}, options), 'OTTLA_INVALID_ARGUMENT'],
  ['maxMessages', ({ member }, options) => call(member, 'runBatches', () => {}, options), 'OTTLA_INVALID_ARGUMENT'],
  ['maxWaitMs', ({ member }, options) => call(member, 'runBatches', () => {}, options), 'OTTLA_INVALID_ARGUMENT'],
  ['partition', ({ broker }, options) => call(broker, 'reader', orders, options), 'OTTLA_INVALID_ARGUMENT'],
  ['numPartitions', (_, config) => Broker.open({ config: { ...config } }), 'OTTLA_INVALID_CONFIG'],
  ['maxBytes', (_, options) => make(MemoryStorage, options), 'OTTLA_INVALID_ARGUMENT'],
  ['segmentBytes', (_, options) => make(FileStorage, '/tmp/never-made', options), 'OTTLA_INVALID_ARGUMENT'],
]

const NUMBER_OPTIONS: BadInput[] = NUMBERS.flatMap(([option, use, code]) =>
  [-2, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, 'many', {}].map(
    (value): BadInput => [`${option}: ${JSON.stringify(value) ?? value}`, (at) => use(at, { [option]: value }), code],
  ),
)

const UNKNOWN_OPTIONS: BadInput[] = ['unknown', 'constructor', 'hasOwnProperty', 'retry'].flatMap(
  (name): BadInput[] => {
    const options = { [name]: 1 }
    return [
      [`the option ${name} of Broker.open`, () => call(Broker, 'open', options), 'OTTLA_INVALID_ARGUMENT'],
      [`the option ${name} of a topic`, () => make(Topic, 'new-topic', options), 'OTTLA_INVALID_CONFIG'],
      [`the option ${name} of a producer`, ({ broker }) => call(broker, 'producer', options), 'OTTLA_INVALID_ARGUMENT'],
      [
        `the option ${name} of send`,
        ({ producer }) => call(producer, 'send', orders, { value: 'c' }, options),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [
        `the field ${name} of a message`,
        ({ producer }) => call(producer, 'send', orders, { value: 'c', ...options }),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [
        `the option ${name} of a group`,
        ({ broker }) => call(broker, 'consumerGroup', 'x', { topics: [orders], ...options }),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [`the option ${name} of run`, ({ member }) => call(member, 'run', () => {}, options), 'OTTLA_INVALID_ARGUMENT'],
      [
        `the option ${name} of runBatches`,
        ({ member }) => call(member, 'runBatches', () => {}, options),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [
        `the option ${name} of a reader`,
        ({ broker }) => call(broker, 'reader', orders, options),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [`the option ${name} of idle`, ({ broker }) => call(broker, 'idle', options), 'OTTLA_INVALID_ARGUMENT'],
      [
        `the option ${name} of resetOffsets`,
        ({ broker }) => call(broker, 'resetOffsets', 'running', 'latest', options),
        'OTTLA_INVALID_ARGUMENT',
      ],
      [`the option ${name} of a memory`, () => make(MemoryStorage, options), 'OTTLA_INVALID_ARGUMENT'],
      [`the option ${name} of files`, () => make(FileStorage, '/tmp/never-made', options), 'OTTLA_INVALID_ARGUMENT'],
      [`the config ${name} of the broker`, () => call(Broker, 'open', { config: options }), 'OTTLA_INVALID_CONFIG'],
    ]
  },
)

const signal = new AbortController().signal

const OTHERS: BadInput[] = [
  ['a name that collides', ({ broker }) => broker.topic('colliding_name'), 'OTTLA_INVALID_TOPIC'],
  [
    'a message over maxMessageBytes',
    ({ producer }) => producer.send(orders, { value: 'x'.repeat(1_000) }),
    'OTTLA_MESSAGE_TOO_LARGE',
  ],
  [
    'undefined as a value',
    ({ producer }) => call(producer, 'send', orders, { key: 'a', value: undefined }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['no value', ({ producer }) => call(producer, 'send', orders, { key: 'a' }), 'OTTLA_INVALID_ARGUMENT'],
  ['a message that is a string', ({ producer }) => call(producer, 'send', orders, 'c'), 'OTTLA_INVALID_ARGUMENT'],
  ['no message', ({ producer }) => call(producer, 'send', orders), 'OTTLA_INVALID_ARGUMENT'],
  [
    'a name in the place of a Topic',
    ({ producer }) => call(producer, 'send', 'orders', { value: 'c' }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a signal in the place of options',
    ({ producer }) => call(producer, 'send', orders, { value: 'c' }, signal),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a signal that is none',
    ({ producer }) => call(producer, 'send', orders, { value: 'c' }, { signal: {} }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['a value that its codec refuses', ({ producer }) => call(producer, 'send', orders, { value: 1n }), 'OTTLA_ENCODE'],
  [
    'a key that its codec refuses',
    ({ producer }) => call(producer, 'send', orders, { key: 5, value: 'c' }),
    'OTTLA_ENCODE',
  ],
  [
    'a partition that is not there',
    ({ producer }) => producer.send(orders, { value: 'c', partition: 2 }),
    'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
  ],
  [
    'a partition below 0',
    ({ producer }) => producer.send(orders, { value: 'c', partition: -1 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a timestamp that is text',
    ({ producer }) => call(producer, 'send', orders, { value: 'c', timestamp: 'now' }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a date that is none',
    ({ producer }) => producer.send(orders, { value: 'c', timestamp: new Date(Number.NaN) }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a negative timestamp',
    ({ producer }) => producer.send(orders, { value: 'c', timestamp: -1 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a partitioner that is no function',
    ({ broker }) => call(broker, 'producer', { partitioner: 3 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a way of being full that is none',
    ({ broker }) => call(broker, 'producer', { onFull: 'drop' }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['options that are null', ({ broker }) => call(broker, 'producer', null), 'OTTLA_INVALID_ARGUMENT'],
  ['options that are an array', ({ broker }) => call(broker, 'consumerGroup', 'x', [orders]), 'OTTLA_INVALID_ARGUMENT'],
  [
    'a bare number as from',
    ({ broker }) => call(broker, 'consumerGroup', 'x', { topics: [orders], from: 0 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a bare number as the place of a reader',
    ({ broker }) => call(broker, 'reader', orders, { from: 0 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'null as the place of a reader',
    ({ broker }) => call(broker, 'reader', orders, { from: null }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'two places of a reader',
    ({ broker }) => call(broker, 'reader', orders, { from: { last: 1, offset: 1 } }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  [
    'a bare number as the end of a reader',
    ({ broker }) => call(broker, 'reader', orders, { until: 5 }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['a bare number to seek', ({ running }) => call(running, 'seek', 0), 'OTTLA_INVALID_ARGUMENT'],
  ['a bare number to reset to', ({ broker }) => call(broker, 'resetOffsets', 'running', 0), 'OTTLA_INVALID_ARGUMENT'],
  [
    'a reader of a partition that is not there',
    ({ broker }) => broker.reader(orders, { partition: 2 }).next(),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['a group without a name', ({ broker }) => broker.consumerGroup('', { topics: [orders] }), 'OTTLA_INVALID_GROUP_ID'],
  ['a group without options', ({ broker }) => call(broker, 'consumerGroup', 'x'), 'OTTLA_INVALID_ARGUMENT'],
  ['a group without topics', ({ broker }) => broker.consumerGroup('x', { topics: [] }), 'OTTLA_INVALID_ARGUMENT'],
  [
    'a handler that is not a function',
    ({ member }) => call(member, 'run', { handle: () => {} }),
    'OTTLA_INVALID_ARGUMENT',
  ],
  ['no handler', ({ member }) => call(member, 'runBatches'), 'OTTLA_INVALID_ARGUMENT'],
  ['a second run', ({ running }) => running.run(() => {}), 'OTTLA_ALREADY_RUNNING'],
  ['runBatches beside run', ({ running }) => running.runBatches(() => {}), 'OTTLA_ALREADY_RUNNING'],
  [
    'a for await beside run',
    async ({ running }) => {
      for await (const _ of running) break
    },
    'OTTLA_ALREADY_RUNNING',
  ],
  ['pause before run', ({ member }) => member.pause(), 'OTTLA_INVALID_ARGUMENT'],
  [
    'options that contradict the topic: partitions',
    ({ broker }) => broker.topic('orders', { partitions: 3 }),
    'OTTLA_TOPIC_MISMATCH',
  ],
  [
    'options that contradict the topic: a config',
    ({ broker }) => broker.topic('orders', { retentionMs: 1 }),
    'OTTLA_TOPIC_MISMATCH',
  ],
  [
    'options that contradict the topic: a codec',
    ({ broker }) => broker.topic('orders', { value: string() }),
    'OTTLA_CODEC_MISMATCH',
  ],
  ['a storage that is a path', () => call(Broker, 'open', { storage: './data' }), 'OTTLA_INVALID_ARGUMENT'],
  ['a storage in the place of options', () => call(Broker, 'open', new MemoryStorage()), 'OTTLA_INVALID_ARGUMENT'],
  ['a clock that is a date', () => call(Broker, 'open', { clock: new Date() }), 'OTTLA_INVALID_ARGUMENT'],
  ['an array as config', () => call(Broker, 'open', { config: [] }), 'OTTLA_INVALID_ARGUMENT'],
  ['FileStorage without a directory', () => make(FileStorage), 'OTTLA_INVALID_ARGUMENT'],
  ['groups that are no array', ({ broker }) => call(broker, 'idle', { groups: 'running' }), 'OTTLA_INVALID_ARGUMENT'],
]

describe('bad input', () => {
  it.each([...TOPIC_NAMES, ...PARTITION_COUNTS, ...NUMBER_OPTIONS, ...UNKNOWN_OPTIONS, ...OTHERS])(
    'is refused, and changes nothing: %s',
    async (_, bad, code) => {
      const at = await scene()
      const before = await stateOf(at)
      const error = await refusal(() => bad(at))
      expect([error.code, error.message]).toEqual([code, expect.stringMatching(SENTENCE)])
      expect(await stateOf(at)).toEqual(before)
      // What was refused may be tried again, as it should be.
      await at.member.run(() => {})
      await at.producer.send(orders, { value: 'c' })
      await at.broker.idle({ groups: ['billing', 'running'] })
    },
  )

  it('is refused before anything is waited for, once the producer knows the topic as it is', async () => {
    const { producer } = await scene()
    await producer.send(orders, { value: 'known' })
    let code: string | undefined
    producer.send(orders, { value: 'x'.repeat(2_000) }).catch((error) => {
      code = error.code
    })
    await Promise.resolve()
    await Promise.resolve()
    expect(code).toBe('OTTLA_MESSAGE_TOO_LARGE')
  })
})

describe('what is closed', () => {
  it('is a producer: it sends nothing', async () => {
    const at = await scene()
    const before = await stateOf(at)
    await at.producer.close()
    const error = await refusal(() => at.producer.send(orders, { value: 'c' }))
    expect([error.code, error.message]).toEqual(['OTTLA_CLOSED', expect.stringContaining('producer')])
    expect(await stateOf(at)).toEqual(before)
  })

  it('is a group: its member does nothing more', async () => {
    const at = await scene()
    const before = await stateOf(at)
    await at.member.close()
    for (const use of ['run', 'runBatches']) {
      const error = await refusal(() => call(at.member, use, () => {}))
      expect([error.code, error.message]).toEqual(['OTTLA_CLOSED', expect.stringContaining('billing')])
    }
    for (const use of ['pause', 'resume', 'messages', 'seek']) {
      expect((await refusal(() => call(at.member, use, 'earliest'))).code).toMatch(
        /OTTLA_CLOSED|OTTLA_INVALID_ARGUMENT/,
      )
    }
    expect(await stateOf(at)).toEqual(before)
  })

  it.each([
    ['topic', 'orders'],
    ['topics'],
    ['alterTopic', 'orders', {}],
    ['deleteTopic', 'orders'],
    ['deleteRecords', []],
    ['producer'],
    ['consumerGroup', 'x', { topics: ['orders'] }],
    ['reader', orders],
    ['groups'],
    ['describeGroup', 'running'],
    ['resetOffsets', 'running', 'latest'],
    ['deleteGroup', 'running'],
    ['idle'],
    ['applyRetention', 'orders'],
  ])('is a broker: %s says so', async (method, ...parameters) => {
    const { broker, producer, member } = await scene()
    await broker.close()
    const error = await refusal(() => call(broker, method, ...parameters))
    expect([error.code, error.message]).toEqual(['OTTLA_CLOSED', expect.stringContaining('open a new one')])
    expect((await refusal(() => producer.send(orders, { value: 'c' }))).code).toBe('OTTLA_CLOSED')
    expect((await refusal(() => member.run(() => {}))).code).toBe('OTTLA_CLOSED')
  })
})

describe('a directory', () => {
  it('that is a file is refused, and stays as it was', async () => {
    const path = temporaryDirectory()
    writeFileSync(path, 'a letter')
    const error = await refusal(() => Broker.open({ storage: new FileStorage(path) }))
    expect(error.code).toBe('OTTLA_INVALID_ARGUMENT')
    expect(error.message).toContain(path)
    expect(readFileSync(path, 'utf8')).toBe('a letter')
  })

  it('below a file is refused', async () => {
    const path = temporaryDirectory()
    writeFileSync(path, 'a letter')
    const error = await refusal(() => Broker.open({ storage: new FileStorage(join(path, 'data')) }))
    expect([error.code, error.message]).toEqual([expect.any(String), expect.stringContaining(path)])
    expect(readFileSync(path, 'utf8')).toBe('a letter')
  })

  // Not even root writes there, which a test run as root would to any other directory.
  it.skipIf(!existsSync('/sys/kernel'))('that cannot be written to is refused', async () => {
    const error = await refusal(() => Broker.open({ storage: new FileStorage('/sys/kernel/ottla') }))
    expect(error.code).toBe('OTTLA_STORAGE_FAILED')
    expect(error.message).toContain('/sys/kernel/ottla')
    expect(OttlaError.is(error) && error.cause).toBeInstanceOf(Error)
  })

  it('with files of somebody else is refused, and stays as it was', async () => {
    const path = temporaryDirectory()
    mkdirSync(path)
    writeFileSync(join(path, 'letter.txt'), 'a letter')
    const error = await refusal(() => Broker.open({ storage: new FileStorage(path) }))
    expect([error.code, error.message]).toEqual(['OTTLA_INVALID_ARGUMENT', expect.stringContaining('letter.txt')])
    expect(readdirSync(path)).toEqual(['letter.txt'])
  })

  it('made by a newer version is refused, and stays as it was', async () => {
    const path = temporaryDirectory()
    const broker = await openBroker({ storage: new FileStorage(path) })
    await broker.topic(orders)
    await broker.close()
    const [layoutFile] = readdirSync(path).filter((name) => /layout|ottla/.test(name))
    if (layoutFile === undefined) throw new Error('No file says which layout the directory has')
    writeFileSync(join(path, layoutFile), JSON.stringify({ layout: 99 }))
    const names = readdirSync(path).sort()
    const error = await refusal(() => Broker.open({ storage: new FileStorage(path) }))
    expect([error.code, error.message]).toEqual(['OTTLA_UNSUPPORTED_FORMAT', expect.stringContaining('99')])
    expect(readdirSync(path).sort()).toEqual(names)
  })
})

/** Words, not a code. */
const SENTENCE = /^\S+ \S+ \S+.{10,}$/s
