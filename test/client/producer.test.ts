import { readFileSync } from 'node:fs'
import {
  type AnyTopic,
  type Broker,
  bytes,
  json,
  MemoryStorage,
  type OttlaError,
  type Producer,
  type SendResult,
  string,
  Topic,
} from 'ottla'
import { ManualClock } from 'ottla/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { brokers, codeOf, contentsOf, nextTurn, outcomeNow, refusal } from './brokers.js'
import { HeldStorage } from './held-storage.js'
import { batchesOf } from './idempotence.js'

const openBroker = brokers()
const orders = new Topic('orders', { value: json<number | string>() })
const wide = new Topic('wide', { partitions: 4, value: json<number | string>() })
const raw = new Topic('raw', { value: bytes(), key: bytes() })

/** Nothing here may leave a rejection that nobody hears, or a warning. */
const unheard: unknown[] = []
const hear = (reason: unknown): void => void unheard.push(reason)
beforeEach(() => {
  process.on('unhandledRejection', hear)
  process.on('warning', hear)
})
afterEach(async () => {
  await nextTurn()
  process.off('unhandledRejection', hear)
  process.off('warning', hear)
  expect(unheard.splice(0)).toEqual([])
})

/** A broker whose storage has the topic, and whose producers have not asked about it yet. */
async function reopened(topic: AnyTopic): Promise<Broker> {
  const storage = new MemoryStorage()
  const first = await openBroker({ storage })
  await first.topic(topic)
  await first.close()
  return openBroker({ storage })
}

