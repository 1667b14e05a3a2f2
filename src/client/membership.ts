import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { JoinGroupResult } from '../group/group-coordinator.js'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type TopicPartitions,
} from '../protocol/consumer-protocol.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Assignor } from './assignors/assignor.js'

export interface MembershipOptions {
  readonly engine: Engine
  readonly groupId: string
  /** Preferred first. The group uses one that all its members offer. */
  readonly assignors: readonly Assignor[]
  readonly rebalanceTimeoutMs: number
  /** The topics that are subscribed to now, those that do not exist included. */
  readonly subscription: (existing: readonly string[]) => string[]
  /** Partitions to begin with. */
  readonly onAssigned: (partitions: TopicPartition[]) => Promise<void>
  /** Partitions to finish with; others may have them when it resolves. */
  readonly onRevoked: (partitions: TopicPartition[]) => Promise<void>
  /** Partitions that others may have already. */
  readonly onLost: (partitions: TopicPartition[]) => Promise<void>
}

/** What this member is, towards the coordinator. */
export interface MemberIdentity {
  readonly memberId: string
  readonly generationId: number
}

const PROTOCOL_TYPE = 'consumer'

/**
 * One member's part in Kafka's classic group protocol: joins, assigns if it is the leader, syncs, then waits for the
 * coordinator to call the next rebalance.
 *
 *     join -> (leader: assign) -> sync -> [revoke what went] -> [begin with what came] -> wait -> join ...
 *
 * Under an eager assignor everything is given up before the next join; under a cooperative one only what moves, and
 * then the group meets once more to place it.
 */
export class Membership {
  readonly #options: MembershipOptions
  readonly #stopping = new AbortController()
  #identity: MemberIdentity = { memberId: '', generationId: -1 }
  #owned: TopicPartition[] = []
  /** The partition counts that the last assignment, or subscription, was made from. */
  #seenTopics = ''
  #rejoin = new AbortController()
  #isLeader = false
  #isSettled = false

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  get identity(): MemberIdentity {
    return this.#identity
  }

  get owned(): readonly TopicPartition[] {
    return this.#owned
  }

