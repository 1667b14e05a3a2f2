import { type Broker, type ConsumerGroup, type Message, Topic, type TopicPartition } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { deferred, openBroker, range, send } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 4 })

type Told = [event: 'assigned' | 'revoked' | 'lost', partitions: number[]]

/** A static member, with what it is told of its partitions. */
async function join(
  broker: Broker,
  instanceId: string,
  handler: (message: Message<number>) => unknown = () => {},
): Promise<{ member: ConsumerGroup<Message<number>>; told: Told[] }> {
  const member = broker.consumerGroup('g', { topics: [numbers], instanceId, sessionTimeoutMs: 10_000 })
  const told: Told[] = []
  const hear = (event: Told[0]) => (partitions: TopicPartition[]) =>
    void told.push([event, partitions.map(({ partition }) => partition).sort()])
  for (const event of ['assigned', 'revoked', 'lost'] as const) member.on(event, hear(event))
  await member.run(handler)
  return { member, told }
}

async function assignments(broker: Broker): Promise<Record<string, number[]>> {
  const { members } = await broker.describeGroup('g')
  return Object.fromEntries(
    members.map(({ instanceId, assignment }) => [instanceId, assignment.map(({ partition }) => partition).sort()]),
  )
}

describe('a static member', () => {
  it('comes back to what it had, and nobody else is disturbed', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const seen: string[] = []
    const one = await join(broker, 'one', ({ partition, offset }) => void seen.push(`one: ${partition}/${offset}`))
    const two = await join(broker, 'two', ({ partition, offset }) => void seen.push(`two: ${partition}/${offset}`))
    for (const partition of range(0, 3)) await send(broker, numbers, [0], partition)
    await broker.idle()
    const before = await assignments(broker)
    const toldBefore = two.told.length

    await one.member.close()
    expect(await assignments(broker)).toEqual(before)
    for (const partition of range(0, 3)) await send(broker, numbers, [1], partition)
    const back = await join(broker, 'one', ({ partition, offset }) => void seen.push(`back: ${partition}/${offset}`))
    await broker.idle()
    expect(await assignments(broker)).toEqual(before)
    expect(back.told).toEqual([['assigned', before.one]])
    expect(two.told.slice(toldBefore)).toEqual([])
    const expected = Object.entries(before).flatMap(([instance, partitions]) =>
      partitions.flatMap((partition) => [`${instance}: ${partition}/0`, `${instance}: ${partition}/1`]),
    )
    const renamed = expected.map((place) => place.replace(/^one(.*1)$/, 'back$1'))
    expect(seen.sort()).toEqual(renamed.sort())
  })

  it('that is away keeps its messages to itself, and the group is idle when others have had them', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const seen: number[] = []
    const one = await join(broker, 'one')
    await join(broker, 'two', ({ partition }) => void seen.push(partition))
    await broker.idle()
    await one.member.close()
    for (const partition of range(0, 3)) await send(broker, numbers, [0], partition)
    await expect(broker.idle()).rejects.toMatchObject({
      code: 'OTTLA_NEVER_IDLE',
      message: expect.stringMatching(/group g: numbers-\d offset 0 is to be committed up to 1 by member one-/),
    })
    await clock.advance(10_000)
    await broker.idle()
    expect(seen.sort()).toEqual(range(0, 3))
  })

  it('that leads comes back as a leader that assigns nothing anew', async () => {
    const broker = await openBroker({ clock: new ManualClock() }, numbers)
    const leader = await join(broker, 'leader')
    const other = await join(broker, 'other')
    await broker.idle()
    const before = await assignments(broker)
    const told = other.told.length
    await leader.member.close()
    await join(broker, 'leader')
    await broker.idle()
    expect(await assignments(broker)).toEqual(before)
    expect(other.told).toHaveLength(told)
  })

  it('keeps its place until its session is over, and then loses it to the others', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const one = await join(broker, 'one')
    const two = await join(broker, 'two')
    await broker.idle()
    await one.member.close()
    await clock.advance(9_999)
    expect(Object.keys(await assignments(broker))).toEqual(['one', 'two'])
    await clock.advance(1)
    await broker.idle()
    expect(await assignments(broker)).toEqual({ two: [0, 1, 2, 3] })
    expect(two.told.at(-1)?.[0]).toBe('assigned')
  })

  it('keeps its session for as long as it lives, also while a handler holds a rebalance up', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const [started, release] = [deferred(), deferred()]
    const one = await join(broker, 'one', async () => {
      started.resolve()
      await release.promise
    })
    for (const partition of range(0, 3)) await send(broker, numbers, [0], partition)
    await started.promise
    const joining = join(broker, 'two')
    await clock.advance(100_000)
    expect(Object.keys(await assignments(broker)).sort()).toEqual(['one', 'two'])
    release.resolve()
    await joining
    await broker.idle()
    expect(one.told.filter(([event]) => event === 'lost')).toEqual([])
    expect(
      Object.values(await assignments(broker))
        .flat()
        .sort(),
    ).toEqual([0, 1, 2, 3])
  })

  it('is fenced by another of the same name: it loses everything at once, and its commits are refused', async () => {
    const broker = await openBroker({ clock: new ManualClock() }, numbers)
    const [started, release] = [deferred(), deferred()]
    let late: Promise<void> | undefined
    const first = await join(broker, 'one', async (message) => {
      started.resolve()
      await release.promise
      late = first.member.commit(message)
      await late
    })
    const stopped = expect(first.member.closed).rejects.toMatchObject({ code: 'OTTLA_FENCED_INSTANCE_ID' })
    await send(broker, numbers, [7], 2)
    await started.promise
    const seen: number[] = []
    await join(broker, 'one', ({ value }) => void seen.push(value))
    while (first.told.at(-1)?.[0] !== 'lost') await new Promise((resolve) => setImmediate(resolve))
    expect(first.told.at(-1)).toEqual(['lost', [0, 1, 2, 3]])
    release.resolve()
    await stopped
    await expect(late).rejects.toMatchObject({ code: 'OTTLA_ILLEGAL_GENERATION' })
    await broker.idle()
    expect(seen).toEqual([7])
  })

  it('that failed leaves its place to who comes back under its name', async () => {
    const broker = await openBroker({ clock: new ManualClock() }, numbers)
    const two = await join(broker, 'two')
    const one = await join(broker, 'one', () => {
      throw new Error('no')
    })
    await broker.idle()
    const before = await assignments(broker)
    const [mine = -1] = before.one ?? []
    await Promise.all([
      expect(one.member.closed).rejects.toMatchObject({ code: 'OTTLA_HANDLER_FAILED' }),
      send(broker, numbers, [5], mine),
    ])
    const seen: number[] = []
    const told = two.told.length
    await join(broker, 'one', ({ value }) => void seen.push(value))
    await broker.idle()
    expect(seen).toEqual([5])
    expect(await assignments(broker)).toEqual(before)
    expect(two.told).toHaveLength(told)
  })

  it('takes its session’s time only with its name', async () => {
    const broker = await openBroker()
    for (const options of [{ sessionTimeoutMs: 10_000 }, { instanceId: '' }, { instanceId: 5 }]) {
      expect(() => broker.consumerGroup('g', { topics: [numbers], ...(options as object) })).toThrow(
        expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }),
      )
    }
    const tooShort = broker.consumerGroup('g', { topics: [numbers], instanceId: 'a', sessionTimeoutMs: 1 })
    await expect(tooShort.run(() => {})).rejects.toMatchObject({ code: 'OTTLA_INVALID_SESSION_TIMEOUT' })
  })
})
