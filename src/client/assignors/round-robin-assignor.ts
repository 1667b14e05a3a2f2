import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember } from './assignor.js'
import { inMemberIdOrder, inMemberOrder } from './member-order.js'

/** Kafka's RoundRobinAssignor: the partitions of all topics are dealt to the members in turn. */
export const roundRobinAssignor: Assignor = {
  protocolName: 'roundrobin',
  rebalanceProtocol: 'eager',
  assign: (members, partitionCounts) => deal(inMemberOrder(members), partitionCounts),
}

/**
 * The one assignor that kafkajs brings. It differs in its name and in that it knows no static members. Where kafkajs
 * deals a partition to a member that is not subscribed to its topic, and nobody would read it, the next one gets it.
 */
export const kafkajsRoundRobinAssignor: Assignor = {
  protocolName: 'RoundRobinAssigner',
  rebalanceProtocol: 'eager',
  assign: (members, partitionCounts) => deal(inMemberIdOrder(members), partitionCounts),
}

/** Goes round the members in this order and passes over one that is not subscribed to the topic. */
function deal(
  members: readonly AssignorMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartitions[]> {
  const assignment = new AssignmentBuilder(members)
  const seats = members.map(({ memberId, subscription }) => ({ memberId, topics: new Set(subscription.topics) }))
  const subscribedTopics = new Set(seats.flatMap(({ topics }) => [...topics]))
  let turn = 0
  for (const topic of [...subscribedTopics].sort()) {
    const partitionCount = partitionCounts.get(topic) ?? 0
    for (let partition = 0; partition < partitionCount; turn = (turn + 1) % seats.length) {
      const seat = seats[turn]
      if (seat?.topics.has(topic) !== true) continue
      assignment.add(seat.memberId, topic, partition)
      partition++
    }
  }
  return assignment.build()
}
