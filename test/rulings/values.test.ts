import { bytes, FileStorage, json, MemoryStorage, msgpack, type OttlaError, schema, string, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { brokers, codeOf, contentsOf, refusal } from '../client/brokers.js'
import { temporaryDirectories } from '../storage/file/file-rig.js'

const openBroker = brokers()
const temporaryDirectory = temporaryDirectories()

const anything = new Topic('anything')

describe('ruling: Values', () => {
  const values: [string, unknown][] = [
    ['text', 'grüße 🌍'],
    ['a large number', 2 ** 53 - 1],
    ['minus zero', -0],
    ['NaN', Number.NaN],
    ['a BigInt', 2n ** 80n],
    ['a date', new Date(5)],
    ['a Map', new Map([['a', new Set([1])]])],
    ['a Set', new Set(['a', 1])],
    ['a typed array', new Float64Array([1.5, -0])],
    ['bytes', new Uint8Array([1, 2])],
    ['undefined in an object', { a: undefined, b: [undefined] }],
  ]

  it.each(values)('what a consumer sees of %s is what was sent, in memory as on files', async (_, value) => {
    for (const storage of [new MemoryStorage(), new FileStorage(temporaryDirectory())]) {
      const broker = await openBroker({ storage })
      await broker.topic(anything)
      await broker.producer().send(anything, { value })
      const [message] = await contentsOf(broker, anything)
      expect(message?.value).toStrictEqual(value)
      if (typeof value === 'object') expect(message?.value).not.toBe(value)
    }
  })

  it.each([
    ['a function', () => {}],
    ['a function inside', { a: { b: () => {} } }],
    ['a symbol', Symbol('a')],
    ['a promise', Promise.resolve(1)],
  ])('what would not come back is refused at send: %s', async (_, value) => {
    const broker = await openBroker()
    await broker.topic(anything)
    const error = await refusal(() => broker.producer().send(anything, { value }))
    expect([error.code, error.message]).toEqual(['OTTLA_ENCODE', expect.stringMatching(/anything.*msgpack/)])
    expect(await contentsOf(broker, anything)).toEqual([])
  })

  it('null is a tombstone and reaches no codec, undefined is refused', async () => {
    const broker = await openBroker()
    const never = (): never => {
      throw new Error('null is not for codecs')
    }
    const topic = await broker.topic(
      new Topic<null>('state', { value: { name: 'never', encode: never, decode: never } }),
    )
    await broker.producer().send(topic, { key: 'a', value: null })
    expect((await contentsOf(broker, topic)).map(({ value }) => value)).toEqual([null])
    const call = () => Reflect.apply(broker.producer().send, broker.producer(), [topic, { key: 'a', value: undefined }])
    expect(await codeOf(call)).toBe('OTTLA_INVALID_ARGUMENT')
  })

  it('a schema refuses at send, and delivers its output', async () => {
    const broker = await openBroker()
    const Order = z.object({ total: z.number(), at: z.coerce.date(), note: z.string().default('-') })
    const orders = await broker.topic(new Topic('orders', { value: schema(Order, json()) }))
    const producer = broker.producer()
    await producer.send(orders, { value: { total: 1, at: '2026-01-01' } })
    const wrong: Promise<unknown> = Reflect.apply(producer.send, producer, [orders, { value: { total: 'a lot' } }])
    await expect(wrong).rejects.toMatchObject({ code: 'OTTLA_ENCODE' })
    expect((await contentsOf(broker, orders)).map(({ value }) => value)).toEqual([
      { total: 1, at: new Date('2026-01-01'), note: '-' },
    ])
  })

  it('the codecs are recorded with the topic, through a restart', async () => {
    const storage = new MemoryStorage()
    const broker = await openBroker({ storage })
    await broker.topic('orders', { value: json(), key: string() })
    await broker.close()
    const reopened = await openBroker({ storage })
    expect(await codeOf(() => reopened.topic('orders', { value: msgpack() }))).toBe('OTTLA_CODEC_MISMATCH')
    expect(await codeOf(() => reopened.topic('orders', { key: json<string>() }))).toBe('OTTLA_CODEC_MISMATCH')
    await reopened.topic('orders', { value: json() })
    await reopened.topic('orders')
  })
})

describe('ruling: Memory', () => {
  it('what was delivered stays as it is, whatever is written after it', async () => {
    const storage = new MemoryStorage({ maxBytes: 100_000, lossy: true, segmentBytes: 4_000 })
    const broker = await openBroker({ storage })
    const raw = await broker.topic(new Topic('raw', { value: bytes() }))
    const producer = broker.producer()
    const held: Uint8Array[] = []
    for (let round = 0; round < 300; round++) {
      await producer.send(raw, { value: new Uint8Array(1_000).fill(round) })
      const last = broker.reader(raw, { from: { last: 1 }, until: 'end' })
      for await (const { value } of last) held.push(value)
    }
    expect(held).toHaveLength(300)
    for (const [round, value] of held.entries()) expect(value).toEqual(new Uint8Array(1_000).fill(round))
  })

  it('a full memory refuses the send, and takes it when something was deleted', async () => {
    const broker = await openBroker({ storage: new MemoryStorage({ maxBytes: 20_000, segmentBytes: 2_000 }) })
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    const producer = broker.producer()
    const send = () => producer.send(topic, { value: 'x'.repeat(900) })
    let end = 0
    let error: OttlaError | undefined
    while (error === undefined) {
      await send().then(
        () => end++,
        (reason) => {
          error = reason
        },
      )
    }
    expect(error).toMatchObject({ code: 'OTTLA_STORAGE_FULL', retriable: true })
    await broker.deleteRecords([{ topic: 'texts', partition: 0, beforeOffset: end }])
    expect(await send()).toMatchObject({ offset: end })
  })

  it('with lossy, the oldest messages go instead, and what is left can be read', async () => {
    const storage = new MemoryStorage({ maxBytes: 20_000, segmentBytes: 2_000, lossy: true })
    const broker = await openBroker({ storage })
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    const producer = broker.producer()
    for (let n = 0; n < 100; n++) await producer.send(topic, { value: String(n).padEnd(900) })
    const left = (await contentsOf(broker, topic)).map(({ value }) => Number(value))
    expect(left.at(-1)).toBe(99)
    expect(left.length).toBeLessThan(25)
    expect(left).toEqual(left.map((_, index) => 100 - left.length + index))
  })
})

describe('ruling: Messages', () => {
  it('are plain data: they can be spread, shown, compared and turned into JSON', async () => {
    const broker = await openBroker({ clock: new ManualClock({ now: 7 }) })
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    await broker.producer().send(topic, { key: 'k', value: 'v' })
    const [message] = await contentsOf(broker, topic)
    const fields = { topic: 'texts', partition: 0, offset: 0, timestamp: 7, key: 'k', value: 'v' }
    expect(message).toEqual({ ...fields, headers: message?.headers })
    expect({ ...message }).toEqual(message)
    expect(JSON.parse(JSON.stringify(message))).toEqual({ ...fields, headers: [] })
  })
})

describe('ruling: Defaults', () => {
  it('an app loses nothing by default: ten years later everything is there, and read from the start', async () => {
    const clock = new ManualClock({ now: 0 })
    // Looks for what retention drops less often than each five minutes of those years.
    const broker = await openBroker({ clock, config: { logRetentionCheckIntervalMs: 365 * 86_400_000 } })
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    await broker.producer().send(topic, { value: 'old' })
    await broker.consumerGroup('before', { topics: [topic] }).run(() => {})
    await broker.idle()
    await clock.advance(10 * 365 * 86_400_000)
    await broker.producer().send(topic, { value: 'new' })
    await broker.applyRetention(topic)
    const handled: string[] = []
    await broker.consumerGroup('after', { topics: [topic] }).run(({ value }) => void handled.push(value))
    await broker.idle()
    expect(handled).toEqual(['old', 'new'])
    expect((await broker.describeGroup('before')).lag).toMatchObject([{ committedOffset: 2 }])
    expect(await broker.topics()).toEqual(['texts'])
    await broker.topic('texts', { partitions: 1, retentionMs: -1, retentionBytes: -1 })
  })
})

describe('ruling: Clock', () => {
  it("the clock's time is the messages' time, and moves nothing by itself", async () => {
    const clock = new ManualClock({ now: 1_000 })
    const broker = await openBroker({ clock })
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    const producer = broker.producer()
    await producer.send(topic, { value: 'a' })
    await clock.advance(500)
    await producer.send(topic, { value: 'b' })
    expect((await contentsOf(broker, topic)).map(({ timestamp }) => timestamp)).toEqual([1_000, 1_500])
  })

  it('fake timers of a test runner do not reach the engine', async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('texts', { value: string() }))
    vi.useFakeTimers()
    try {
      await broker.producer({ lingerMs: 1 }).send(topic, { value: 'a' })
      await broker.consumerGroup('g', { topics: [topic], autoCommitIntervalMs: 1 }).run(() => {})
      await broker.idle()
    } finally {
      vi.useRealTimers()
    }
    const [message] = await contentsOf(broker, topic)
    expect(message?.value).toBe('a')
  })

  it('where the broker sets the time, send and message agree on it', async () => {
    const clock = new ManualClock({ now: 1_000 })
    const broker = await openBroker({ clock })
    const topic = await broker.topic(new Topic('texts', { value: string(), messageTimestampType: 'LogAppendTime' }))
    const sent = await broker.producer().send(topic, { value: 'a', timestamp: 5 })
    const [message] = await contentsOf(broker, topic)
    expect([sent.timestamp, message?.timestamp]).toEqual([1_000, 1_000])
  })
})

