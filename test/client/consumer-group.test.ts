import { bytes, json, type Message, OttlaError, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { committed, deferred, drain, next, openBroker, openClient, range, Seen, send, words } from './consuming.js'

/** Sends what no JSON decoder takes. */
const broken = (name: string): Topic<unknown> =>
  new Topic(name, { value: { ...json(), encode: () => new TextEncoder().encode('{') } })

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

describe('run', () => {
  it('delivers what was sent before and after, with what the message was sent with', async () => {
    const orders = new Topic<{ total: number }>('orders')
    const broker = await openBroker({}, orders)
    const producer = broker.producer()
    await producer.send(orders, { key: 'alice', value: { total: 1 }, timestamp: 5, headers: { trace: 'x' } })
    const messages: Message<{ total: number }>[] = []
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run((message, delivery) => {
      messages.push(message)
      expect([delivery.group, delivery.attempt, delivery.signal.aborted]).toEqual(['billing', 1, false])
    })
    await producer.send(orders, { value: { total: 2 } })
    await broker.idle()
    const place = { topic: 'orders', partition: 0 }
    expect(messages).toEqual([
      { ...place, offset: 0, timestamp: 5, key: 'alice', value: { total: 1 }, headers: expect.anything() },
      expect.objectContaining({ ...place, offset: 1, key: null, value: { total: 2 } }),
    ])
    expect(messages[0]?.headers.get('trace')).toBe('x')
  })

  it('handles one message of a partition at a time, and partitions beside each other', async () => {
    const topic = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({}, topic)
    await send(broker, topic, [1, 2], 0)
    await send(broker, topic, [11, 12], 1)
    const release = deferred()
    const started = new Seen()
    await broker.consumerGroup('g', { topics: [topic] }).run(async (message) => {
      started.add(message)
      await release.promise
    })
    await started.count(2)
    expect([...started.values].sort()).toEqual([1, 11])
    release.resolve()
    await broker.idle()
    expect(started.values).toHaveLength(4)
  })

  it('bounds the handlers of all partitions with concurrency', async () => {
    const topic = new Topic<number>('numbers', { partitions: 4 })
    const broker = await openBroker({}, topic)
    for (const partition of range(0, 3)) await send(broker, topic, range(1, 5), partition)
    let running = 0
    let most = 0
    await broker.consumerGroup('g', { topics: [topic] }).run(
      async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
      },
      { concurrency: 2 },
    )
    await broker.idle()
    expect(most).toBe(2)
  })

  it('refuses what is no handler, unknown and wrong options, and a second run', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await expect(group.run('no' as never)).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(group.run(() => {}, { concurency: 1 } as never)).rejects.toThrow(/takes signal, concurrency, ordering/)
    await expect(group.run(() => {}, { concurrency: 0 })).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(group.runBatches(() => {}, { maxMessages: 0.5 })).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await group.run(() => {})
    await expect(group.run(() => {})).rejects.toEqual(code('OTTLA_ALREADY_RUNNING'))
    await expect(group.runBatches(() => {})).rejects.toEqual(code('OTTLA_ALREADY_RUNNING'))
    expect(() => group.messages()).toThrow(code('OTTLA_ALREADY_RUNNING') as Error)
    await group.close()
    await expect(group.run(() => {})).rejects.toEqual(code('OTTLA_CLOSED'))
  })

  it.each([
    ['no topics', { topics: [] }, 'OTTLA_INVALID_ARGUMENT'],
    ['a topic that is none', { topics: [7] }, 'OTTLA_INVALID_ARGUMENT'],
    ['a name that Kafka would refuse', { topics: ['a b'] }, 'OTTLA_INVALID_TOPIC'],
    ['a bare number as a position', { topics: ['a'], from: 7 }, 'OTTLA_INVALID_ARGUMENT'],
    ['an unknown option', { topics: ['a'], form: 'latest' }, 'OTTLA_INVALID_ARGUMENT'],
    ['an assignor that there is not', { topics: ['a'], assignor: 'best' }, 'OTTLA_INVALID_ARGUMENT'],
  ])('refuses a group with %s', async (_, options, expected) => {
    const broker = await openBroker()
    expect(() => broker.consumerGroup('g', options as never)).toThrow(code(expected) as Error)
    expect(() => broker.consumerGroup('', { topics: ['a'] })).toThrow(code('OTTLA_INVALID_GROUP_ID') as Error)
  })
})

