import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember, LastAssignment } from './assignor.js'
import { balance } from './sticky-balance.js'
import { claimedPools } from './sticky-pools.js'
import { decodeStickyUserData, encodeStickyUserData } from './sticky-user-data.js'

/**
 * Kafka's StickyAssignor: as even and as sticky as the cooperative one, but eager, so it can place what moves at once.
 * Its members hold nothing when they join; what they held last they say in the assignor's own bytes.
 */
export const stickyAssignor: Assignor = {
  protocolName: 'sticky',
  rebalanceProtocol: 'eager',

  assign(
    members: readonly AssignorMember[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartitions[]> {
    const assignment = new AssignmentBuilder(members)
    const pools = claimedPools(members, partitionCounts, ({ subscription }) =>
      decodeStickyUserData(subscription.userData),
    )
    balance(pools, (partition, member) => assignment.add(member.memberId, partition.topic, partition.partition))
    return assignment.build()
  },

  userData(last: LastAssignment | undefined): Uint8Array | null {
    return last === undefined ? null : encodeStickyUserData(last)
  },
}
