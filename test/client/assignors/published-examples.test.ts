import { describe, expect, it } from 'vitest'
import { rangeAssignor } from '../../../src/client/assignors/range-assignor.js'
import { roundRobinAssignor } from '../../../src/client/assignors/round-robin-assignor.js'
import { stickyAssignor } from '../../../src/client/assignors/sticky-assignor.js'
import { encodeStickyUserData } from '../../../src/client/assignors/sticky-user-data.js'
import { assign, grouped, type JavaCase, type Partitions } from './java-cases.js'

/* The groups that the documentation of Kafka's assignors takes as its examples, with the answers it gives. */

const group = (partitionCounts: Record<string, number>, topics: Record<string, string[]>): JavaCase => ({
  partitionCounts,
  members: Object.entries(topics).map(([memberId, subscribed]) => ({ memberId, topics: subscribed })),
  assignment: {},
})

/** The group as it meets next, without some: each member says what it held. */
const without = (java: JavaCase, held: Record<string, Partitions>, ...gone: string[]): JavaCase => ({
  ...java,
  members: java.members
    .filter(({ memberId }) => !gone.includes(memberId))
    .map((member) => ({
      ...member,
      userData: Buffer.from(
        encodeStickyUserData({ partitions: grouped(held[member.memberId] ?? {}), generationId: 1 }),
      ).toString('hex'),
    })),
})

const PAIR = group({ t0: 3, t1: 3 }, { C0: ['t0', 't1'], C1: ['t0', 't1'] })
const ALL = ['t0', 't1', 't2', 't3']
const FOUR_TOPICS = group({ t0: 2, t1: 2, t2: 2, t3: 2 }, { C0: ALL, C1: ALL, C2: ALL })
const UNEQUAL = group({ t0: 1, t1: 2, t2: 3 }, { C0: ['t0'], C1: ['t0', 't1'], C2: ['t0', 't1', 't2'] })

describe('Kafka’s own example', () => {
  it('of range: two members, two topics of three partitions', () => {
    expect(assign(rangeAssignor, PAIR)).toEqual({ C0: { t0: [0, 1], t1: [0, 1] }, C1: { t0: [2], t1: [2] } })
  })

  it('of round robin: the same group', () => {
    expect(assign(roundRobinAssignor, PAIR)).toEqual({ C0: { t0: [0, 2], t1: [1] }, C1: { t0: [1], t1: [0, 2] } })
  })

  it('of round robin: members that subscribe to different topics', () => {
    const expected = { C0: { t0: [0] }, C1: { t1: [0] }, C2: { t1: [1], t2: [0, 1, 2] } }
    expect(assign(roundRobinAssignor, UNEQUAL)).toEqual(expected)
  })

  it('of sticky: a member leaves, and only what it had moves', () => {
    const before = assign(stickyAssignor, FOUR_TOPICS)
    expect(before).toEqual({
      C0: { t0: [0], t1: [1], t3: [0] },
      C1: { t0: [1], t2: [0], t3: [1] },
      C2: { t1: [0], t2: [1] },
    })
    // The page has t2-0 and t0-1 the other way round; Kafka 4.2 itself answers this.
    expect(assign(stickyAssignor, without(FOUR_TOPICS, before, 'C1'))).toEqual({
      C0: { t0: [0, 1], t1: [1], t3: [0] },
      C2: { t1: [0], t2: [0, 1], t3: [1] },
    })
  })

  it('of sticky: members that subscribe to different topics, and one of them leaves', () => {
    const before = assign(stickyAssignor, UNEQUAL)
    expect(before).toEqual({ C0: { t0: [0] }, C1: { t1: [0, 1] }, C2: { t2: [0, 1, 2] } })
    const after = { C1: { t0: [0], t1: [0, 1] }, C2: { t2: [0, 1, 2] } }
    expect(assign(stickyAssignor, without(UNEQUAL, before, 'C0'))).toEqual(after)
  })
})
