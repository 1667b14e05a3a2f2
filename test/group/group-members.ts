import { OttlaError } from '../../src/errors.js'
import { GroupCoordinator, type GroupCoordinatorOptions } from '../../src/group/group-coordinator.js'
import type {
  GroupDescription,
  JoinGroupRequest,
  JoinGroupResult,
  SyncGroupResult,
} from '../../src/group/group-requests.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { KeptOffsetsLog } from './kept-offsets-log.js'

export const GROUP = 'billing'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function bytes(text: string): Uint8Array {
  return encoder.encode(text)
}

export function text(content: Uint8Array): string {
  return decoder.decode(content)
}

/** A coordinator on a manual clock, and the members of one group that talk to it. */
export class Rig {
  readonly clock: ManualClock = new ManualClock({ now: 1_000_000 })
  readonly log: KeptOffsetsLog = new KeptOffsetsLog()
  readonly coordinator: GroupCoordinator

  constructor(options: Partial<GroupCoordinatorOptions> = {}) {
    this.coordinator = new GroupCoordinator({ clock: this.clock, offsetsLog: this.log, ...options })
  }

  member(overrides: Partial<JoinGroupRequest> = {}): TestMember {
    return new TestMember(this.coordinator, overrides)
  }

  async describe(): Promise<GroupDescription> {
    const [description] = await this.coordinator.describeGroups([GROUP])
    if (description === undefined) throw new Error('Nothing was described.')
    return description
  }

  async state(): Promise<string> {
    return (await this.describe()).state
  }

  /** Brings members into one stable group in its first generation. The first one leads. */
  async stable(...members: [TestMember, ...TestMember[]]): Promise<void> {
    await Promise.all(members.map((member) => member.join()))
    await this.assign(...members)
  }

  /** The first member assigns to each its own name. */
  async assign(...members: [TestMember, ...TestMember[]]): Promise<void> {
    const [leader, ...followers] = members
    const synced = followers.map((follower) => follower.sync())
    await leader.sync(members)
    await Promise.all(synced)
  }
}

/** Remembers what a client must: its id and its generation. */
export class TestMember {
  readonly #coordinator: GroupCoordinator
  request: JoinGroupRequest
  memberId = ''
  generationId = -1
  protocolName: string | null = null

  constructor(coordinator: GroupCoordinator, overrides: Partial<JoinGroupRequest>) {
    this.#coordinator = coordinator
    this.request = {
      groupId: GROUP,
      memberId: '',
      instanceId: null,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: bytes('v1') }],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      clientId: 'app',
      clientHost: '/127.0.0.1',
      ...overrides,
    }
  }

  get identity(): { groupId: string; memberId: string; instanceId: string | null; generationId: number } {
    const { memberId, generationId } = this
    return { groupId: GROUP, memberId, instanceId: this.request.instanceId, generationId }
  }

  async join(signal?: AbortSignal): Promise<JoinGroupResult> {
    const joined = await this.#coordinator.joinGroup({ ...this.request, memberId: this.memberId }, { signal })
    this.memberId = joined.memberId
    this.generationId = joined.generationId
    this.protocolName = joined.protocolName
    return joined
  }

  sync(assignTo: readonly TestMember[] = [], signal?: AbortSignal): Promise<SyncGroupResult> {
    const assignments = assignTo.map(({ memberId }, index) => ({ memberId, assignment: bytes(`work ${index}`) }))
    const { protocolName } = this
    const request = { ...this.identity, protocolType: 'consumer', protocolName, assignments }
    return this.#coordinator.syncGroup(request, { signal })
  }

  heartbeat(): Promise<void> {
    return this.#coordinator.heartbeat(this.identity)
  }

  /** Stays pending until the group needs the member. */
  waitingHeartbeat(signal?: AbortSignal): Promise<void> {
    return this.#coordinator.heartbeat(this.identity, { wait: true, signal })
  }

  async leave(): Promise<string | null> {
    const [left] = await this.#coordinator.leaveGroup({ groupId: GROUP, members: [this.identity] })
    return left?.error?.code ?? null
  }

  /** The code of the error that the whole request or its one partition failed with, else null. */
  async commit(offset = 1): Promise<string | null> {
    const request = { ...this.identity, offsets: [{ topic: 'orders', partition: 0, offset, metadata: null }] }
    try {
      const [committed] = await this.#coordinator.commitOffsets(request)
      return committed?.error?.code ?? null
    } catch (error) {
      if (OttlaError.is(error)) return error.code
      throw error
    }
  }
}

/** The code that a promise rejects with, or 'resolved'. */
export async function outcome(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    if (OttlaError.is(error)) return error.code
    throw error
  }
}

/** 'pending', unless the promise settles while the engine has nothing else to do. */
export async function outcomeNow(rig: Rig, promise: Promise<unknown>): Promise<string> {
  let now = 'pending'
  const watched = outcome(promise).then((settled) => {
    now = settled
  })
  await Promise.race([watched, rig.clock.advance(0)])
  return now
}
