import type { Engine } from '../engine/engine.js'
import type {
  FetchedOffset,
  GroupDescription,
  GroupWaiting,
  HeartbeatOptions,
  JoinGroupRequest,
  JoinGroupResult,
  OffsetCommitResult,
  OffsetDeleteResult,
  SyncGroupRequest,
  SyncGroupResult,
} from '../group/group-requests.js'
import { decodeSubscription, encodeSubscription } from '../protocol/consumer-protocol.js'
import { randomId } from '../random-id.js'
import { only } from './engine-under-test.js'
import { check } from './expect.js'
import { checkNoError, isKafkaError } from './kafka-error.js'
import { eventually, promptly } from './patience.js'

/** Who asks: a member of a generation, or nobody. */
export interface Asker {
  readonly memberId: string
  readonly generationId: number
  readonly instanceId?: string | null
  readonly protocolName?: string | null
}

/** Commits for a group that has no members. */
export const NOBODY: Asker = { memberId: '', generationId: -1 }

/** One group of a new name. Its members' requests are answered promptly, or the test fails. */
export class GroupUnderTest {
  readonly groupId: string = `suite-${randomId()}`
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Asks to join, and waits for as long as the group does. */
  joining(request: Partial<JoinGroupRequest> = {}, waiting?: GroupWaiting): Promise<JoinGroupResult> {
    const full: JoinGroupRequest = {
      groupId: this.groupId,
      memberId: '',
      instanceId: null,
      protocolType: 'consumer',
      protocols: protocols('range'),
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 30_000,
      clientId: 'suite',
      clientHost: '/127.0.0.1',
      ...request,
    }
    return this.#engine.joinGroup(full, waiting)
  }

  join(request?: Partial<JoinGroupRequest>): Promise<JoinGroupResult> {
    return promptly(this.joining(request), 'A join')
  }

  /** Asks for the assignment; a leader gives each member's, as text. */
  syncing(
    asker: Asker,
    assignments: Readonly<Record<string, string>> = {},
    waiting?: GroupWaiting,
  ): Promise<SyncGroupResult> {
    const request: SyncGroupRequest = {
      ...this.#identity(asker),
      protocolType: 'consumer',
      protocolName: asker.protocolName ?? null,
      assignments: Object.entries(assignments).map(([memberId, text]) => ({ memberId, assignment: encode(text) })),
    }
    return this.#engine.syncGroup(request, waiting)
  }

  async sync(asker: Asker, assignments?: Readonly<Record<string, string>>): Promise<string> {
    return decode((await promptly(this.syncing(asker, assignments), 'A sync')).assignment)
  }

  heartbeat(asker: Asker, options?: HeartbeatOptions): Promise<void> {
    return this.#engine.heartbeat(this.#identity(asker), options)
  }

  async leave(...members: readonly { memberId: string; instanceId?: string | null }[]): Promise<(Error | null)[]> {
    const leaving = members.map(({ memberId, instanceId = null }) => ({ memberId, instanceId }))
    const left = await this.#engine.leaveGroup({ groupId: this.groupId, members: leaving })
    return left.map(({ error }) => error)
  }

  commitAll(
    asker: Asker,
    offsets: readonly { topic: string; partition?: number; offset: number; metadata?: string; leaderEpoch?: number }[],
  ): Promise<OffsetCommitResult[]> {
    return this.#engine.commitOffsets({
      ...this.#identity(asker),
      offsets: offsets.map(({ partition = 0, metadata = null, ...rest }) => ({ partition, metadata, ...rest })),
    })
  }

  /** Commits one offset, which must go well. */
  async commit(asker: Asker, topic: string, offset: number, partition: number = 0): Promise<void> {
    checkNoError(only(await this.commitAll(asker, [{ topic, partition, offset }])).error, 'Committing an offset')
  }

  /** Asks to forget what is committed. */
  deleteOffsets(
    ...partitions: readonly (readonly [topic: string, partition: number])[]
  ): Promise<OffsetDeleteResult[]> {
    const named = partitions.map(([topic, partition]) => ({ topic, partition }))
    return this.#engine.deleteOffsets({ groupId: this.groupId, partitions: named })
  }

  async committed(topic: string, partition: number = 0): Promise<FetchedOffset> {
    return only(await this.#engine.fetchOffsets({ groupId: this.groupId, partitions: [{ topic, partition }] }))
  }

  async describe(): Promise<GroupDescription> {
    return only(await this.#engine.describeGroups([this.groupId]))
  }

  /** A member alone in its generation, with its assignment. */
  async single(request?: Partial<JoinGroupRequest>): Promise<JoinGroupResult> {
    const member = await this.join(request)
    await this.sync(member, { [member.memberId]: 'all' })
    return member
  }

  /** Waits until a member hears that it must join again. */
  async rebalancing(asker: Asker): Promise<void> {
    await eventually(async () => {
      const failure: unknown = await this.heartbeat(asker).catch((error: unknown) => error)
      return isKafkaError(failure, 'REBALANCE_IN_PROGRESS')
    }, 'A rebalance that is heard of by heartbeat')
  }

  /** Adds a second member to `first`'s group: both are in the next generation, not yet with assignments. */
  async joinBeside(
    first: JoinGroupResult,
    request?: Partial<JoinGroupRequest>,
  ): Promise<[first: JoinGroupResult, second: JoinGroupResult]> {
    const second = this.joining(request)
    // Heard of where it is awaited; a rebalance that never comes is the failure to tell.
    second.catch(() => undefined)
    await this.rebalancing(first)
    const again = this.joining({ memberId: first.memberId, protocols: request?.protocols ?? protocols('range') })
    return promptly(Promise.all([again, second]), 'The join of all members')
  }

  #identity({ memberId, generationId, instanceId = null }: Asker): {
    groupId: string
    memberId: string
    generationId: number
    instanceId: string | null
  } {
    return { groupId: this.groupId, memberId, generationId, instanceId }
  }
}

/**
 * Protocols by these names. What a member tells its assignor is opaque to the verbs, but a Kafka broker looks into that
 * of the type 'consumer' all the same: a group whose members send anything else there never gets a generation.
 */
export function protocols(...names: readonly string[]): JoinGroupRequest['protocols'] {
  return subscriptionTo(['suite'], names)
}

/** The same of a consumer that subscribes to these topics. */
export function subscriptionTo(
  topics: readonly string[],
  names: readonly string[] = ['range'],
): JoinGroupRequest['protocols'] {
  const subscription = { topics, ownedPartitions: [], generationId: -1, rackId: null }
  return names.map((name) => ({ name, metadata: encodeSubscription({ ...subscription, userData: encode(name) }) }))
}

/** The name of the protocol that the metadata was made for. */
export function protocolOf(metadata: Uint8Array | undefined): string {
  const { userData } = decodeSubscription(metadata ?? new Uint8Array())
  return decode(userData ?? new Uint8Array())
}

export function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The member of the two that leads, then the other. */
export function leaderFirst(
  members: readonly [JoinGroupResult, JoinGroupResult],
): [leader: JoinGroupResult, follower: JoinGroupResult] {
  const [first, second] = members
  check(first.leader === second.leader, `One member takes ${first.leader} for the leader, the other ${second.leader}.`)
  return first.memberId === first.leader ? [first, second] : [second, first]
}