describe('send', () => {
  it('resolves with where the message went', async () => {
    const broker = await openBroker({ clock: new ManualClock({ now: 1_000 }) })
    await broker.topic(orders)
    const producer = broker.producer()
    expect(await producer.send(orders, { value: 1 })).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0,
      timestamp: 1_000,
    })
    expect(await producer.send(orders, { value: 2, timestamp: new Date(5) })).toMatchObject({ offset: 1, timestamp: 5 })
    expect(await producer.send(orders, { value: 3, timestamp: 0 })).toMatchObject({ offset: 2, timestamp: 0 })
    expect((await contentsOf(broker, orders)).map((message) => message.timestamp)).toEqual([1_000, 5, 0])
  })

  it('of several resolves with one result for each, in their order, whatever their partitions', async () => {
    const broker = await openBroker()
    await broker.topic(wide)
    const sent = await broker.producer().send(
      wide,
      [3, 1, 2, 1].map((partition, value) => ({ value, partition })),
    )
    expect(sent.map(({ partition, offset }) => [partition, offset])).toEqual([
      [3, 0],
      [1, 0],
      [2, 0],
      [1, 1],
    ])
  })

  it.each([
    { how: 'all with keys', keyOf: (value: number) => `key ${value % 37}`, partitionOf: () => undefined },
    {
      how: 'some to a given partition',
      keyOf: () => 'key',
      partitionOf: (value: number) => [undefined, 2, 0][value % 3],
    },
    {
      how: 'some without a key',
      keyOf: (value: number) => (value % 5 === 0 ? null : `${value}`),
      partitionOf: () => undefined,
    },
    {
      how: 'to a given partition or any',
      keyOf: () => null,
      partitionOf: (value: number) => [undefined, 3][value % 2],
    },
  ])('of many, $how, keeps their order in each partition, over several batches', async ({ keyOf, partitionOf }) => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('placed', { partitions: 4, value: json<number>() }))
    const producer = broker.producer({ batchBytes: 300 })
    const values = Array.from({ length: 400 }, (_, value) => value)
    const sent = await producer.send(
      topic,
      values.map((value) => {
        const partition = partitionOf(value)
        return { value, key: keyOf(value), ...(partition !== undefined && { partition }) }
      }),
    )
    const messages = await contentsOf(broker, topic)
    const placeOf = new Map(messages.map(({ value, partition, offset }) => [value, [partition, offset]]))
    expect(placeOf.size).toBe(values.length)
    expect(sent.map(({ partition, offset }) => [partition, offset])).toEqual(values.map((value) => placeOf.get(value)))
    for (const partition of [0, 1, 2, 3]) {
      const inPartition = messages.filter((message) => message.partition === partition).map(({ value }) => value)
      expect(inPartition).toEqual([...inPartition].sort((a, b) => a - b))
    }
    for (const { value, partition } of messages) expect(partition).toBe(partitionOf(value) ?? partition)
  })

  it('of several tells each its time: the one that it was given, or that of the call', async () => {
    const broker = await openBroker({ clock: new ManualClock({ now: 1_000 }) })
    await broker.topic(orders)
    const times = [undefined, 1_000, 5, undefined, 7]
    const sent = await broker.producer().send(
      orders,
      times.map((timestamp, value) => ({ value, ...(timestamp !== undefined && { timestamp }) })),
    )
    expect(sent.map(({ timestamp }) => timestamp)).toEqual([1_000, 1_000, 5, 1_000, 7])
    expect((await contentsOf(broker, orders)).map(({ timestamp }) => timestamp)).toEqual([1_000, 1_000, 5, 1_000, 7])
  })

  it('of none resolves with none', async () => {
    const broker = await openBroker()
    expect(await broker.producer().send(orders, [])).toEqual([])
  })

  it('appends in the order of the calls, also while the topic is still being looked up', async () => {
    const broker = await reopened(orders)
    const producer = broker.producer()
    await Promise.all([
      producer.send(orders, { value: 0 }),
      producer.send(orders, [{ value: 1 }, { value: 2 }]),
      producer.send(orders, { value: 3 }),
    ])
    expect((await contentsOf(broker, orders)).map(({ value }) => value)).toEqual([0, 1, 2, 3])
  })

  it('is acknowledged in the order of the offsets', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer({ batchBytes: 200 })
    const acknowledged: number[] = []
    await Promise.all(
      Array.from({ length: 1_000 }, (_, value) =>
        producer.send(orders, { value }).then(({ offset }) => acknowledged.push(offset)),
      ),
    )
    expect(acknowledged).toEqual(Array.from({ length: 1_000 }, (_, offset) => offset))
  })

  it('takes a hundred thousand messages in one turn, and they share batches', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer()
    const sends: Promise<SendResult>[] = []
    for (let value = 0; value < 100_000; value++) sends.push(producer.send(orders, { value }))
    expect((await Promise.all(sends)).at(-1)?.offset).toBe(99_999)
    expect(storage.appends).toBeLessThan(100)
  })

  it('takes a hundred thousand messages that have to wait for room', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const { signal } = new AbortController()
    const producer = broker.producer({ maxInFlightBytes: 10_000 })
    const sends: Promise<SendResult>[] = []
    for (let value = 0; value < 100_000; value++) sends.push(producer.send(orders, { value }, { signal }))
    expect((await Promise.all(sends)).at(-1)?.offset).toBe(99_999)
  }, 10_000)

  it('of two producers puts each in its own order', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producers = [broker.producer({ batchBytes: 100 }), broker.producer()]
    await Promise.all(Array.from({ length: 200 }, (_, index) => producers[index % 2]?.send(orders, { value: index })))
    const values = (await contentsOf(broker, orders)).map(({ value }) => Number(value))
    for (const parity of [0, 1]) {
      const own = values.filter((value) => value % 2 === parity)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
    expect(values).toHaveLength(200)
  })

  it('takes the value as it is at the call, whatever becomes of it', async () => {
    const broker = await reopened(raw)
    const producer = broker.producer()
    const value = Buffer.from('first')
    const key = Buffer.from('key')
    const header = Buffer.from('header')
    // The first one waits for its topic to be looked up, the second does not.
    for (const _ of ['waits', 'does not wait']) {
      value.write('first')
      key.write('key')
      header.write('header')
      const sent = producer.send(raw, { key, value, headers: { header } })
      value.fill(0)
      key.fill(0)
      header.fill(0)
      await sent
    }
    for (const message of await contentsOf(broker, raw)) {
      expect(Buffer.from(message.value).toString()).toBe('first')
      expect(Buffer.from(message.key ?? []).toString()).toBe('key')
      expect(message.headers.get('header')).toBe('header')
    }
  })

  it('of null is a tombstone, and no key is not an empty key', async () => {
    const broker = await openBroker()
    const state = await broker.topic(new Topic<number | null>('state', { value: json<number | null>() }))
    const producer = broker.producer()
    await producer.send(state, { key: 'a', value: null })
    await producer.send(state, { key: '', value: 1 })
    await producer.send(state, { key: null, value: 2 })
    const held = (await contentsOf(broker, state)).map(({ key, value }) => [key, value])
    expect(held).toEqual([
      ['a', null],
      ['', 1],
      [null, 2],
    ])
  })

  it('sends none of several when one of them is refused, and keeps no room for them', async () => {
    const broker = await openBroker()
    await broker.topic(wide)
    const producer = broker.producer({ maxInFlightBytes: 100, onFull: 'reject' })
    const good = { value: 1, key: 'a' }
    const refused: [unknown[], string][] = [
      [[good, { value: undefined }], 'OTTLA_INVALID_ARGUMENT'],
      [[good, { value: 1n }], 'OTTLA_ENCODE'],
      [[good, { value: 1, partition: 4 }], 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'],
      [[good, { value: 'x'.repeat(1_048_588) }], 'OTTLA_MESSAGE_TOO_LARGE'],
      [[good, { value: 1, headers: { large: new Uint8Array(1_048_588) } }], 'OTTLA_MESSAGE_TOO_LARGE'],
      [[good, undefined], 'OTTLA_INVALID_ARGUMENT'],
      // A hole.
      [Object.assign([good], { length: 2 }), 'OTTLA_INVALID_ARGUMENT'],
    ]
    for (const [messages, code] of refused) {
      expect(await codeOf(() => producer.send(wide, messages as { value: number }[])), String(messages)).toBe(code)
    }
    expect(await contentsOf(broker, wide)).toEqual([])
    await producer.send(wide, good)
    await broker.idle()
  })

  it('to a topic that is not there is refused, and goes through once it is', async () => {
    const broker = await openBroker()
    const producer = broker.producer()
    const error = await refusal(() => producer.send(orders, { value: 1 }))
    expect(error).toMatchObject({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION', retriable: true })
    expect(error.message).toContain('orders')
    await broker.topic(orders)
    expect(await producer.send(orders, { value: 1 })).toMatchObject({ offset: 0 })
  })

  it('under way when the topic is deleted settles, and the recreated topic begins anew with its own partitions', async () => {
    const broker = await openBroker()
    await broker.topic(wide)
    const producer = broker.producer()
    await producer.send(wide, { value: 0, partition: 3 })
    const underWay = Array.from({ length: 100 }, (_, value) => producer.send(wide, { value, partition: 3 }))
    const [, ...outcomes] = await Promise.allSettled([broker.deleteTopic(wide), ...underWay])
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
    }
    const narrow = new Topic('wide', { partitions: 2, value: json<number>() })
    await broker.topic(narrow)
    expect(await codeOf(() => producer.send(narrow, { value: 1, partition: 3 }))).toBe(
      'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    )
    expect(await producer.send(narrow, { value: 1, partition: 1 })).toMatchObject({ partition: 1, offset: 0 })
    const sent = await producer.send(
      narrow,
      Array.from({ length: 50 }, (_, value) => ({ value })),
    )
    for (const { partition } of sent) expect(partition).toBeLessThan(2)
  })

  it.each(['that a send found gone', 'that nobody sent to again'])(
    'begins anew in a topic that was made again, and forgets the one before it (%s)',
    async (how) => {
      const broker = await openBroker()
      const producer = broker.producer()
      for (const value of [1, 2]) {
        await broker.topic(orders)
        await producer.send(orders, { value })
        await broker.deleteTopic(orders)
        if (how === 'that a send found gone') {
          expect(await codeOf(() => producer.send(orders, { value }))).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
          continue
        }
        // What is gone is looked for now and then, as further topics come.
        for (let count = 0; count < 200; count++) {
          const other = await broker.topic(new Topic(`other.${value}.${count}`, { value: json<number>() }))
          await producer.send(other, { value })
          await broker.deleteTopic(other)
        }
      }
      await broker.topic(orders)
      expect(await producer.send(orders, { value: 3 })).toMatchObject({ offset: 0 })
      const [batch] = await batchesOf(broker)
      expect(batch?.baseSequence).toBe(0)
      expect(batch?.producerEpoch).toBeGreaterThan(0)
    },
  )

  it('goes to new partitions as soon as the topic has them, without losing or doubling what is under way', async () => {
    const broker = await openBroker()
    const growing = await broker.topic(new Topic('growing', { partitions: 1, value: json<number>() }))
    const producer = broker.producer({ lingerMs: 1 })
    const before = Array.from({ length: 100 }, (_, value) => producer.send(growing, { value, key: String(value) }))
    const [, ...sent] = await Promise.all([broker.alterTopic(growing, { partitions: 8 }), ...before])
    expect(new Set(sent.map(({ offset, partition }) => `${partition}/${offset}`)).size).toBe(100)
    expect(await producer.send(growing, { value: 100, partition: 7 })).toMatchObject({ partition: 7, offset: 0 })
  })

  it('fails with what the storage failed with, and later sends succeed', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 100, onFull: 'reject' })
    storage.failure = new Error('the disk is on fire')
    const outcome = await producer.send(orders, { value: 1 }).catch((error: Error) => error)
    expect(String((outcome as Error).cause ?? outcome)).toContain('the disk is on fire')
    storage.failure = undefined
    expect(await producer.send(orders, { value: 2 })).toMatchObject({ offset: 0 })
  })

  it('of many is refused once, however many of its batches are', async () => {
    const broker = await openBroker({ storage: new MemoryStorage({ maxBytes: 100 }) })
    const topic = await broker.topic(new Topic('refused', { partitions: 4, value: json<number>() }))
    const many = Array.from({ length: 40 }, (_, value) => ({ value, key: `key ${value}` }))
    expect(await codeOf(() => broker.producer().send(topic, many))).toBe('OTTLA_STORAGE_FULL')
  })

  it.each([{ maxBytes: 2 ** 20 }, { maxBytes: 100 }])(
    'alone and of several, turn by turn in one batch, is told its own outcome: $maxBytes bytes',
    async ({ maxBytes }) => {
      const clock = new ManualClock({ now: 1_000 })
      const broker = await openBroker({ clock, storage: new MemoryStorage({ maxBytes }) })
      await broker.topic(orders)
      const producer = broker.producer()
      const outcomes = await Promise.allSettled([
        producer.send(orders, { value: 0 }),
        producer.send(orders, [{ value: 1 }, { value: 2, timestamp: 5 }]),
        producer.send(orders, { value: 3, timestamp: 6 }),
        producer.send(orders, [{ value: 4 }, { value: 5 }]),
      ])
      const told = outcomes.map((outcome) =>
        outcome.status === 'fulfilled'
          ? [outcome.value].flat().map(({ offset, timestamp }) => [offset, timestamp])
          : outcome.reason.code,
      )
      const refused = 'OTTLA_STORAGE_FULL'
      const appended = [
        [[0, 1_000]],
        [
          [1, 1_000],
          [2, 5],
        ],
        [[3, 6]],
        [
          [4, 1_000],
          [5, 1_000],
        ],
      ]
      expect(told).toEqual(maxBytes === 100 ? [refused, refused, refused, refused] : appended)
      // The memory of the batch serves the next one.
      if (maxBytes === 100) return
      const next = await producer.send(orders, [{ value: 6 }, { value: 7 }])
      expect(next.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
        [6, 1_000],
        [7, 1_000],
      ])
    },
  )

  it('over a full memory is refused, and succeeds when records were deleted', async () => {
    const broker = await openBroker({ storage: new MemoryStorage({ maxBytes: 40_000, segmentBytes: 2_000 }) })
    await broker.topic(orders)
    const producer = broker.producer()
    const value = 'x'.repeat(1_000)
    let error: OttlaError | undefined
    let end = 0
    while (error === undefined) {
      await producer.send(orders, { value }).then(
        ({ offset }) => {
          end = offset + 1
        },
        (reason) => {
          error = reason
        },
      )
    }
    expect(error).toMatchObject({ code: 'OTTLA_STORAGE_FULL', retriable: true })
    await broker.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: end }])
    expect(await producer.send(orders, { value })).toMatchObject({ offset: end })
  })
})

