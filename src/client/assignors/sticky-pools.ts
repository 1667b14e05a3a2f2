import type { AssignorMember } from './assignor.js'
import { inMemberIdOrder } from './member-order.js'
import type { Pool, StickyMember, StickyPartition } from './sticky-balance.js'

/** What a member says it holds, or held last. */
export interface Claim {
  readonly partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
  /** In which it got them; -1 where it does not say. */
  readonly generationId: number
}

/** A partition with what the members say about it. */
export interface ClaimedPartition extends StickyPartition {
  /** Null also where two members claim it in the same generation: it is not known who has it. */
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

/** The pools to balance, with every partition's owner by what the members claim. */
export function claimedPools(
  members: readonly AssignorMember[],
  partitionCounts: ReadonlyMap<string, number>,
  claimOf: (member: AssignorMember) => Claim,
): Iterable<Pool<ClaimedPartition>> {
  const topics = new Map<string, SubscribedTopic>()
  const stickyMembers = inMemberIdOrder(members).map((assignorMember, index) => {
    const { memberId, subscription } = assignorMember
    const member: StickyMember = { memberId }
    for (const topic of new Set(subscription.topics)) {
      const known = topics.get(topic) ?? newTopic(topic, partitionCounts.get(topic) ?? 0)
      known.subscribers.push(member)
      known.subscriberKey += `${index},`
      topics.set(topic, known)
    }
    return { member, assignorMember }
  })
  for (const { member, assignorMember } of stickyMembers) enterClaim(topics, member, claimOf(assignorMember))

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

/** The claim of a newer generation replaces an older one, an equal one voids it. */
function enterClaim(
  topics: ReadonlyMap<string, SubscribedTopic>,
  member: StickyMember,
  { partitions: claimed, generationId }: Claim,
): void {
  for (const { topic, partitions } of claimed) {
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
