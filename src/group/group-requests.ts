import type { CancelSignal } from '../cancellation.js'
import type { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { GroupState } from './group-state.js'

/** One way in which a member can share the work: an assignor's name, and what the member tells that assignor. */
export interface MemberProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

export interface JoinGroupRequest {
  readonly groupId: string
  /** '' for a member that has no id yet. */
  readonly memberId: string
  /** Kafka's group.instance.id: makes the member static, so that it may come back under a new id. Null without. */
  readonly instanceId: string | null
  /** 'consumer' for all that share partitions by Kafka's consumer protocol. */
  readonly protocolType: string
  /** Preferred first. */
  readonly protocols: readonly MemberProtocol[]
  /** Without a sign of life for this long the member is removed. Infinity for members in this process. */
  readonly sessionTimeoutMs: number
  /** How long the others wait for this member to rejoin. */
  readonly rebalanceTimeoutMs: number
  readonly clientId: string
  readonly clientHost: string
  /** Answer a dynamic member without an id with OTTLA_MEMBER_ID_REQUIRED first (`requiredMemberId` reads the id). */
  readonly requireMemberId?: boolean
  /** Whether a static leader that comes back understands `skipAssignment`. True by default; Kafka: JoinGroup 9 and up. */
  readonly supportSkippingAssignment?: boolean
  readonly reason?: string | null
}

export interface JoinGroupResult {
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** The member id of the leader. */
  readonly leader: string
  readonly memberId: string
  /** What the leader assigns from, in the order in which they joined; empty for the others. */
  readonly members: readonly JoinedMember[]
  /** The leader came back to assignments that still hold: it must not make new ones. */
  readonly skipAssignment: boolean
}

export interface JoinedMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly metadata: Uint8Array
}

/** Who asks. A member that has no instance id leaves it null. */
export interface HeartbeatRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly instanceId: string | null
}

export interface SyncGroupRequest extends HeartbeatRequest {
  /** Null where the client is too old to say; else it must be the group's. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** From the leader: one for each member. Empty from the others. */
  readonly assignments: readonly MemberAssignment[]
}

export interface MemberAssignment {
  readonly memberId: string
  readonly assignment: Uint8Array
}

export interface SyncGroupResult {
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** This member's; no bytes where the leader gave it none. */
  readonly assignment: Uint8Array
}

/** Ends a wait early. */
export interface GroupWaiting {
  readonly signal?: CancelSignal | undefined
}

export interface HeartbeatOptions extends GroupWaiting {
  /** Stay pending while the member has nothing to do. */
  readonly wait?: boolean
}

export interface LeaveGroupRequest {
  readonly groupId: string
  readonly members: readonly LeavingMember[]
}

/** A static member may be named by its instance id alone, with '' as its member id. */
export interface LeavingMember {
  readonly memberId: string
  readonly instanceId: string | null
}

export interface LeftMember extends LeavingMember {
  readonly error: OttlaError | null
}

export type LeaveGroupResult = readonly LeftMember[]

export interface GroupListing {
  readonly groupId: string
  /** '' for a group that never had a member. */
  readonly protocolType: string
  readonly state: GroupState
}

export interface GroupDescription extends GroupListing {
  /** The assignor chosen; '' unless the group is stable. */
  readonly protocolName: string
  readonly members: readonly MemberDescription[]
  /** OTTLA_GROUP_NOT_FOUND, with the state 'Dead'. */
  readonly error: OttlaError | null
}

/** `metadata` holds no bytes unless the group is stable; `assignment` is the last that the member was given. */
export interface MemberDescription extends JoinedMember {
  readonly clientId: string
  readonly clientHost: string
  readonly assignment: Uint8Array
}

export interface DeletedGroup {
  readonly groupId: string
  readonly error: OttlaError | null
}

export interface CommitOffsetsRequest extends HeartbeatRequest {
  readonly offsets: readonly OffsetToCommit[]
}

export interface OffsetToCommit extends Readonly<TopicPartition> {
  /** Of the next message to be consumed. */
  readonly offset: number
  readonly leaderEpoch?: number
  /** The member's own note, at most 4096 characters. */
  readonly metadata: string | null
}

export interface OffsetCommitResult extends Readonly<TopicPartition> {
  readonly error: OttlaError | null
}

export interface DeleteOffsetsRequest {
  readonly groupId: string
  readonly partitions: readonly Readonly<TopicPartition>[]
}

export interface OffsetDeleteResult extends Readonly<TopicPartition> {
  readonly error: OttlaError | null
}

export interface FetchOffsetsRequest {
  readonly groupId: string
  /** Null for all that the group has committed. */
  readonly partitions: readonly Readonly<TopicPartition>[] | null
}

export interface FetchedOffset extends Readonly<TopicPartition> {
  /** -1 where the group has committed none; else what was committed, which Kafka lets be below 0. */
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
}
