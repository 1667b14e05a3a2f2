import { type Broker, FileStorage, json, MemoryStorage, msgpack, OttlaError, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { brokers, codeOf, contentsOf, nextTurn, refusal } from './brokers.js'
import { openClient } from './consuming.js'

const openBroker = brokers()
const temporaryDirectory = temporaryDirectories()
const orders = new Topic('orders', { partitions: 2, value: json<number>() })

async function withOrders(count = 10): Promise<Broker> {
  const broker = await openBroker()
  await broker.topic(orders)
  await broker.producer().send(
    orders,
    Array.from({ length: count }, (_, value) => ({ value, partition: value % 2, timestamp: value })),
  )
  return broker
}

/** A group that has handled all there is, and has no member any more. */
async function consumed(broker: Broker, id: string): Promise<void> {
  const group = broker.consumerGroup(id, { topics: [orders] })
  await group.run(() => {})
  await broker.idle({ groups: [id] })
  await group.close()
}

describe('topic', () => {
  it('creates what is missing, and returns the declaration', async () => {
    const broker = await openBroker()
    expect(await broker.topic(orders)).toBe(orders)
    expect(await broker.topic(orders)).toBe(orders)
    const payments = await broker.topic('payments', { value: json<string>() })
    expect([payments.name, payments.value.name]).toEqual(['payments', 'json'])
    expect(await broker.topics()).toEqual(['orders', 'payments'])
  })

  it('of many callers at once creates one', async () => {
    const broker = await openBroker()
    await Promise.all(Array.from({ length: 20 }, () => broker.topic(orders)))
    expect(await broker.topics()).toEqual(['orders'])
  })

  it('takes the partition count of the broker where none is given', async () => {
    const broker = await openBroker({ config: { numPartitions: 3 } })
    const topic = await broker.topic('spread', { value: json<number>() })
    expect(await broker.producer().send(topic, { value: 1, partition: 2 })).toMatchObject({ partition: 2 })
    await broker.topic(new Topic('spread', { partitions: 3 }))
  })

  it('checks the options that are given, and those alone', async () => {
    const broker = await openBroker()
    await broker.topic('orders', { partitions: 2, retentionMs: 1_000, value: json() })
    await broker.topic('orders')
    await broker.topic('orders', { partitions: 2 })
    await broker.topic('orders', { retentionMs: 1_000, value: json(), retentionBytes: -1 })
  })

  it.each([
    ['partitions', { partitions: 3 }, 'OTTLA_TOPIC_MISMATCH'],
    ['retention', { retentionMs: 2_000 }, 'OTTLA_TOPIC_MISMATCH'],
    ['size of messages', { maxMessageBytes: 5 }, 'OTTLA_TOPIC_MISMATCH'],
    ['codec of values', { value: msgpack() }, 'OTTLA_CODEC_MISMATCH'],
    ['codec of keys', { key: json<string>() }, 'OTTLA_CODEC_MISMATCH'],
  ])('that exists with another %s is refused, and stays as it was', async (_, options, code) => {
    const broker = await withOrders()
    const error = await refusal(() => broker.topic(new Topic('orders', options)))
    expect(error.code).toBe(code)
    expect(error.message).toContain('orders')
    await broker.topic(orders)
    expect(await contentsOf(broker, orders)).toHaveLength(10)
  })

  it('takes no options beside a declaration, which has its own', async () => {
    const broker = await openBroker()
    const call = () => Reflect.apply(broker.topic, broker, [orders, { partitions: 8 }])
    expect(await codeOf(call)).toBe('OTTLA_INVALID_ARGUMENT')
    expect(await broker.topics()).toEqual([])
  })
})

describe('alterTopic', () => {
  it('raises the partitions, and changes configs', async () => {
    const broker = await withOrders()
    await broker.alterTopic(orders, { partitions: 5, retentionMs: 1_000 })
    await broker.topic(new Topic('orders', { partitions: 5, retentionMs: 1_000 }))
    expect(await broker.producer().send(orders, { value: 1, partition: 4 })).toMatchObject({ offset: 0 })
    expect(await contentsOf(broker, orders)).toHaveLength(11)
    await broker.alterTopic('orders', { partitions: 5 })
    await broker.alterTopic('orders', {})
  })

  it.each([
    ['fewer partitions', { partitions: 1, retentionMs: 5 }, 'OTTLA_INVALID_PARTITIONS'],
    ['too many partitions', { partitions: 10_001, retentionMs: 5 }, 'OTTLA_INVALID_PARTITIONS'],
    ['no partitions', { partitions: 0 }, 'OTTLA_INVALID_PARTITIONS'],
    ['an unknown config', { partitions: 4, retention: 5 }, 'OTTLA_INVALID_CONFIG'],
    ['a bad value', { partitions: 4, retentionMs: -5 }, 'OTTLA_INVALID_CONFIG'],
    ['a codec', { partitions: 4, value: json() }, 'OTTLA_INVALID_CONFIG'],
    ['nothing', undefined, 'OTTLA_INVALID_ARGUMENT'],
    ['an array', [], 'OTTLA_INVALID_ARGUMENT'],
  ])('to %s is refused, and changes nothing', async (_, changes, code) => {
    const broker = await withOrders()
    const call = () => Reflect.apply(broker.alterTopic, broker, [orders, changes])
    expect(await codeOf(call)).toBe(code)
    await broker.topic(new Topic('orders', { partitions: 2, retentionMs: -1 }))
  })

  it('that fails half way is known by what it did', async () => {
    const { client, engine } = await openClient()
    await client.topic(orders)
    engine.alterConfigs = async () => {
      throw new OttlaError('OTTLA_STORAGE_FAILED', 'No room')
    }
    const call = () => client.alterTopic(orders, { partitions: 5, retentionMs: 1_000 })
    expect(await codeOf(call)).toBe('OTTLA_STORAGE_FAILED')
    const sending = client.producer().send(orders, { value: 1, partition: 4 })
    expect(await sending).toMatchObject({ offset: 0 })
  })

  it('of a topic that is not there is refused', async () => {
    const broker = await openBroker()
    expect(await codeOf(() => broker.alterTopic('orders', { partitions: 2 }))).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
  })
})

describe('a topic that is changed elsewhere', () => {
  it('is known to producers as it is now', async () => {
    const { client, engine } = await openClient()
    await client.topic(orders)
    const producer = client.producer()
    await producer.send(orders, { value: 1, partition: 1 })
    await engine.createPartitions([{ name: 'orders', totalCount: 5 }])
    await nextTurn()
    expect(await producer.send(orders, { value: 1, partition: 4 })).toMatchObject({ offset: 0 })
    await engine.deleteTopics(['orders'])
    await client.topic(orders)
    expect(await codeOf(() => producer.send(orders, { value: 1, partition: 4 }))).toBe(
      'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    )
  })
})

describe('deleteTopic', () => {
  it('deletes a topic with its messages and what groups committed in it', async () => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    await broker.deleteTopic(orders)
    expect(await broker.topics()).toEqual([])
    await broker.topic(orders)
    expect(await contentsOf(broker, orders)).toEqual([])
    const [lag] = await broker.resetOffsets('billing', 'earliest', { topics: [orders], dryRun: true })
    expect(lag?.logEndOffset).toBe(0)
  })

  it('of a topic that is not there is refused', async () => {
    const broker = await openBroker()
    expect(await codeOf(() => broker.deleteTopic('orders'))).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
    expect(await codeOf(() => Reflect.apply(broker.deleteTopic, broker, [5]))).toBe('OTTLA_INVALID_ARGUMENT')
  })

  it('outlives a restart', async () => {
    const directory = temporaryDirectory()
    const broker = await openBroker({ storage: new FileStorage(directory) })
    await broker.topic(orders)
    await broker.topic('kept')
    await broker.producer().send(orders, { value: 1 })
    await broker.deleteTopic(orders)
    await broker.close()
    const reopened = await openBroker({ storage: new FileStorage(directory) })
    expect(await reopened.topics()).toEqual(['kept'])
    await reopened.topic(orders)
    expect(await contentsOf(reopened, orders)).toEqual([])
  })
})

describe('deleteRecords', () => {
  it('removes what lies before an offset, for good', async () => {
    const storage = new MemoryStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    await broker.producer().send(
      orders,
      [1, 2, 3].map((value) => ({ value, partition: 0 })),
    )
    await broker.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: 2 }])
    expect((await contentsOf(broker, orders)).map(({ offset }) => offset)).toEqual([2])
    await broker.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: 1 }])
    await broker.close()
    const reopened = await openBroker({ storage })
    expect((await contentsOf(reopened, orders)).map(({ offset }) => offset)).toEqual([2])
    await reopened.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: 3 }])
    expect(await reopened.producer().send(orders, { value: 4, partition: 0 })).toMatchObject({ offset: 3 })
  })

  const good = { topic: 'orders', partition: 0, beforeOffset: 3 }
  it.each([
    ['beyond the end', [good, { ...good, partition: 1, beforeOffset: 6 }], 'OTTLA_OFFSET_OUT_OF_RANGE'],
    ['of another partition', [good, { ...good, partition: 2 }], 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'],
    ['of another topic', [good, { ...good, topic: 'other' }], 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'],
    ['before -2', [good, { ...good, beforeOffset: -2 }], 'OTTLA_INVALID_ARGUMENT'],
    ['before half an offset', [good, { ...good, beforeOffset: 1.5 }], 'OTTLA_INVALID_ARGUMENT'],
    ['of a partition -1', [good, { ...good, partition: -1 }], 'OTTLA_INVALID_ARGUMENT'],
    ['of a Topic in the place of its name', [good, { ...good, topic: orders }], 'OTTLA_INVALID_ARGUMENT'],
    ['of no place', [good, null], 'OTTLA_INVALID_ARGUMENT'],
    ['of one place, not in an array', good, 'OTTLA_INVALID_ARGUMENT'],
  ])('%s is refused, and removes nothing anywhere', async (_, at, code) => {
    const broker = await withOrders()
    const error = await refusal(() => Reflect.apply(broker.deleteRecords, broker, [at]))
    expect(error.code).toBe(code)
    expect(await contentsOf(broker, orders)).toHaveLength(10)
  })
})

