import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stickyAssignor } from '../../../src/client/assignors/sticky-assignor.js'
import { decodeStickyUserData, encodeStickyUserData } from '../../../src/client/assignors/sticky-user-data.js'
import { assign, grouped, type JavaCase, javaCases, keptOf, loads, numbered, unevenness } from './java-cases.js'

const equal = javaCases('sticky-equal')
const unequal = javaCases('sticky-unequal')
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('the sticky assignor beside Java', () => {
  it.each(numbered(equal.filter(({ members }) => members.every(({ owned }) => owned === undefined))))(
    'assigns the same to a new group: group $index',
    ({ java }) => {
      expect(assign(stickyAssignor, java)).toEqual(java.assignment)
    },
  )

  // Which member keeps one more hangs on the order of a HashMap in Java, so the loads are compared and not the members.
  it.each(numbered(equal))('gives the same loads and keeps as much: group $index', ({ java }) => {
    const assignment = assign(stickyAssignor, java)
    expect(loads(java, assignment)).toEqual(loads(java, java.assignment))
    expect(keptOf(java, assignment)).toBe(keptOf(java, java.assignment))
  })

  it.each(numbered(unequal))('is at least as even where subscriptions differ: group $index', ({ java }) => {
    expect(unevenness(java, assign(stickyAssignor, java))).toBeLessThanOrEqual(unevenness(java, java.assignment))
  })

  it('keeps as much over all groups where subscriptions differ', () => {
    const sum = (assignment: (java: JavaCase) => JavaCase['assignment']): number =>
      unequal.reduce((total, java) => total + keptOf(java, assignment(java)), 0)
    expect(sum((java) => assign(stickyAssignor, java))).toBeGreaterThanOrEqual(sum((java) => java.assignment))
  })
})

describe('what a member of it says that it held', () => {
  const said = [...equal, ...unequal].flatMap(({ members }) => members.filter(({ userData }) => userData !== undefined))

  it('is byte for byte what Java says', () => {
    expect(said.length).toBeGreaterThan(100)
    for (const { owned = {}, generation = -1, userData } of said) {
      // The leader gives partitions in the order of their topics.
      const partitions = grouped(owned).sort((a, b) => (a.topic < b.topic ? -1 : 1))
      expect(hexOf(encodeStickyUserData({ partitions, generationId: generation }))).toBe(userData)
    }
  })

  it('is nothing before the first assignment', () => {
    expect(stickyAssignor.userData?.(undefined)).toBeNull()
  })

  it('is read back, in whatever order Java wrote it', () => {
    for (const { owned = {}, generation = -1, userData = '' } of said) {
      const { partitions, generationId } = decodeStickyUserData(Buffer.from(userData, 'hex'))
      expect(Object.fromEntries(partitions.map(({ topic, partitions: numbers }) => [topic, numbers]))).toEqual(owned)
      expect(generationId).toBe(generation)
    }
  })

  it('has the order of a larger HashMap where a member has many topics', () => {
    const partitions = Array.from({ length: 13 }, (_, index) => ({ topic: `t${index}`, partitions: [0] }))
    const { partitions: read } = decodeStickyUserData(encodeStickyUserData({ partitions, generationId: 1 }))
    expect(read.map(({ topic }) => topic).join()).toBe(JAVA_ORDER_OF_13)
  })

  it('may come without a generation, from the oldest clients', () => {
    const bytes = encodeStickyUserData({ partitions: [{ topic: 'orders', partitions: [3] }], generationId: 9 })
    const claim = decodeStickyUserData(bytes.subarray(0, -4))
    expect(claim).toEqual({ partitions: [{ topic: 'orders', partitions: [3] }], generationId: -1 })
  })

  it('counts as nothing where the bytes make no sense, and never as an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(Array.isArray(decodeStickyUserData(bytes).partitions)).toBe(true)
      }),
    )
    expect(decodeStickyUserData(Buffer.from('7fffffff0000', 'hex'))).toEqual({ partitions: [], generationId: -1 })
    expect(decodeStickyUserData(null)).toEqual({ partitions: [], generationId: -1 })
  })
})

/** Of a HashMap into which t0 to t12 were put in the order of their names. */
const JAVA_ORDER_OF_13 = 't4,t5,t6,t7,t8,t9,t10,t12,t11,t0,t1,t2,t3'