describe('groups of one topic', () => {
  it('get the same messages as objects of their own', async () => {
    const topic = new Topic('bytes', { value: bytes() })
    const broker = await openBroker({}, topic)
    const byGroup: Message<Uint8Array>[][] = [[], [], []]
    for (const [index, messages] of byGroup.entries()) {
      await broker.consumerGroup(`group-${index}`, { topics: [topic] }).run((message) => {
        messages.push(message)
        // What one group does to its message is nobody else's business.
        if (index === 1) Object.assign(message, { key: 'changed', headers: undefined })
      })
    }
    const producer = broker.producer()
    for (let round = 0; round < 3; round++) {
      for (const value of [1, 2]) void producer.send(topic, { key: 'k', value: Uint8Array.of(round, value) })
      await broker.idle()
    }
    const [first, changed, third] = byGroup as [Message[], Message[], Message[]]
    expect(first).toHaveLength(6)
    expect(third).toEqual(first)
    expect(changed.map(({ offset, value }) => [offset, value])).toEqual(
      first.map(({ offset, value }) => [offset, value]),
    )
    expect(first.map(({ key, value }) => [key, value])).toEqual(
      [0, 1, 2].flatMap((round) => [1, 2].map((value) => ['k', Uint8Array.of(round, value)])),
    )
  })
})

describe('a member that was made before the broker closed', () => {
  it('does not begin while close waits for the handlers of others', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const [started, release] = [deferred(), deferred()]
    await broker.consumerGroup('g', { topics: [words] }).run(async () => {
      started.resolve()
      await release.promise
    })
    const late = broker.consumerGroup('late', { topics: [words] })
    await started.promise
    const closing = broker.close()
    await expect(late.run(() => {})).rejects.toEqual(code('OTTLA_CLOSED'))
    expect(() => late.messages()).toThrow(code('OTTLA_CLOSED') as Error)
    release.resolve()
    await closing
    await late.close()
  })
})

describe('runBatches', () => {
  it('hands over what is there, up to maxMessages', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, range(1, 7))
    const sizes: number[] = []
    await broker.consumerGroup('g', { topics: [words] }).runBatches(
      (batch) => {
        sizes.push(batch.messages.length)
        expect([batch.topic, batch.partition]).toEqual(['words', 0])
      },
      { maxMessages: 3 },
    )
    await broker.idle()
    expect(sizes).toEqual([3, 3, 1])
  })

  it('waits maxWaitMs for a batch to fill, and not longer than until it is full', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const seen: unknown[][] = []
    await broker.consumerGroup('g', { topics: [words] }).runBatches(
      (batch) => {
        seen.push(batch.messages.map((message) => message.value))
      },
      { maxMessages: 3, maxWaitMs: 100 },
    )
    await send(broker, words, ['a'])
    await clock.advance(60)
    await send(broker, words, ['b'])
    await clock.advance(39)
    expect(seen).toEqual([])
    await clock.advance(1)
    expect(seen).toEqual([['a', 'b']])
    await send(broker, words, ['c'])
    await send(broker, words, ['d', 'e', 'f'])
    await clock.advance(0)
    expect(seen).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ])
    await clock.advance(100)
    expect(seen.at(-1)).toEqual(['f'])
  })

  it('keeps what resolve named when the handler fails, and delivers the rest again', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c', 'd'])
    const group = broker.consumerGroup('g', { topics: [words] })
    group.on('error', () => {})
    await group.runBatches((batch) => {
      const [, second] = batch.messages
      if (second !== undefined) batch.resolve(second)
      throw new Error('no')
    })
    await expect(group.closed).rejects.toThrow(/words-0 offset 2: no/)
    expect(await committed(broker, 'g')).toBe(2)
    expect(await drain(broker, 'g')).toEqual(['c', 'd'])
  })

  it('takes no notice of a resolve that comes when the batch is over', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const group = broker.consumerGroup('g', { topics: [words] })
    group.on('error', () => {})
    let resolveLate = (): void => {}
    let isSecondTime = false
    await group.runBatches(
      (batch) => {
        const [message] = batch.messages
        resolveLate()
        if (isSecondTime) throw new Error('no')
        resolveLate = () => message && batch.resolve(message)
      },
      { maxMessages: 1 },
    )
    await broker.idle()
    isSecondTime = true
    await group.seek({ offset: 0 })
    await group.closed.catch(() => {})
    expect(await committed(broker, 'g')).toBe(0)
    expect(await drain(broker, 'g')).toEqual(['a', 'b', 'c'])
  })

  it('hands over what came before a message that cannot be decoded', async () => {
    const text = new Topic('mixed', { value: json<string>() })
    const broker = await openBroker({}, text)
    await send(broker, text, ['a', 'b'])
    await send(broker, broken('mixed'), ['c'])
    const seen: unknown[] = []
    const group = broker.consumerGroup('g', { topics: [text] })
    group.on('error', () => {})
    await group.runBatches((batch) => {
      seen.push(...batch.messages.map((message) => message.value))
    })
    await expect(group.closed).rejects.toEqual(code('OTTLA_DECODE'))
    expect(seen).toEqual(['a', 'b'])
    expect(await committed(broker, 'g', 'mixed')).toBe(2)
  })
})

