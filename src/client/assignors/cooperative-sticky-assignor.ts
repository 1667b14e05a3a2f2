import type { Subscription, TopicPartitions } from '../../protocol/consumer-protocol.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember, LastAssignment } from './assignor.js'
import { balance } from './sticky-balance.js'
import { claimedPools } from './sticky-pools.js'

/**
 * Kafka's CooperativeStickyAssignor: the loads are even, and what a member holds stays with it where they allow it.
 *
 * A partition that moves is at first only taken away. The member that held it revokes it and joins again; in that
 * second round nobody holds it, and the new one gets it. So a partition is never with two members at once. What two
 * members claim in the same generation both revoke.
 */
export const cooperativeStickyAssignor: Assignor = {
  protocolName: 'cooperative-sticky',
  rebalanceProtocol: 'cooperative',

  assign(
    members: readonly AssignorMember[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartitions[]> {
    const assignment = new AssignmentBuilder(members)
    const pools = claimedPools(members, partitionCounts, ({ subscription }) => ({
      partitions: subscription.ownedPartitions,
      generationId: generationOf(subscription),
    }))
    balance(pools, (partition, member) => {
      const isHeldElsewhere = partition.isClaimed && partition.owner !== member
      if (!isHeldElsewhere) assignment.add(member.memberId, partition.topic, partition.partition)
    })
    return assignment.build()
  },

  /**
   * The generation, for leaders of before version 2 of the subscription, which has a field for it. Java writes it
   * twice as well.
   */
  userData(last: LastAssignment | undefined): Uint8Array {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeInt32BE(last?.generationId ?? -1)
    return bytes
  },
}

/** Subscriptions of before version 2 have the generation in the assignor's own bytes, if at all. */
function generationOf({ generationId, userData }: Subscription): number {
  if (generationId >= 0 || userData === null || userData.length < 4) return generationId
  return new DataView(userData.buffer, userData.byteOffset).getInt32(0)
}
