import { type Broker, FileStorage, json, OttlaError, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { ENGINE } from '../../src/engine/engine-of.js'
import { batchOf } from '../../src/testing/engine-under-test.js'
import { SimulatedFileSystem } from '../../src/testing/simulated-file-system.js'
import { systemClock } from '../../src/time/clock.js'
import { brokers, codeOf, nextTurn, outcomeNow } from './brokers.js'
import { FaultyEngine, fates } from './faulty-engine.js'
import { HeldStorage } from './held-storage.js'
import {
  batchesOf,
  ONE_EACH,
  onceAndInOrder,
  onceThoughForgotten,
  onceUnlessRefused,
  orders,
  upTo,
  valuesOf,
} from './idempotence.js'

const openBroker = brokers()

async function faulty(): Promise<{ broker: Broker; faults: FaultyEngine }> {
  const broker = await openBroker()
  await broker.topic(orders)
  return { broker, faults: new FaultyEngine(broker[ENGINE].engine) }
}

describe('an idempotent producer', () => {
  it('is what a producer is by default: its batches have an id, an epoch and sequences that follow on each other', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    await producer.send(orders, [{ value: 1 }, { value: 2 }])
    await producer.send(orders, { value: 3 })
    const batches = await batchesOf(broker)
    expect(batches.map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence])).toEqual([
      [0, 0],
      [0, 2],
    ])
    const [first, second] = batches
    expect(first?.producerId).toBeGreaterThanOrEqual(0)
    expect(second?.producerId).toBe(first?.producerId)
  })

  it('has a message in the log once whose acknowledgement was lost, and tells its first offset', async () => {
    const { broker, faults } = await faulty()
    faults.fate = fates('pass', 'lose', 'lose')
    const producer = faults.producer(systemClock)
    const offsets: number[] = []
    for (const value of upTo(4)) offsets.push((await producer.send(orders, { value })).offset)
    expect(offsets).toEqual(upTo(4))
    expect(await valuesOf(broker)).toEqual(upTo(4))
    expect(faults.calls).toBe(6)
  })

  it('keeps the order of batches that were under way together when one of them fails', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    await producer.send(orders, { value: 0 })
    faults.fate = (call) => (call === 2 ? 'fail' : 'pass')
    const sent = await Promise.all(upTo(7).map((value) => producer.send(orders, { value: value + 1 })))
    expect(sent.map(({ offset }) => offset)).toEqual(upTo(7).map((value) => value + 1))
    expect(await valuesOf(broker)).toEqual(upTo(8))
  })

  it('whose very first batch fails begins with it all the same', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    faults.fate = fates('fail')
    await Promise.all(upTo(3).map((value) => producer.send(orders, { value })))
    expect(await valuesOf(broker)).toEqual(upTo(3))
  })

  it('has each message in the log once and in order, whatever fails and however', () => onceAndInOrder(40))

  it('has each message that was not refused once and in order, when others are refused for good', () =>
    onceUnlessRefused(40))

  it('goes on in a new epoch behind a batch that was given up, and loses none of those behind it', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    await producer.send(orders, { value: 0 })
    faults.fate = (call) => (call === 2 ? new OttlaError('OTTLA_MESSAGE_TOO_LARGE', 'Too large') : 'pass')
    const sent = await Promise.allSettled(upTo(5).map((value) => producer.send(orders, { value: value + 1 })))
    expect(sent.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'])
    expect(await valuesOf(broker)).toEqual([0, 1, 3, 4, 5])
    expect((await batchesOf(broker)).map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [1, 2],
    ])
  })

  it('sends the first batch to a topic that was made again alone, so that its order holds where that fails', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    await producer.send(orders, { value: 0 })
    await broker.deleteTopic(orders)
    await broker.topic(orders)
    await nextTurn()
    faults.fate = (call) => (call === 1 ? 'fail' : 'pass')
    const sent = await Promise.all(upTo(7).map((value) => producer.send(orders, { value })))
    expect(sent.map(({ offset }) => offset)).toEqual(upTo(7))
    expect(await valuesOf(broker)).toEqual(upTo(7))
  })

  it('loses and doubles nothing where a partition has forgotten it, whatever fails and however', async () => {
    await onceThoughForgotten(40)
  })

  it('gives up a batch that is out of order in a new epoch, too', async () => {
    const { faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    await producer.send(orders, { value: 0 })
    faults.fate = () => new OttlaError('OTTLA_OUT_OF_ORDER_SEQUENCE', 'No')
    expect(await codeOf(() => producer.send(orders, { value: 1 }))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
    expect(faults.calls).toBe(3)
  })

  it('that another one has fenced is told so, and sends nothing more to any partition', async () => {
    const broker = await openBroker()
    const wide = await broker.topic(new Topic('wide', { partitions: 2, value: json<number>() }))
    const producer = broker.producer()
    await producer.send(wide, { value: 1, partition: 0 })
    const { engine } = broker[ENGINE]
    const [result] = await engine.fetch({
      partitions: [{ topic: 'wide', partition: 0, fetchOffset: 0, maxBytes: 1000 }],
      maxBytes: 1000,
      minBytes: 0,
      maxWaitMs: 0,
    })
    const [theirs] = result?.batches ?? []
    if (theirs === undefined) throw new Error('Nothing was sent')
    const batch = batchOf([{}], { producerId: theirs.producerId, producerEpoch: 5, baseSequence: 0 })
    await engine.produce({ topic: 'wide', partition: 0, batch })
    const outcomes = await Promise.allSettled(
      [0, 0, 0].map((partition) => producer.send(wide, { value: 2, partition })),
    )
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: 'OTTLA_INVALID_PRODUCER_EPOCH', kafkaCode: 47, retriable: false },
      })
    }
    expect(await codeOf(() => producer.send(wide, { value: 3, partition: 1 }))).toBe('OTTLA_INVALID_PRODUCER_EPOCH')
    await producer.close()
    await broker.producer().send(wide, { value: 4, partition: 0 })
  })

  it('has five batches under way at most, and the first one alone', async () => {
    const { faults } = await faulty()
    const producer = faults.producer(systemClock, ONE_EACH)
    await Promise.all(upTo(50).map((value) => producer.send(orders, { value })))
    expect(faults.underWayAt.slice(0, 6)).toEqual([1, 1, 2, 3, 4, 5])
    expect(Math.max(...faults.underWayAt)).toBe(5)
  })

  it('shares a sync among the batches it has under way', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk }) })
    await broker.topic(orders)
    const producer = broker.producer(ONE_EACH)
    await producer.send(orders, { value: 0 })
    const before = disk.count('dataSync', '.log')
    const count = 100
    await Promise.all(upTo(count).map((value) => producer.send(orders, { value })))
    expect(disk.count('dataSync', '.log') - before).toBeLessThanOrEqual(count / 5 + 2)
  })

  it('asks for an id once, and the first send waits for no turn of the event loop', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    let turns = 0
    const counting = setImmediate(function count() {
      turns++
      setImmediate(count)
    })
    await producer.send(orders, { value: 1 })
    clearImmediate(counting)
    expect(turns).toBeLessThanOrEqual(1)
  })

  it('leaves its id to the next one when it closes, in a new epoch', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    for (const value of upTo(3)) {
      const producer = broker.producer()
      await producer.send(orders, { value })
      await producer.close()
    }
    const batches = await batchesOf(broker)
    expect(new Set(batches.map(({ producerId }) => producerId)).size).toBe(1)
    expect(batches.map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ])
  })
})