describe('the largest message', () => {
  /** JSON adds two quotes. */
  const text = (bytes: number): string => 'x'.repeat(bytes - 2)

  it('is the one whose batch is maxMessageBytes, and not one byte more', async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('limited', { maxMessageBytes: 1_000, value: json<string>() }))
    const producer = broker.producer()
    await producer.send(topic, { value: text(10) })
    // 61 bytes of header, then length, attributes, two deltas, no key, the value's length and no headers.
    const largest = 1_000 - 61 - (2 + 1 + 1 + 1 + 1 + 2 + 1)
    await producer.send(topic, { value: text(largest) })
    const error = await refusal(() => producer.send(topic, { value: text(largest + 1) }))
    expect(error.code).toBe('OTTLA_MESSAGE_TOO_LARGE')
    expect(error.message).toContain('1001 bytes')
    expect(await contentsOf(broker, topic)).toHaveLength(2)
    await broker.alterTopic(topic, { maxMessageBytes: 1_001 })
    await producer.send(topic, { value: text(largest + 1) })
  })

  it('takes nothing with it: what is sent beside it goes', async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('limited', { maxMessageBytes: 1_000, value: json<string>() }))
    const producer = broker.producer({ lingerMs: 1 })
    const [first, large, last] = await Promise.allSettled([
      producer.send(topic, { value: 'first' }),
      producer.send(topic, { value: 'x', headers: { large: 'x'.repeat(2_000) } }),
      producer.send(topic, { value: 'last' }),
    ])
    expect([first.status, large.status, last.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('may be larger than a batch and than maxInFlightBytes', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer({ batchBytes: 100, maxInFlightBytes: 100 })
    const sends = Array.from({ length: 5 }, () => producer.send(orders, { value: text(10_000) }))
    expect((await Promise.all(sends)).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
  })
})

