import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Assignor } from '../../../src/client/assignors/assignor.js'
import { cooperativeStickyAssignor } from '../../../src/client/assignors/cooperative-sticky-assignor.js'
import { customAssignor } from '../../../src/client/assignors/custom-assignor.js'
import { rangeAssignor } from '../../../src/client/assignors/range-assignor.js'
import { kafkajsRoundRobinAssignor, roundRobinAssignor } from '../../../src/client/assignors/round-robin-assignor.js'
import { stickyAssignor } from '../../../src/client/assignors/sticky-assignor.js'
import { encodeStickyUserData } from '../../../src/client/assignors/sticky-user-data.js'
import { assign, flat, grouped, type JavaCase, keptOf, loads, type Partitions } from './java-cases.js'

const TOPICS = ['t0', 't1', 't2', 't3']
const everyThird = customAssignor({
  name: 'every-third',
  assign: (members, partitions) =>
    new Map(
      members.map(({ memberId, topics }) => [
        memberId,
        partitions.filter(({ topic, partition }) => {
          const able = members.filter((member) => member.topics.includes(topic))
          return topics.includes(topic) && able[(partition * 3) % able.length]?.memberId === memberId
        }),
      ]),
    ),
})
const assignors: Record<string, Assignor> = {
  cooperativeSticky: cooperativeStickyAssignor,
  sticky: stickyAssignor,
  range: rangeAssignor,
  roundRobin: roundRobinAssignor,
  RoundRobinAssigner: kafkajsRoundRobinAssignor,
  'a custom one': everyThird,
}

function groupsOf(topics: fc.Arbitrary<string[]>): fc.Arbitrary<JavaCase> {
  return fc
    .record({
      counts: fc.tuple(...TOPICS.map(() => fc.nat({ max: 7 }))),
      members: fc.uniqueArray(fc.record({ memberId: fc.string({ minLength: 1, maxLength: 3 }), topics }), {
        minLength: 1,
        maxLength: 7,
        selector: ({ memberId }) => memberId,
      }),
    })
    .map(({ counts, members }) => ({
      partitionCounts: Object.fromEntries(TOPICS.map((topic, index) => [topic, counts[index] ?? 0])),
      members,
      assignment: {},
    }))
}
const anyGroup = groupsOf(fc.subarray(TOPICS, { minLength: 1 }))
const equalGroup = groupsOf(fc.constant(TOPICS))

/** The group as it meets next under the sticky assignor. */
function next(group: JavaCase, held: Record<string, Partitions>, generation: number): JavaCase {
  const members = group.members.map((member) => ({
    ...member,
    owned: held[member.memberId] ?? {},
    generation,
    userData: Buffer.from(
      encodeStickyUserData({ partitions: grouped(held[member.memberId] ?? {}), generationId: generation }),
    ).toString('hex'),
  }))
  return { ...group, members }
}

describe.each(Object.entries(assignors))('%s', (_, assignor) => {
  it('gives each partition to exactly one member, which subscribes to its topic', () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        const assignment = assign(assignor, group)
        const subscribed = new Set(group.members.flatMap(({ topics }) => topics))
        const expected = Object.entries(group.partitionCounts).flatMap(([topic, count]) =>
          subscribed.has(topic) ? Array.from({ length: count }, (_, partition) => `${topic}/${partition}`) : [],
        )
        expect(Object.values(assignment).flatMap(flat).sort()).toEqual(expected.sort())
        expect(Object.keys(assignment).sort()).toEqual(group.members.map(({ memberId }) => memberId).sort())
        for (const { memberId, topics } of group.members) {
          expect(Object.keys(assignment[memberId] ?? {}).filter((topic) => !topics.includes(topic))).toEqual([])
        }
      }),
    )
  })
})

describe.each([
  ['cooperativeSticky', cooperativeStickyAssignor],
  ['sticky', stickyAssignor],
  ['roundRobin', roundRobinAssignor],
])('%s', (_, assignor) => {
  it('differs by one partition at most between members of the same topics', () => {
    fc.assert(
      fc.property(equalGroup, (group) => {
        const counts = loads(group, assign(assignor, group))
        expect((counts.at(-1) ?? 0) - (counts[0] ?? 0)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

it('range differs by one partition at most in each topic', () => {
  fc.assert(
    fc.property(equalGroup, (group) => {
      const assignment = assign(rangeAssignor, group)
      for (const topic of TOPICS) {
        const counts = group.members.map(({ memberId }) => assignment[memberId]?.[topic]?.length ?? 0)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
    }),
  )
})

describe('sticky', () => {
  it('moves nothing when nothing changed', () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        const before = assign(stickyAssignor, group)
        expect(assign(stickyAssignor, next(group, before, 1))).toEqual(before)
      }),
    )
  })

  it('moves only what a member had that left, where all subscribe to the same topics', () => {
    fc.assert(
      fc.property(equalGroup, fc.nat(), (group, index) => {
        const before = assign(stickyAssignor, group)
        const left = group.members[index % group.members.length]?.memberId
        const members = group.members.filter(({ memberId }) => memberId !== left)
        const rest = next({ ...group, members }, before, 1)
        const after = assign(stickyAssignor, rest)
        const held = rest.members.reduce((sum, { owned }) => sum + flat(owned).length, 0)
        expect(members.length === 0 ? held : keptOf(rest, after)).toBe(held)
      }),
    )
  })

  it('believes the member of the newer generation when two say that they held a partition', () => {
    const claimed = (older: number): JavaCase => {
      const members = (['a', 'b'] as const).map((memberId, index) => ({
        ...next(
          { partitionCounts: {}, members: [{ memberId, topics: ['t0'] }], assignment: {} },
          { [memberId]: { t0: [0] } },
          index === 0 ? older : 5,
        ).members[0],
        memberId,
        topics: ['t0'],
      }))
      return { partitionCounts: { t0: 2 }, members, assignment: {} }
    }
    expect(assign(stickyAssignor, claimed(4))).toEqual({ a: { t0: [1] }, b: { t0: [0] } })
    expect(
      Object.values(assign(stickyAssignor, claimed(5)))
        .flatMap(flat)
        .sort(),
    ).toEqual(['t0/0', 't0/1'])
  })
})