describe('a partition', () => {
  it.each(['closed', 'killed'])('knows its producers again after a restart: %s', async (how) => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk }) })
    await broker.topic(orders)
    const { producerId } = await broker[ENGINE].engine.initProducerId()
    const produce = (to: Broker, baseSequence: number): Promise<{ baseOffset: number }> => {
      const batch = batchOf([{}], { producerId, producerEpoch: 3, baseSequence })
      return to[ENGINE].engine.produce({ topic: 'orders', partition: 0, batch })
    }
    for (const sequence of [0, 1, 2]) await produce(broker, sequence)
    if (how === 'closed') await broker.close()
    const next = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk.killProcess() }) })
    // Kafka's snapshot keeps the last batch of each producer; the log, where it is read again, tells of five.
    for (const sequence of how === 'closed' ? [2] : [0, 1, 2]) {
      expect((await produce(next, sequence)).baseOffset).toBe(sequence)
    }
    await expect(produce(next, 5)).rejects.toMatchObject({ code: 'OTTLA_OUT_OF_ORDER_SEQUENCE', kafkaCode: 45 })
    expect((await produce(next, 3)).baseOffset).toBe(3)
    const theirs = await next[ENGINE].engine.initProducerId()
    expect(theirs.producerId).toBeGreaterThan(producerId)
  })
})

