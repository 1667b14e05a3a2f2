import { Broker, MemoryStorage, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CommittedOffsets } from '../../src/group/committed-offsets.js'
import { deferred, drain, openBroker, send } from '../client/consuming.js'

const HOUR_MS = 3_600_000
const numbers: Topic<number> = new Topic<number>('numbers')
const letters: Topic<string> = new Topic<string>('letters')
const config = { offsetsRetentionMs: 24 * HOUR_MS, offsetsRetentionCheckIntervalMs: HOUR_MS }

async function open(clock: ManualClock, more: object = config): Promise<Broker> {
  const broker = await openBroker({ clock, config: { ...more } }, numbers, letters)
  await send(broker, numbers, [1, 2])
  await send(broker, letters, ['a'])
  return broker
}

describe('the offsets of a group without members', () => {
  it('are kept for ever by default', async () => {
    const clock = new ManualClock()
    const broker = await open(clock, {})
    await drain(broker, 'g', [numbers])
    await clock.advance(60 * 24 * HOUR_MS)
    expect(await broker.groups()).toEqual(['g'])
  })

  it('expire when it has had none for the time, whenever they were committed, and the group with them', async () => {
    const clock = new ManualClock()
    const broker = await open(clock)
    const member = broker.consumerGroup('g', { topics: [numbers] })
    await member.run(() => {})
    await broker.idle()
    await clock.advance(100 * HOUR_MS)
    expect((await member.lag())[0]?.committedOffset).toBe(2)
    await member.close()
    // What somebody commits for it in the meantime does not prolong its time, as in Kafka.
    await clock.advance(20 * HOUR_MS)
    await broker.resetOffsets('g', { offset: 1 })
    await clock.advance(3 * HOUR_MS)
    expect((await broker.describeGroup('g')).lag[0]?.committedOffset).toBe(1)
    await clock.advance(2 * HOUR_MS)
    expect(await broker.groups()).toEqual([])
    await expect(broker.describeGroup('g')).rejects.toMatchObject({ code: 'OTTLA_GROUP_NOT_FOUND' })
    expect(await drain(broker, 'g', [numbers])).toEqual([1, 2])
  })

  it('count anew when a member comes and goes', async () => {
    const clock = new ManualClock()
    const broker = await open(clock)
    await drain(broker, 'g', [numbers])
    await clock.advance(23 * HOUR_MS)
    await drain(broker, 'g', [numbers])
    await clock.advance(23 * HOUR_MS)
    expect(await broker.groups()).toEqual(['g'])
    await clock.advance(2 * HOUR_MS)
    expect(await broker.groups()).toEqual([])
  })

  it('that never had any expire one by one, each from its commit on', async () => {
    const clock = new ManualClock()
    const broker = await open(clock)
    await broker.resetOffsets('g', 'latest', { topics: [numbers] })
    await clock.advance(12 * HOUR_MS)
    await broker.resetOffsets('g', 'latest', { topics: [letters] })
    await clock.advance(13 * HOUR_MS)
    expect((await broker.describeGroup('g')).lag.map(({ topic }) => topic)).toEqual(['letters'])
    await clock.advance(12 * HOUR_MS)
    expect(await broker.groups()).toEqual([])
  })

  it('do not expire while the broker is closed, and stay away when they did', async () => {
    const storage = new MemoryStorage()
    const clock = new ManualClock({ now: 0 })
    const before = await Broker.open({ storage, clock, config })
    await before.topic(numbers)
    await before.resetOffsets('g', 'latest', { topics: [numbers] })
    await before.close()

    const later = new ManualClock({ now: 1_000 * HOUR_MS })
    const after = await Broker.open({ storage, clock: later, config })
    await later.advance(23 * HOUR_MS)
    expect(await after.groups()).toEqual(['g'])
    await later.advance(2 * HOUR_MS)
    expect(await after.groups()).toEqual([])
    await after.close()

    const last = await Broker.open({ storage })
    onTestFinished(() => last.close())
    expect(await last.groups()).toEqual([])
  })
})

describe('the offsets of a group with members', () => {
  it('stay, but for those of topics that nobody subscribes to any more', async () => {
    const clock = new ManualClock()
    const broker = await open(clock)
    await drain(broker, 'g', [numbers, letters])
    const member = broker.consumerGroup('g', { topics: [letters] })
    await member.run(() => {})
    await clock.advance(23 * HOUR_MS)
    expect((await broker.describeGroup('g')).lag.map(({ topic }) => topic).sort()).toEqual(['letters', 'numbers'])
    await clock.advance(2 * HOUR_MS)
    expect((await broker.describeGroup('g')).lag.map(({ topic }) => topic)).toEqual(['letters'])
    expect((await member.lag())[0]?.committedOffset).toBe(1)
  })
})

describe('an offset for which a commit is on its way', () => {
  it('does not expire', async () => {
    const written = deferred()
    const appended: (Uint8Array | null)[][] = []
    const offsets = new CommittedOffsets({
      clock: new ManualClock({ now: 5 }),
      log: {
        append: async (_, records) => {
          appended.push(records.map(({ value }) => value))
          if (appended.length === 2) await written.promise
        },
      },
    })
    const at = (partition: number) => ({ topic: 't', partition, offset: 7, metadata: null })
    await offsets.commit('g', [at(0), at(1)])
    const committing = offsets.commit('g', [at(1)])
    const expiring = offsets.expire('g', () => true)
    written.resolve()
    await committing
    expect(await expiring).toBe(false)
    expect(offsets.fetch('g', null)).toMatchObject([{ partition: 1, offset: 7 }])
    expect(appended.at(-1)).toEqual([null])
  })
})
