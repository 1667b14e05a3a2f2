import { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { CommittedOffsets, type OffsetsLog } from './committed-offsets.js'
import { coordinatorClosed, groupNotEmpty, groupNotFound, groupSubscribed, unknownMember } from './group-errors.js'
import type {
  CommitOffsetsRequest,
  DeletedGroup,
  DeleteOffsetsRequest,
  FetchedOffset,
  FetchOffsetsRequest,
  GroupDescription,
  GroupListing,
  GroupWaiting,
  HeartbeatOptions,
  HeartbeatRequest,
  JoinGroupRequest,
  JoinGroupResult,
  LeaveGroupRequest,
  LeaveGroupResult,
  OffsetCommitResult,
  OffsetDeleteResult,
  OffsetToCommit,
  SyncGroupRequest,
  SyncGroupResult,
} from './group-requests.js'
import { Group, type GroupState } from './group-state.js'

export interface GroupCoordinatorOptions {
  readonly clock: Clock
  readonly offsetsLog: OffsetsLog
  /** How long the first members of a group are gathered. Default 0: those of one turn of the event loop. Kafka: group.initial.rebalance.delay.ms. */
  readonly initialRebalanceDelayMs?: number | undefined
  /** Default 6000. Kafka: group.min.session.timeout.ms. */
  readonly minSessionTimeoutMs?: number | undefined
  /** Default 1800000. Kafka: group.max.session.timeout.ms. */
  readonly maxSessionTimeoutMs?: number | undefined
  /** Characters of the note that goes with a committed offset. Default 4096. Kafka: offset.metadata.max.bytes. */
  readonly offsetMetadataMaxBytes?: number | undefined
  /** How long the offsets of a group without members are kept. Default -1: for ever. Kafka: offsets.retention.minutes. */
  readonly offsetsRetentionMs?: number | undefined
  /** Default 600000. Kafka: offsets.retention.check.interval.ms. */
  readonly offsetsRetentionCheckIntervalMs?: number | undefined
  /** Told what kept offsets from expiring, which no request answers for. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Told when a group went on to another state, and when committed offsets took effect. */
  readonly onProgress?: (() => void) | undefined
}

/** A group that has members, as it is at this moment. */
export interface ActiveGroup {
  readonly state: GroupState
  readonly protocolType: string
  readonly generationId: number
  readonly members: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

const DEFAULTS = {
  initialRebalanceDelayMs: 0,
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  // Kafka too counts characters.
  offsetMetadataMaxBytes: 4096,
  offsetsRetentionMs: -1,
  offsetsRetentionCheckIntervalMs: 600_000,
}

/** How long a group without members and offsets can still be described. Kafka: offsets.retention.check.interval.ms. */
const UNUSED_GROUP_KEPT_MS = 600_000
/** How often such groups are looked for at most. */
const UNUSED_GROUP_CHECK_MS = 60_000

/**
 * Kafka's group coordinator for the classic protocol. It moves the members' metadata and assignments as opaque bytes:
 * the leader among them assigns. Each request about one group rejects with Kafka's error; what names several answers
 * for each. After `close` every request fails with OTTLA_CLOSED.
 */
export class GroupCoordinator {
  readonly #clock: Clock
  readonly #offsets: CommittedOffsets
  readonly #initialRebalanceDelayMs: number
  readonly #minSessionTimeoutMs: number
  readonly #maxSessionTimeoutMs: number
  readonly #offsetMetadataMaxBytes: number
  readonly #offsetsRetentionMs: number
  readonly #offsetsRetentionCheckIntervalMs: number
  readonly #onError: (error: unknown) => void
  readonly #onProgress: () => void
  readonly #openedAtMs: number
  #cancelExpiry: () => void = () => {}
  /** Groups that have or had members since start. A group may also exist by its committed offsets alone. */
  readonly #groups = new Map<string, Group>()
  #dropUnusedAtMs = 0
  #closed = false

  constructor(options: GroupCoordinatorOptions) {
    this.#clock = options.clock
    this.#offsets = new CommittedOffsets({ clock: options.clock, log: options.offsetsLog })
    this.#initialRebalanceDelayMs = options.initialRebalanceDelayMs ?? DEFAULTS.initialRebalanceDelayMs
    this.#minSessionTimeoutMs = options.minSessionTimeoutMs ?? DEFAULTS.minSessionTimeoutMs
    this.#maxSessionTimeoutMs = options.maxSessionTimeoutMs ?? DEFAULTS.maxSessionTimeoutMs
    this.#offsetMetadataMaxBytes = options.offsetMetadataMaxBytes ?? DEFAULTS.offsetMetadataMaxBytes
    this.#offsetsRetentionMs = options.offsetsRetentionMs ?? DEFAULTS.offsetsRetentionMs
    this.#offsetsRetentionCheckIntervalMs =
      options.offsetsRetentionCheckIntervalMs ?? DEFAULTS.offsetsRetentionCheckIntervalMs
    this.#onError = options.onError ?? (() => {})
    this.#onProgress = options.onProgress ?? (() => {})
    this.#openedAtMs = options.clock.now()
  }

  /**
   * Takes in one record of __consumer_offsets, in the order of the log, before the first request. Records of other
   * kinds are skipped. Throws OTTLA_CORRUPTION or OTTLA_UNSUPPORTED_FORMAT where one cannot be read.
   */
  replay(key: Uint8Array, value: Uint8Array | null): void {
    this.#offsets.replay(key, value)
  }

  /**
   * Resolves when the member's next generation begins, or at once with the current one where nothing changed. An
   * abort ends the wait with its reason, and takes a member out again that had no id before this call.
   * Rejects with OTTLA_INVALID_GROUP_ID, OTTLA_INVALID_SESSION_TIMEOUT, OTTLA_INCONSISTENT_GROUP_PROTOCOL,
   * OTTLA_MEMBER_ID_REQUIRED, OTTLA_UNKNOWN_MEMBER_ID, OTTLA_FENCED_INSTANCE_ID, or OTTLA_REBALANCE_IN_PROGRESS where a
   * later call of the same member took its place.
   */
  async joinGroup(request: JoinGroupRequest, waiting: GroupWaiting = {}): Promise<JoinGroupResult> {
    this.#checkOpen()
    checkGroupId(request.groupId)
    this.#checkSessionTimeout(request)
    if (waiting.signal?.aborted === true) throw waiting.signal.reason
    const { groupId, memberId } = request
    if (memberId !== '') return this.#groupOf(groupId, memberId).join(request, waiting)

    this.#dropUnused()
    const group = this.#groups.get(groupId) ?? this.#newGroup(groupId)
    try {
      // Not awaited here: the next member to join must find this group.
      return group.join(request, waiting)
    } finally {
      if (group.wasUsed) this.#groups.set(groupId, group)
    }
  }

  /**
   * Resolves with the member's assignment once the leader has given its assignments. An abort ends the wait with its
   * reason. Rejects with OTTLA_REBALANCE_IN_PROGRESS, OTTLA_ILLEGAL_GENERATION, OTTLA_UNKNOWN_MEMBER_ID,
   * OTTLA_FENCED_INSTANCE_ID, OTTLA_INCONSISTENT_GROUP_PROTOCOL or OTTLA_INVALID_GROUP_ID.
   */
  async syncGroup(request: SyncGroupRequest, waiting: GroupWaiting = {}): Promise<SyncGroupResult> {
    this.#checkOpen()
    checkGroupId(request.groupId)
    if (waiting.signal?.aborted === true) throw waiting.signal.reason
    return this.#groupOf(request.groupId, request.memberId).sync(request, waiting)
  }

  /**
   * Resolves at once while all is well. With `wait` it stays pending instead, until an abort resolves it or the group
   * needs the member: it then rejects, with OTTLA_REBALANCE_IN_PROGRESS (join again), OTTLA_UNKNOWN_MEMBER_ID (removed),
   * OTTLA_FENCED_INSTANCE_ID (replaced) or OTTLA_ILLEGAL_GENERATION. A member that waits so is alive.
   */
  async heartbeat(request: HeartbeatRequest, options: HeartbeatOptions = {}): Promise<void> {
    this.#checkOpen()
    checkGroupId(request.groupId)
    await this.#groupOf(request.groupId, request.memberId).heartbeat(request, options)
  }

  /** Rejects with OTTLA_INVALID_GROUP_ID; what concerns one member is in its `error`. */
  async leaveGroup({ groupId, members }: LeaveGroupRequest): Promise<LeaveGroupResult> {
    this.#checkOpen()
    checkGroupId(groupId)
    const left = members.map(({ memberId, instanceId }) => {
      const error = errorOf(() => this.#groupOf(groupId, memberId).leave({ memberId, instanceId }))
      return { memberId, instanceId, error }
    })
    if (left.some(({ error }) => error === null)) this.#groups.get(groupId)?.rebalanceAfterLeaving()
    return left
  }

  /**
   * Resolves when the offsets are in the log, with an error for each that was refused on its own account
   * (OTTLA_OFFSET_METADATA_TOO_LARGE, OTTLA_INVALID_ARGUMENT). Rejects, and commits nothing, where the member may not
   * commit: OTTLA_UNKNOWN_MEMBER_ID, OTTLA_ILLEGAL_GENERATION, OTTLA_FENCED_INSTANCE_ID, OTTLA_REBALANCE_IN_PROGRESS,
   * OTTLA_GROUP_NOT_FOUND; or with what the log rejected with. A generation of -1 without a member id commits
   * for a group without members. Commits of one group take effect in the order of the calls.
   */
  async commitOffsets(request: CommitOffsetsRequest): Promise<OffsetCommitResult[]> {
    this.#checkOpen()
    const { groupId, offsets } = request
    const group = this.#groups.get(groupId)
    if (group !== undefined) group.checkCommit(request)
    else if (request.generationId >= 0) {
      throw this.#exists(groupId) ? unknownMember(groupId, request.memberId) : groupNotFound(groupId)
    }
    const results = offsets.map((offset) => {
      return { topic: offset.topic, partition: offset.partition, error: refusal(offset, this.#offsetMetadataMaxBytes) }
    })
    await this.#offsets.commit(
      groupId,
      offsets.filter((_, index) => results[index]?.error === null),
    )
    this.#onProgress()
    return results
  }

  /** What a group has committed, durably; a group that never did has -1 everywhere. */
  async fetchOffsets({ groupId, partitions }: FetchOffsetsRequest): Promise<FetchedOffset[]> {
    this.#checkOpen()
    return this.#offsets.fetch(groupId, partitions)
  }

  /** The groups that have members, by their ids, without a turn of the event loop. */
  activeGroups(): Map<string, ActiveGroup> {
    const active = new Map<string, ActiveGroup>()
    for (const [groupId, group] of this.#groups) {
      const { state, protocolType, generationId } = group
      if (state === 'Empty') continue
      active.set(groupId, { state, protocolType, generationId, members: group.assignments() })
    }
    return active
  }

  /** What a group has committed for one partition, without a turn of the event loop: -1 for nothing. */
  committedOffset(groupId: string, at: Readonly<TopicPartition>): number {
    return this.#offsets.fetch(groupId, [at])[0]?.offset ?? -1
  }

  /**
   * Forgets what a group has committed for the partitions, save where members may subscribe to the topic
   * (OTTLA_GROUP_SUBSCRIBED_TO_TOPIC). Rejects with OTTLA_INVALID_GROUP_ID, OTTLA_GROUP_NOT_FOUND, OTTLA_GROUP_NOT_EMPTY
   * where the members are no consumers, so that nobody knows what they read; or with what the log rejected with.
   */
  async deleteOffsets({ groupId, partitions }: DeleteOffsetsRequest): Promise<OffsetDeleteResult[]> {
    this.#checkOpen()
    checkGroupId(groupId)
    if (!this.#exists(groupId)) throw groupNotFound(groupId)
    const group = this.#groups.get(groupId)
    if (group !== undefined && group.state !== 'Empty' && group.protocolType !== 'consumer')
      throw groupNotEmpty(groupId)
    const results = partitions.map(({ topic, partition }) => {
      return { topic, partition, error: group?.mayReadFrom(topic) === true ? groupSubscribed(groupId, topic) : null }
    })
    await this.#offsets.removePartitions(
      groupId,
      results.filter(({ error }) => error === null),
    )
    return results
  }

  /** Topics for which some group has committed an offset. */
  committedTopics(): ReadonlySet<string> {
    this.#checkOpen()
    return this.#offsets.topics()
  }

  /** Forgets what all groups have committed for a topic that is deleted. Rejects with what the log rejected with. */
  async removeTopic(topic: string): Promise<void> {
    this.#checkOpen()
    await this.#offsets.removeTopic(topic)
  }

  /** All groups with members or committed offsets, or those in one of `states`, in whatever case they are written. */
  async listGroups({ states = [] }: { states?: readonly string[] | undefined } = {}): Promise<GroupListing[]> {
    this.#checkOpen()
    this.#dropUnused()
    const wanted = new Set(states.map((state) => state.toLowerCase()))
    const groupIds = new Set([...this.#groups.keys(), ...this.#offsets.groupIds()])
    return [...groupIds]
      .map((groupId) => this.#listing(groupId))
      .filter(({ state }) => wanted.size === 0 || wanted.has(state.toLowerCase()))
  }

  /** One description for each id; OTTLA_GROUP_NOT_FOUND is in its `error`. */
  async describeGroups(groupIds: readonly string[]): Promise<GroupDescription[]> {
    this.#checkOpen()
    return groupIds.map((groupId) => {
      const { protocolName, members } = this.#groups.get(groupId)?.describe() ?? { protocolName: '', members: [] }
      const error = this.#exists(groupId) ? null : groupNotFound(groupId)
      return { ...this.#listing(groupId), protocolName, members, error }
    })
  }

  /**
   * Deletes groups with what they have committed. For each id null, OTTLA_GROUP_NOT_FOUND, OTTLA_GROUP_NOT_EMPTY or
   * what the log rejected with.
   */
  async deleteGroups(groupIds: readonly string[]): Promise<DeletedGroup[]> {
    this.#checkOpen()
    return Promise.all(groupIds.map(async (groupId) => ({ groupId, error: await this.#deleteGroup(groupId) })))
  }

  /** From now on until `close`, offsets expire by themselves, if they do at all. Holds no process. */
  expireOffsetsByTheWay(): void {
    if (this.#offsetsRetentionMs < 0 || this.#closed) return
    this.#cancelExpiry = this.#clock.schedule(async () => {
      try {
        await this.expireOffsets()
      } catch (error) {
        if (!this.#closed) this.#onError(error)
      }
      this.expireOffsetsByTheWay()
    }, this.#offsetsRetentionCheckIntervalMs)
  }

  /**
   * Forgets offsets that have expired, and groups that have nothing else, by Kafka's rule (KIP-211): a group without
   * members loses all when it has been without them for as long; a group that never had any, each offset that was
   * committed so long ago; a stable one, those of topics that no member subscribes to. Time during which the broker was
   * closed does not count. Rejects with what the log rejected with.
   */
  async expireOffsets(): Promise<void> {
    this.#checkOpen()
    const retentionMs = this.#offsetsRetentionMs
    if (retentionMs < 0) return
    const now = this.#clock.now()
    const isOld = (commitTimestamp: number): boolean => now - Math.max(commitTimestamp, this.#openedAtMs) >= retentionMs
    for (const groupId of [...this.#offsets.groupIds()]) {
      const group = this.#groups.get(groupId)
      if (group === undefined) {
        await this.#offsets.expire(groupId, (_, commitTimestamp) => isOld(commitTimestamp))
      } else if (group.emptyForMs !== undefined) {
        if (group.emptyForMs < retentionMs) continue
        if (await this.#offsets.expire(groupId, () => true)) this.#forgetIfEmpty(groupId)
      } else {
        const subscribed = group.subscribedTopics()
        if (subscribed === undefined) continue
        await this.#offsets.expire(groupId, ({ topic }, time) => !subscribed.has(topic) && isOld(time))
      }
    }
  }

  /** Rejects every request that waits with OTTLA_CLOSED and cancels every timer. May be called more than once. */
  close(): void {
    this.#closed = true
    this.#cancelExpiry()
    for (const group of this.#groups.values()) group.close(coordinatorClosed())
  }

  async #deleteGroup(groupId: string): Promise<OttlaError | null> {
    if (!this.#exists(groupId)) return groupNotFound(groupId)
    if (this.#stateOf(groupId) !== 'Empty') return groupNotEmpty(groupId)
    try {
      await this.#offsets.removeGroup(groupId)
    } catch (error) {
      if (OttlaError.is(error)) return error
      throw error
    }
    this.#forgetIfEmpty(groupId)
    return null
  }

  /** A member may have joined while the log was written: then the group lives on, and starts from nothing. */
  #forgetIfEmpty(groupId: string): void {
    const group = this.#groups.get(groupId)
    if (group?.state !== 'Empty') return
    group.delete()
    this.#groups.delete(groupId)
  }

  /** Done by the way, when groups are made or listed: so it takes no timer, and they cannot pile up. */
  #dropUnused(): void {
    const now = this.#clock.monotonic()
    if (now < this.#dropUnusedAtMs) return
    this.#dropUnusedAtMs = now + UNUSED_GROUP_CHECK_MS
    for (const [groupId, group] of this.#groups) {
      if (this.#offsets.has(groupId) || !group.isUnusedFor(UNUSED_GROUP_KEPT_MS)) continue
      group.delete()
      this.#groups.delete(groupId)
    }
  }

  #listing(groupId: string): GroupListing {
    return { groupId, protocolType: this.#groups.get(groupId)?.protocolType ?? '', state: this.#stateOf(groupId) }
  }

  #stateOf(groupId: string): GroupState {
    return this.#groups.get(groupId)?.state ?? (this.#offsets.has(groupId) ? 'Empty' : 'Dead')
  }

  #exists(groupId: string): boolean {
    return this.#stateOf(groupId) !== 'Dead'
  }

  #groupOf(groupId: string, memberId: string): Group {
    const group = this.#groups.get(groupId)
    if (group === undefined) throw unknownMember(groupId, memberId)
    return group
  }

  #newGroup(groupId: string): Group {
    return new Group(groupId, {
      clock: this.#clock,
      initialRebalanceDelayMs: this.#initialRebalanceDelayMs,
      onTransition: this.#onProgress,
    })
  }

  #checkOpen(): void {
    if (this.#closed) throw coordinatorClosed()
  }

  #checkSessionTimeout({ groupId, sessionTimeoutMs }: JoinGroupRequest): void {
    if (sessionTimeoutMs === Number.POSITIVE_INFINITY) return
    const [min, max] = [this.#minSessionTimeoutMs, this.#maxSessionTimeoutMs]
    if (sessionTimeoutMs >= min && sessionTimeoutMs <= max) return
    throw new OttlaError(
      'OTTLA_INVALID_SESSION_TIMEOUT',
      `Group '${groupId}' refuses a session time-out of ${sessionTimeoutMs} ms. Choose one from ${min} to ${max}.`,
    )
  }
}

function checkGroupId(groupId: string): void {
  if (groupId !== '') return
  throw new OttlaError('OTTLA_INVALID_GROUP_ID', 'A group with members needs an id that is not empty. Give it a name.')
}

function refusal({ topic, partition, offset, metadata }: OffsetToCommit, maxLength: number): OttlaError | null {
  if (metadata !== null && metadata.length > maxLength) {
    return new OttlaError(
      'OTTLA_OFFSET_METADATA_TOO_LARGE',
      `The metadata committed for ${topic}-${partition} has ${metadata.length} characters, and ${maxLength} are allowed. Make it shorter.`,
    )
  }
  // Below 0 too: Kafka takes them, and kafkajs commits -1 and -2 to have a group begin at its default again.
  if (Number.isSafeInteger(offset)) return null
  return new OttlaError(
    'OTTLA_INVALID_ARGUMENT',
    `${offset} cannot be committed for ${topic}-${partition}. Give the offset of the next message, a whole number.`,
  )
}

function errorOf(act: () => void): OttlaError | null {
  try {
    act()
    return null
  } catch (error) {
    if (OttlaError.is(error)) return error
    throw error
  }
}