describe('for await', () => {
  it('marks a message as done when the next one is asked for', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const seen: unknown[] = []
    for await (const message of broker.consumerGroup('g', { topics: [words] })) {
      seen.push(message.value)
      if (message.value === 'b') break
    }
    expect(seen).toEqual(['a', 'b'])
    expect(await committed(broker, 'g')).toBe(1)
    expect(await drain(broker, 'g')).toEqual(['b', 'c'])
  })

  it('commits the last message too when commit was awaited', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const group = broker.consumerGroup('g', { topics: [words] })
    for await (const message of group) {
      await group.commit(message)
      if (message.value === 'b') break
    }
    expect(await committed(broker, 'g')).toBe(2)
  })

  it('closes the member when the body throws, and throws that', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const group = broker.consumerGroup('g', { topics: [words] })
    const loop = async (): Promise<void> => {
      for await (const _ of group) throw new Error('body')
    }
    await expect(loop()).rejects.toThrow('body')
    await group.closed
    expect((await broker.describeGroup('g')).members).toEqual([])
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('may be left by closing the group in the body', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const group = broker.consumerGroup('g', { topics: [words] })
    for await (const _ of group) await group.close()
    expect(await drain(broker, 'g')).toEqual(['a', 'b'])
  })

  it('ends when the signal aborts, after the body at work', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const controller = new AbortController()
    const seen: unknown[] = []
    for await (const message of broker
      .consumerGroup('g', { topics: [words] })
      .messages({ signal: controller.signal })) {
      seen.push(message.value)
      controller.abort()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(seen).toEqual(['a'])
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('goes round the partitions, one message at a time', async () => {
    const topic = new Topic<number>('numbers', { partitions: 3 })
    const broker = await openBroker({}, topic)
    for (const partition of range(0, 2)) await send(broker, topic, [1, 2, 3], partition)
    const seen: string[] = []
    for await (const { partition, value } of broker.consumerGroup('g', { topics: [topic] })) {
      seen.push(`${partition}:${value}`)
      if (seen.length === 9) break
    }
    expect(seen.slice(0, 3).sort()).toEqual(['0:1', '1:1', '2:1'])
    expect(new Set(seen).size).toBe(9)
  })

  it('throws what stopped the member, once', async () => {
    const text = new Topic('mixed', { value: json<string>() })
    const broker = await openBroker({}, text)
    await send(broker, broken('mixed'), ['x'])
    const messages = broker.consumerGroup('g', { topics: [text] }).messages()
    await expect(messages.next()).rejects.toEqual(code('OTTLA_DECODE'))
    expect(await messages.next()).toEqual({ done: true, value: undefined })
  })

  it('answers calls of next that do not wait for each other in order', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const messages = broker.consumerGroup('g', { topics: [words] }).messages()
    const results = await Promise.all([messages.next(), messages.next(), messages.next()])
    expect(results.map((result) => result.value?.value)).toEqual(['a', 'b', 'c'])
    await messages.return?.()
    expect(await messages.next()).toEqual({ done: true, value: undefined })
    expect(await committed(broker, 'g')).toBe(2)
  })

  it('holds nobody up before the first message is asked for', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const first = broker.consumerGroup('g', { topics: [words] })
    first.messages()
    await first.ready
    const revoked = next(first, 'revoked')
    const second = broker.consumerGroup('g', { topics: [words] })
    await second.run(() => {})
    await first.close()
    await revoked
    await broker.idle()
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('lets a member go whose last message was taken by hand', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const group = broker.consumerGroup('g', { topics: [words] })
    expect((await group.messages().next()).value.value).toBe('a')
    await group.close()
    expect(await drain(broker, 'g')).toEqual(['a'])
  })
})

