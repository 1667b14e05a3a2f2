import type { Subscription, TopicPartitions } from '../../protocol/consumer-protocol.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember } from './assignor.js'
import { inMemberIdOrder } from './member-order.js'
import { balance, type Pool, type StickyMember, type StickyPartition } from './sticky-balance.js'

/**
 * Kafka's CooperativeStickyAssignor: the loads are even, and what a member holds stays with it where they allow it.
 *
 * A partition that moves is at first only taken away. The member that held it revokes it and joins again; in that
 * second round nobody holds it, and the new one gets it. So a partition is never with two members at once.
 */
export const cooperativeStickyAssignor: Assignor = {
  protocolName: 'cooperative-sticky',
  rebalanceProtocol: 'cooperative',

  assign(
    members: readonly AssignorMember[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartitions[]> {
    const assignment = new AssignmentBuilder(members)
    balance(poolsOf(members, partitionCounts), (partition, member) => {
      const isHeldElsewhere = partition.isClaimed && partition.owner !== member
      if (!isHeldElsewhere) assignment.add(member.memberId, partition.topic, partition.partition)
    })
    return assignment.build()
  },

  /**
   * The generation, for leaders of before version 2 of the subscription, which has a field for it. Java writes it
   * twice as well.
   */
  userData(generationId: number): Uint8Array {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeInt32BE(generationId)
    return bytes
  },
}

/** A partition with what the members say about it. */
interface ClaimedPartition extends StickyPartition {
  /** Null also where two members claim it in the same generation: it is not known who has it, so both revoke it. */
  owner: StickyMember | null
  isClaimed: boolean
  /** The newest generation in which it is claimed. */
  generationId: number
}

interface SubscribedTopic {
  readonly subscribers: StickyMember[]
  /** The same for topics with the same subscribers. */
  subscriberKey: string
  readonly partitions: readonly ClaimedPartition[]
}

function poolsOf(
  members: readonly AssignorMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Iterable<Pool<ClaimedPartition>> {
  const topics = new Map<string, SubscribedTopic>()
  const stickyMembers = inMemberIdOrder(members).map(({ memberId, subscription }, index) => {
    const member: StickyMember = { memberId }
    for (const topic of new Set(subscription.topics)) {
      const known = topics.get(topic) ?? newTopic(topic, partitionCounts.get(topic) ?? 0)
      known.subscribers.push(member)
      known.subscriberKey += `${index},`
      topics.set(topic, known)
    }
    return { member, subscription }
  })
  for (const { member, subscription } of stickyMembers) claimOwned(topics, member, subscription)

  const pools = new Map<string, { members: StickyMember[]; partitions: ClaimedPartition[] }>()
  for (const [, { subscribers, subscriberKey, partitions }] of [...topics].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const pool = pools.get(subscriberKey)
    if (pool === undefined) pools.set(subscriberKey, { members: subscribers, partitions: [...partitions] })
    else for (const partition of partitions) pool.partitions.push(partition)
  }
  return pools.values()
}

function newTopic(topic: string, partitionCount: number): SubscribedTopic {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({
    topic,
    partition,
    owner: null,
    isClaimed: false,
    generationId: -1,
  }))
  return { subscribers: [], subscriberKey: '', partitions }
}

/** Enters what the member says it owns. The claim of a newer generation replaces an older one, an equal one voids it. */
function claimOwned(
  topics: ReadonlyMap<string, SubscribedTopic>,
  member: StickyMember,
  subscription: Subscription,
): void {
  const generationId = generationOf(subscription)
  for (const { topic, partitions } of subscription.ownedPartitions) {
    for (const number of new Set(partitions)) {
      const partition = topics.get(topic)?.partitions[number]
      if (partition === undefined) continue
      if (!partition.isClaimed || generationId > partition.generationId) {
        partition.owner = member
        partition.generationId = generationId
      } else if (generationId === partition.generationId && partition.owner !== member) {
        partition.owner = null
      }
      partition.isClaimed = true
    }
  }
}

/** Subscriptions of before version 2 have the generation in the assignor's own bytes, if at all. */
function generationOf({ generationId, userData }: Subscription): number {
  if (generationId >= 0 || userData === null || userData.length < 4) return generationId
  return new DataView(userData.buffer, userData.byteOffset).getInt32(0)
}
