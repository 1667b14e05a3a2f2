import { OttlaError } from '../../errors.js'
import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import { reasonOf } from '../../reason-of.js'
import type { TopicPartition } from '../../storage/storage.js'
import { partitionName } from '../partition-name.js'
import { AssignmentBuilder } from './assignment-builder.js'
import type { Assignor, AssignorMember } from './assignor.js'
import { type ClaimedPartition, claimedPools } from './sticky-pools.js'

/** One member of the group, as an assignor of your own sees it. */
export interface AssignableMember {
  /** The group's name for it; a new one whenever it joins anew. */
  readonly memberId: string
  /** Its `instanceId`, which stays the same over restarts; null for a member that has none. */
  readonly instanceId: string | null
  /** The topics that it subscribes to and that exist, in order. It can be given partitions of these only. */
  readonly topics: readonly string[]
  /** What it holds now. Empty under 'eager', where everything is given up first. */
  readonly owned: readonly TopicPartition[]
  /** The `userData` of its own assignor; null where it has none. */
  readonly userData: Uint8Array | null
}

/**
 * A way of your own to share partitions out. All members of the group must have one of the same name; it is run by one
 * of them, the leader, whenever members or partitions come or go.
 *
 * @example
 * // The first member, by its instance id, does all the work; the others stand by.
 * const standby: CustomAssignor = {
 *   name: 'standby',
 *   assign: (members, partitions) => {
 *     const [active] = [...members].sort((a, b) => ((a.instanceId ?? '') < (b.instanceId ?? '') ? -1 : 1))
 *     return new Map(active === undefined ? [] : [[active.memberId, partitions]])
 *   },
 * }
 */
export interface CustomAssignor {
  /** What the members agree on, as Kafka's protocol name. Give another one to an assignor that assigns otherwise. */
  readonly name: string
  /**
   * 'cooperative' (default): members keep what they hold, and what moves is first given up and then placed, which is
   * seen to for you. 'eager': members give everything up before each assignment.
   */
  readonly rebalance?: 'cooperative' | 'eager'
  /** What this member tells the leader about itself, such as how much it can take. */
  readonly userData?: Uint8Array
  /**
   * Gives the partitions of each member by its id; a member that is left out gets none. Each of `partitions`, which are
   * in the order of topic and number, must go to one member that subscribes to its topic. Otherwise, and where it
   * throws, the leader fails with OTTLA_ASSIGNOR_FAILED. The same input should give the same answer.
   */
  readonly assign: (
    members: readonly AssignableMember[],
    partitions: readonly TopicPartition[],
  ) => ReadonlyMap<string, readonly TopicPartition[]>
}

/** Says what is wrong with a value that is no `CustomAssignor`. */
export function customAssignorProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is neither a name nor an object'
  const { name, assign, rebalance, userData, ...others } = value as Partial<Record<keyof CustomAssignor, unknown>>
  if (typeof name !== 'string' || name === '') return 'its name is a string that is not empty'
  if (typeof assign !== 'function') return 'its assign is a function'
  if (rebalance !== undefined && rebalance !== 'cooperative' && rebalance !== 'eager') {
    return "its rebalance is 'cooperative' or 'eager'"
  }
  if (userData !== undefined && !(userData instanceof Uint8Array)) return 'its userData is a Uint8Array'
  const [unknown] = Object.keys(others)
  return unknown === undefined ? undefined : `it takes name, rebalance, userData and assign, not ${unknown}`
}

/** What the groups work with, made of what the user gave. */
export function customAssignor(custom: CustomAssignor): Assignor {
  const { name, rebalance = 'cooperative', userData = null } = custom
  return {
    protocolName: name,
    rebalanceProtocol: rebalance,
    userData: () => userData,
    assign(
      members: readonly AssignorMember[],
      partitionCounts: ReadonlyMap<string, number>,
    ): Map<string, TopicPartitions[]> {
      const claimed = claimedPartitions(members, partitionCounts)
      const assignment = new AssignmentBuilder(members)
      for (const { memberId, partition } of chosen(custom, members, claimed)) {
        // What another holds is given up first, and placed when the group meets again.
        const isHeldElsewhere = rebalance === 'cooperative' && partition.isClaimed
        if (isHeldElsewhere && partition.owner?.memberId !== memberId) continue
        assignment.add(memberId, partition.topic, partition.partition)
      }
      return assignment.build()
    },
  }
}

/** By `topic-partition`, in the order of topic and number. */
function claimedPartitions(
  members: readonly AssignorMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, ClaimedPartition> {
  const pools = claimedPools(members, partitionCounts, ({ subscription }) => ({
    partitions: subscription.ownedPartitions,
    generationId: subscription.generationId,
  }))
  const partitions = [...pools].flatMap((pool) => [...pool.partitions])
  const inOrder = partitions.sort((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  )
  return new Map(inOrder.map((partition) => [partitionName(partition), partition]))
}

/** Asks the user's function, and checks that it placed every partition once. */
function chosen(
  { name, assign }: CustomAssignor,
  members: readonly AssignorMember[],
  claimed: ReadonlyMap<string, ClaimedPartition>,
): { memberId: string; partition: ClaimedPartition }[] {
  const existing = new Set([...claimed.values()].map(({ topic }) => topic))
  const shown = members.map((member) => shownMember(member, existing))
  const partitions = [...claimed.values()].map(({ topic, partition }) => ({ topic, partition }))
  let answer: unknown
  try {
    answer = assign(shown, partitions)
  } catch (cause) {
    throw assignorFailed(name, `it threw: ${reasonOf(cause)}`, cause)
  }
  if (!(answer instanceof Map)) throw assignorFailed(name, 'it returned no Map of partitions by member id')
  const left = new Map(claimed)
  const placed: { memberId: string; partition: ClaimedPartition }[] = []
  for (const [memberId, assigned] of answer) {
    const member = shown.find((each) => each.memberId === memberId)
    if (member === undefined) throw assignorFailed(name, `it names a member ${memberId}, which the group does not have`)
    if (!Array.isArray(assigned)) throw assignorFailed(name, `what it gives to ${memberId} is no array of partitions`)
    for (const at of assigned) {
      const partition = left.get(partitionName(at))
      if (partition === undefined) {
        const why = claimed.has(partitionName(at)) ? 'is given out twice' : 'is none of the partitions to be given out'
        throw assignorFailed(name, `${partitionName(at)} ${why}`)
      }
      if (!member.topics.includes(partition.topic)) {
        throw assignorFailed(name, `${partitionName(at)} goes to ${memberId}, which does not subscribe to its topic`)
      }
      left.delete(partitionName(at))
      placed.push({ memberId, partition })
    }
  }
  const [forgotten] = left.keys()
  if (forgotten !== undefined) throw assignorFailed(name, `${forgotten} goes to no member, so nobody would read it`)
  return placed
}

function shownMember({ memberId, instanceId, subscription }: AssignorMember, existing: Set<string>): AssignableMember {
  return {
    memberId,
    instanceId,
    topics: [...new Set(subscription.topics)].filter((topic) => existing.has(topic)).sort(),
    owned: subscription.ownedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    ),
    userData: subscription.userData,
  }
}

function assignorFailed(name: string, why: string, cause?: unknown): OttlaError {
  return new OttlaError('OTTLA_ASSIGNOR_FAILED', `The assignor '${name}' cannot be used: ${why}`, { cause })
}