describe('from', () => {
  it.each([
    ['earliest', ['a', 'b', 'c', 'd']],
    ['latest', ['d']],
    [{ offset: 1 }, ['b', 'c', 'd']],
    [{ timestamp: 30 }, ['c', 'd']],
    [{ timestamp: new Date(11) }, ['b', 'c', 'd']],
    [{ timestamp: 31 }, ['d']],
  ] as const)('%j says where a group without offsets begins', async (from, expected) => {
    const broker = await openBroker({}, words)
    const producer = broker.producer()
    for (const [index, value] of ['a', 'b', 'c'].entries()) {
      await producer.send(words, { value, timestamp: (index + 1) * 10 })
    }
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words], from })
    await group.run(seen.add)
    await producer.send(words, { value: 'd', timestamp: 100 })
    await broker.idle()
    expect(seen.values).toEqual(expected)
  })

  it('is not asked where the group has an offset', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    expect(await drain(broker, 'g')).toEqual(['a'])
    await send(broker, words, ['b'])
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words], from: 'latest' })
    await group.run(seen.add)
    await broker.idle()
    expect(seen.values).toEqual(['b'])
  })

  it('latest is kept, so that nothing is missed while no member runs', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const first = broker.consumerGroup('g', { topics: [words], from: 'latest' })
    await first.run(() => {})
    await first.close()
    await send(broker, words, ['b'])
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [words], from: 'latest' }).run(seen.add)
    await broker.idle()
    expect(seen.values).toEqual(['b'])
  })
})

describe('onOutOfRange', () => {
  it('error stops the member, naming the valid range', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    await broker.deleteRecords([{ topic: 'words', partition: 0, beforeOffset: 1 }])
    const group = broker.consumerGroup('g', { topics: [words], from: { offset: 0 } })
    group.on('error', () => {})
    await group.run(() => {})
    await expect(group.closed).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE', message: /holds 1 to 2/ })
  })

  it.each([
    ['earliest', ['b', 'c']],
    ['latest', ['c']],
  ] as const)('%s goes on from there', async (onOutOfRange, expected) => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    await broker.deleteRecords([{ topic: 'words', partition: 0, beforeOffset: 1 }])
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [words], from: { offset: 0 }, onOutOfRange }).run(seen.add)
    await broker.idle()
    await send(broker, words, ['c'])
    await broker.idle()
    expect(seen.values).toEqual(expected)
    expect(await committed(broker, 'g')).toBe(3)
  })

  it.each(['partition', 'key'] as const)('earliest commits again from there (ordering %s)', async (ordering) => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words], onOutOfRange: 'earliest' })
    await group.run(seen.add, { ordering })
    await broker.idle()
    await group.seek({ offset: 50 })
    await broker.idle()
    expect(seen.values).toEqual(['a', 'b', 'a', 'b'])
    expect(await committed(broker, 'g')).toBe(2)
  })

  it('counts while a batch waits to fill, too', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    await send(broker, words, ['a'])
    const seen: unknown[] = []
    const group = broker.consumerGroup('g', { topics: [words], onOutOfRange: 'earliest' })
    await group.runBatches(
      (batch) => {
        seen.push(...batch.messages.map((message) => message.value))
      },
      { maxWaitMs: 100 },
    )
    await clock.advance(0)
    group.pause()
    await send(broker, words, ['b', 'c'])
    await broker.deleteRecords([{ topic: 'words', partition: 0, beforeOffset: 2 }])
    group.resume()
    await clock.advance(100)
    expect(seen).toEqual(['c'])
  })
})