describe('maxInFlightBytes', () => {
  async function full(options: { onFull?: 'wait' | 'reject' }): Promise<[HeldStorage, Producer]> {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 1_000, ...options })
    await producer.send(orders, { value: 'the topic is known now' })
    storage.hold()
    return [storage, producer]
  }
  const value = 'x'.repeat(500)

  it('holds further sends back until there is room, in their order', async () => {
    const [storage, producer] = await full({})
    const sends = [0, 1, 2].map((n) => producer.send(orders, { value: n + value }))
    expect(await outcomeNow(Promise.race(sends))).toBe('pending')
    expect(storage.appends).toBe(2)
    storage.release()
    expect((await Promise.all(sends)).map(({ offset }) => offset)).toEqual([1, 2, 3])
  })

  it('refuses further sends with onFull: reject, and takes them again when there is room', async () => {
    const [storage, producer] = await full({ onFull: 'reject' })
    const first = producer.send(orders, { value })
    const error = await refusal(() => producer.send(orders, { value }))
    expect(error).toMatchObject({ code: 'OTTLA_QUEUE_FULL', retriable: true })
    storage.release()
    await first
    await producer.send(orders, { value })
  })

  it('bounds what waits for a topic to be looked up, too', async () => {
    const broker = await reopened(orders)
    const producer = broker.producer({ maxInFlightBytes: 1_000, onFull: 'reject' })
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => producer.send(orders, { value })))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  it('is not waited for by a send that is aborted, and those behind it go on', async () => {
    const [storage, producer] = await full({})
    const first = producer.send(orders, { value })
    const aborting = new AbortController()
    const second = producer.send(orders, { value }, { signal: aborting.signal })
    const third = producer.send(orders, { value: 'third' })
    aborting.abort(new Error('no longer wanted'))
    await expect(second).rejects.toThrow('no longer wanted')
    expect(await outcomeNow(first)).toBe('pending')
    storage.release()
    expect((await first).offset).toBe(1)
    expect((await third).offset).toBe(2)
  })

  it('lets a smaller send go on at once when the larger one before it is aborted', async () => {
    const [storage, producer] = await full({})
    const first = producer.send(orders, { value })
    const aborting = new AbortController()
    const large = producer.send(orders, { value: value + value }, { signal: aborting.signal })
    const small = producer.send(orders, { value: 'small' })
    aborting.abort()
    await expect(large).rejects.toThrow()
    storage.release()
    expect((await Promise.all([first, small])).map(({ offset }) => offset)).toEqual([1, 2])
  })

  it('may be waited for by many sends of one signal, and all of them end with it', async () => {
    const [storage, producer] = await full({})
    const first = producer.send(orders, { value })
    const aborting = new AbortController()
    const waiting = Array.from({ length: 10_000 }, () =>
      producer.send(orders, { value }, { signal: aborting.signal }).catch((error: unknown) => error),
    )
    aborting.abort('enough')
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['enough']))
    storage.release()
    await first
  })

  it('is waited for by no send whose signal has aborted before the call, and nothing of it is sent', async () => {
    const [storage, producer] = await full({})
    storage.release()
    const signal = AbortSignal.abort('too late')
    await expect(producer.send(orders, { value }, { signal })).rejects.toBe('too late')
    expect((await producer.send(orders, { value })).offset).toBe(1)
  })

  it('is not taken back by an abort that comes when the message is under way', async () => {
    const [storage, producer] = await full({})
    const aborting = new AbortController()
    const sent = producer.send(orders, { value }, { signal: aborting.signal })
    await nextTurn()
    aborting.abort()
    storage.release()
    expect((await sent).offset).toBe(1)
  })

  it('is settled by close for all that wait: those in front, those that abort meanwhile, those that fail', async () => {
    const [storage, producer] = await full({})
    const aborting = new AbortController()
    const first = producer.send(orders, { value })
    const second = producer.send(orders, { value }, { signal: aborting.signal })
    const third = producer.send(orders, { value })
    const nowhere = producer.send(new Topic('nowhere', { value: json<string>() }), { value })
    const outcomes = Promise.allSettled([first, second, third, nowhere])
    const closed = Promise.all([producer.close(), producer.close(), producer.flush()])
    aborting.abort('enough')
    storage.release()
    await closed
    expect(
      (await outcomes).map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.offset : outcome.reason)),
    ).toEqual([1, 'enough', 2, expect.objectContaining({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION' })])
  })

  it('is not held by a linger: what waits for room sends what lingers', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 1_000, lingerMs: 60_000 })
    const first = producer.send(orders, { value })
    await nextTurn()
    const second = producer.send(orders, { value })
    expect(await outcomeNow(first)).toBe('resolved')
    expect(await outcomeNow(second)).toBe('pending')
    await clock.advance(60_000)
    await second
  })
})

