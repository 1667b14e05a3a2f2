import { describe, expect, it } from 'vitest'
import { rangeAssignor } from '../../../src/client/assignors/range-assignor.js'
import { assign, javaCases } from './java-cases.js'

describe('the range assignor', () => {
  it.each(javaCases('range').map((java, index) => ({ java, index })))(
    'assigns as Java does: group $index',
    ({ java }) => {
      expect(assign(rangeAssignor, java)).toEqual(java.assignment)
    },
  )

  it('gives the same partitions of topics that are read together to one member', () => {
    const topics = ['orders', 'payments']
    const members = ['a', 'b', 'c'].map((memberId) => ({ memberId, topics }))
    const assignment = assign(rangeAssignor, { partitionCounts: { orders: 5, payments: 5 }, members, assignment: {} })
    expect(assignment).toEqual({
      a: { orders: [0, 1], payments: [0, 1] },
      b: { orders: [2, 3], payments: [2, 3] },
      c: { orders: [4], payments: [4] },
    })
  })

  it('leaves a static member in its place when its member id changes', () => {
    const group = (memberId: string): Parameters<typeof assign>[1] => ({
      partitionCounts: { orders: 3 },
      members: [
        { memberId, instanceId: 'one', topics: ['orders'] },
        { memberId: 'm', instanceId: 'two', topics: ['orders'] },
        { memberId: 'a', topics: ['orders'] },
      ],
      assignment: {},
    })
    expect(assign(rangeAssignor, group('b'))).toEqual({ b: { orders: [0] }, m: { orders: [1] }, a: { orders: [2] } })
    expect(assign(rangeAssignor, group('z'))).toEqual({ z: { orders: [0] }, m: { orders: [1] }, a: { orders: [2] } })
  })
})