describe('pause and resume', () => {
  it('holds back partitions, all or some, and gives them free again', async () => {
    const topic = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({}, topic)
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [topic] })
    await group.run(seen.add)
    group.pause([{ topic: 'numbers', partition: 0 }])
    await send(broker, topic, [1], 0)
    await send(broker, topic, [2], 1)
    await broker.idle()
    expect(seen.values).toEqual([2])
    group.resume()
    await broker.idle()
    expect(seen.values).toEqual([2, 1])
    group.pause()
    await send(broker, topic, [3], 0)
    await broker.idle()
    expect(seen.values).toHaveLength(2)
    group.resume([{ topic: 'numbers', partition: 0 }])
    await broker.idle()
    expect(seen.values).toEqual([2, 1, 3])
  })

  it('lets a batch of messages go no further than the handler that paused', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, range(1, 10))
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run((message) => {
      seen.add(message)
      if (message.offset === 2) group.pause()
    })
    await broker.idle()
    expect(seen.values).toEqual([1, 2, 3])
    group.resume()
    await broker.idle()
    expect(seen.values).toEqual(range(1, 10))
  })

  it.each([
    ['cooperativeSticky', 'stays with a partition that stays', []],
    ['range', 'goes with a partition that a rebalance takes, as in Kafka', ['a']],
  ] as const)('under %s %s', async (assignor, _, expected) => {
    const broker = await openBroker({}, words)
    const seen = new Seen()
    const first = broker.consumerGroup('g', { topics: [words], assignor })
    await first.run(seen.add)
    first.pause()
    const second = broker.consumerGroup('g', { topics: [words], assignor })
    await second.run(seen.add)
    await second.close()
    await broker.idle()
    await send(broker, words, ['a'])
    await broker.idle()
    expect(seen.values).toEqual(expected)
  })

  it('refuses partitions of others, and a member that does not run', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    expect(() => group.pause()).toThrow(code('OTTLA_INVALID_ARGUMENT') as Error)
    await group.run(() => {})
    expect(() => group.pause([{ topic: 'words', partition: 1 }])).toThrow(/not assigned/)
    await group.close()
    expect(() => group.resume()).toThrow(code('OTTLA_CLOSED') as Error)
  })
})

describe('seek', () => {
  it.each([
    ['earliest', ['a', 'b', 'c']],
    ['latest', []],
    [{ offset: 2 }, ['c']],
    [{ timestamp: 20 }, ['b', 'c']],
  ] as const)('to %j goes on from there', async (to, expected) => {
    const broker = await openBroker({}, words)
    for (const [index, value] of ['a', 'b', 'c'].entries()) {
      await broker.producer().send(words, { value, timestamp: (index + 1) * 10 })
    }
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(seen.add)
    await broker.idle()
    seen.values.length = 0
    await group.seek(to)
    await broker.idle()
    expect(seen.values).toEqual(expected)
  })

  it('in a handler goes elsewhere after that message', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c', 'd'])
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async (message) => {
      seen.add(message)
      if (message.value === 'a') await group.seek({ offset: 3 })
    })
    await broker.idle()
    expect(seen.values).toEqual(['a', 'd'])
    expect(await committed(broker, 'g')).toBe(4)
  })

  it('takes the group back, durably, even when a commit is under way', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const group = broker.consumerGroup('g', { topics: [words] })
    const last = deferred<Message<string>>()
    await group.run((message) => {
      if (message.value === 'c') last.resolve(message)
    })
    await broker.idle()
    group.pause()
    const committing = group.commit(await last.promise)
    const seeking = group.seek('earliest')
    await Promise.all([committing, seeking])
    await group.close()
    expect(await committed(broker, 'g')).toBe(0)
    expect(await drain(broker, 'g')).toEqual(['a', 'b', 'c'])
  })

  it('is refused where the partitions went while the place was looked up', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {})
    const seeking = group.seek('earliest').catch((error) => error)
    await group.close()
    expect(await seeking).toEqual(code('OTTLA_CLOSED'))
  })

  it('refuses what is no position', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {})
    await expect(group.seek(3 as never)).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(group.seek({ offset: -1 })).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
  })
})

