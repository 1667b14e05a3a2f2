import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AssignorMember } from '../../../src/client/assignors/assignor.js'
import { cooperativeStickyAssignor } from '../../../src/client/assignors/cooperative-sticky-assignor.js'
import {
  assign,
  flat,
  type JavaCase,
  javaCases,
  keptOf,
  loads,
  numbered,
  type Partitions,
  plain,
  unevenness,
} from './java-cases.js'

describe('the cooperative sticky assignor beside Java', () => {
  const equal = javaCases('cooperative-sticky-equal')
  const unequal = javaCases('cooperative-sticky-unequal')

  it.each(numbered(equal.filter(({ members }) => members.every(({ owned }) => owned === undefined))))(
    'assigns the same to a new group: group $index',
    ({ java }) => {
      expect(assign(cooperativeStickyAssignor, java)).toEqual(java.assignment)
    },
  )

  // Which member keeps one more hangs on the order of a HashMap in Java, so the loads are compared and not the members.
  it.each(numbered(equal))('gives the same loads and keeps as much: group $index', ({ java }) => {
    const target = targetOf(java)
    expect(loads(java, target)).toEqual(loads(java, java.target))
    expect(keptOf(java, target)).toBe(keptOf(java, java.target))
  })

  it.each(numbered(unequal))('is at least as even where subscriptions differ: group $index', ({ java }) => {
    expect(unevenness(java, targetOf(java))).toBeLessThanOrEqual(unevenness(java, java.target))
  })

  it('keeps as much over all groups where subscriptions differ', () => {
    const sum = (target: (java: JavaCase) => JavaCase['target']): number =>
      unequal.reduce((total, java) => total + keptOf(java, target(java)), 0)
    expect(sum(targetOf)).toBeGreaterThanOrEqual(sum((java) => java.target))
  })

  it('leaves what Java assigned in peace', () => {
    for (const java of equal) {
      const settled = settledGroup(java, java.target ?? {})
      expect(assign(cooperativeStickyAssignor, settled)).toEqual(java.target)
    }
  })
})

describe('the cooperative sticky assignor', () => {
  it('moves a partition in two rounds, so that it is never with two members', () => {
    const group: JavaCase = {
      partitionCounts: { orders: 4 },
      members: [
        { memberId: 'a', topics: ['orders'], owned: { orders: [0, 1, 2, 3] }, generation: 1 },
        { memberId: 'b', topics: ['orders'] },
      ],
      assignment: {},
    }
    const first = assign(cooperativeStickyAssignor, group)
    expect(first).toEqual({ a: { orders: [0, 1] }, b: {} })
    const second = assign(cooperativeStickyAssignor, settledGroup(group, first))
    expect(second).toEqual({ a: { orders: [0, 1] }, b: { orders: [2, 3] } })
  })

  it('gives what a member that left had to the others at once', () => {
    const group: JavaCase = {
      partitionCounts: { orders: 4 },
      members: [
        { memberId: 'a', topics: ['orders'], owned: { orders: [1] }, generation: 3 },
        { memberId: 'b', topics: ['orders'], owned: { orders: [2] }, generation: 3 },
      ],
      assignment: {},
    }
    expect(assign(cooperativeStickyAssignor, group)).toEqual({ a: { orders: [0, 1] }, b: { orders: [2, 3] } })
  })

  it('leaves what remains over to the members that got least that is new to them, as Java does', () => {
    const group: JavaCase = {
      partitionCounts: { orders: 3 },
      members: [
        { memberId: 'a', topics: ['orders'] },
        { memberId: 'b', topics: ['orders'], owned: { orders: [1] }, generation: 1 },
      ],
      assignment: {},
    }
    expect(assign(cooperativeStickyAssignor, group)).toEqual({ a: { orders: [0] }, b: { orders: [1, 2] } })
  })

  it('believes the member of the newer generation when two claim a partition', () => {
    const claimed = (older: number): JavaCase => ({
      partitionCounts: { orders: 2 },
      members: [
        { memberId: 'a', topics: ['orders'], owned: { orders: [0] }, generation: older },
        { memberId: 'b', topics: ['orders'], owned: { orders: [0] }, generation: 5 },
      ],
      assignment: {},
    })
    expect(assign(cooperativeStickyAssignor, claimed(4))).toEqual({ a: { orders: [1] }, b: { orders: [0] } })
    expect(assign(cooperativeStickyAssignor, claimed(5))).toEqual({ a: {}, b: { orders: [1] } })
  })

  it('reads the generation from the userData of clients whose subscription has no field for it', () => {
    const userData = cooperativeStickyAssignor.userData?.({ partitions: [], generationId: 7 }) ?? null
    expect(userData).toEqual(Buffer.from('00000007', 'hex'))
    const member = (memberId: string, generationId: number, bytes: Uint8Array | null): AssignorMember => ({
      memberId,
      instanceId: null,
      subscription: {
        topics: ['orders'],
        userData: bytes,
        ownedPartitions: [{ topic: 'orders', partitions: [0] }],
        generationId,
        rackId: null,
      },
    })
    const counts = new Map([['orders', 2]])
    const newer = cooperativeStickyAssignor.assign([member('a', -1, userData), member('b', 6, null)], counts)
    expect(plain(newer)).toEqual({ a: { orders: [0] }, b: { orders: [1] } })
    const unreadable = cooperativeStickyAssignor.assign(
      [member('a', -1, Buffer.from('07')), member('b', 6, null)],
      counts,
    )
    expect(plain(unreadable)).toEqual({ a: { orders: [1] }, b: { orders: [0] } })
  })

  it('takes a partition from a member that gave up its topic, and gives it away once it is revoked', () => {
    const group: JavaCase = {
      partitionCounts: { orders: 1, payments: 1 },
      members: [
        { memberId: 'a', topics: ['payments'], owned: { orders: [0] }, generation: 1 },
        { memberId: 'b', topics: ['orders'] },
      ],
      assignment: {},
    }
    const first = assign(cooperativeStickyAssignor, group)
    expect(first).toEqual({ a: { payments: [0] }, b: {} })
    const second = assign(cooperativeStickyAssignor, settledGroup(group, first))
    expect(second).toEqual({ a: { payments: [0] }, b: { orders: [0] } })
  })

  it('forgets partitions and topics that are gone', () => {
    const group: JavaCase = {
      partitionCounts: { orders: 1 },
      members: [{ memberId: 'a', topics: ['orders', 'gone'], owned: { orders: [0, 1], gone: [0] }, generation: 1 }],
      assignment: {},
    }
    expect(assign(cooperativeStickyAssignor, group)).toEqual({ a: { orders: [0] } })
  })
})