describe('a linger', () => {
  it('keeps a batch open for its time, then all of it goes in one', async () => {
    const clock = new ManualClock()
    const storage = new HeldStorage()
    const broker = await openBroker({ clock, storage })
    await broker.topic(orders)
    const producer = broker.producer({ lingerMs: 100 })
    const sends = [producer.send(orders, { value: 1 })]
    await clock.advance(99)
    sends.push(producer.send(orders, { value: 2 }))
    expect(await outcomeNow(Promise.race(sends))).toBe('pending')
    await clock.advance(1)
    await Promise.all(sends)
    expect(storage.appends).toBe(1)
  })

  it('ends early when the batch is full, and leaves no timer', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock })
    await broker.topic(orders)
    const timers = clock.pendingTimers
    const producer = broker.producer({ lingerMs: 100, batchBytes: 1_000 })
    await Promise.all([
      producer.send(orders, { value: 'x'.repeat(500) }),
      producer.send(orders, { value: 'x'.repeat(500) }).catch(() => undefined),
      producer.flush(),
    ])
    expect(clock.pendingTimers).toBe(timers)
  })

  it('is ended by flush, and by close', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock })
    await broker.topic(orders)
    const producer = broker.producer({ lingerMs: 60_000 })
    const flushed = producer.send(orders, { value: 1 })
    await producer.flush()
    expect((await flushed).offset).toBe(0)
    const closed = producer.send(orders, { value: 2 })
    await producer.close()
    expect((await closed).offset).toBe(1)
  })
})