  /** True while the member holds what the group's assignment gives it, and no rebalance is under way here. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Takes part until `stop`, or rejects with what ended it. */
  async run(): Promise<void> {
    // What keeps the engine from telling about topics keeps it from letting this member join, too.
    const watching = this.#watchTopics().catch(() => undefined)
    try {
      while (!this.#stopping.signal.aborted) await this.#takePart()
    } finally {
      this.#stopping.abort()
      await watching
    }
  }

  /** Ends `run`. The member still holds its partitions, and may commit, until it leaves. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Tells the coordinator, so that others get the partitions at once. */
  async leave(): Promise<void> {
    const { memberId } = this.#identity
    if (memberId === '') return
    const { engine, groupId } = this.#options
    await engine.leaveGroup({ groupId, members: [{ memberId, instanceId: null }] })
  }

  /** One generation: from joining to the next rebalance. */
  async #takePart(): Promise<void> {
    const { engine, groupId, onAssigned, onRevoked } = this.#options
    let assignor: Assignor | undefined
    this.#isSettled = false
    try {
      const joined = await this.#join()
      assignor = this.#assignor(joined.protocolName)
      const { assignment } = await engine.syncGroup(
        {
          groupId,
          generationId: joined.generationId,
          memberId: joined.memberId,
          instanceId: null,
          protocolType: joined.protocolType,
          protocolName: joined.protocolName,
          assignments: this.#isLeader && !joined.skipAssignment ? await this.#assign(joined, assignor) : [],
        },
        { signal: this.#stopping.signal },
      )
      const assigned = flat(decodeAssignment(assignment).assigned)
      const revoked = without(this.#owned, assigned)
      const added = without(assigned, this.#owned)
      this.#owned = without(this.#owned, revoked)
      if (revoked.length > 0) await onRevoked(revoked)
      this.#owned = assigned
      await onAssigned(added)
      // Under a cooperative assignor what was given up is placed by a second meeting.
      if (revoked.length > 0 && assignor.rebalanceProtocol === 'cooperative') return
      this.#isSettled = true
      await this.#stay()
    } catch (error) {
      this.#isSettled = false
      await this.#recover(error)
      if (assignor === undefined) return
    }
    this.#isSettled = false
    if (assignor.rebalanceProtocol === 'eager' && !this.#stopping.signal.aborted) {
      const owned = this.#owned
      this.#owned = []
      if (owned.length > 0) await onRevoked(owned)
    }
  }

  async #join(): Promise<JoinGroupResult> {
    const { engine, groupId, assignors, rebalanceTimeoutMs } = this.#options
    this.#rejoin = new AbortController()
    const { topics, seen } = await this.#describeTopics()
    this.#seenTopics = seen
    const ownedPartitions = grouped(this.#owned)
    const { memberId, generationId } = this.#identity
    const joined = await engine.joinGroup(
      {
        groupId,
        memberId,
        instanceId: null,
        protocolType: PROTOCOL_TYPE,
        protocols: assignors.map((assignor) => ({
          name: assignor.protocolName,
          metadata: encodeSubscription({
            topics,
            userData: assignor.userData?.(generationId) ?? null,
            ownedPartitions: assignor.rebalanceProtocol === 'cooperative' ? ownedPartitions : [],
            generationId,
            rackId: null,
          }),
        })),
        sessionTimeoutMs: Number.POSITIVE_INFINITY,
        rebalanceTimeoutMs,
        clientId: 'ottla',
        clientHost: '/127.0.0.1',
      },
      { signal: this.#stopping.signal },
    )
    this.#identity = { memberId: joined.memberId, generationId: joined.generationId }
    this.#isLeader = joined.leader === joined.memberId
    return joined
  }

  async #assign(joined: JoinGroupResult, assignor: Assignor): Promise<{ memberId: string; assignment: Uint8Array }[]> {
    const members = joined.members.map(({ memberId, instanceId, metadata }) => ({
      memberId,
      instanceId,
      subscription: decodeSubscription(metadata),
    }))
    const { topics } = await this.#options.engine.metadata({ topics: null })
    const subscribed = new Set(members.flatMap((member) => member.subscription.topics))
    const partitionCounts = new Map(
      topics.filter((topic) => subscribed.has(topic.name)).map((topic) => [topic.name, topic.partitionCount]),
    )
    const assignments = assignor.assign(members, partitionCounts)
    return [...assignments].map(([memberId, assigned]) => ({
      memberId,
      assignment: encodeAssignment({ assigned, userData: null }),
    }))
  }

  /** Pending while the group needs nothing of this member; then rejects, or resolves where the member itself asks for a rebalance. */
  #stay(): Promise<void> {
    const { engine, groupId } = this.#options
    return engine.heartbeat(
      { groupId, ...this.#identity, instanceId: null },
      { wait: true, signal: AbortSignal.any([this.#rejoin.signal, this.#stopping.signal]) },
    )
  }

  /** What a refusal means for this member. Throws what it cannot go on from. */
  async #recover(error: unknown): Promise<void> {
    const code = OttlaError.is(error) ? error.code : undefined
    if (code === 'OTTLA_REBALANCE_IN_PROGRESS' || this.#stopping.signal.aborted) return
    if (code !== 'OTTLA_UNKNOWN_MEMBER_ID' && code !== 'OTTLA_ILLEGAL_GENERATION') throw error
    const owned = this.#owned
    this.#owned = []
    this.#identity = { memberId: code === 'OTTLA_UNKNOWN_MEMBER_ID' ? '' : this.#identity.memberId, generationId: -1 }
    if (owned.length > 0) await this.#options.onLost(owned)
  }

  /** Asks for a rebalance when a topic that counts here came, went or grew. */
  async #watchTopics(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const { version, seen } = await this.#describeTopics()
      // Only the leader's assignment rests on the counts; the others have their own subscription alone to mend.
      if (seen !== this.#seenTopics && this.#seenTopics !== '' && this.#identity.memberId !== '') this.#rejoin.abort()
      await this.#options.engine.metadata({ topics: [], newerThan: version }, { signal })
    }
  }

  async #describeTopics(): Promise<{ topics: string[]; seen: string; version: number }> {
    const { version, topics } = await this.#options.engine.metadata({ topics: null })
    const existing = topics.filter((topic) => topic.error === null && !topic.internal)
    const subscribed = this.#options.subscription(existing.map((topic) => topic.name))
    const counted = existing.filter((topic) => subscribed.includes(topic.name))
    const seen = counted.map((topic) => `${topic.name}:${topic.topicId}:${topic.partitionCount}`).join(',')
    return { topics: subscribed, seen, version }
  }

  #assignor(protocolName: string | null): Assignor {
    const assignor = this.#options.assignors.find((offered) => offered.protocolName === protocolName)
    if (assignor !== undefined) return assignor
    throw new OttlaError(
      'OTTLA_INCONSISTENT_GROUP_PROTOCOL',
      `Group ${this.#options.groupId} uses the assignor ${protocolName}, which this member did not offer`,
    )
  }
}

function flat(assigned: readonly TopicPartitions[]): TopicPartition[] {
  return assigned.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}

function grouped(owned: readonly TopicPartition[]): TopicPartitions[] {
  const byTopic = new Map<string, number[]>()
  for (const { topic, partition } of owned) {
    const partitions = byTopic.get(topic)
    if (partitions === undefined) byTopic.set(topic, [partition])
    else partitions.push(partition)
  }
  return [...byTopic].map(([topic, partitions]) => ({ topic, partitions }))
}

/** Those of `from` that are not in `other`. */
function without(from: readonly TopicPartition[], other: readonly TopicPartition[]): TopicPartition[] {
  const excluded = new Set(other.map(({ topic, partition }) => `${topic}-${partition}`))
  return from.filter(({ topic, partition }) => !excluded.has(`${topic}-${partition}`))
}
