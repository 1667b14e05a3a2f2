import { bytes, type Codec, json, msgpack, OttlaError, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { brokers, codeOf, refusal } from './brokers.js'

const openBroker = brokers()

/** What a JavaScript user might write. */
const declare = (name: unknown, ...options: unknown[]): Topic => Reflect.construct(Topic, [name, ...options])

describe('a topic', () => {
  it('is a declaration: a name and two codecs, msgpack and text unless told otherwise', () => {
    expect(new Topic('orders')).toEqual({ name: 'orders', value: msgpack(), key: string() })
    const raw = new Topic('raw', { value: bytes(), key: bytes(), partitions: 3 })
    expect(raw).toEqual({ name: 'raw', value: bytes(), key: bytes() })
  })

  it('serves any number of brokers', async () => {
    const orders = new Topic('orders', { partitions: 2, value: json<number>() })
    for (const broker of [await openBroker(), await openBroker()]) {
      await broker.topic(orders)
      expect(await broker.producer().send(orders, { value: 1, partition: 1 })).toMatchObject({ offset: 0 })
    }
  })

  it('knows its own messages', async () => {
    const orders = new Topic('orders', { value: json<number>() })
    const payments = new Topic('payments', { value: json<string>() })
    const broker = await openBroker()
    await broker.topic(orders)
    await broker.producer().send(orders, { value: 1 })
    for await (const message of broker.reader(orders, { until: 'end' })) {
      expect([orders.is(message), payments.is(message)]).toEqual([true, false])
    }
  })

  it('may have a codec of the user', async () => {
    const int32: Codec<number> = {
      name: 'int32',
      encode: (value) => {
        const encoded = Buffer.alloc(4)
        encoded.writeInt32BE(value)
        return encoded
      },
      decode: (encoded) => new DataView(encoded.buffer, encoded.byteOffset).getInt32(0),
    }
    const broker = await openBroker()
    const counts = await broker.topic(new Topic<number, number>('counts', { key: int32, value: int32 }))
    await broker.producer().send(counts, { key: -1, value: 2 ** 30 })
    for await (const { key, value } of broker.reader(counts, { until: 'end' }))
      expect([key, value]).toEqual([-1, 2 ** 30])
  })

  it.each([
    [
      'throws',
      () => {
        throw new RangeError('too large for me')
      },
      'too large for me',
    ],
    [
      'throws no error',
      () => {
        throw 'a word'
      },
      'a word',
    ],
    ['returns text', () => 'text', "returned 'text'"],
    ['returns a promise', async () => new Uint8Array(), 'returned an object'],
    ['returns nothing', () => undefined, 'returned undefined'],
  ])('whose codec %s refuses the value at send, naming topic and codec', async (_, encode, sentence) => {
    const codec = { name: 'broken', encode, decode: () => 1 } as unknown as Codec<number>
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('counts', { value: codec }))
    const error = await refusal(() => broker.producer().send(topic, { value: 1 }))
    expect(error.code).toBe('OTTLA_ENCODE')
    for (const part of ['counts', 'broken', sentence]) expect(error.message).toContain(part)
  })
})

describe('the name of a topic', () => {
  it.each(['a', 'A.b_c-9', '0', '...', 'x'.repeat(249)])('may be %s', async (name) => {
    const broker = await openBroker()
    await broker.topic(new Topic(name))
    expect(await broker.topics()).toEqual([name])
  })

  it.each([
    ['empty', ''],
    ['a dot', '.'],
    ['two dots', '..'],
    ['too long', 'x'.repeat(250)],
    ['with a slash', 'a/b'],
    ['with a blank', 'a b'],
    ['with a colon', 'a:b'],
    ['with an umlaut', 'grüße'],
    ['with a line break', 'a\n'],
    ['a number', 5],
    ['null', null],
    ['nothing', undefined],
    ['a topic', new Topic('a')],
  ])('is refused: %s', async (_, name) => {
    expect(await codeOf(() => declare(name))).toBe('OTTLA_INVALID_TOPIC')
  })

  it.each([
    ['a.b', 'a_b'],
    ['a_b.c', 'a.b_c'],
  ])('%s leaves no room for %s, which Kafka could not tell from it', async (first, second) => {
    const broker = await openBroker()
    await broker.topic(first)
    const error = await refusal(() => broker.topic(second))
    expect(error.code).toBe('OTTLA_INVALID_TOPIC')
    expect(error.message).toContain(first)
    expect(await broker.topics()).toEqual([first])
    await broker.deleteTopic(first)
    await broker.topic(second)
  })

  it.each(['__consumer_offsets', '__cluster_metadata', '__transaction_state'])(
    '%s is for ottla alone',
    async (name) => {
      const broker = await openBroker()
      const topic = new Topic(name, { value: bytes() })
      expect(await codeOf(() => broker.topic(topic))).toBe('OTTLA_INVALID_TOPIC')
      const refused = await broker
        .producer()
        .send(topic, { value: Buffer.from('x') })
        .catch((error: unknown) => error)
      expect(OttlaError.is(refused)).toBe(true)
      for (const call of [() => broker.deleteTopic(name), () => broker.alterTopic(name, { partitions: 2 })]) {
        expect(await codeOf(call)).toMatch(/OTTLA_INVALID_TOPIC|OTTLA_UNKNOWN_TOPIC_OR_PARTITION/)
      }
      expect(await broker.topics()).toEqual([])
    },
  )
})

describe('the options of a topic', () => {
  it.each([1, 2, 10_000])('take %d partitions', (partitions) => {
    expect(new Topic('a', { partitions }).name).toBe('a')
  })

  it.each([0, -1, 10_001, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '4', null])(
    'refuse %s partitions',
    async (partitions) => {
      const error = await refusal(() => declare('a', { partitions }))
      expect(error.code).toBe('OTTLA_INVALID_PARTITIONS')
      expect(error.message).toContain('1 to 10,000')
    },
  )

  it.each([
    ['an unknown name', { partition: 4 }],
    ['a name of Object', { constructor: 1 }],
    ["Kafka's spelling", { 'retention.ms': 1 }],
    ['a negative time', { retentionMs: -2 }],
    ['a fraction', { retentionBytes: 1.5 }],
    ['a segment that is too small', { segmentBytes: 0 }],
    ['a negative size', { maxMessageBytes: -1 }],
    ['another policy', { cleanupPolicy: 'keep' }],
    ['a codec in the place of the options', json()],
  ])('refuse %s', async (_, options) => {
    const error = await refusal(() => declare('a', options))
    expect(error.code).toBe('OTTLA_INVALID_CONFIG')
    expect(error.message.length).toBeGreaterThan(20)
  })

  it.each([
    ['null', null],
    ['a number', 4],
    ['an array', []],
    ['a codec that was not called', { value: json }],
    ['null as a codec', { value: null }],
    ['a codec without a name', { key: { encode: () => new Uint8Array(), decode: () => '' } }],
    ['a schema in the place of a codec', { value: { '~standard': {} } }],
  ])('refuse %s', async (_, options) => {
    expect(await codeOf(() => declare('a', options))).toBe('OTTLA_INVALID_ARGUMENT')
  })
})
