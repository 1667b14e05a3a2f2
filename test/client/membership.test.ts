import { getEventListeners } from 'node:events'
import { type Broker, type ConsumerGroup, type Message, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { committed, deferred, drain, next, openBroker, range, send } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 5 })

type Options = { assignor?: 'cooperativeSticky' | 'sticky' | 'range' | 'roundRobin' }

async function join(
  broker: Broker,
  handler: (message: Message<number>) => unknown = () => {},
  options: Options = {},
): Promise<ConsumerGroup<Message<number>>> {
  const member = broker.consumerGroup('g', { topics: [numbers], ...options })
  await member.run(handler)
  return member
}

/** How many partitions each member holds, once the group has come to rest. */
async function shares(broker: Broker): Promise<number[]> {
  await broker.idle()
  const { members } = await broker.describeGroup('g')
  return members.map(({ assignment }) => assignment.length).sort((a, b) => b - a)
}

async function sendAll(broker: Broker, count = 4): Promise<void> {
  for (const partition of range(0, 4)) await send(broker, numbers, range(1, count), partition)
}

describe.each(['cooperativeSticky', 'sticky', 'range', 'roundRobin'] as const)('members under %s', (assignor) => {
  it('share the partitions evenly, whoever joins and leaves', async () => {
    const broker = await openBroker({}, numbers)
    const first = await join(broker, () => {}, { assignor })
    expect(await shares(broker)).toEqual([5])
    const second = await join(broker, () => {}, { assignor })
    expect(await shares(broker)).toEqual([3, 2])
    const third = await join(broker, () => {}, { assignor })
    expect(await shares(broker)).toEqual([2, 2, 1])
    await first.close()
    expect(await shares(broker)).toEqual([3, 2])
    await Promise.all([second.close(), third.close()])
    expect(await shares(broker)).toEqual([])
  })

  it('handle nothing twice while they join and leave in order', async () => {
    const broker = await openBroker({}, numbers)
    const seen: string[] = []
    const handler = async ({ partition, offset }: Message<number>): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(`${partition}:${offset}`)
    }
    const members = [await join(broker, handler, { assignor })]
    for (const round of range(1, 8)) {
      await sendAll(broker)
      members.push(await join(broker, handler, { assignor }))
      await sendAll(broker)
      if (round % 2 === 0) await members.shift()?.close()
    }
    await broker.idle()
    expect(seen).toHaveLength(8 * 2 * 5 * 4)
    expect(new Set(seen).size).toBe(seen.length)
  })

  it('may be more than the partitions: some have nothing to do', async () => {
    const broker = await openBroker({}, numbers)
    const members = await Promise.all(range(1, 20).map(() => join(broker, () => {}, { assignor })))
    expect(await shares(broker)).toEqual([1, 1, 1, 1, 1, ...Array.from({ length: 15 }, () => 0)])
    await sendAll(broker)
    await Promise.all(members.slice(0, 18).map((member) => member.close()))
    expect(await shares(broker)).toEqual([3, 2])
  })

  it('pick up partitions that a topic gets later', async () => {
    const topic = new Topic<number>('growing', { partitions: 1 })
    const broker = await openBroker({}, topic)
    const members = [1, 2].map(() => broker.consumerGroup('g', { topics: [topic], assignor }))
    const seen: number[] = []
    await Promise.all(members.map((member) => member.run(({ partition }) => void seen.push(partition))))
    await broker.alterTopic(topic, { partitions: 4 })
    for (const partition of range(0, 3)) await send(broker, topic, [1], partition)
    await broker.idle()
    expect(seen.sort()).toEqual([0, 1, 2, 3])
    expect(await shares(broker)).toEqual([2, 2])
  })
})

describe('the cooperative assignor', () => {
  it('does not interrupt partitions that stay where they are', async () => {
    const broker = await openBroker({}, numbers)
    const first = await join(broker)
    const revoked: number[] = []
    const assigned: number[] = []
    first.on('revoked', (partitions) => void revoked.push(...partitions.map(({ partition }) => partition)))
    first.on('assigned', (partitions) => void assigned.push(...partitions.map(({ partition }) => partition)))
    await join(broker)
    expect(await shares(broker)).toEqual([3, 2])
    expect(revoked).toHaveLength(2)
    await join(broker)
    expect(await shares(broker)).toEqual([2, 2, 1])
    expect(new Set(revoked).size).toBe(3)
    expect(assigned).toEqual([])
  })

  it('lets the handlers of partitions that stay run through a rebalance, and commit', async () => {
    const broker = await openBroker({}, numbers)
    const [started, release] = [deferred(), deferred()]
    const first = await join(broker, async (message) => {
      started.resolve()
      await release.promise
      await first.commit(message)
    })
    await send(broker, numbers, [1], 0)
    await started.promise
    const second = await join(broker)
    expect((await second.lag()).length).toBe(5)
    release.resolve()
    expect(await shares(broker)).toEqual([3, 2])
    expect(await committed(broker, 'g', 'numbers', 0)).toBe(1)
  })

  it('lets a handler commit by hand at any moment of a rebalance', async () => {
    for (const ticks of range(0, 80)) {
      const broker = await openBroker({}, numbers)
      const [started, release] = [deferred(), deferred()]
      const first = await join(broker, async (message) => {
        started.resolve()
        await release.promise
        await first.commit(message)
      })
      await send(broker, numbers, [1], 0)
      await started.promise
      const joining = join(broker)
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      release.resolve()
      await joining
      await broker.idle()
      expect(await committed(broker, 'g', 'numbers', 0)).toBe(1)
      await broker.close()
    }
  })
})