describe('groups', () => {
  it('are listed once they have committed, in order', async () => {
    const broker = await withOrders()
    expect(await broker.groups()).toEqual([])
    await consumed(broker, 'shipping')
    await consumed(broker, 'billing')
    expect(await broker.groups()).toEqual(['billing', 'shipping'])
  })

  it('are described with their members, what these hold, and how far they are behind', async () => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    await broker.producer().send(orders, { value: 10, partition: 0 })
    expect(await broker.describeGroup('billing')).toEqual({
      id: 'billing',
      state: 'Empty',
      members: [],
      lag: [
        { topic: 'orders', partition: 0, committedOffset: 5, logEndOffset: 6, lag: 1 },
        { topic: 'orders', partition: 1, committedOffset: 5, logEndOffset: 5, lag: 0 },
      ],
    })
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(() => {})
    await broker.idle()
    const { state, members, lag } = await broker.describeGroup('billing')
    expect(state).toBe('Stable')
    expect(members).toMatchObject([
      {
        instanceId: null,
        assignment: [
          { topic: 'orders', partition: 0 },
          { topic: 'orders', partition: 1 },
        ],
      },
    ])
    expect(lag.map((at) => at.lag)).toEqual([0, 0])
    await group.close()
  })

  it('of another protocol than consumers are described without its assignments', async () => {
    const { client, engine } = await openClient()
    const ids = { groupId: 'connect', instanceId: null, protocolType: 'connect' }
    const { memberId, generationId } = await engine.joinGroup({
      ...ids,
      memberId: '',
      protocols: [{ name: 'eager', metadata: new Uint8Array([0xff]) }],
      sessionTimeoutMs: Number.POSITIVE_INFINITY,
      rebalanceTimeoutMs: 1_000,
      clientId: 'worker',
      clientHost: '/127.0.0.1',
    })
    await engine.syncGroup({
      ...ids,
      memberId,
      generationId,
      protocolName: 'eager',
      assignments: [{ memberId, assignment: new Uint8Array([0xff]) }],
    })
    expect(await client.describeGroup('connect')).toEqual({
      id: 'connect',
      state: 'Stable',
      members: [{ memberId, instanceId: null, assignment: [] }],
      lag: [],
    })
  })

  it('that never were are not found', async () => {
    const broker = await openBroker()
    for (const call of [() => broker.describeGroup('billing'), () => broker.deleteGroup('billing')]) {
      const error = await refusal(call)
      expect(error.code).toBe('OTTLA_GROUP_NOT_FOUND')
      expect(error.message).toContain('billing')
    }
  })

  it('can be deleted without members, and begin anew then', async () => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(() => {})
    expect(await codeOf(() => broker.deleteGroup('billing'))).toBe('OTTLA_GROUP_NOT_EMPTY')
    await group.close()
    await broker.deleteGroup('billing')
    expect(await broker.groups()).toEqual([])
    expect(await codeOf(() => broker.describeGroup('billing'))).toBe('OTTLA_GROUP_NOT_FOUND')
  })
})