describe('flush', () => {
  it('resolves when what was sent before is settled, though sending goes on', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer()
    const before = Array.from({ length: 10 }, (_, value) => producer.send(orders, { value }))
    let settled = 0
    for (const send of before) send.then(() => settled++)
    let isFlushed = false
    const flushed = producer.flush().then(() => {
      isFlushed = true
      return settled
    })
    let after = 0
    while (!isFlushed) {
      await producer.send(orders, { value: after++ })
      if (after > 100_000) throw new Error('flush never resolves')
    }
    expect(await flushed).toBe(10)
  })

  it('waits for sends that wait for room, and does not mind those that fail', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 1_000, lingerMs: 1, retries: 0 })
    storage.hold()
    const sends = Array.from({ length: 10 }, () => producer.send(orders, { value: 'x'.repeat(500) }))
    const outcomes = Promise.allSettled(sends)
    const flushed = producer.flush()
    expect(await outcomeNow(flushed)).toBe('pending')
    storage.failure = new Error('the disk is on fire')
    storage.release()
    await flushed
    for (const { status } of await outcomes) expect(status).toBe('rejected')
  })

  it('waits for those before a send that is aborted', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 100 })
    await producer.send(orders, { value: 0 })
    storage.hold()
    const aborting = new AbortController()
    const first = producer.send(orders, { value: 'x'.repeat(100) })
    const second = producer.send(orders, { value: 'x'.repeat(100) })
    const third = producer.send(orders, { value: 'x'.repeat(100) }, { signal: aborting.signal })
    const flushed = producer.flush()
    aborting.abort('enough')
    await expect(third).rejects.toBe('enough')
    expect(await outcomeNow(flushed)).toBe('pending')
    storage.release()
    await flushed
    expect(await outcomeNow(Promise.all([first, second]), 1)).toBe('resolved')
  })

  it('ends with its signal, and what is under way goes on', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer()
    storage.hold()
    const sent = producer.send(orders, { value: 1 })
    const aborting = new AbortController()
    const flushed = producer.flush({ signal: aborting.signal })
    aborting.abort('enough')
    await expect(flushed).rejects.toBe('enough')
    await expect(producer.flush({ signal: aborting.signal })).rejects.toBe('enough')
    storage.release()
    expect((await sent).offset).toBe(0)
  })

  it('of a producer with nothing under way resolves', async () => {
    const broker = await openBroker()
    await broker.producer().flush()
  })
})

