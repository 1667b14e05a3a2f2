import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  type Broker,
  bytes,
  type ConsumerGroup,
  deadLetterOf,
  type GroupEvents,
  json,
  type Message,
  string,
  Topic,
} from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { committed, drain, openBroker, openClient, range, Seen, send } from './consuming.js'
import { HeldStorage } from './held-storage.js'

const orders: Topic<string> = new Topic<string>('orders', { partitions: 3, value: string() })
const raw: Topic<Uint8Array, Uint8Array> = new Topic('orders.dlq', { key: bytes(), value: bytes() })
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

// biome-ignore lint/suspicious/noExplicitAny: a group of any messages
function once<Event extends keyof GroupEvents>(group: ConsumerGroup<any>, event: Event): Promise<GroupEvents[Event]> {
  return new Promise((resolve) => group.on(event, (...given: GroupEvents[Event]) => resolve(given)))
}

async function parked(broker: Broker, topic = raw): Promise<Message<Uint8Array, Uint8Array>[]> {
  const messages: Message<Uint8Array, Uint8Array>[] = []
  for await (const message of broker.reader(topic, { until: 'end' })) messages.push(message)
  return messages
}

const text = (value: Uint8Array | null | undefined): string | null =>
  value === null || value === undefined ? null : new TextDecoder().decode(value)

class Refused extends Error {
  override readonly name = 'Refused'
}