describe('commit', () => {
  it('by hand commits the offset after each message, and nothing else does', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    const messages: Message<string>[] = []
    const group = broker.consumerGroup('g', { topics: [words], commit: 'manual' })
    await group.run((message) => {
      messages.push(message)
    })
    await broker.idle()
    await group.commit([])
    expect(await committed(broker, 'g')).toBe(null)
    await group.commit([messages[1] as Message<string>, messages[0] as Message<string>])
    expect(await committed(broker, 'g')).toBe(2)
    await group.close()
    expect(await committed(broker, 'g')).toBe(2)
    await expect(group.commit(messages)).rejects.toEqual(code('OTTLA_CLOSED'))
  })

  it('by hand is written before the commits that become due after it', async () => {
    const { client, engine, idle } = await openClient()
    await client.topic(words)
    await client.producer().send(words, [{ value: 'a' }, { value: 'b' }])
    const written: unknown[] = []
    const commitOffsets = engine.commitOffsets.bind(engine)
    const [reached, release] = [deferred(), deferred()]
    let requests = 0
    engine.commitOffsets = async (request) => {
      reached.resolve()
      if (++requests === 1) await release.promise
      written.push(...request.offsets.map(({ offset }) => offset))
      return commitOffsets(request)
    }
    const group = client.consumerGroup('g', { topics: [words] })
    const first = deferred<Message<string>>()
    const handled = new Seen()
    await group.run((message) => {
      first.resolve(message)
      handled.add(message)
    })
    await handled.count(2)
    const committing = group.commit(await first.promise)
    await reached.promise
    const idling = idle()
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    release.resolve()
    await Promise.all([committing, idling])
    expect(written).toEqual([1, 2])
  })

  it('by hand of less than is done takes the group back until the next commit is due', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    await send(broker, words, ['a', 'b', 'c'])
    const first = deferred<Message<string>>()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run((message) => first.resolve(message))
    await broker.idle()
    expect(await committed(broker, 'g')).toBe(3)
    await group.commit(await first.promise)
    expect(await committed(broker, 'g')).toBe(1)
    await clock.advance(1_000)
    expect(await committed(broker, 'g')).toBe(3)
  })

  it('refuses what is no message of this group, or is no longer its own', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await expect(group.commit([])).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await group.run(() => {})
    await expect(group.commit({ offset: '1' } as never)).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    const foreign = { topic: 'words', partition: 3, offset: 1 } as Message<string>
    await expect(group.commit(foreign)).rejects.toEqual(code('OTTLA_ILLEGAL_GENERATION'))
  })
})

describe('lag', () => {
  it('counts from the committed offset to the end, for all partitions of the subscribed topics', async () => {
    const topic = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({}, topic, words)
    await send(broker, topic, [1, 2, 3], 1)
    const group = broker.consumerGroup('g', { topics: [topic, /^nothing/] })
    expect(await group.lag()).toEqual([
      { topic: 'numbers', partition: 0, committedOffset: null, logEndOffset: 0, lag: 0 },
      { topic: 'numbers', partition: 1, committedOffset: null, logEndOffset: 3, lag: 3 },
    ])
    await group.run(() => {})
    await broker.idle()
    expect((await group.lag())[1]).toEqual({
      topic: 'numbers',
      partition: 1,
      committedOffset: 3,
      logEndOffset: 3,
      lag: 0,
    })
  })
})