describe('an eager assignor', () => {
  it('revokes everything before each rebalance', async () => {
    const broker = await openBroker({}, numbers)
    const first = await join(broker, () => {}, { assignor: 'range' })
    const revoked = next(first, 'revoked')
    await join(broker, () => {}, { assignor: 'range' })
    expect(await revoked).toEqual([0, 1, 2, 3, 4])
  })

  it('may meet members that prefer another: the group agrees on one, and each partition has one member', async () => {
    const broker = await openBroker({}, numbers)
    await join(broker, () => {}, { assignor: 'cooperativeSticky' })
    await join(broker, () => {}, { assignor: 'range' })
    await join(broker, () => {}, { assignor: 'range' })
    expect(await shares(broker)).toEqual([2, 2, 1])
    const { members } = await broker.describeGroup('g')
    expect(new Set(members.flatMap(({ assignment }) => assignment.map(({ partition }) => partition))).size).toBe(5)
  })

  it('that takes the place of a cooperative one gets what moves only when it was given up', async () => {
    const broker = await openBroker({}, numbers)
    await sendAll(broker, 1)
    const seen: number[] = []
    const [started, release] = [deferred(), deferred()]
    await join(broker, async ({ partition }) => {
      seen.push(partition)
      if (seen.length === 5) started.resolve()
      await release.promise
    })
    await started.promise
    const joining = [1, 2].map(() => join(broker, ({ partition }) => void seen.push(partition), { assignor: 'range' }))
    await Promise.all(joining)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toHaveLength(5)
    release.resolve()
    expect(await shares(broker)).toEqual([2, 2, 1])
    expect(seen).toHaveLength(5)
  })
})

describe('a rebalance', () => {
  it('waits for a handler of a partition that moves, and commits what it did', async () => {
    const broker = await openBroker({}, numbers)
    await sendAll(broker, 1)
    const seen: number[] = []
    const [started, release] = [deferred(), deferred()]
    await join(broker, async ({ partition }) => {
      seen.push(partition)
      if (seen.length === 5) started.resolve()
      await release.promise
    })
    await started.promise
    const joining = join(broker, ({ partition }) => void seen.push(partition))
    release.resolve()
    await joining
    await broker.idle()
    expect(seen.sort()).toEqual([0, 1, 2, 3, 4])
  })

  it('is not held up by a partition that waits for a slot', async () => {
    const broker = await openBroker({}, numbers)
    await sendAll(broker, 1)
    const [started, release] = [deferred<number>(), deferred()]
    const first = broker.consumerGroup('g', { topics: [numbers] })
    await first.run(
      async ({ partition }) => {
        started.resolve(partition)
        await release.promise
      },
      { concurrency: 1 },
    )
    expect(await started.promise).toBe(0)
    const revoked = next(first, 'revoked')
    await join(broker)
    expect(await revoked).toEqual([3, 4])
    release.resolve()
    await broker.idle()
    expect((await first.lag()).every(({ lag }) => lag === 0)).toBe(true)
  })

  it('keeps a partition paused that stays, and says so to idle', async () => {
    const broker = await openBroker({}, numbers)
    const seen: number[] = []
    const first = await join(broker, ({ partition }) => void seen.push(partition))
    first.pause([{ topic: 'numbers', partition: 0 }])
    await join(broker)
    await send(broker, numbers, [1], 0)
    await broker.idle()
    expect(seen).toEqual([])
    first.resume([{ topic: 'numbers', partition: 0 }])
    await broker.idle()
    expect(seen).toEqual([0])
  })

  it('is seen to be over by idle, at whatever moment that is called', async () => {
    for (const ticks of range(0, 10)) {
      const broker = await openBroker({}, numbers)
      const member = broker.consumerGroup('g', { topics: [numbers] })
      const idle = new Promise((resolve) => {
        member.on('assigned', async () => {
          for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
          resolve(broker.idle())
        })
      })
      await member.run(() => {})
      await idle
      await broker.close()
    }
  })

  it('leaves no listener behind on the signal of run', async () => {
    const broker = await openBroker({}, numbers)
    const { signal } = new AbortController()
    const stays = broker.consumerGroup('g', { topics: [numbers] })
    await stays.run(() => {}, { signal })
    for (let round = 0; round < 10; round++) await (await join(broker)).close()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await stays.close()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('a member that fails', () => {
  it('leaves at once, and the others go on with what it did not handle', async () => {
    const broker = await openBroker({}, numbers)
    const seen: string[] = []
    const first = broker.consumerGroup('g', { topics: [numbers] })
    first.on('error', () => {})
    await first.run(({ offset }) => {
      if (offset === 2) throw new Error('no')
    })
    await sendAll(broker, 4)
    await expect(first.closed).rejects.toMatchObject({ code: 'OTTLA_HANDLER_FAILED' })
    await join(broker, ({ partition, offset }) => void seen.push(`${partition}:${offset}`))
    await broker.idle()
    expect(seen).toEqual(expect.arrayContaining(range(0, 4).map((partition) => `${partition}:3`)))
    expect(await drain(broker, 'g', [numbers])).toEqual([])
  })
})