describe('a message whose tries are used up', () => {
  it('goes to the dead-letter topic with key, value and headers as they were, and where and why it failed', async () => {
    const clock = new ManualClock({ now: 5000 })
    const broker = await openBroker({ clock }, orders)
    const member = broker.consumerGroup('billing', { topics: [orders] })
    const told = once(member, 'deadLetter')
    const failure = new Refused('no credit \ud800')
    const seen = new Seen()
    await member.run(
      (message) => {
        if (message.value === 'bad') throw failure
        seen.add(message)
      },
      { retry: { attempts: 3, backoff: () => 10 }, deadLetter: 'orders.dlq' },
    )
    const headers: [string, string | Uint8Array | null][] = [
      ['trace', 'x'],
      ['trace', 'y'],
      ['nothing', null],
      ['bytes', Uint8Array.of(255, 0)],
    ]
    await broker.producer().send(orders, [
      { key: 'a', value: 'good', partition: 2 },
      { key: 'b', value: 'bad', partition: 2, timestamp: 77, headers },
      { key: 'c', value: 'good too', partition: 2 },
    ])
    await clock.advance(20)
    await broker.idle()
    expect(seen.values).toEqual(['good', 'good too'])
    expect(await told).toEqual([expect.objectContaining({ offset: 1, value: 'bad' }), failure])
    expect(await committed(broker, 'billing', 'orders', 2)).toBe(3)

    const [letter, ...others] = await parked(broker)
    expect(others).toEqual([])
    expect([letter?.partition, text(letter?.key), text(letter?.value)]).toEqual([2, 'b', 'bad'])
    expect([...(letter?.headers ?? [])].map(([name, value]) => [name, value && [...value]])).toEqual([
      ['trace', [120]],
      ['trace', [121]],
      ['nothing', null],
      ['bytes', [255, 0]],
      ...['original.topic', 'original.partition', 'original.offset', 'original.timestamp'].map(ours),
      ...['error.name', 'error.message', 'error.stack', 'attempts', 'group'].map(ours),
    ])
    expect(deadLetterOf(letter as Message<Uint8Array, Uint8Array>)).toEqual({
      topic: 'orders',
      partition: 2,
      offset: 1,
      timestamp: 77,
      errorName: 'Refused',
      errorMessage: 'no credit \ufffd',
      errorStack: expect.stringContaining('dead-letters.test.ts'),
      attempts: 3,
      group: 'billing',
    })
  })

  it.each(['partition', 'key', 'none'] as const)(
    'is found in the log again, many of many batches, by %s',
    async (ordering) => {
      const broker = await openBroker({}, orders)
      const producer = broker.producer()
      for (const round of range(0, 9)) {
        await producer.send(
          orders,
          range(0, 29).map((number) => ({
            key: `k${number % 7}`,
            value: `${round}-${number}`,
            headers: { number: `${number}` },
          })),
        )
      }
      const isBad = (value: string): boolean => Number(value.split('-')[1]) % 4 === 0
      const member = broker.consumerGroup('g', { topics: [orders] })
      await member.run(
        async ({ value, offset }) => {
          for (let turn = 0; turn < offset % 3; turn++) await new Promise((resolve) => setImmediate(resolve))
          if (isBad(value)) throw new Error(value)
        },
        { ordering, concurrency: 5, deadLetter: 'orders.dlq' },
      )
      await broker.idle()
      const letters = await parked(broker)
      expect(letters).toHaveLength(80)
      for (const { key, value, headers } of letters) {
        const number = Number(text(value)?.split('-')[1])
        expect([text(key), headers.get('number')]).toEqual([`k${number % 7}`, `${number}`])
        expect(deadLetterOf({ headers })?.errorMessage).toBe(text(value))
      }
      expect((await member.lag()).map(({ lag }) => lag)).toEqual([0, 0, 0])
    },
  )

  it("keeps no batch of other keys under ordering 'key' while it waits for its next try", async () => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const { client, engine } = await openClient()
    await client.topic(orders)
    const batches: WeakRef<object>[] = []
    const { fetch } = engine
    engine.fetch = async (...given) => {
      const results = await fetch.apply(engine, given)
      for (const result of results) batches.push(...result.batches.map((batch) => new WeakRef(batch)))
      return results
    }
    const member = client.consumerGroup('g', { topics: [orders] })
    const seen = new Seen()
    await member.run(
      (message) => {
        if (message.key === 'bad') throw new Error('no')
        seen.add(message)
      },
      { ordering: 'key', retry: { attempts: 2, backoff: () => 1e6 }, deadLetter: 'orders.dlq' },
    )
    const producer = client.producer()
    await producer.send(orders, { key: 'bad', value: 'bad', partition: 0 })
    for (const number of range(1, 20)) {
      await producer.send(orders, { key: 'good', value: `${number}`, partition: 0 })
      await seen.count(number)
    }
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    expect(batches).toHaveLength(21)
    // That of the message which failed, the last one, and one that the loop may still be at.
    expect(batches.filter((batch) => batch.deref() !== undefined).length).toBeLessThan(4)
  })

  it('goes there from a batch too, alone if it has a second try', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, ['a', 'b', 'c'])
    const done: string[] = []
    await broker.consumerGroup('g', { topics: [orders] }).runBatches(
      ({ messages }) => {
        const values = messages.map(({ value }) => value)
        if (values.includes('b')) throw new Error('no')
        done.push(...values)
      },
      { retry: { attempts: 2, backoff: () => 0 }, deadLetter: 'orders.dlq' },
    )
    await broker.idle()
    expect(done).toEqual(['a', 'c'])
    expect((await parked(broker)).map(({ value }) => text(value))).toEqual(['b'])
  })

  it('may be a tombstone without a key, and may have thrown anything', async () => {
    const maybe: Topic<string | null> = new Topic<string | null>('orders')
    const broker = await openBroker({}, maybe)
    await broker.producer().send(maybe, { value: null })
    await broker.consumerGroup('g', { topics: [maybe] }).run(
      () => {
        throw undefined
      },
      { deadLetter: 'orders.dlq' },
    )
    await broker.idle()
    const [letter] = await parked(broker)
    expect([letter?.key, letter?.value]).toEqual([null, null])
    expect(deadLetterOf(letter as Message<Uint8Array, Uint8Array>)).toMatchObject({
      errorName: 'undefined',
      errorMessage: 'undefined',
      errorStack: null,
      attempts: 1,
    })
  })

  it('is waited for by idle, and so are those who consume the dead-letter topic', async () => {
    const broker = await openBroker({}, orders)
    const seen = new Seen()
    await broker.consumerGroup('alerts', { topics: [raw] }).run(seen.add)
    await broker.consumerGroup('g', { topics: [orders] }).run(
      () => {
        throw new Error('no')
      },
      { deadLetter: 'orders.dlq', retry: { attempts: 2, backoff: () => 1 } },
    )
    await send(broker, orders, ['a', 'b', 'c'])
    await broker.idle()
    expect(seen.values).toHaveLength(3)
  })

  it.each(['partition', 'key', 'none'] as const)('is waited for while it is being parked, by %s', async (ordering) => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage }, orders, new Topic('orders.dlq', { partitions: 3 }))
    const failed = new Seen()
    await broker.consumerGroup('g', { topics: [orders] }).run(
      (message) => {
        storage.hold()
        failed.add(message)
        throw new Error('no')
      },
      { ordering, deadLetter: 'orders.dlq' },
    )
    await send(broker, orders, ['a'])
    await failed.count(1)
    let isIdle = false
    const idle = broker.idle().then(() => {
      isIdle = true
    })
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(isIdle).toBe(false)
    storage.release()
    await idle
    expect(await parked(broker)).toHaveLength(1)
    expect(await committed(broker, 'g', 'orders')).toBe(1)
  })

  it('stays where it is where the topic does not take it: the member stops', async () => {
    const broker = await openBroker({}, orders, new Topic('orders.dlq', { cleanupPolicy: 'compact', partitions: 3 }))
    const member = broker.consumerGroup('g', { topics: [orders] })
    member.on('error', () => {})
    await member.run(
      () => {
        throw new Error('no credit')
      },
      { deadLetter: 'orders.dlq' },
    )
    await send(broker, orders, ['a'])
    await expect(member.closed).rejects.toMatchObject({
      code: 'OTTLA_DEAD_LETTER_FAILED',
      message: expect.stringMatching(/orders-0 offset 0 .* orders\.dlq: .*key.*no credit/),
    })
    expect(await drain(broker, 'g', [orders])).toEqual(['a'])
    expect(await parked(broker)).toEqual([])
  })

  it('has room there for its headers, however large it is', async () => {
    const large = new Topic('orders', { value: bytes(), maxMessageBytes: 2_000_000 })
    const broker = await openBroker({}, large)
    const value = new Uint8Array(1_999_900)
    await broker.producer().send(large, { value })
    const error = new Error('x'.repeat(100_000))
    error.stack = '\u20ac'.repeat(100_000)
    error.name = 'N'.repeat(100_000)
    await broker.consumerGroup('g', { topics: [large] }).run(
      () => {
        throw error
      },
      { deadLetter: 'orders.dlq' },
    )
    await broker.idle()
    const [letter] = await parked(broker)
    expect(letter?.value?.length).toBe(value.length)
    expect(deadLetterOf(letter as Message<Uint8Array, Uint8Array>)?.errorMessage).toBe('x'.repeat(2048))
  })
})

