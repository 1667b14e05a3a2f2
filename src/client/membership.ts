import { Cancellation, type CancelSignal } from '../cancellation.js'
import type { Engine, TopicMetadata } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { JoinGroupResult } from '../group/group-requests.js'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type TopicPartitions,
} from '../protocol/consumer-protocol.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { flatPartitions } from './assigned-partitions.js'
import type { Assignor, AssignorMember, LastAssignment } from './assignors/assignor.js'
import type { GroupCounters } from './group-counters.js'
import { partitionName } from './partition-name.js'

export interface MembershipOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly groupId: string
  readonly counters: GroupCounters
  /** Makes the member static: it never says that it leaves, and who comes back under this id takes its place. Null without. */
  readonly instanceId: string | null
  /** How long the place of a static member is kept without a sign of life; Infinity for the others, who say when they leave. */
  readonly sessionTimeoutMs: number
  /** Preferred first. The group uses one that all its members offer. */
  readonly assignors: readonly Assignor[]
  readonly rebalanceTimeoutMs: number
  /** The topics that are subscribed to while these exist, those that do not exist included. */
  readonly subscription: (existing: readonly TopicMetadata[]) => string[]
  /** The topics that the subscription may name; null for any. A member need not know of the thousands that it never reads. */
  readonly candidates: readonly string[] | null
  /** Partitions to begin with. */
  readonly onAssigned: (partitions: TopicPartition[]) => Promise<void>
  /** Told when the member holds what the group's assignment gives it. */
  readonly onSettled: () => void
  /** Partitions to finish with; others may have them when it resolves. */
  readonly onRevoked: (partitions: TopicPartition[]) => Promise<void>
  /** Partitions that others may have already. */
  readonly onLost: (partitions: TopicPartition[]) => Promise<void>
}

/** What this member is, towards the coordinator. */
export interface MemberIdentity {
  readonly memberId: string
  readonly generationId: number
  readonly instanceId: string | null
}