describe('close', () => {
  it('takes no more sends, and settles those that were made', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer({ maxInFlightBytes: 100 })
    const sends = Array.from({ length: 20 }, (_, value) => producer.send(orders, { value }))
    const closed = producer.close()
    expect(await codeOf(() => producer.send(orders, { value: 20 }))).toBe('OTTLA_CLOSED')
    await Promise.all([closed, producer.close()])
    expect(await outcomeNow(Promise.all(sends), 1)).toBe('resolved')
    expect(await contentsOf(broker, orders)).toHaveLength(20)
    await producer.close()
  })

  it('of the broker settles the sends of its producers', async () => {
    const storage = new MemoryStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const sends = [broker.producer(), broker.producer({ lingerMs: 60_000 })].flatMap((producer) =>
      Array.from({ length: 10 }, (_, value) => producer.send(orders, { value })),
    )
    await broker.close()
    await Promise.all(sends)
    const reopened = await openBroker({ storage })
    expect(await contentsOf(reopened, orders)).toHaveLength(20)
  })

  it('comes with the end of a scope', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    {
      await using scoped = producer
      void scoped.send(orders, { value: 1 })
    }
    expect(await codeOf(() => producer.send(orders, { value: 2 }))).toBe('OTTLA_CLOSED')
    expect(await contentsOf(broker, orders)).toHaveLength(1)
  })
})

