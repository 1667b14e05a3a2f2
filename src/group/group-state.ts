import type { CancelSignal } from '../cancellation.js'
import { randomId } from '../random-id.js'
import type { Clock } from '../time/clock.js'
import {
  fencedInstance,
  illegalGeneration,
  inconsistentProtocol,
  MemberIdRequiredError,
  rebalanceInProgress,
  unknownMember,
} from './group-errors.js'
import { GroupMember, NO_BYTES } from './group-member.js'
import type {
  GroupWaiting,
  HeartbeatOptions,
  HeartbeatRequest,
  JoinedMember,
  JoinGroupRequest,
  JoinGroupResult,
  LeavingMember,
  MemberDescription,
  SyncGroupRequest,
  SyncGroupResult,
} from './group-requests.js'
import { GroupRoster } from './group-roster.js'
import { PendingAnswer } from './pending-answer.js'
import { scheduleExpiry } from './schedule-expiry.js'

/**
 * Kafka's names. Empty: no members. PreparingRebalance: members are gathered for the next generation.
 * CompletingRebalance: they wait for the leader's assignments. Stable: they have them. Dead: deleted, and gone.
 */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/*
 *              join                    all joined, or time is up            the leader's sync
 *   Empty ------------> PreparingRebalance ---------> CompletingRebalance -----------------> Stable
 *     ^                  |  ^    ^                            |                                |
 *     '--- none is left -'  |    '--- join, leave, expiry ----'                                |
 *                           '----------------- join, leave, expiry ----------------------------'
 */
const MAY_FOLLOW: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty'],
  CompletingRebalance: ['Stable', 'PreparingRebalance'],
  Stable: ['PreparingRebalance'],
  Dead: [],
}

/** How long a member without an id may wait to join: it cannot show signs of life. Kafka's own five minutes. */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60_000

/** One group by Kafka's classic protocol: the only writer of its members and of its state. */
export class Group {
  readonly groupId: string
  readonly #clock: Clock
  readonly #initialRebalanceDelayMs: number
  readonly #onTransition: () => void
  readonly #roster: GroupRoster
  /** Ids that were given out and not joined with yet, each with what cancels its expiry. */
  readonly #reservedIds = new Map<string, () => void>()
  /** Members of this generation that have not asked for their assignment. */
  readonly #unsynced = new Set<GroupMember>()
  #state: GroupState = 'Empty'
  /** On the monotonic clock; counts in that state only. */
  #emptySinceMs: number
  #generationId = 0
  #protocolName: string | null = null
  /** The first members of a group are gathered for a while, even when all known ones have joined. */
  #gathering = false
  #joinedWhileGathering = false
  /** A preparing or completing rebalance has one deadline. */
  #cancelDeadline: () => void = () => {}

  constructor(groupId: string, options: { clock: Clock; initialRebalanceDelayMs: number; onTransition: () => void }) {
    this.groupId = groupId
    this.#clock = options.clock
    this.#initialRebalanceDelayMs = options.initialRebalanceDelayMs
    this.#onTransition = options.onTransition
    this.#roster = new GroupRoster(groupId)
    this.#emptySinceMs = options.clock.monotonic()
  }

  get state(): GroupState {
    return this.#state
  }

  get protocolType(): string {
    return this.#roster.protocolType ?? ''
  }

  get generationId(): number {
    return this.#generationId
  }

  /** False for a group that was only asked for, and never had a member or promised to take one. */
  get wasUsed(): boolean {
    return this.#state !== 'Empty' || this.#generationId > 0 || this.#reservedIds.size > 0
  }

  /** Milliseconds on the monotonic clock since the last member went, undefined while there are some. */
  get emptyForMs(): number | undefined {
    return this.#state === 'Empty' ? this.#clock.monotonic() - this.#emptySinceMs : undefined
  }

  /** What the members subscribe to; undefined while that is not known, as during a rebalance. */
  subscribedTopics(): ReadonlySet<string> | undefined {
    return this.#state === 'Stable' ? this.#roster.subscribedTopics(this.#protocolName) : undefined
  }