/** What Kafka calls the protocol in which members share partitions. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer'

/** So many signs of life in the time of a session, as Kafka advises for heartbeat.interval.ms. */
const BEATS_PER_SESSION = 3

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
  readonly #stopping = new Cancellation()
  /** Ends whatever the member waits for, but what it loses: it drops out of the group, and comes back. */
  #droppingOut = new Cancellation()
  #identity: MemberIdentity
  #owned: TopicPartition[] = []
  #last: LastAssignment | undefined
  /** The topics, with their ids and partition counts, that this member last joined with. */
  #seenTopics: string | undefined
  #topicIds: ReadonlyMap<string, string> = new Map()
  /** Ends the wait of a join. */
  #joining = new Cancellation()
  /** Ends the wait for the group to need this member. */
  #rejoin = new Cancellation()
  #cancelBeat: () => void = () => {}
  /** Pending from joining until the assignment is there. */
  #rebalance: Promise<unknown> | undefined
  #isSettled = false
  /** Owned, and about to be begun with. */
  #beginning: readonly TopicPartition[] = []
  /** Lost since the member joined, because their topic is gone: what it is given of them is of that topic. */
  #gone: TopicPartition[] = []
  /** Pending while handlers run in partitions whose topic is gone. */
  #losing: Promise<unknown> = Promise.resolve()

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#identity = { memberId: '', generationId: -1, instanceId: options.instanceId }
  }

  get identity(): MemberIdentity {
    return this.#identity
  }

  /** True while the member holds what the group's assignment gives it, and no rebalance is under way here. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Resolves when the member has its assignment, or was told to join again: false where it was in no rebalance. */
  async afterRebalance(): Promise<boolean> {
    const rebalance = this.#rebalance
    await rebalance?.catch(() => undefined)
    return rebalance !== undefined
  }

  /** Takes part until `stop`, or rejects with what ended it. */
  async run(): Promise<void> {
    this.#scheduleBeat()
    const parts = [this.#takePart(), this.#watchTopics()].map((part) => part.finally(() => this.stop()))
    await Promise.allSettled(parts)
    await Promise.all(parts)
  }

  /**
   * Ends `run`. The member still holds its partitions, and may commit, until it leaves. So a rebalance that has
   * begun is seen through to its assignment: before that the coordinator takes no commits.
   */
  stop(): void {
    this.#stopping.abort()
    this.#joining.abort()
    this.#rejoin.abort()
  }

  /**
   * Takes the member out of its generation, whatever it waits for: it leaves, loses what it holds, and joins anew when
   * `onLost` has resolved.
   */
  dropOut(): void {
    this.#droppingOut.abort()
    this.#joining.abort()
    this.#rejoin.abort()
  }

  /**
   * Tells the coordinator, so that others get the partitions at once. A static member does not: it gives no more signs
   * of life, and its place is kept until its session ends.
   */
  async leave(): Promise<void> {
    this.#cancelBeat()
    const { memberId, instanceId } = this.#identity
    if (memberId === '' || instanceId !== null) return
    const { engine, groupId } = this.#options
    await engine.leaveGroup({ groupId, members: [{ memberId, instanceId }] })
  }

  async #takePart(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#isSettled = false
      try {
        await this.#goThroughGeneration()
      } catch (error) {
        this.#isSettled = false
        if (!this.#droppingOut.signal.aborted) await this.#recover(error)
      }
      if (this.#droppingOut.signal.aborted) await this.#dropOut()
    }
  }

  /** From joining to the next rebalance. */
  async #goThroughGeneration(): Promise<void> {
    await this.#loseDeleted()
    const { clock, counters } = this.#options
    const beganAtMs = clock.monotonic()
    const rebalance = this.#joinAndSync()
    this.#rebalance = rebalance
    const { assignor, assigned } = await rebalance.finally(() => {
      this.#rebalance = undefined
    })
    counters.rebalances.record(clock.monotonic() - beganAtMs)
    if (this.#isInterrupted) return
    const revoked = without(this.#owned, assigned)
    await this.#revoke(revoked)
    if (this.#droppingOut.signal.aborted) return
    const owned = without(assigned, this.#gone)
    const added = without(owned, this.#owned)
    this.#owned = owned
    this.#beginning = added
    try {
      await this.#options.onAssigned(added)
    } finally {
      this.#beginning = []
    }
    // What was given up after joining is placed by a second meeting.
    if (revoked.length > 0) return
    this.#isSettled = true
    this.#options.onSettled()
    await this.#stay()
    this.#isSettled = false
    if (assignor.rebalanceProtocol === 'eager' && !this.#isInterrupted) await this.#revoke(this.#owned)
  }

  async #joinAndSync(): Promise<{ assignor: Assignor; assigned: TopicPartition[] }> {
    const { engine, groupId, instanceId } = this.#options
    const joined = await this.#join()
    const assignor = this.#assignor(joined.protocolName)
    const isLeader = joined.leader === joined.memberId && !joined.skipAssignment
    const { assignment } = await engine.syncGroup(
      {
        groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        instanceId,
        protocolType: joined.protocolType,
        protocolName: joined.protocolName,
        assignments: isLeader ? await this.#assign(joined, assignor) : [],
      },
      { signal: this.#droppingOut.signal },
    )
    const { assigned } = decodeAssignment(assignment)
    this.#last = { partitions: assigned, generationId: joined.generationId }
    return { assignor, assigned: flatPartitions(assigned) }
  }

  async #join(): Promise<JoinGroupResult> {
    const { engine, groupId, instanceId, assignors, rebalanceTimeoutMs, sessionTimeoutMs } = this.#options
    this.#joining = new Cancellation()
    this.#rejoin = new Cancellation()
    if (this.#isInterrupted) this.#joining.abort()
    const { topics, seen, ids, gone } = await this.#describeTopics()
    this.#loseGone(gone)
    this.#gone = []
    this.#seenTopics = seen
    this.#topicIds = ids
    const ownedPartitions = grouped(this.#owned)
    const { memberId, generationId } = this.#identity
    const joined = await engine.joinGroup(
      {
        groupId,
        memberId,
        instanceId,
        protocolType: CONSUMER_PROTOCOL_TYPE,
        protocols: assignors.map((assignor) => ({
          name: assignor.protocolName,
          metadata: encodeSubscription({
            topics,
            userData: assignor.userData?.(this.#last) ?? null,
            ownedPartitions,
            generationId,
            rackId: null,
          }),
        })),
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        clientId: 'ottla',
        clientHost: '/127.0.0.1',
      },
      { signal: this.#joining.signal },
    )
    this.#identity = { memberId: joined.memberId, generationId: joined.generationId, instanceId }
    return joined
  }

  async #assign(joined: JoinGroupResult, assignor: Assignor): Promise<{ memberId: string; assignment: Uint8Array }[]> {
    const members = joined.members.map(({ memberId, instanceId, metadata }) => ({
      memberId,
      instanceId,
      subscription: decodeSubscription(metadata),
    }))
    const subscribed = new Set(members.flatMap((member) => member.subscription.topics))
    const { topics } = await this.#options.engine.metadata({ topics: [...subscribed] })
    const partitionCounts = new Map(topics.filter(exists).map((topic) => [topic.name, topic.partitionCount]))
    const assignments = assignor.assign(members, partitionCounts)
    const holders = assignor.rebalanceProtocol === 'eager' ? holdersOf(members) : new Map<string, string>()
    return [...assignments].map(([memberId, assigned]) => {
      const free = flatPartitions(assigned).filter((at) => (holders.get(partitionName(at)) ?? memberId) === memberId)
      return { memberId, assignment: encodeAssignment({ assigned: grouped(free), userData: null }) }
    })
  }

  /** Pending while the group needs nothing of this member, or the member of the group. */
  async #stay(): Promise<void> {
    const { engine, groupId } = this.#options
    try {
      await engine.heartbeat({ groupId, ...this.#identity }, { wait: true, signal: this.#rejoin.signal })
    } catch (error) {
      if (codeOf(error) !== 'OTTLA_REBALANCE_IN_PROGRESS') throw error
    }
  }

  /** What a refusal means for this member. Throws what it cannot go on from. */
  async #recover(error: unknown): Promise<void> {
    const code = codeOf(error)
    if (code === 'OTTLA_REBALANCE_IN_PROGRESS' || this.#stopping.signal.aborted) return
    // Whoever took its place has its partitions: this one must not come back, or the two would fence each other for ever.
    // What it loses is not waited for, or what its handlers throw would pass for the cause.
    if (code === 'OTTLA_FENCED_INSTANCE_ID') void this.#lose(this.#owned)
    if (code !== 'OTTLA_UNKNOWN_MEMBER_ID' && code !== 'OTTLA_ILLEGAL_GENERATION') throw error
    const memberId = code === 'OTTLA_UNKNOWN_MEMBER_ID' ? '' : this.#identity.memberId
    this.#identity = { ...this.#identity, memberId, generationId: -1 }
    await this.#lose(this.#owned)
  }

  async #dropOut(): Promise<void> {
    const { engine, groupId, instanceId } = this.#options
    const { memberId } = this.#identity
    // No sign of life is given under no id: the session of a static member runs out, unless it is back before.
    this.#identity = { memberId: '', generationId: -1, instanceId }
    this.#droppingOut = new Cancellation()
    if (memberId !== '' && instanceId === null) {
      await engine.leaveGroup({ groupId, members: [{ memberId, instanceId }] })
    }
    await this.#lose(this.#owned)
  }

  get #isInterrupted(): boolean {
    return this.#stopping.signal.aborted || this.#droppingOut.signal.aborted
  }

  /** A heartbeat that waits is a sign of life; these are for when the member waits for something else. */
  #scheduleBeat(): void {
    const { clock, engine, groupId, sessionTimeoutMs } = this.#options
    if (sessionTimeoutMs === Number.POSITIVE_INFINITY) return
    this.#cancelBeat = clock.schedule(() => {
      this.#scheduleBeat()
      if (this.#identity.memberId === '') return
      // What a refusal means is found out by whatever the member does next.
      engine.heartbeat({ groupId, ...this.#identity }).catch(() => undefined)
    }, sessionTimeoutMs / BEATS_PER_SESSION)
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return
    await settledOrAborted(this.#options.onRevoked([...partitions]), this.#droppingOut.signal)
    // Where it drops out they are still owned, and lost with the rest.
    if (!this.#droppingOut.signal.aborted) this.#owned = without(this.#owned, partitions)
  }

  async #lose(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return
    this.#owned = without(this.#owned, partitions)
    await this.#options.onLost([...partitions])
  }

  async #loseDeleted(): Promise<void> {
    if (this.#owned.length > 0) this.#loseGone((await this.#describeTopics()).gone)
    await this.#losing
  }

  /**
   * Of a topic that was deleted nothing is to be committed, least of all to another topic of its name. What is about to
   * begin is left to the next generation. True where anything was lost.
   */
  #loseGone(described: readonly TopicPartition[]): boolean {
    const gone = without(described, without(described, this.#held))
    if (gone.length === 0) return false
    this.#gone.push(...gone)
    this.#losing = Promise.all([this.#losing, this.#lose(gone)])
    return true
  }

  /** Owned, and begun with. */
  get #held(): TopicPartition[] {
    return without(this.#owned, this.#beginning)
  }

  /**
   * Asks for a rebalance when a topic that counts here came, went or grew: the leader may not know of it. What is gone is
   * lost at once: a rebalance that is under way may last, and the loops would go on in another topic of the name.
   */
  async #watchTopics(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const { version, seen, gone } = await this.#describeTopics()
      const hasLost = this.#loseGone(gone)
      if (hasLost || (this.#seenTopics !== undefined && this.#seenTopics !== seen)) this.#rejoin.abort()
      await this.#options.engine.metadata({ topics: [], newerThan: version }, { signal })
    }
  }

  async #describeTopics(): Promise<{
    topics: string[]
    seen: string
    ids: ReadonlyMap<string, string>
    /** Of what was held at the call, that of which the topic is not there any more. */
    gone: TopicPartition[]
    version: number
  }> {
    const [held, seenIds] = [this.#held, this.#topicIds]
    const { engine, candidates } = this.#options
    // What an assignor of the user's gave the member beyond its subscription counts too.
    const owned = this.#owned.map(({ topic }) => topic)
    const wanted = candidates === null ? null : [...new Set([...candidates, ...owned])]
    const { version, topics: answered } = await engine.metadata({ topics: wanted })
    const topics = answered.filter(exists)
    const subscribed = this.#options.subscription(topics)
    const names = new Set(subscribed)
    const counted = topics.filter((topic) => names.has(topic.name))
    const seen = counted.map((topic) => `${topic.name}:${topic.topicId}:${topic.partitionCount}`).join(',')
    const ids = new Map(topics.map((topic) => [topic.name, topic.topicId]))
    const gone = held.filter(
      ({ topic }) => !ids.has(topic) || (seenIds.get(topic) ?? ids.get(topic)) !== ids.get(topic),
    )
    return { topics: subscribed, seen, ids, gone, version }
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

/** Settles as `work` does, or resolves when the signal aborts. */
function settledOrAborted(work: Promise<void>, signal: CancelSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function exists({ error }: TopicMetadata): boolean {
  return error === null
}

function codeOf(error: unknown): string | undefined {
  return OttlaError.is(error) ? error.code : undefined
}

/**
 * Who holds which partition still. Under an eager assignor nobody does, save where the group comes to it from a
 * cooperative one: what moves is then given up first, and placed by the next meeting.
 */
function holdersOf(members: readonly AssignorMember[]): Map<string, string> {
  const holders = new Map<string, string>()
  for (const { memberId, subscription } of members) {
    for (const at of flatPartitions(subscription.ownedPartitions)) holders.set(partitionName(at), memberId)
  }
  return holders
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
  const excluded = new Set(other.map(partitionName))
  return from.filter((at) => !excluded.has(partitionName(at)))
}