describe('a partition', () => {
  it("is the key's, the same that Java chooses", async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('keyed', { partitions: 7, key: bytes(), value: json<number>() }))
    // Each a key in hex, its hash and its partition of seven, by Kafka 4.2.
    const fixture = readFileSync(new URL('../fixtures/murmur2.json', import.meta.url), 'utf8')
    const javaKeys: [hex: string, hash: number, partition: number][] = JSON.parse(fixture)
    const sent = await broker.producer().send(
      topic,
      javaKeys.map(([hex]) => ({ key: Buffer.from(hex, 'hex'), value: 0 })),
    )
    expect(sent.map(({ partition }) => partition)).toEqual(javaKeys.map(([, , partition]) => partition))
  })

  it('is the one that is given, whatever the key says', async () => {
    const broker = await openBroker()
    await broker.topic(wide)
    const sent = await broker.producer().send(
      wide,
      [0, 1, 2, 3].map((partition) => ({ key: 'one', value: 0, partition })),
    )
    expect(sent.map(({ partition }) => partition)).toEqual([0, 1, 2, 3])
  })

  it('without a key is one per batch, and all of them over time', async () => {
    const broker = await openBroker()
    await broker.topic(wide)
    const producer = broker.producer()
    const used = new Set<number>()
    for (let round = 0; round < 100; round++) {
      const sent = await producer.send(wide, [{ value: 1 }, { value: 2 }, { value: 3 }])
      expect(new Set(sent.map(({ partition }) => partition)).size).toBe(1)
      used.add(sent[0]?.partition ?? -1)
    }
    expect([...used].sort()).toEqual([0, 1, 2, 3])
  })

  it("is the user's partitioner's, who sees what is sent and may leave it to ottla", async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('picked', { partitions: 4, value: string() }))
    const seen: unknown[] = []
    const producer = broker.producer({
      partitioner: ({ topic, key, value, partitionCount }) => {
        seen.push([topic, key && Buffer.from(key).toString(), value && Buffer.from(value).toString(), partitionCount])
        return key === null ? undefined : partitionCount - 1
      },
    })
    expect(await producer.send(topic, { key: 'a', value: 'x' })).toMatchObject({ partition: 3 })
    await producer.send(topic, { value: 'y' })
    // One that is given is not asked for.
    expect(await producer.send(topic, { key: 'b', value: 'z', partition: 1 })).toMatchObject({ partition: 1 })
    expect(seen).toEqual([
      ['picked', 'a', 'x', 4],
      ['picked', null, 'y', 4],
    ])
  })

  it.each([
    [
      'throws',
      'no such region',
      () => {
        throw new Error('no such region')
      },
    ],
    ['names a partition that is not there', 'no partition 4', () => 4],
    ['names one below 0', 'no partition -1', () => -1],
    ['names a fraction', 'no partition 0.5', () => 0.5],
    ['names nothing', 'no partition NaN', () => Number.NaN],
  ])('whose partitioner %s refuses the send: none of several goes, no room is lost', async (_, sentence, choose) => {
    const broker = await openBroker()
    await broker.topic(wide)
    let calls = 0
    const producer = broker.producer({
      maxInFlightBytes: 100,
      onFull: 'reject',
      partitioner: () => (++calls % 3 === 0 ? choose() : 0),
    })
    for (let round = 0; round < 5; round++) {
      calls = 0
      const sent = producer.send(wide, [{ value: 1 }, { value: 2 }, { value: 3 }])
      await expect(sent).rejects.toThrow(sentence)
    }
    await broker.idle()
    expect(await contentsOf(broker, wide)).toEqual([])
    calls = 0
    await producer.send(wide, { value: 1 })
  })
})

describe('the event loop', () => {
  it('goes on while messages are sent and awaited one by one', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    let fired = false
    setTimeout(() => {
      fired = true
    }, 5)
    let sent = 0
    while (!fired) {
      await producer.send(orders, { value: sent++ })
      if (sent > 1_000_000) throw new Error('the timer never fires')
    }
  })

  it.each(['no topic', 'no room', 'no memory'])(
    'goes on while a send that is refused (%s) is tried again and again',
    async (what) => {
      const held = new HeldStorage()
      const storage = what === 'no memory' ? new MemoryStorage({ maxBytes: 100 }) : held
      const broker = await openBroker({ storage })
      if (what !== 'no topic') await broker.topic(orders)
      const producer = broker.producer({ maxInFlightBytes: 1_000, onFull: 'reject' })
      if (what === 'no room') {
        await producer.send(orders, { value: 1 })
        held.hold()
        void producer.send(orders, { value: 'x'.repeat(2_000) })
      }
      let fired = false
      setTimeout(() => {
        fired = true
        held.release()
      }, 5)
      let tries = 0
      while (!fired) {
        await producer.send(orders, { value: 'x'.repeat(200) }).catch(() => undefined)
        if (++tries > 1_000_000) throw new Error('the timer never fires')
      }
    },
  )

  it("is the engine's own, whatever a test runner puts in the place of nextTick and setImmediate", async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    const { nextTick } = process
    const { setImmediate, setTimeout } = globalThis
    const never = (): never => {
      throw new Error('a fake timer was used')
    }
    Object.assign(process, { nextTick: () => undefined })
    Object.assign(globalThis, { setImmediate: never, setTimeout: never })
    try {
      await producer.send(orders, { value: 1 })
    } finally {
      Object.assign(process, { nextTick })
      Object.assign(globalThis, { setImmediate, setTimeout })
    }
  })
})