describe('topics', () => {
  it('may come later, by name or by expression', async () => {
    const broker = await openBroker()
    const seen: string[] = []
    const handler = ({ topic }: { topic: string }): void => {
      seen.push(topic)
    }
    await broker.consumerGroup('named', { topics: [words] }).run(handler)
    await broker.consumerGroup('matched', { topics: [/^metrics\./g] }).run(handler)
    for (const name of ['words', 'metrics.cpu', 'other.topic', 'metrics.disk']) {
      await broker.topic(name)
      await broker.producer().send(new Topic(name), { value: 'x' })
    }
    await broker.idle()
    expect(seen.sort()).toEqual(['metrics.cpu', 'metrics.disk', 'words'])
  })

  it('of different types reach one handler, each decoded by its own codec; one by name comes as bytes', async () => {
    const numbers = new Topic<number>('numbers')
    const broker = await openBroker({}, words, numbers, new Topic('raw'))
    const seen: unknown[] = []
    await broker.consumerGroup('g', { topics: [words, numbers, 'raw'] }).run((message) => {
      if (words.is(message)) seen.push(message.value.toUpperCase())
      else seen.push(message.value)
    })
    await send(broker, words, ['a'])
    await broker.idle()
    await send(broker, numbers, [7])
    await broker.idle()
    await send(broker, new Topic('raw'), [7])
    await broker.idle()
    expect(seen).toEqual(['A', 7, expect.any(Uint8Array)])
  })

  it('may be deleted and made anew: the group begins with what is in the new one', async () => {
    const broker = await openBroker({}, words)
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(seen.add)
    await send(broker, words, ['a', 'b'])
    await broker.idle()
    await broker.deleteTopic(words)
    await broker.topic(words)
    await send(broker, words, ['c', 'd', 'e'])
    await broker.idle()
    expect(seen.values).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await committed(broker, 'g')).toBe(3)
  })

  it('may be deleted while its messages are handled: nothing of it is committed to the new one', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const [started, release] = [deferred(), deferred()]
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async (message) => {
      seen.add(message)
      if (message.value !== 'b') return
      started.resolve()
      await release.promise
    })
    await started.promise
    const lost = next(group, 'lost')
    await broker.deleteTopic(words)
    await broker.topic(words)
    await send(broker, words, ['c', 'd', 'e'])
    release.resolve()
    expect(await lost).toEqual([0])
    await broker.idle()
    expect(seen.values).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('may be made anew while a rebalance is held up: nothing of the old one goes on in the new one', async () => {
    const clock = new ManualClock()
    const numbers = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({ clock }, words, numbers)
    await send(broker, words, ['a', 'b'])
    for (const partition of [0, 1]) await send(broker, numbers, [partition], partition)
    const [started, ofWords, ofNumbers] = [deferred(), deferred(), deferred()]
    onTestFinished(() => ofNumbers.resolve())
    const seen = new Seen()
    let atWork = 0
    const first = broker.consumerGroup('g', { topics: [words, numbers] })
    await first.run(async (message) => {
      if (message.topic === 'words') seen.add(message)
      if (message.value === 'a' || seen.values.length > 2) return
      if (++atWork === 3) started.resolve()
      await (message.topic === 'words' ? ofWords : ofNumbers).promise
    })
    await started.promise
    const second = broker.consumerGroup('g', { topics: [numbers] }).run(() => {})
    // The first member has to give up a partition of the numbers, in which its handler is at work.
    await clock.advance(0)
    const lost = next(first, 'lost')
    await broker.deleteTopic(words)
    await broker.topic(words)
    await send(broker, words, ['c', 'd', 'e'])
    await clock.advance(0)
    ofWords.resolve()
    await clock.advance(2000)
    expect(seen.values).toEqual(['a', 'b'])
    expect(await lost).toEqual([0])
    expect(await committed(broker, 'g')).toBe(null)
    ofNumbers.resolve()
    await second
    await broker.idle()
    expect(seen.values).toEqual(['a', 'b', 'c', 'd', 'e'])
  })
})

describe('the expressions of a group', () => {
  it('match what topics() lists, and not what is internal', async () => {
    const broker = await openBroker({}, new Topic('__mine'))
    const seen: string[] = []
    await broker.consumerGroup('g', { topics: [/^__/] }).run(({ topic }) => void seen.push(topic))
    await send(broker, new Topic('__mine'), ['a'])
    await broker.idle()
    expect([await broker.topics(), seen]).toEqual([['__mine'], ['__mine']])
  })
})

describe('assigned', () => {
  it('is told of the first assignment, though it is empty, and of those that bring partitions', async () => {
    const broker = await openBroker({}, words)
    const told: string[] = []
    const join = async (name: string, ...topics: Topic<string>[]): Promise<void> => {
      const group = broker.consumerGroup('g', { topics })
      group.on('assigned', (partitions) => void told.push(`${name} ${partitions.length}`))
      await group.run(() => {})
      await broker.idle()
    }
    await join('a', words)
    await join('b', words)
    await join('c', words)
    expect(told).toEqual(['a 1', 'b 0', 'c 0'])
  })
})

describe('the signal of a delivery', () => {
  it('may have many listeners without a warning', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, range(1, 20))
    const warnings: string[] = []
    const hear = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', hear)
    await broker.consumerGroup('g', { topics: [words] }).run((_, { signal }) => {
      signal.addEventListener('abort', () => {})
    })
    await broker.idle()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', hear)
    expect(warnings).toEqual([])
  })
})

