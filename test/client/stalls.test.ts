import { type Broker, type ConsumerGroup, type GroupOptions, type Message, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { committed, deferred, openBroker, range, send } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 2 })

type Options = Omit<GroupOptions<unknown>, 'topics'>

function memberOf(broker: Broker, options: Options = {}): { member: ConsumerGroup<Message<number>>; told: string[] } {
  const member = broker.consumerGroup('g', { ...options, topics: [numbers] })
  const told: string[] = []
  for (const event of ['assigned', 'revoked', 'lost'] as const) {
    member.on(event, (at) => void told.push(`${event} ${at.map(({ partition }) => partition).sort()}`))
  }
  member.on('stalled', (at) => void told.push(`stalled ${at.topic}-${at.partition} ${at.offset}`))
  return { member, told }
}

describe.each(['partition', 'key', 'batches'] as const)('a handler that takes too long, by %s', (way) => {
  it('costs its member the partitions, and the member comes back when it is done', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { maxPollIntervalMs: 60_000 })
    const [started, release] = [deferred(), deferred()]
    const seen: string[] = []
    let late: Promise<void> | undefined
    const handle = async (message: Message<number>): Promise<void> => {
      seen.push(`${message.partition}/${message.offset}`)
      if (message.value !== 13 || late !== undefined) return
      started.resolve()
      await release.promise
      late = member.commit(message)
      await late
    }
    if (way === 'batches') {
      await member.runBatches(
        async ({ messages }) => {
          for (const message of messages) await handle(message)
        },
        { maxMessages: 1 },
      )
    } else await member.run(handle, { ordering: way })
    await send(broker, numbers, [1, 13, 2], 1)
    await send(broker, numbers, [1], 0)
    await started.promise
    await clock.advance(59_000)
    expect(told).toEqual(['assigned 0,1'])
    expect((await broker.describeGroup('g')).members).toHaveLength(1)
    await clock.advance(13_000)
    expect(told).toEqual(['assigned 0,1', 'stalled numbers-1 1', 'lost 0,1'])
    expect((await broker.describeGroup('g')).members).toHaveLength(0)
    expect(await committed(broker, 'g', 'numbers', 1)).toBe(1)

    release.resolve()
    await broker.idle()
    await expect(late).rejects.toMatchObject({ code: 'OTTLA_ILLEGAL_GENERATION' })
    expect(told).toEqual(['assigned 0,1', 'stalled numbers-1 1', 'lost 0,1', 'assigned 0,1'])
    expect(seen.filter((place) => place === '1/1')).toHaveLength(2)
    expect(await committed(broker, 'g', 'numbers', 1)).toBe(3)
  })
})

describe('a handler that takes too long', () => {
  it('leaves its partition to another member, who goes on with the message', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { maxPollIntervalMs: 1_000 })
    const [started, release] = [deferred(), deferred()]
    await member.run(async ({ value }) => {
      if (value !== 13) return
      started.resolve()
      await release.promise
    })
    await send(broker, numbers, [13], 0)
    await started.promise
    const other = memberOf(broker)
    const seen: number[] = []
    const running = other.member.run(({ value }) => void seen.push(value))
    await clock.advance(1_200)
    await running
    expect(told).toContain('stalled numbers-0 0')
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([13])
    release.resolve()
    await broker.idle()
    expect(await committed(broker, 'g', 'numbers', 0)).toBe(1)
    expect((await broker.describeGroup('g')).members.map(({ assignment }) => assignment.length)).toEqual([1, 1])
  })

  it('may heed its signal, and the member is back at once', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { maxPollIntervalMs: 1_000 })
    let tries = 0
    const started = deferred()
    await member.run(async (_, { signal }) => {
      if (++tries > 1) return
      started.resolve()
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await send(broker, numbers, [1])
    await started.promise
    await clock.advance(1_200)
    await broker.idle()
    expect(tries).toBe(2)
    expect(told).toEqual(['assigned 0,1', 'stalled numbers-0 0', 'lost 0,1', 'assigned 0,1'])
  })

  it('is none that only has much to do: each message has its own time', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { maxPollIntervalMs: 1_000 })
    await member.run(async () => {
      const passed = deferred()
      clock.schedule(passed.resolve, 700)
      await passed.promise
    })
    await send(broker, numbers, range(1, 20))
    await clock.advance(20 * 700)
    await broker.idle()
    expect(told).toEqual(['assigned 0,1'])
  })

  it('is let be by default, and by a time of Infinity', async () => {
    for (const options of [{}, { maxPollIntervalMs: Number.POSITIVE_INFINITY }]) {
      const clock = new ManualClock()
      const broker = await openBroker({ clock }, numbers)
      const { member, told } = memberOf(broker, options)
      const [started, release] = [deferred(), deferred()]
      await member.run(async () => {
        started.resolve()
        await release.promise
      })
      await send(broker, numbers, [1])
      await started.promise
      await clock.advance(86_400_000)
      expect(told).toEqual(['assigned 0,1'])
      release.resolve()
      await broker.idle()
    }
  })

  it('in a static member: its place is kept, and it comes back to it', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { maxPollIntervalMs: 1_000, instanceId: 'one', sessionTimeoutMs: 10_000 })
    const [started, release] = [deferred(), deferred()]
    await member.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, numbers, [1])
    await started.promise
    await clock.advance(1_200)
    expect((await broker.describeGroup('g')).members.map(({ instanceId }) => instanceId)).toEqual(['one'])
    release.resolve()
    await broker.idle()
    expect(told).toEqual(['assigned 0,1', 'stalled numbers-0 0', 'lost 0,1', 'assigned 0,1'])
  })

  it('in a static member that does not come back: its session ends', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member } = memberOf(broker, { maxPollIntervalMs: 1_000, instanceId: 'one', sessionTimeoutMs: 10_000 })
    const [started, release] = [deferred(), deferred()]
    await member.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, numbers, [1])
    await started.promise
    await clock.advance(12_000)
    expect((await broker.describeGroup('g')).members).toEqual([])
    release.resolve()
    await broker.idle()
    expect((await broker.describeGroup('g')).members.map(({ instanceId }) => instanceId)).toEqual(['one'])
  })
})

describe.each(['cooperativeSticky', 'range'] as const)('a handler that holds a rebalance up under %s', (assignor) => {
  it('has rebalanceTimeoutMs, and then its member is left out until it is done', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const { member, told } = memberOf(broker, { assignor, rebalanceTimeoutMs: 5_000 })
    const [started, release] = [deferred(), deferred()]
    let running = 0
    await member.run(async () => {
      if (++running === 2) started.resolve()
      await release.promise
    })
    for (const partition of [0, 1]) await send(broker, numbers, [partition], partition)
    await started.promise
    const other = memberOf(broker, { assignor, rebalanceTimeoutMs: 5_000 })
    const seen: number[] = []
    const joined = other.member.run(({ value }) => void seen.push(value))
    await clock.advance(4_999)
    expect(seen).toEqual([])
    await clock.advance(1)
    await joined
    while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve))
    expect(seen.sort()).toEqual([0, 1])
    expect(told.filter((line) => line.startsWith('stalled')).length).toBeGreaterThan(0)
    expect(told.at(-1)).toBe('lost 0,1')
    release.resolve()
    await broker.idle()
    expect(told.filter((line) => line.startsWith('revoked'))).toEqual([])
    expect((await broker.describeGroup('g')).members.map(({ assignment }) => assignment.length)).toEqual([1, 1])
    expect(seen).toHaveLength(2)
  })
})