describe('ruling: Copies', () => {
  it('topics, storages and errors of one loaded copy are known in another', async () => {
    vi.resetModules()
    const copy = await import('ottla')
    expect(copy.Topic).not.toBe(Topic)
    const broker = await openBroker({ storage: new copy.MemoryStorage() })
    const topic = new copy.Topic('texts', { value: copy.string() })
    await broker.topic(topic)
    await broker.producer().send(topic, { value: 'a' })
    const handled: unknown[] = []
    await broker.consumerGroup('g', { topics: [topic] }).run(({ value }) => void handled.push(value))
    await broker.idle()
    expect(handled).toEqual(['a'])
    const error = await refusal(() => broker.topic(new copy.Topic('texts', { partitions: 2 })))
    expect(error).not.toBeInstanceOf(copy.OttlaError)
    expect([copy.OttlaError.is(error), error.code]).toEqual([true, 'OTTLA_TOPIC_MISMATCH'])
  })
})

describe('ruling: topics', () => {
  it('delete and recreate is a new topic, also for a producer that knew the old one', async () => {
    const broker = await openBroker()
    const wide = new Topic('orders', { partitions: 4, value: json<number>() })
    const narrow = new Topic('orders', { partitions: 1, value: string() })
    await broker.topic(wide)
    const producer = broker.producer()
    await producer.send(wide, { value: 1, partition: 3 })
    await broker.deleteTopic(wide)
    await broker.topic(narrow)
    expect(await contentsOf(broker, narrow)).toEqual([])
    expect(await producer.send(narrow, { value: 'a', key: 'k' })).toMatchObject({ partition: 0, offset: 0 })
    expect(await codeOf(() => producer.send(wide, { value: 1, partition: 3 }))).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
  })
})