describe('any group over many rebalances', () => {
  const TOPICS = ['t0', 't1', 't2', 't3']
  const counts = fc.tuple(...TOPICS.map(() => fc.nat({ max: 7 })))
  const someTopics = fc.subarray(TOPICS, { minLength: 1 })
  const change = fc.record({
    joins: fc.array(someTopics, { maxLength: 3 }),
    leaves: fc.array(fc.nat({ max: 20 }), { maxLength: 2 }),
    counts,
  })
  const history = fc.array(change, { minLength: 1, maxLength: 6 })

  type Change = { joins: string[][]; leaves: number[]; counts: [number, number, number, number] }

  /** Plays a history and calls `settled` with the group before and after each change has come to rest. */
  function play(
    changes: readonly { joins: string[][]; leaves: number[]; counts: readonly number[] }[],
    settled: (before: JavaCase, target: Record<string, Partitions>) => void,
  ): void {
    let group: JavaCase = { partitionCounts: {}, members: [], assignment: {} }
    let nextMember = 0
    for (const { joins, leaves, counts } of changes) {
      const staying = group.members.filter((_, index) => !leaves.includes(index))
      // The ids do not rise with age, or a new member would always be the last.
      const joining = joins.map((topics) => ({ memberId: `m${(nextMember++ * 7) % 10}-${nextMember}`, topics }))
      group = {
        partitionCounts: Object.fromEntries(TOPICS.map((topic, index) => [topic, counts[index] ?? 0])),
        members: [...staying, ...joining],
        assignment: {},
      }
      const before = group
      const first = assign(cooperativeStickyAssignor, group)
      expectNothingHandedOver(group, first)
      group = settledGroup(group, first)
      const second = assign(cooperativeStickyAssignor, group)
      expectNothingHandedOver(group, second)
      group = settledGroup(group, second)
      expect(assign(cooperativeStickyAssignor, group), 'the third round changes nothing').toEqual(second)
      settled(before, second)
    }
  }

  it('has every partition of its topics exactly once after the second round', () => {
    fc.assert(
      fc.property(history, (changes) => {
        play(changes, (group, target) => {
          const subscribed = new Set(group.members.flatMap(({ topics }) => topics))
          const expected = Object.entries(group.partitionCounts).flatMap(([topic, count]) =>
            subscribed.has(topic) ? Array.from({ length: count }, (_, partition) => `${topic}/${partition}`) : [],
          )
          expect(Object.keys(target).sort()).toEqual(group.members.map(({ memberId }) => memberId).sort())
          expect(Object.values(target).flatMap(flat).sort()).toEqual(expected.sort())
          for (const { memberId, topics } of group.members) {
            for (const topic of Object.keys(target[memberId] ?? {})) expect(topics).toContain(topic)
          }
        })
      }),
    )
  })

  it('is so even that no single partition could move for the better', () => {
    fc.assert(
      fc.property(history, (changes) => {
        play(changes, ({ members }, target) => {
          const load = (memberId: string): number => flat(target[memberId]).length
          for (const { memberId } of members) {
            for (const topic of Object.keys(target[memberId] ?? {})) {
              const others = members.filter(({ topics }) => topics.includes(topic))
              for (const other of others) expect(load(memberId)).toBeLessThanOrEqual(load(other.memberId) + 1)
            }
          }
        })
      }),
    )
  })

  /** The least that had the second round give a member one partition for another, as it saw only what was revoked. */
  const secondRoundElsewhere: Change[] = [
    { joins: [['t1', 't2', 't3'], ['t3'], ['t0', 't1']], leaves: [], counts: [0, 0, 2, 0] },
    { joins: [['t0', 't1', 't2']], leaves: [], counts: [0, 5, 2, 3] },
    { joins: [['t2'], ['t0']], leaves: [], counts: [7, 7, 2, 0] },
  ]
  /** And as the first one had given away at once what nobody held. */
  const secondRoundAfterNewPartitions: Change[] = [
    {
      joins: [
        ['t0', 't2', 't3'],
        ['t0', 't3'],
      ],
      leaves: [],
      counts: [0, 0, 0, 0],
    },
    { joins: [['t2']], leaves: [], counts: [0, 0, 0, 0] },
    { joins: [['t0', 't3'], ['t1']], leaves: [], counts: [0, 0, 0, 0] },
    {
      joins: [
        ['t0', 't1', 't3'],
        ['t2', 't3'],
      ],
      leaves: [],
      counts: [4, 3, 4, 0],
    },
    { joins: [], leaves: [], counts: [5, 1, 2, 1] },
  ]

  it('moves no partition of a topic to a member and another one of it away', () => {
    fc.assert(
      fc.property(history, (changes) => {
        play(changes, ({ members, partitionCounts }, target) => {
          for (const { memberId, owned = {} } of members) {
            for (const [topic, partitions] of Object.entries(owned)) {
              const now = target[memberId]?.[topic] ?? []
              const lost = partitions.filter(
                (partition) => partition < (partitionCounts[topic] ?? 0) && !now.includes(partition),
              )
              const gained = now.filter((partition) => !partitions.includes(partition))
              expect(lost.length === 0 || gained.length === 0, `${memberId} of ${topic}`).toBe(true)
            }
          }
        })
      }),
      { examples: [[secondRoundElsewhere], [secondRoundAfterNewPartitions]] },
    )
  })

  it('moves as little as evenness allows where all subscribe to the same topics', () => {
    const equalHistory = history.map((changes) =>
      changes.map((change) => ({ ...change, joins: change.joins.map(() => TOPICS) })),
    )
    fc.assert(
      fc.property(equalHistory, (changes) => {
        play(changes, (group, target) => {
          const { members, partitionCounts } = group
          const partitionCount = Object.values(partitionCounts).reduce((sum, count) => sum + count, 0)
          const share = Math.floor(partitionCount / members.length)
          const owned = members.map((member) => stillThere(group, member.owned).length)
          const oneMore = Math.min(partitionCount % members.length, owned.filter((count) => count > share).length)
          const most = owned.reduce((sum, count) => sum + Math.min(count, share), 0) + oneMore
          expect(keptOf(group, target)).toBe(members.length === 0 ? 0 : most)
        })
      }),
    )
  })

  it('does not hang on the order in which its members are named', () => {
    fc.assert(
      fc.property(history, (changes) => {
        play(changes, (group) => {
          const reversed = { ...group, members: [...group.members].reverse() }
          expect(assign(cooperativeStickyAssignor, reversed)).toEqual(assign(cooperativeStickyAssignor, group))
        })
      }),
    )
  })
})