  /** True where members subscribe to the topic, or may, as far as is known. */
  mayReadFrom(topic: string): boolean {
    if (this.#state === 'Empty') return false
    return this.#roster.subscribedTopics(this.#protocolName)?.has(topic) ?? true
  }

  /** True where nobody was in it for that long, and nobody was promised a place. */
  isUnusedFor(durationMs: number): boolean {
    const isFree = this.#state === 'Empty' && this.#reservedIds.size === 0
    return isFree && this.#clock.monotonic() - this.#emptySinceMs >= durationMs
  }

  join(request: JoinGroupRequest, { signal }: GroupWaiting): Promise<JoinGroupResult> {
    this.#checkProtocols(request)
    const { memberId, instanceId } = request
    const reserved = this.#reservedIds.get(memberId)
    if (reserved !== undefined) {
      reserved()
      this.#reservedIds.delete(memberId)
      return this.#joinAsNew(memberId, request, signal)
    }
    if (memberId !== '') return this.#rejoin(request, signal)

    const newId = `${instanceId ?? request.clientId}-${randomId()}`
    const present = instanceId === null ? undefined : this.#roster.staticMember(instanceId)
    if (present !== undefined) return this.#replaceStatic(present, newId, request, signal)
    if (instanceId === null && request.requireMemberId === true) {
      this.#reserveId(newId, request.sessionTimeoutMs)
      throw new MemberIdRequiredError(this.groupId, newId)
    }
    return this.#joinAsNew(newId, request, signal)
  }

  sync(request: SyncGroupRequest, { signal }: GroupWaiting): Promise<SyncGroupResult> {
    const member = this.#identify(request)
    this.#checkChosenProtocol(request)
    if (this.#state === 'PreparingRebalance') throw rebalanceInProgress(this.groupId)

    this.#touch(member)
    this.#unsynced.delete(member)
    const answer = new PendingAnswer<SyncGroupResult>(signal, (aborted) => {
      if (member.syncing === aborted) member.syncing = null
      aborted.reject(signal?.reason)
    })
    // A second request of one member means that its first was lost on the way.
    member.syncing?.reject(rebalanceInProgress(this.groupId))
    member.syncing = answer
    if (this.#state === 'CompletingRebalance' && member.memberId === this.#roster.leader) {
      this.#assign(request)
      this.#transition('Stable')
    }
    if (this.#state === 'Stable') this.#answerSyncs()
    return answer.promise
  }

  heartbeat(request: HeartbeatRequest, { wait, signal }: HeartbeatOptions): Promise<void> {
    const member = this.#identify(request)
    this.#touch(member)
    if (this.#state === 'PreparingRebalance') throw rebalanceInProgress(this.groupId)
    if (wait !== true || signal?.aborted === true) return Promise.resolve()

    const answer = new PendingAnswer<void>(signal, (aborted) => {
      member.heartbeats.delete(aborted)
      this.#touch(member)
      aborted.resolve()
    })
    member.heartbeats.add(answer)
    return answer.promise
  }

  /** Removes one member, which the caller follows by `rebalanceAfterLeaving`. Throws where there is no such member. */
  leave({ memberId, instanceId }: LeavingMember): void {
    const cancelReserved = this.#reservedIds.get(memberId)
    if (cancelReserved !== undefined) {
      cancelReserved()
      this.#reservedIds.delete(memberId)
      return
    }
    const byInstance = memberId === '' && instanceId !== null ? this.#roster.staticMember(instanceId) : undefined
    this.#remove(byInstance ?? this.#roster.identify(memberId, instanceId))
  }

  rebalanceAfterLeaving(): void {
    if (this.#state === 'PreparingRebalance') this.#completeJoinIfAllJoined()
    else if (this.#state !== 'Empty') this.#prepareRebalance()
  }

  /** Throws where a member may not commit now. Without a generation only an empty group takes commits. */
  checkCommit({ memberId, instanceId, generationId }: HeartbeatRequest): void {
    if (generationId < 0 && this.#state === 'Empty') return
    if (generationId < 0 && memberId === '' && instanceId === null) throw unknownMember(this.groupId, memberId)
    const member = this.#identify({ memberId, instanceId, generationId })
    if (this.#state === 'CompletingRebalance') throw rebalanceInProgress(this.groupId)
    this.#touch(member)
  }

  describe(): { protocolName: string; members: MemberDescription[] } {
    const stable = this.#state === 'Stable'
    const members = [...this.#roster].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: stable ? member.metadataFor(this.#protocolName) : NO_BYTES,
      assignment: member.assignment,
    }))
    return { protocolName: stable ? (this.#protocolName ?? '') : '', members }
  }

  /** The members and what each is to consume. */
  assignments(): { memberId: string; assignment: Uint8Array }[] {
    return Array.from(this.#roster, ({ memberId, assignment }) => ({ memberId, assignment }))
  }

  /** Of an empty group only. */
  delete(): void {
    this.#forgetReservedIds()
    this.#transition('Dead')
  }

  /** Rejects all that is pending and cancels every timer. */
  close(error: unknown): void {
    this.#cancelDeadline()
    this.#forgetReservedIds()
    for (const member of this.#roster) {
      member.cancelSession()
      member.rejectPending(error)
    }
  }

  /** The one place where the state changes. A deadline belongs to the state it was set in, save that late followers may sync in Stable. */
  #transition(to: GroupState): void {
    if (!MAY_FOLLOW[this.#state].includes(to)) {
      throw new Error(`Group '${this.groupId}' cannot go from ${this.#state} to ${to}.`)
    }
    this.#state = to
    if (to === 'Empty') this.#emptySinceMs = this.#clock.monotonic()
    if (to !== 'Stable') this.#cancelDeadline()
    this.#onTransition()
  }

  #joinAsNew(memberId: string, request: JoinGroupRequest, signal: CancelSignal | undefined): Promise<JoinGroupResult> {
    const member = new GroupMember(memberId, request)
    this.#roster.add(member)
    this.#joinedWhileGathering = this.#gathering
    const joined = this.#awaitJoin(member, signal)
    this.#rebalanceOrCompleteJoin()
    return joined
  }

  #rejoin(request: JoinGroupRequest, signal: CancelSignal | undefined): Promise<JoinGroupResult> {
    const member = this.#roster.identify(request.memberId, request.instanceId)
    const leads = member.memberId === this.#roster.leader
    const changed = !member.hasProtocols(request.protocols)
    // A leader that rejoins a stable group wants to assign anew: something changed that no metadata shows.
    const rebalance = this.#state === 'Stable' ? leads || changed : changed
    if (this.#state === 'PreparingRebalance' || rebalance) {
      member.update(request)
      const joined = this.#awaitJoin(member, signal)
      this.#rebalanceOrCompleteJoin()
      return joined
    }
    this.#touch(member)
    return Promise.resolve(this.#joinResult(member))
  }

  /** A static member that comes back without an id takes over from itself, and fences whoever still uses its old id. */
  #replaceStatic(
    member: GroupMember,
    memberId: string,
    request: JoinGroupRequest,
    signal: CancelSignal | undefined,
  ): Promise<JoinGroupResult> {
    const leaderBefore = this.#roster.leader ?? ''
    member.rejectPending(fencedInstance(this.groupId, member.instanceId))
    this.#roster.rename(member, memberId)
    member.update(request)
    if (this.#state === 'Stable' && this.#roster.selectProtocol() === this.#protocolName) {
      this.#touch(member)
      return Promise.resolve(this.#joinResultOfReturned(member, request, leaderBefore))
    }
    const joined = this.#awaitJoin(member, signal)
    // In CompletingRebalance the leader may be assigning to the old id at this moment.
    this.#rebalanceOrCompleteJoin()
    return joined
  }

  #awaitJoin(member: GroupMember, signal: CancelSignal | undefined): Promise<JoinGroupResult> {
    const answer = new PendingAnswer<JoinGroupResult>(signal, (aborted) => {
      if (member.joining === aborted) {
        member.joining = null
        // Nobody else can know its id, so nobody could make it leave.
        if (member.isNew) {
          this.#remove(member)
          this.rebalanceAfterLeaving()
        }
      }
      aborted.reject(signal?.reason)
    })
    // A second request of one member means that its first was lost on the way.
    member.joining?.reject(rebalanceInProgress(this.groupId))
    member.joining = answer
    this.#touch(member)
    return answer.promise
  }

  #rebalanceOrCompleteJoin(): void {
    if (this.#state === 'PreparingRebalance') this.#completeJoinIfAllJoined()
    else this.#prepareRebalance()
  }

  #prepareRebalance(): void {
    const first = this.#state === 'Empty'
    if (this.#state === 'CompletingRebalance') for (const member of this.#roster) member.assignment = NO_BYTES
    this.#unsynced.clear()
    this.#transition('PreparingRebalance')
    for (const member of this.#roster) {
      member.syncing?.reject(rebalanceInProgress(this.groupId))
      member.syncing = null
      member.rejectHeartbeats(rebalanceInProgress(this.groupId))
    }
    if (first) this.#gatherFirstMembers(this.#initialRebalanceDelayMs, this.#roster.rebalanceTimeoutMs)
    else if (!this.#completeJoinIfAllJoined()) this.#completeJoinAtDeadline()
  }

  /**
   * Members that start together share the first generation: those of one turn of the event loop, or with a delay all
   * that come within it, or within another such delay after a newcomer, up to the rebalance timeout.
   */
  #gatherFirstMembers(delayMs: number, remainingMs: number): void {
    this.#gathering = true
    this.#joinedWhileGathering = false
    if (delayMs === 0) {
      let cancelled = false
      this.#cancelDeadline = () => {
        cancelled = true
      }
      void this.#clock.nextTurn().then(() => {
        if (!cancelled) this.#completeJoin()
      })
      return
    }
    this.#cancelDeadline = scheduleExpiry(this.#clock, delayMs, () => {
      const leftMs = Math.max(remainingMs - delayMs, 0)
      if (this.#joinedWhileGathering && leftMs > 0) this.#gatherFirstMembers(Math.min(delayMs, leftMs), leftMs)
      else this.#completeJoin()
    })
  }

  #completeJoinAtDeadline(): void {
    this.#cancelDeadline = scheduleExpiry(this.#clock, this.#roster.rebalanceTimeoutMs, () => this.#completeJoin())
  }

  #completeJoinIfAllJoined(): boolean {
    const complete = !this.#gathering && this.#reservedIds.size === 0 && this.#roster.allJoining
    if (complete) this.#completeJoin()
    return complete
  }

  /** Begins the next generation with those who joined. */
  #completeJoin(): void {
    this.#gathering = false
    for (const member of [...this.#roster]) {
      if (member.joining === null && member.instanceId === null) this.#remove(member)
    }
    if (this.#roster.size > 0 && !this.#roster.electJoiningLeader()) {
      // Only static members that have not come back are left. They keep their places until their sessions end.
      this.#completeJoinAtDeadline()
      return
    }
    this.#generationId += 1
    this.#protocolName = this.#roster.selectProtocol()
    if (this.#roster.size === 0) {
      this.#transition('Empty')
      return
    }
    this.#transition('CompletingRebalance')
    for (const member of this.#roster) {
      this.#unsynced.add(member)
      member.isNew = false
      member.joining?.resolve(this.#joinResult(member))
      member.joining = null
      this.#touch(member)
    }
    this.#cancelDeadline = scheduleExpiry(this.#clock, this.#roster.rebalanceTimeoutMs, () => this.#expireUnsynced())
  }

  /** Members that never asked for their assignment are gone; the others share anew. */
  #expireUnsynced(): void {
    for (const member of [...this.#unsynced]) this.#remove(member)
    this.#prepareRebalance()
  }

  /** A member that the leader leaves out has nothing to do, which is no bytes at all. */
  #assign({ assignments }: SyncGroupRequest): void {
    const byMember = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]))
    for (const member of this.#roster) member.assignment = new Uint8Array(byMember.get(member.memberId) ?? NO_BYTES)
  }

