import type { Subscription, TopicPartitions } from '../../protocol/consumer-protocol.js'

/** One member of the group, as the leader sees it. */
export interface AssignorMember {
  memberId: string
  /** Set for a static member, which keeps its place over restarts. */
  instanceId: string | null
  subscription: Subscription
}

/** Decides which member gets which partitions. Run by the leader of the group; holds no state. */
export interface Assignor {
  /** Kafka's name for it on the wire: only members that offer a common one can form a group. */
  readonly protocolName: string
  /** Under 'eager' a member gives everything up before it joins again; under 'cooperative' it keeps what it holds. */
  readonly rebalanceProtocol: 'eager' | 'cooperative'
  /**
   * The partitions of each member; every member has an entry. `partitionCounts` holds the topics that exist. The same
   * input gives the same answer, in whatever order the members come.
   */
  assign(
    members: readonly AssignorMember[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartitions[]>
  /** What a member writes into the `userData` of its subscription, from what it was given last. */
  userData?(last: LastAssignment | undefined): Uint8Array | null
}

/** What a member was given when it last had an assignment, and in which generation. */
export interface LastAssignment {
  readonly partitions: readonly TopicPartitions[]
  readonly generationId: number
}