describe('a dead-letter topic', () => {
  it('is made when the member begins, with as many partitions as the largest topic it consumes', async () => {
    const broker = await openBroker({}, orders, new Topic('single'))
    await broker.consumerGroup('g', { topics: [/^orders$|^single$/] }).run(() => {}, { deadLetter: 'dead' })
    await broker.topic(new Topic('dead', { partitions: 3 }))
  })

  it('is made as it is declared', async () => {
    const dead = new Topic('dead', { partitions: 1, retentionMs: 1000, value: string() })
    const broker = await openBroker({}, orders)
    await broker.consumerGroup('g', { topics: [orders] }).run(
      ({ value }) => {
        throw new Error(value)
      },
      { deadLetter: dead },
    )
    await broker.topic(dead)
    await send(broker, orders, ['a'], 2)
    await broker.idle()
    expect(await drain(broker, 'reads it', [dead])).toEqual(['a'])
  })

  it('that exists is used, and checked against its declaration', async () => {
    const broker = await openBroker({}, orders, new Topic('dead', { partitions: 2 }))
    const member = broker.consumerGroup('g', { topics: [orders] })
    const running = member.run(() => {}, { deadLetter: new Topic('dead', { partitions: 5 }) })
    await expect(running).rejects.toEqual(code('OTTLA_TOPIC_MISMATCH'))
    await broker.consumerGroup('g', { topics: [orders] }).run(
      () => {
        throw new Error('no')
      },
      { deadLetter: 'dead' },
    )
    await send(broker, orders, ['a'], 2)
    await broker.idle()
    const letters = await parked(broker, new Topic('dead', { key: bytes(), value: bytes() }))
    expect(letters.map(({ partition }) => partition)).toEqual([0])
  })

  it('is made when the first topic comes that the group consumes', async () => {
    const broker = await openBroker()
    await broker.consumerGroup('g', { topics: [orders] }).run(
      () => {
        throw new Error('no')
      },
      { deadLetter: 'orders.dlq' },
    )
    expect(await broker.topics()).toEqual([])
    await broker.topic(orders)
    await send(broker, orders, ['a'])
    await broker.idle()
    expect(await parked(broker)).toHaveLength(1)
  })

  it.each([
    ['is consumed by the group', [orders, 'orders.dlq'], 'orders.dlq', 'OTTLA_INVALID_ARGUMENT'],
    ['is matched by an expression of the group', [/^orders/g], 'orders.dlq', 'OTTLA_INVALID_ARGUMENT'],
    ["is the broker's own", [orders], '__consumer_offsets', 'OTTLA_INVALID_ARGUMENT'],
    ['no topic may be called', [orders], 'what?', 'OTTLA_INVALID_TOPIC'],
  ])('cannot be one that %s', async (_, topics, deadLetter, expected) => {
    const broker = await openBroker({}, orders)
    const member = broker.consumerGroup('g', { topics })
    await expect(member.run(() => {}, { deadLetter })).rejects.toEqual(code(expected))
    expect(await broker.topics()).toEqual(['orders'])
    await member.run(() => {})
  })

  it('excludes onExhausted, which says what happens without one', async () => {
    const broker = await openBroker({}, orders)
    const member = broker.consumerGroup('g', { topics: [orders] })
    const both = { deadLetter: 'dead', onExhausted: 'skip' } as never
    await expect(member.run(() => {}, both)).rejects.toThrow(/deadLetter and onExhausted exclude each other/)
  })
})