/** The group as it joins again after `assignment`: everybody revoked what was taken away. */
function settledGroup(group: JavaCase, assignment: Record<string, Partitions>): JavaCase {
  const generation = 1 + Math.max(0, ...group.members.map((member) => member.generation ?? 0))
  const members = group.members.map((member) => ({ ...member, owned: assignment[member.memberId] ?? {}, generation }))
  return { ...group, members }
}

/** Where a group gets to in the second round, when nothing is left to revoke. */
function targetOf(group: JavaCase): Record<string, Partitions> {
  return assign(cooperativeStickyAssignor, settledGroup(group, assign(cooperativeStickyAssignor, group)))
}

function expectNothingHandedOver({ members }: JavaCase, assignment: Record<string, Partitions>): void {
  const holders = new Map(
    members.flatMap(({ memberId, owned }) => flat(owned).map((partition) => [partition, memberId])),
  )
  for (const [memberId, assigned] of Object.entries(assignment)) {
    const handedOver = flat(assigned).filter((partition) => (holders.get(partition) ?? memberId) !== memberId)
    expect(handedOver, `to ${memberId}`).toEqual([])
  }
}

function stillThere({ partitionCounts }: JavaCase, owned: Partitions = {}): string[] {
  return flat(
    Object.fromEntries(
      Object.entries(owned).map(([topic, partitions]) => [
        topic,
        partitions.filter((partition) => partition < (partitionCounts[topic] ?? 0)),
      ]),
    ),
  )
}
