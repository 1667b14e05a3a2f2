import { type Broker, MemoryStorage, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { brokers, codeOf, contentsOf } from './brokers.js'

const openBroker = brokers()
const states = new Topic('states', { cleanupPolicy: 'compact', key: string(), value: string() })

/** A compacted topic with the messages 4, 6 and 8, 9 to 11 behind them, and gaps where others were. */
async function withGaps(): Promise<Broker> {
  const broker = await openBroker({ storage: new MemoryStorage({ segmentBytes: 1000 }) })
  await broker.topic(states)
  const producer = broker.producer()
  for (const key of ['a', 'b', 'a', 'b', 'a', 'c', 'b', 'c', 'c']) await producer.send(states, { key, value: key })
  // Two segments of their own, of which the second stays active.
  for (const value of ['x', 'y', 'z']) await producer.send(states, { key: value, value: value.repeat(900) })
  await broker.compact(states)
  return broker
}

const LEFT = [4, 6, 8, 9, 10, 11]

const offsetsIn = (messages: readonly { offset: number }[]): number[] => messages.map(({ offset }) => offset)

describe('a compacted topic', () => {
  it('is read over its gaps, from any offset, and backwards from its end', async () => {
    const broker = await withGaps()
    expect(offsetsIn(await contentsOf(broker, states))).toEqual(LEFT)
    for (let from = 0; from < 12; from++) {
      const found: number[] = []
      for await (const message of broker.reader(states, { from: { offset: from }, until: 'end' })) {
        found.push(message.offset)
      }
      expect(found).toEqual(LEFT.filter((offset) => offset >= from))
    }
    const last: number[] = []
    for await (const { offset } of broker.reader(states, { from: { last: 5 }, until: { offset: 10 } }))
      last.push(offset)
    // Five messages, not five offsets: there are none at some of them.
    expect(last).toEqual(LEFT.slice(-5).filter((offset) => offset < 10))
    expect(last).toEqual([6, 8, 9])
  })

  it.each(['partition', 'key'] as const)(
    'is handled over its gaps, committed and idle at its end (%s)',
    async (ordering) => {
      const broker = await withGaps()
      const handled: number[] = []
      const group = broker.consumerGroup('g', { topics: [states] })
      await group.run(({ offset }) => void handled.push(offset), { ordering })
      await broker.idle()
      expect(handled.sort((a, b) => a - b)).toEqual(LEFT)
      expect(await group.lag()).toEqual([
        { topic: 'states', partition: 0, committedOffset: 12, logEndOffset: 12, lag: 0 },
      ])
    },
  )

  it('is handled by the batch over its gaps', async () => {
    const broker = await withGaps()
    const handled: number[][] = []
    const group = broker.consumerGroup('g', { topics: [states] })
    await group.runBatches((batch) => void handled.push(offsetsIn(batch.messages)), { maxMessages: 4 })
    await broker.idle()
    expect(handled).toEqual([LEFT.slice(0, 4), LEFT.slice(4)])
    expect((await group.lag())[0]?.lag).toBe(0)
  })

  it('is gone on with from a committed offset and a position at which there is no message any more', async () => {
    const broker = await openBroker({ storage: new MemoryStorage({ segmentBytes: 1000 }) })
    await broker.topic(states)
    const producer = broker.producer()
    for (const key of ['a', 'b', 'a', 'b']) await producer.send(states, { key, value: key })
    const first = broker.consumerGroup('g', { topics: [states], commit: 'manual' })
    for await (const message of first) {
      await first.commit(message)
      break
    }
    for (const key of ['a', 'b', 'x', 'y', 'z']) await producer.send(states, { key, value: key.repeat(900) })
    await broker.compact(states)
    const handled: number[] = []
    const second = broker.consumerGroup('g', { topics: [states], onOutOfRange: 'error' })
    await second.run(({ offset }) => void handled.push(offset))
    await broker.idle()
    // The group had committed 1: its messages up to 3 have newer ones, and it is not out of range.
    expect(handled).toEqual([4, 5, 6, 7, 8])
    await second.seek({ offset: 2 })
    await broker.idle()
    expect(handled.slice(5)).toEqual([4, 5, 6, 7, 8])
    expect((await second.lag())[0]?.lag).toBe(0)
  })

  it('takes no message without a key, tells all senders of the batch so, and goes on', async () => {
    const broker = await openBroker({})
    await broker.topic(states)
    const producer = broker.producer()
    const sent = [{ key: 'a', value: '1' }, { value: '2' }].map((message) =>
      codeOf(() => producer.send(states, message)),
    )
    expect(await Promise.all(sent)).toEqual(['OTTLA_INVALID_RECORD', 'OTTLA_INVALID_RECORD'])
    expect(await producer.send(states, { key: 'a', value: '1' })).toMatchObject({ offset: 0 })
  })

  it('is compacted on request alone, and is told from one that is not', async () => {
    const broker = await withGaps()
    await broker.topic(new Topic('plain'))
    expect(await codeOf(() => broker.compact('plain'))).toBe('OTTLA_POLICY_VIOLATION')
    expect(await codeOf(() => broker.compact('nowhere'))).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
    expect(await codeOf(() => Reflect.apply(broker.compact, broker, [7]))).toBe('OTTLA_INVALID_ARGUMENT')
    await broker.compact(states)
    await broker.compact('__cluster_metadata')
    expect(await codeOf(() => broker.deleteRecords([{ topic: 'states', partition: 0, beforeOffset: 5 }]))).toBe(
      'OTTLA_POLICY_VIOLATION',
    )
    await broker.close()
    expect(await codeOf(() => broker.compact(states))).toBe('OTTLA_CLOSED')
  })
})

describe('a position that retention removed', () => {
  const short = new Topic('short', { retentionMs: 60_000, value: string() })

  async function behind(): Promise<{ broker: Broker; clock: ManualClock }> {
    const clock = new ManualClock({ now: 1e12 })
    const broker = await openBroker({ clock, storage: new MemoryStorage({ segmentBytes: 1000 }) })
    await broker.topic(short)
    const producer = broker.producer()
    for (let n = 0; n < 4; n++) await producer.send(short, { value: `${n}`.repeat(500) })
    await clock.advance(60_000)
    for (let n = 4; n < 6; n++) await producer.send(short, { value: `${n}`.repeat(500) })
    return { broker, clock }
  }

  it.each([
    ['earliest', [0, 4, 5, 6], 4],
    ['latest', [0, 6], 6],
  ] as const)('is told, and the group goes on at the %s', async (onOutOfRange, expected, resetTo) => {
    const { broker, clock } = await behind()
    const handled: number[] = []
    const events: unknown[] = []
    const group = broker.consumerGroup('g', { topics: [short], onOutOfRange })
    group.on('outOfRange', (at) => events.push(at))
    await group.run(({ offset }) => {
      handled.push(offset)
      if (offset === 0) group.pause()
    })
    while (handled.length === 0) await clock.advance(0)
    await clock.advance(1)
    await broker.applyRetention(short)
    await group.seek({ offset: 1 })
    group.resume()
    while (events.length === 0) await clock.advance(0)
    await broker.producer().send(short, { value: '6' })
    await broker.idle()
    expect(events).toEqual([{ topic: 'short', partition: 0, offset: 1, resetTo }])
    expect(handled).toEqual(expected)
    expect((await group.lag())[0]).toMatchObject({ committedOffset: 7, lag: 0 })
  })

  it('stops the group by default, and ends a reader, with an error that names what is there', async () => {
    const { broker, clock } = await behind()
    await clock.advance(1)
    await broker.applyRetention(short)
    const group = broker.consumerGroup('g', { topics: [short], from: { offset: 1 } })
    await group.run(() => {})
    await expect(group.closed).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE', message: /holds 4 to 6/ })
    const reader = broker.reader(short, { from: { offset: 1 } })
    await expect(reader.next()).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE' })
  })
})