describe('a retry', () => {
  it.each(['memory', 'files'])('mends a storage that failed once (%s)', async (where) => {
    const disk = new SimulatedFileSystem()
    const held = new HeldStorage()
    const storage = where === 'files' ? new FileStorage('/data', { fileSystem: disk }) : held
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer()
    await producer.send(orders, { value: 0 })
    let failures = 0
    disk.plan = ({ act, path }) => {
      if (act !== 'write' || !path.endsWith('.log') || !path.includes('orders') || failures > 0) return undefined
      failures++
      return 'EIO'
    }
    held.failure = new Error('not now')
    const sends = upTo(3).map((value) => producer.send(orders, { value: value + 1 }))
    await nextTurn()
    held.failure = undefined
    expect((await Promise.all(sends)).map(({ offset }) => offset)).toEqual([1, 2, 3])
    if (where === 'files') expect(failures).toBe(1)
    expect(await valuesOf(broker)).toEqual(upTo(4))
  })

  it('is made `retries` times, then the send fails with the cause, and the next one begins anew', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, { retries: 3, retryBackoffMs: 0 })
    faults.fate = (call) => (call < 4 ? 'fail' : 'pass')
    expect(await codeOf(() => producer.send(orders, { value: 0 }))).toBe('OTTLA_STORAGE_FAILED')
    expect(faults.calls).toBe(4)
    await producer.send(orders, { value: 1 })
    faults.calls = 1
    await producer.send(orders, { value: 2 })
    expect(await valuesOf(broker)).toEqual([1, 2])
  })

  it('waits twice as long each time, up to a second, and none begins later than deliveryTimeoutMs', async () => {
    const { faults } = await faulty()
    const clock = new ManualClock()
    const producer = faults.producer(clock, { retries: 100, retryBackoffMs: 100, deliveryTimeoutMs: 2_600 })
    faults.fate = () => 'fail'
    const sent = producer.send(orders, { value: 0 }).catch((error: OttlaError) => error.code)
    await nextTurn()
    const waits: number[] = []
    for (let ms = 0, calls = 1; ms < 5_000; ms += 100) {
      await clock.advance(100)
      if (faults.calls > calls) waits.push(ms + 100)
      calls = faults.calls
    }
    expect(await sent).toBe('OTTLA_STORAGE_FAILED')
    expect(waits).toEqual([100, 300, 700, 1_500, 2_500])
  })

  it('is not made where only the caller can help', async () => {
    for (const code of ['OTTLA_STORAGE_FULL', 'OTTLA_MESSAGE_TOO_LARGE', 'OTTLA_STORAGE_FAILED'] as const) {
      const { faults } = await faulty()
      faults.fate = () => new OttlaError(code, 'No')
      expect(await codeOf(() => faults.producer(systemClock).send(orders, { value: 1 }))).toBe(code)
      expect(faults.calls).toBe(1)
    }
  })

  it('is not made after a sync that failed, which nobody makes again', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk }) })
    await broker.topic(orders)
    const producer = broker.producer()
    await producer.send(orders, { value: 0 })
    disk.plan = ({ act, path }) => (act === 'dataSync' && path.includes('orders') ? 'EIO' : undefined)
    const sent = producer.send(orders, { value: 1 })
    await expect(sent).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED', retriable: false })
    disk.plan = () => undefined
    expect((await broker.metrics()).producers.retries).toBe(0)
  })

  it.each([0, 1])(
    'is tried once more by close, at once, and all that waits settles though no time passes (%i sent)',
    async (before) => {
      const { faults } = await faulty()
      const clock = new ManualClock()
      const producer = faults.producer(clock, { ...ONE_EACH, maxInFlightBytes: 100 })
      for (const value of upTo(before)) await producer.send(orders, { value })
      faults.fate = () => 'fail'
      const sends = upTo(10).map((value) => producer.send(orders, { value }))
      const outcomes = Promise.allSettled(sends)
      expect(await outcomeNow(Promise.race(sends))).toBe('pending')
      const calls = faults.calls
      expect(await outcomeNow(producer.close(), 500)).toBe('resolved')
      for (const { status } of await outcomes) expect(status).toBe('rejected')
      expect(faults.calls).toBe(calls + 10)
      expect(clock.pendingTimers).toBe(0)
    },
  )

  it('is what idle waits for, and says so where only time could help', async () => {
    const storage = new HeldStorage()
    const clock = new ManualClock()
    const broker = await openBroker({ storage, clock })
    await broker.topic(orders)
    storage.failure = new Error('not now')
    const sent = broker.producer().send(orders, { value: 1 })
    await nextTurn()
    expect(await codeOf(() => broker.idle())).toBe('OTTLA_NEVER_IDLE')
    storage.failure = undefined
    await clock.advance(10)
    expect((await sent).offset).toBe(0)
    await broker.idle()
  })
})

describe('a producer with idempotent: false', () => {
  it('sends batches without an id, and a failure is told at once', async () => {
    const { broker, faults } = await faulty()
    const producer = faults.producer(systemClock, { idempotent: false })
    await producer.send(orders, { value: 1 })
    faults.fate = () => 'fail'
    expect(await codeOf(() => producer.send(orders, { value: 2 }))).toBe('OTTLA_STORAGE_FAILED')
    expect(faults.calls).toBe(2)
    expect((await batchesOf(broker)).map(({ producerId, baseSequence }) => [producerId, baseSequence])).toEqual([
      [-1, -1],
    ])
  })

  it('is refused together with retries, which could double a message', async () => {
    const broker = await openBroker()
    expect(await codeOf(() => broker.producer({ idempotent: false, retries: 1 }))).toBe('OTTLA_INVALID_ARGUMENT')
    await broker.producer({ idempotent: false, retries: 0 }).close()
  })
})
