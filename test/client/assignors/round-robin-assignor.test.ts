import { describe, expect, it } from 'vitest'
import { kafkajsRoundRobinAssignor, roundRobinAssignor } from '../../../src/client/assignors/round-robin-assignor.js'
import { assign, javaCases } from './java-cases.js'

describe('the round robin assignor', () => {
  it.each(javaCases('roundrobin').map((java, index) => ({ java, index })))(
    'assigns as Java does: group $index',
    ({ java }) => {
      expect(assign(roundRobinAssignor, java)).toEqual(java.assignment)
    },
  )

  it('ends where nobody is in the group', () => {
    expect(assign(roundRobinAssignor, { partitionCounts: { orders: 3 }, members: [], assignment: {} })).toEqual({})
  })
})

describe("kafkajs' round robin assignor", () => {
  it('deals the partitions of all topics to the members by their ids', () => {
    const members = [
      { memberId: 'b', topics: ['orders', 'payments'] },
      { memberId: 'a', topics: ['payments', 'orders'] },
    ]
    const partitionCounts = { orders: 3, payments: 2 }
    expect(assign(kafkajsRoundRobinAssignor, { partitionCounts, members, assignment: {} })).toEqual({
      a: { orders: [0, 2], payments: [1] },
      b: { orders: [1], payments: [0] },
    })
  })

  it('takes no notice of instance ids', () => {
    const members = [
      { memberId: 'b', instanceId: 'one', topics: ['orders'] },
      { memberId: 'a', instanceId: 'two', topics: ['orders'] },
    ]
    const java = { partitionCounts: { orders: 2 }, members, assignment: {} }
    expect(assign(kafkajsRoundRobinAssignor, java)).toEqual({ a: { orders: [0] }, b: { orders: [1] } })
    expect(assign(roundRobinAssignor, java)).toEqual({ b: { orders: [0] }, a: { orders: [1] } })
  })

  it('passes over a member that is not subscribed to the topic', () => {
    const members = [
      { memberId: 'a', topics: ['orders'] },
      { memberId: 'b', topics: ['orders', 'payments'] },
    ]
    expect(
      assign(kafkajsRoundRobinAssignor, { partitionCounts: { orders: 2, payments: 2 }, members, assignment: {} }),
    ).toEqual({ a: { orders: [0] }, b: { orders: [1], payments: [0, 1] } })
  })
})