  #answerSyncs(): void {
    for (const member of this.#roster) {
      if (member.syncing === null) continue
      const { assignment } = member
      member.syncing.resolve({ protocolType: this.#roster.protocolType, protocolName: this.#protocolName, assignment })
      member.syncing = null
      this.#touch(member)
    }
    if (this.#unsynced.size === 0) this.#cancelDeadline()
  }

  /** Only the leader of a generation that is not assigned yet needs the members. */
  #joinResult(member: GroupMember): JoinGroupResult {
    const assigns = this.#state === 'CompletingRebalance' && member.memberId === this.#roster.leader
    return {
      generationId: this.#generationId,
      protocolType: this.#roster.protocolType,
      protocolName: this.#protocolName,
      leader: this.#roster.leader ?? '',
      memberId: member.memberId,
      members: assigns ? this.#joinedMembers() : [],
      skipAssignment: false,
    }
  }

  /**
   * A static member that came back to a stable group. If it leads, it must not assign: it is told so and shown the
   * members, or where it would not understand, the old leader's id is named, so that it takes itself for a follower.
   */
  #joinResultOfReturned(member: GroupMember, request: JoinGroupRequest, leaderBefore: string): JoinGroupResult {
    const joined = this.#joinResult(member)
    if (request.supportSkippingAssignment === false) return { ...joined, leader: leaderBefore }
    if (member.memberId !== this.#roster.leader) return joined
    return { ...joined, members: this.#joinedMembers(), skipAssignment: true }
  }

  #joinedMembers(): JoinedMember[] {
    return [...this.#roster].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      metadata: member.metadataFor(this.#protocolName),
    }))
  }

  #identify({ memberId, instanceId, generationId }: Omit<HeartbeatRequest, 'groupId'>): GroupMember {
    const member = this.#roster.identify(memberId, instanceId)
    if (generationId !== this.#generationId) {
      throw illegalGeneration(this.groupId, generationId, this.#generationId)
    }
    return member
  }

  #checkProtocols({ protocolType, protocols }: JoinGroupRequest): void {
    if (protocolType === '' || protocols.length === 0) {
      throw inconsistentProtocol(this.groupId, 'it names no protocol type, or no assignor')
    }
    if (this.#state === 'Empty') return
    if (protocolType !== this.#roster.protocolType) {
      throw inconsistentProtocol(
        this.groupId,
        `its protocol type is '${protocolType}', the group's '${this.#roster.protocolType}'`,
      )
    }
    if (!this.#roster.support(protocols)) {
      const names = protocols.map(({ name }) => `'${name}'`).join(', ')
      throw inconsistentProtocol(this.groupId, `not all members support one of its assignors, ${names}`)
    }
  }

  #checkChosenProtocol({ protocolType, protocolName }: SyncGroupRequest): void {
    const otherType = protocolType !== null && protocolType !== this.#roster.protocolType
    const otherName = protocolName !== null && protocolName !== this.#protocolName
    if (!otherType && !otherName) return
    throw inconsistentProtocol(
      this.groupId,
      `it syncs by '${protocolType}' and '${protocolName}', the group by '${this.#roster.protocolType}' and '${this.#protocolName}'`,
    )
  }

  #reserveId(memberId: string, sessionTimeoutMs: number): void {
    const cancel = scheduleExpiry(this.#clock, sessionTimeoutMs, () => {
      this.#reservedIds.delete(memberId)
      if (this.#state === 'PreparingRebalance') this.#completeJoinIfAllJoined()
    })
    this.#reservedIds.set(memberId, cancel)
  }

  #forgetReservedIds(): void {
    for (const cancel of this.#reservedIds.values()) cancel()
    this.#reservedIds.clear()
  }

  /** The member gave a sign of life: its session begins anew. */
  #touch(member: GroupMember): void {
    member.cancelSession()
    const { isNew, sessionTimeoutMs } = member
    const inProcess = sessionTimeoutMs === Number.POSITIVE_INFINITY
    const leftMs = isNew && !inProcess ? NEW_MEMBER_JOIN_TIMEOUT_MS : sessionTimeoutMs
    member.cancelSession = scheduleExpiry(this.#clock, leftMs, () => this.#expireSession(member))
  }

  #expireSession(member: GroupMember): void {
    const waits = (member.joining !== null && !member.isNew) || member.syncing !== null || member.heartbeats.size > 0
    if (waits) {
      this.#touch(member)
      return
    }
    this.#remove(member)
    this.rebalanceAfterLeaving()
  }

  #remove(member: GroupMember): void {
    member.cancelSession()
    this.#unsynced.delete(member)
    this.#roster.remove(member)
    member.rejectPending(unknownMember(this.groupId, member.memberId))
  }
}
