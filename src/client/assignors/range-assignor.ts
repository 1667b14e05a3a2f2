import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember } from './assignor.js'
import { inMemberOrder } from './member-order.js'

/**
 * Kafka's RangeAssignor: of each topic the members get consecutive partitions, the first members one more where it
 * does not divide. Topics with the same members and as many partitions are cut at the same places, so that a member
 * gets the same partition numbers of all of them and can join them by key.
 */
export const rangeAssignor: Assignor = {
  protocolName: 'range',
  rebalanceProtocol: 'eager',

  assign(
    members: readonly AssignorMember[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartitions[]> {
    const assignment = new AssignmentBuilder(members)
    for (const [topic, subscribers] of subscribersByTopic(inMemberOrder(members))) {
      const partitionCount = partitionCounts.get(topic) ?? 0
      const share = Math.floor(partitionCount / subscribers.length)
      let membersWithOneMore = partitionCount % subscribers.length
      let next = 0
      for (const { memberId } of subscribers) {
        const end = next + share + (membersWithOneMore-- > 0 ? 1 : 0)
        for (; next < end; next++) assignment.add(memberId, topic, next)
      }
    }
    return assignment.build()
  },
}

function subscribersByTopic(members: readonly AssignorMember[]): Map<string, AssignorMember[]> {
  const subscribers = new Map<string, AssignorMember[]>()
  for (const member of members) {
    for (const topic of new Set(member.subscription.topics)) {
      const known = subscribers.get(topic)
      if (known === undefined) subscribers.set(topic, [member])
      else known.push(member)
    }
  }
  return subscribers
}