describe('resetOffsets', () => {
  it.each([
    ['the start', 'earliest', [0, 0]],
    ['the end', 'latest', [5, 5]],
    ['an offset', { offset: 3 }, [3, 3]],
    ['an offset beyond the end', { offset: 99 }, [5, 5]],
    ['a time', { timestamp: 4 }, [2, 2]],
    ['a date', { timestamp: new Date(5) }, [3, 2]],
    ['a time after the last message', { timestamp: 1_000 }, [5, 5]],
  ] as const)('moves a group to %s', async (_, to, offsets) => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    const lag = await broker.resetOffsets('billing', to)
    expect(lag.map(({ committedOffset }) => committedOffset)).toEqual(offsets)
    expect(lag.map((at) => at.lag)).toEqual(offsets.map((offset) => 5 - offset))
    expect((await broker.describeGroup('billing')).lag).toEqual(lag)
  })

  it('says what it would do, and does nothing, with dryRun', async () => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    const { lag } = await broker.describeGroup('billing')
    const wanted = await broker.resetOffsets('billing', 'earliest', { dryRun: true })
    expect(wanted.map((at) => at.lag)).toEqual([5, 5])
    expect((await broker.describeGroup('billing')).lag).toEqual(lag)
  })

  it('does not go before the start of the log, where a member could not read', async () => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    await broker.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: 4 }])
    const lag = await broker.resetOffsets('billing', { offset: 1 })
    expect(lag.map(({ committedOffset }) => committedOffset)).toEqual([4, 1])
    const handled: number[] = []
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(({ value }) => void handled.push(value))
    await broker.idle()
    expect(handled.sort()).toEqual([3, 5, 7, 8, 9])
    await group.close()
  })

  it('gives offsets to a group that has none yet, in topics that are named', async () => {
    const broker = await withOrders()
    await broker.resetOffsets('billing', 'latest', { topics: ['orders'] })
    expect(await broker.groups()).toEqual(['billing'])
    const handled: number[] = []
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(({ value }) => void handled.push(value))
    await broker.idle()
    expect(handled).toEqual([])
    await group.close()
  })

  it.each([
    ['a group that is not there', ['shipping', 'earliest'], 'OTTLA_GROUP_NOT_FOUND'],
    [
      'a topic that is not there',
      ['billing', 'earliest', { topics: ['orders', 'other'] }],
      'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    ],
    ['a bare number', ['billing', 0], 'OTTLA_INVALID_ARGUMENT'],
    ['no position', ['billing'], 'OTTLA_INVALID_ARGUMENT'],
    ['a negative offset', ['billing', { offset: -1 }], 'OTTLA_INVALID_ARGUMENT'],
    ['two places at once', ['billing', { offset: 1, timestamp: 1 }], 'OTTLA_INVALID_ARGUMENT'],
    ['a date that is none', ['billing', { timestamp: new Date(Number.NaN) }], 'OTTLA_INVALID_ARGUMENT'],
    ['an unknown option', ['billing', 'latest', { dry: true }], 'OTTLA_INVALID_ARGUMENT'],
    ['topics that are no array', ['billing', 'latest', { topics: 'orders' }], 'OTTLA_INVALID_ARGUMENT'],
    ['no group', ['', 'latest', { topics: ['orders'] }], 'OTTLA_INVALID_GROUP_ID'],
  ])('to %s is refused, and moves nothing', async (_, parameters, code) => {
    const broker = await withOrders()
    await consumed(broker, 'billing')
    const { lag } = await broker.describeGroup('billing')
    expect(await codeOf(() => Reflect.apply(broker.resetOffsets, broker, parameters))).toBe(code)
    expect((await broker.describeGroup('billing')).lag).toEqual(lag)
    expect(await broker.groups()).toEqual(['billing'])
  })

  it('of a group with members is refused, and moves nothing', async () => {
    const broker = await withOrders()
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(() => {})
    await broker.idle()
    const { lag } = await broker.describeGroup('billing')
    const error = await refusal(() => broker.resetOffsets('billing', 'earliest'))
    expect(error.code).toBe('OTTLA_GROUP_NOT_EMPTY')
    expect((await broker.describeGroup('billing')).lag).toEqual(lag)
    await group.close()
  })
})

describe('retention', () => {
  it('drops whole segments that are too old when it is asked to, in the end the active one too', async () => {
    const clock = new ManualClock({ now: 0 })
    const broker = await openBroker({ clock, storage: new MemoryStorage({ segmentBytes: 1_000 }) })
    const topic = await broker.topic(new Topic('short', { retentionMs: 60_000, value: json<string>() }))
    const producer = broker.producer()
    const sendTen = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) await producer.send(topic, { value: 'x'.repeat(300) })
    }
    const offsets = async (): Promise<number[]> => (await contentsOf(broker, topic)).map(({ offset }) => offset)
    await sendTen()
    await clock.advance(60_000)
    await sendTen()
    await broker.applyRetention(topic)
    expect(await offsets()).toHaveLength(20)
    await clock.advance(1)
    await broker.applyRetention('short')
    const left = await offsets()
    expect(left[0]).toBeGreaterThan(6)
    expect(left.slice(-10)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    await clock.advance(60_000)
    await broker.applyRetention(topic)
    expect(await offsets()).toEqual([])
    expect((await producer.send(topic, { value: 'next' })).offset).toBe(20)
  })
})
