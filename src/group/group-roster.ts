import { OttlaError } from '../errors.js'
import { decodeSubscription } from '../protocol/consumer-protocol.js'
import { fencedInstance, unknownMember } from './group-errors.js'
import type { GroupMember } from './group-member.js'
import type { MemberProtocol } from './group-requests.js'

/** Who is in a group, who leads it and what all of them support. Decides nothing about when. */
export class GroupRoster {
  readonly #groupId: string
  /** By member id, in the order of joining. */
  #members = new Map<string, GroupMember>()
  /** Instance id to member id. */
  readonly #static = new Map<string, string>()
  #leader: string | null = null
  #protocolType: string | null = null

  constructor(groupId: string) {
    this.#groupId = groupId
  }

  get size(): number {
    return this.#members.size
  }

  /** The first to have joined. Stays for as long as it rejoins. */
  get leader(): string | null {
    return this.#leader
  }

  /** Of the members there are, or of the last there were. */
  get protocolType(): string | null {
    return this.#protocolType
  }

  /** The longest that any member asks for; 0 without members. */
  get rebalanceTimeoutMs(): number {
    return Math.max(0, ...[...this].map((member) => member.rebalanceTimeoutMs))
  }

  get allJoining(): boolean {
    return [...this].every((member) => member.joining !== null)
  }

  [Symbol.iterator](): IterableIterator<GroupMember> {
    return this.#members.values()
  }

  staticMember(instanceId: string): GroupMember | undefined {
    return this.#members.get(this.#static.get(instanceId) ?? '')
  }

  /** The member that asks. Throws OTTLA_UNKNOWN_MEMBER_ID or OTTLA_FENCED_INSTANCE_ID. */
  identify(memberId: string, instanceId: string | null): GroupMember {
    if (instanceId !== null) {
      const current = this.#static.get(instanceId)
      if (current !== undefined && current !== memberId) throw fencedInstance(this.#groupId, instanceId)
      if (current === undefined) throw unknownMember(this.#groupId, memberId)
    }
    const member = this.#members.get(memberId)
    if (member === undefined) throw unknownMember(this.#groupId, memberId)
    return member
  }

  add(member: GroupMember): void {
    if (this.#members.size === 0) this.#protocolType = member.protocolType
    this.#members.set(member.memberId, member)
    if (member.instanceId !== null) this.#static.set(member.instanceId, member.memberId)
    this.#leader ??= member.memberId
  }

  /** The next in the order of joining leads when the leader goes. */
  remove(member: GroupMember): void {
    this.#members.delete(member.memberId)
    if (member.instanceId !== null && this.#static.get(member.instanceId) === member.memberId) {
      this.#static.delete(member.instanceId)
    }
    if (this.#leader === member.memberId) this.#leader = [...this][0]?.memberId ?? null
  }

  /** Gives a static member its new id. It keeps its place, and the lead if it had it. */
  rename(member: GroupMember, memberId: string): void {
    if (this.#leader === member.memberId) this.#leader = memberId
    member.memberId = memberId
    this.#members = new Map([...this].map((each) => [each.memberId, each]))
    if (member.instanceId !== null) this.#static.set(member.instanceId, memberId)
  }

  /** Passes the lead to a member that waits to join, if the leader does not. False where none does. */
  electJoiningLeader(): boolean {
    const joining = [...this].filter((member) => member.joining !== null)
    if (!joining.some((member) => member.memberId === this.#leader)) {
      const next = joining[0]
      if (next === undefined) return false
      this.#leader = next.memberId
    }
    return true
  }

  /**
   * What consumers tell each other that they subscribe to: for Kafka's expiry of offsets alone, the bytes are looked
   * into. Undefined for members of another kind, and where the bytes cannot be read.
   */
  subscribedTopics(protocolName: string | null): ReadonlySet<string> | undefined {
    if (this.#protocolType !== 'consumer') return undefined
    try {
      const subscriptions = [...this].map((member) => decodeSubscription(member.metadataFor(protocolName)))
      return new Set(subscriptions.flatMap(({ topics }) => topics))
    } catch (error) {
      if (OttlaError.is(error)) return undefined
      throw error
    }
  }

  /** True where all members support one of the protocols. */
  support(protocols: readonly MemberProtocol[]): boolean {
    return protocols.some(({ name }) => [...this].every((member) => member.supports(name)))
  }

  /**
   * Each member votes for the first of its protocols that all support; the most votes win, and of equals the one that
   * was voted for first. Null without members.
   */
  selectProtocol(): string | null {
    const votes = new Map<string, number>()
    for (const member of this) {
      const vote = member.protocols.find((protocol) => this.support([protocol]))
      if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1)
    }
    let selected: string | null = null
    let most = 0
    for (const [name, count] of votes) {
      if (count > most) {
        selected = name
        most = count
      }
    }
    return selected
  }
}