describe('deadLetterOf', () => {
  it('is undefined of a message that is none', async () => {
    const broker = await openBroker({}, orders)
    await broker.producer().send(orders, { value: 'a', headers: { 'ottla.original.topic': 'x', 'ottla.group': 'g' } })
    for await (const message of broker.reader(orders, { until: 'end' })) expect(deadLetterOf(message)).toBe(undefined)
  })
})

describe('a message that cannot be decoded', () => {
  const numbers: Topic<number> = new Topic<number>('orders', { partitions: 3, value: json<number>() })
  const written: Topic<string> = new Topic<string>('orders', { value: string() })

  it.each(['partition', 'key', 'none', 'batches'] as const)(
    'goes the same way, without a second try, by %s',
    async (way) => {
      const broker = await openBroker({}, orders)
      await send(broker, written, ['1', 'no json', '2', '{', '3'])
      const member = broker.consumerGroup('g', { topics: [numbers] })
      const seen = new Seen()
      const events: GroupEvents['deadLetter'][] = []
      member.on('deadLetter', (...given) => events.push(given))
      const options = { retry: { attempts: 5 }, deadLetter: 'orders.dlq' }
      if (way === 'batches') await member.runBatches(({ messages }) => messages.forEach(seen.add), options)
      else await member.run(seen.add, { ...options, ordering: way })
      await broker.idle()
      expect(seen.values).toEqual([1, 2, 3])
      const letters = await parked(broker)
      expect(letters.map(({ value }) => text(value))).toEqual(['no json', '{'])
      expect(deadLetterOf(letters[0] as Message<Uint8Array, Uint8Array>)).toMatchObject({
        offset: 1,
        attempts: 0,
        errorName: 'OttlaError',
        errorMessage: expect.stringContaining('cannot be decoded by json'),
      })
      expect(events.map(([message, error]) => [text(message.value), error])).toEqual([
        ['no json', code('OTTLA_DECODE')],
        ['{', code('OTTLA_DECODE')],
      ])
      expect(await committed(broker, 'g', 'orders')).toBe(5)
    },
  )

  it('may be one of a key', async () => {
    const topic = new Topic<string, number>('orders', { value: string(), key: json<number>() })
    const broker = await openBroker({}, orders)
    await broker.producer().send(written, { key: 'no json', value: 'a', partition: 0 })
    const member = broker.consumerGroup('g', { topics: [topic] })
    const skipped = once(member, 'skipped')
    await member.run(() => {}, { onExhausted: 'skip' })
    const [message] = await skipped
    expect([text(message.key), text(message.value)]).toEqual(['no json', 'a'])
    await broker.idle()
  })

  it('stops the member where nothing else is said, behind those before it', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, written, ['1', 'no json'])
    const member = broker.consumerGroup('g', { topics: [numbers] })
    member.on('error', () => {})
    await member.run(() => {}, { retry: { attempts: 5 } })
    await expect(member.closed).rejects.toEqual(code('OTTLA_DECODE'))
    expect(await committed(broker, 'g', 'orders')).toBe(1)
  })

  it('waits its turn behind a batch that waits for its next try', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, orders)
    await send(broker, written, ['1', '2', 'no json', '3'])
    const member = broker.consumerGroup('g', { topics: [numbers] })
    const retried = once(member, 'retry')
    await member.runBatches(
      () => {
        throw new Error('no')
      },
      { retry: { attempts: 5 }, deadLetter: 'orders.dlq' },
    )
    await retried
    await member.close()
    expect(await parked(broker)).toEqual([])
    expect(await committed(broker, 'g', 'orders')).toBe(null)
  })
})

function ours(name: string): unknown[] {
  return [`ottla.${name}`, expect.any(Array)]
}