describe('ready', () => {
  it('resolves on the first assignment, and rejects where the member ends before', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    const { ready } = group
    const assigned = next(group, 'assigned')
    await Promise.all([group.run(() => {}), ready])
    expect(await assigned).toEqual([0])
    const other = broker.consumerGroup('g', { topics: [words] })
    await other.close()
    await expect(other.ready).rejects.toEqual(code('OTTLA_CLOSED'))
  })
})

describe('close', () => {
  it('before run ends a member that never was', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.close()
    await group.close()
    await group.closed
    expect(await broker.groups()).toEqual([])
  })

  it('during the join leaves no ghost that holds up the next member', async () => {
    const broker = await openBroker({}, words)
    for (const turns of range(0, 12)) {
      const group = broker.consumerGroup('g', { topics: [words] })
      const running = group.run(() => {}).catch((error) => error)
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      await group.close()
      await running
      await group.closed
      expect((await broker.describeGroup('g').catch(() => ({ members: [] }))).members).toEqual([])
    }
    await broker.consumerGroup('g', { topics: [words] }).run(() => {})
  })

  it('in a rebalance commits what is done, at whatever moment', async () => {
    const topic = new Topic<number>('numbers', { partitions: 4 })
    const broker = await openBroker({}, topic)
    const seen: unknown[] = []
    const handler = (message: Message<number>): void => {
      seen.push(`${message.partition}:${message.offset}`)
    }
    let sent = 0
    for (const ticks of range(0, 60)) {
      const stays = broker.consumerGroup('g', { topics: [topic] })
      await stays.run(handler)
      const leaves = broker.consumerGroup('g', { topics: [topic] })
      await leaves.run(handler)
      for (const partition of range(0, 3)) await send(broker, topic, [1], partition)
      sent += 4
      const comes = broker.consumerGroup('g', { topics: [topic] })
      const coming = comes.run(handler)
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      await Promise.all([leaves.close(), coming])
      await broker.idle()
      await Promise.all([stays.close(), comes.close()])
    }
    expect(seen).toHaveLength(sent)
    expect(new Set(seen).size).toBe(sent)
  })

  it('waits for a handler that hangs, tells it by its signal, and commits when it ends', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const [started, release] = [deferred<AbortSignal>(), deferred()]
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async (_, { signal }) => {
      started.resolve(signal)
      await release.promise
    })
    const signal = await started.promise
    let isClosed = false
    const closing = group.close().then(() => {
      isClosed = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect([isClosed, signal.aborted]).toEqual([false, true])
    release.resolve()
    await closing
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('takes a handler that heeds the signal at its word: the message is given back', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const started = deferred()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async (_, { signal }) => {
      started.resolve()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await started.promise
    await group.close()
    await group.closed
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('rejects closed where a handler fails on the way out', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const [started, release] = [deferred(), deferred()]
    const group = broker.consumerGroup('g', { topics: [words] })
    const { closed } = group
    await group.run(async () => {
      started.resolve()
      await release.promise
      throw new Error('late')
    })
    await started.promise
    const closing = group.close()
    release.resolve()
    await closing
    await expect(closed).rejects.toThrow(/late/)
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('inside a handler returns at once, and the message is done', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b'])
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      await group.close()
    })
    await group.closed
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('comes with the signal of run, also before the first assignment', async () => {
    const broker = await openBroker({}, words)
    const controller = new AbortController()
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {}, { signal: controller.signal })
    controller.abort()
    await group.closed
    const early = broker.consumerGroup('g', { topics: [words] })
    const other = new AbortController()
    const running = early.run(() => {}, { signal: other.signal })
    other.abort()
    await expect(running).rejects.toEqual(code('OTTLA_CLOSED'))
    const late = broker.consumerGroup('g', { topics: [words] })
    await expect(late.run(() => {}, { signal: other.signal })).rejects.toThrow(other.signal.reason)
    await late.run(() => {})
  })

  it('is what await using and the broker do', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {})
    await group[Symbol.asyncDispose]()
    await group.closed
    const other = broker.consumerGroup('g', { topics: [words] })
    await other.run(() => {})
    await broker.close()
    await other.closed
    await expect(other.lag()).rejects.toSatisfy((error) => OttlaError.is(error) && error.code === 'OTTLA_CLOSED')
  })
})
