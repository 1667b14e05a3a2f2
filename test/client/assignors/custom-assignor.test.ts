import { type AnyTopic, Broker, type CustomAssignor, Topic, type TopicPartition } from 'ottla'
import { describe, expect, it } from 'vitest'
import { deferred, openBroker, range, send } from '../consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 4 })
const letters: Topic<string> = new Topic<string>('letters', { partitions: 1 })

/** Everything goes to the member that says the highest number. */
const byRank = (rank: number, more: Partial<CustomAssignor> = {}): CustomAssignor => ({
  name: 'by-rank',
  userData: Uint8Array.of(rank),
  assign: (members, partitions) => {
    const rankOf = (userData: Uint8Array | null): number => userData?.[0] ?? -1
    const [best] = [...members].sort((a, b) => rankOf(b.userData) - rankOf(a.userData))
    return new Map([[best?.memberId ?? '', partitions]])
  },
  ...more,
})

describe.each(['cooperative', 'eager'] as const)('an assignor of the user’s own, %s', (rebalance) => {
  it('places all partitions, knows what its members said, and moves what moves in order', async () => {
    const broker = await openBroker({}, numbers)
    const handled: string[] = []
    const members = [1, 3, 2].map((rank) => {
      const member = broker.consumerGroup('g', { topics: [numbers], assignor: byRank(rank, { rebalance }) })
      return { rank, member }
    })
    for (const { rank, member } of members) {
      await member.run(({ partition, offset }) => void handled.push(`${rank}: ${partition}/${offset}`))
      for (const partition of range(0, 3)) await send(broker, numbers, [0], partition)
      await broker.idle()
    }
    const at = (offset: number): string[] => range(0, 3).map((partition) => `${partition}/${offset}`)
    expect(handled.slice(0, 4).sort()).toEqual(at(0).map((place) => `1: ${place}`))
    expect(handled.slice(4).sort()).toEqual([...at(1), ...at(2)].map((place) => `3: ${place}`).sort())
    const { members: described } = await broker.describeGroup('g')
    expect(described.map(({ assignment }) => assignment.length).sort()).toEqual([0, 0, 4])
  })
})

describe('an assignor of the user’s own', () => {
  it('does not interrupt what stays: cooperative is the default', async () => {
    const broker = await openBroker({}, numbers)
    const keep: CustomAssignor = {
      name: 'keep',
      assign: (members, partitions) => {
        const holderOf = ({ topic, partition }: TopicPartition): string | undefined =>
          members.find(({ owned }) => owned.some((at) => at.topic === topic && at.partition === partition))?.memberId
        const placed = new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]))
        for (const at of partitions) placed.get(holderOf(at) ?? members.at(-1)?.memberId ?? '')?.push(at)
        return placed
      },
    }
    const first = broker.consumerGroup('g', { topics: [numbers], assignor: keep })
    const [started, release] = [deferred(), deferred()]
    await first.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, numbers, [1])
    await started.promise
    const second = broker.consumerGroup('g', { topics: [numbers], assignor: keep })
    // It would not come to its end while the handler runs, if that had to be waited for.
    await second.run(() => {})
    release.resolve()
    await broker.idle()
    const { members } = await broker.describeGroup('g')
    expect(members.map(({ assignment }) => assignment.length).sort()).toEqual([0, 4])
  })

  it.each(['cooperative', 'eager'] as const)('gives on nothing before it was given up: %s', async (rebalance) => {
    const broker = await openBroker({}, numbers)
    for (const partition of range(0, 3)) await send(broker, numbers, [0], partition)
    const handled: string[] = []
    const [started, release] = [deferred(), deferred()]
    const first = broker.consumerGroup('g', { topics: [numbers], assignor: byRank(1, { rebalance }) })
    await first.run(async ({ partition }) => {
      handled.push(`1: ${partition}`)
      if (handled.length === 4) started.resolve()
      await release.promise
    })
    await started.promise
    const second = broker.consumerGroup('g', { topics: [numbers], assignor: byRank(2, { rebalance }) })
    const running = second.run(({ partition }) => void handled.push(`2: ${partition}`))
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    release.resolve()
    await running
    await broker.idle()
    expect(handled.sort()).toEqual(range(0, 3).map((partition) => `1: ${partition}`))
  })

  it('that its group does not share is refused', async () => {
    const broker = await openBroker({}, numbers)
    await broker.consumerGroup('g', { topics: [numbers] }).run(() => {})
    const other = broker.consumerGroup('g', { topics: [numbers], assignor: byRank(1) })
    await expect(other.run(() => {})).rejects.toMatchObject({ code: 'OTTLA_INCONSISTENT_GROUP_PROTOCOL' })
  })

  const wrong: [string, CustomAssignor['assign']][] = [
    ['leaves a partition out', (members, partitions) => new Map([[members[0]?.memberId ?? '', partitions.slice(1)]])],
    [
      'gives a partition out twice',
      (members, partitions) => new Map([[members[0]?.memberId ?? '', [...partitions, ...partitions.slice(0, 1)]]]),
    ],
    ['names a member that is not there', (_, partitions) => new Map([['nobody', partitions]])],
    [
      'invents a partition',
      (members, partitions) =>
        new Map([[members[0]?.memberId ?? '', [...partitions, { topic: 'numbers', partition: 4 }]]]),
    ],
    ['returns no Map', () => ({}) as never],
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
    ],
  ]
  it.each(wrong)('that %s stops the member', async (_, assign) => {
    const broker = await openBroker({}, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers], assignor: { name: 'wrong', assign } })
    await expect(member.run(() => {})).rejects.toMatchObject({ code: 'OTTLA_ASSIGNOR_FAILED' })
    await expect(member.closed).rejects.toMatchObject({ code: 'OTTLA_ASSIGNOR_FAILED' })
    expect((await broker.describeGroup('g')).members).toEqual([])
  })

  it('cannot give a member partitions of a topic that it does not subscribe to', async () => {
    const broker = await openBroker({}, numbers, letters)
    const assign: CustomAssignor['assign'] = (members, partitions) => {
      const [other] = members.filter(({ topics }) => !topics.includes('letters'))
      return new Map([[(other ?? members[0])?.memberId ?? '', partitions]])
    }
    const join = (topics: AnyTopic[]): Promise<void> =>
      broker.consumerGroup('g', { topics, assignor: { name: 'wrong', assign } }).run(() => {})
    await expect(Promise.all([join([letters, numbers]), join([numbers])])).rejects.toMatchObject({
      code: 'OTTLA_ASSIGNOR_FAILED',
      message: expect.stringContaining('letters-0'),
    })
  })

  it('is checked when the member is made', async () => {
    const broker = await Broker.open()
    const bad = [5, null, {}, { name: '' }, { name: 'x' }, { ...byRank(1), rebalance: 'now' }, { ...byRank(1), a: 1 }]
    for (const assignor of [...bad, 'sticki']) {
      expect(() => broker.consumerGroup('g', { topics: [numbers], assignor: assignor as never })).toThrow(
        expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }),
      )
    }
    await broker.close()
  })
})
