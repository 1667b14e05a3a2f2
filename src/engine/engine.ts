import type { CancelSignal } from '../cancellation.js'
import type { OttlaError } from '../errors.js'
import type {
  CommitOffsetsRequest,
  DeleteOffsetsRequest,
  FetchedOffset,
  FetchOffsetsRequest,
  GroupDescription,
  GroupListing,
  HeartbeatOptions,
  HeartbeatRequest,
  JoinGroupRequest,
  JoinGroupResult,
  LeaveGroupRequest,
  LeaveGroupResult,
  OffsetCommitResult,
  OffsetDeleteResult,
  SyncGroupRequest,
  SyncGroupResult,
} from '../group/group-requests.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { ConfigEntry } from './config.js'

/**
 * Kafka's verbs: the seam between what users hold (topics, producers, groups) and what keeps the log. The embedded
 * engine implements it in process; the wire listener offers it to others.
 *
 * A verb about one thing rejects with an OttlaError, whose `kafkaCode` is the number that Kafka answers with. A verb
 * about many answers for each, with `error` null where it went well. `engineSuite` of 'ottla/testing' checks an
 * implementation, and Apache Kafka is the judge of the suite.
 */
export interface Engine {
  /** Topics by name, each once, or all for null. An unknown name is answered with an error of its own, and is not created. */
  metadata(request: MetadataRequest, options?: Waiting): Promise<ClusterMetadata>
  /** Creates topics with consecutive partitions from 0. OTTLA_TOPIC_EXISTS, OTTLA_INVALID_TOPIC, OTTLA_INVALID_PARTITIONS or OTTLA_INVALID_CONFIG stand in the outcome. */
  createTopics(request: CreateTopicsRequest): Promise<TopicOutcome[]>
  /** Raises partition counts; they never fall. */
  createPartitions(topics: readonly { name: string; totalCount: number }[]): Promise<TopicOutcome[]>
  /** Deletes topics with all that is in them. One that is created under the same name later is another topic. */
  deleteTopics(names: readonly string[]): Promise<TopicOutcome[]>
  /** The configs of each resource that are asked for, with where their values come from. */
  describeConfigs(resources: readonly ConfigQuery[]): Promise<ConfigDescription[]>
  /** Sets each named config, or takes it back to its default where the value is null. Kafka: IncrementalAlterConfigs. */
  alterConfigs(changes: readonly ConfigChange[], options?: AlterConfigsOptions): Promise<ConfigOutcome[]>
  /** Moves the log start offset up; -1 stands for the high watermark. */
  deleteRecords(at: readonly (TopicPartition & { beforeOffset: number })[]): Promise<DeleteRecordsOutcome[]>
  /** A producer id that no other producer has, ever. */
  initProducerId(): Promise<{ producerId: number; producerEpoch: number }>
  /**
   * Appends one closed batch and resolves once it is acknowledged. The batch gets its offsets in place, and its memory
   * is the caller's again afterwards. Batches for one partition are appended in the order of the calls.
   */
  produce(request: ProduceRequest): Promise<ProduceResult>
  /**
   * Reads from one or more partitions; waits up to `maxWaitMs` while less than `minBytes` are there. An error in one
   * partition is answered at once. An abort ends the wait with what there is.
   */
  fetch(request: FetchRequest, options?: Waiting): Promise<FetchResult[]>
  /** The offset at a place in each partition: its start, its end, or the first record at or after a time. */
  listOffsets(at: readonly (TopicPartition & { at: OffsetSpec })[]): Promise<ListOffsetsOutcome[]>
  /** Makes the caller a member, or has it take part in the next generation; answers when that begins. Kafka: JoinGroup. */
  joinGroup(request: JoinGroupRequest, options?: Waiting): Promise<JoinGroupResult>
  /** Hands in the leader's assignments, and answers each member with its own. Kafka: SyncGroup. */
  syncGroup(request: SyncGroupRequest, options?: Waiting): Promise<SyncGroupResult>
  /** Answers at once, or with `wait` stays pending for as long as the member has nothing to do. */
  heartbeat(request: HeartbeatRequest, options?: HeartbeatOptions): Promise<void>
  /** Takes members out at once, so that the others need not wait for their session to expire. */
  leaveGroup(request: LeaveGroupRequest): Promise<LeaveGroupResult>
  /** Commits the offsets of the next messages to handle; resolves at the log's durability. A stale member is refused. */
  commitOffsets(request: CommitOffsetsRequest): Promise<OffsetCommitResult[]>
  /** What a group has committed; -1 where it has nothing. */
  fetchOffsets(request: FetchOffsetsRequest): Promise<FetchedOffset[]>
  /**
   * Forgets offsets that a group has committed, save for topics that its members subscribe to
   * (OTTLA_GROUP_SUBSCRIBED_TO_TOPIC). Kafka: OffsetDelete.
   */
  deleteOffsets(request: DeleteOffsetsRequest): Promise<OffsetDeleteResult[]>
  /** All groups that have members or committed offsets. */
  listGroups(): Promise<GroupListing[]>
  /** State and members of each group. */
  describeGroups(groupIds: readonly string[]): Promise<GroupDescription[]>
  /** Forgets groups without members, with what they have committed. */
  deleteGroups(groupIds: readonly string[]): Promise<{ groupId: string; error: OttlaError | null }[]>
  /** Ends every wait with OTTLA_CLOSED and lets go of what is below. May be called more than once. */
  close(): Promise<void>
}

export interface Waiting {
  signal?: CancelSignal | undefined
}

export interface MetadataRequest {
  readonly topics: readonly string[] | null
  /** Waits until something about topics is newer than this version of an earlier answer. */
  readonly newerThan?: number
}

export interface ClusterMetadata {
  readonly clusterId: string
  /** Rises with every change of any topic. */
  readonly version: number
  readonly topics: readonly TopicMetadata[]
  /** With `newerThan`: the topics that changed since then, those that are gone too. Left out where the engine cannot tell. */
  readonly changed?: readonly string[] | undefined
}

export interface TopicMetadata {
  readonly name: string
  /** Kafka's topic id, 22 characters of base64url; '' where the topic is unknown. */
  readonly topicId: string
  readonly partitionCount: number
  readonly internal: boolean
  /** What the topic was declared with, where the engine can keep it. */
  readonly codecs: TopicCodecs | null
  readonly error: OttlaError | null
}

/** Names of codecs. */
export interface TopicCodecs {
  readonly key: string
  readonly value: string
}

export interface NewTopic {
  readonly name: string
  /** -1: the broker's num.partitions. */
  readonly partitionCount: number
  /** By Kafka's names. */
  readonly configs?: Readonly<Record<string, string | null>>
  readonly codecs?: TopicCodecs
}

export interface CreateTopicsRequest {
  readonly topics: readonly NewTopic[]
  /** Checks, and creates nothing. */
  readonly validateOnly?: boolean
}

export interface TopicOutcome {
  readonly name: string
  readonly topicId: string
  readonly partitionCount: number
  readonly error: OttlaError | null
}

export interface ConfigResource {
  readonly type: 'topic' | 'broker'
  /** The topic; '' for the broker. */
  readonly name: string
}

export interface ConfigQuery extends ConfigResource {
  /** Kafka's names of those that are asked for; without them, all. Kafka: configuration_keys. */
  readonly configNames?: readonly string[] | undefined
}

export interface ConfigDescription extends ConfigResource {
  readonly entries: readonly ConfigEntry[]
  readonly error: OttlaError | null
}

export interface ConfigChange extends ConfigResource {
  readonly configs: Readonly<Record<string, string | null>>
}

export interface AlterConfigsOptions {
  /** Checks, and changes nothing. */
  readonly validateOnly?: boolean
}

export interface ConfigOutcome extends ConfigResource {
  readonly error: OttlaError | null
}

export interface DeleteRecordsOutcome extends TopicPartition {
  /** The log start offset afterwards, -1 with an error. */
  readonly lowWatermark: number
  readonly error: OttlaError | null
}

export interface ProduceRequest extends Readonly<TopicPartition> {
  readonly batch: RecordBatch
}

export interface ProduceResult {
  readonly baseOffset: number
  /** The time that the log set (LogAppendTime), or -1 where the producer's holds. */
  readonly logAppendTime: number
  readonly logStartOffset: number
}

export interface FetchRequest {
  readonly partitions: readonly (Readonly<TopicPartition> & {
    readonly fetchOffset: number
    /** Bytes from this partition; one batch is always given. */
    readonly maxBytes: number
  })[]
  /** Bytes in all; the first batch is always given. */
  readonly maxBytes: number
  readonly minBytes: number
  /** Infinity waits for as long as it takes. */
  readonly maxWaitMs: number
}

export interface FetchResult extends TopicPartition {
  readonly batches: readonly RecordBatch[]
  /** -1 with an error that says nothing of it. */
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly error: OttlaError | null
}

/** A timestamp in milliseconds, or a named place. `latest` is the high watermark. */
export type OffsetSpec = 'earliest' | 'latest' | 'maxTimestamp' | { readonly timestamp: number }

export interface ListOffsetsOutcome extends TopicPartition {
  /** -1 where no record is at or after the timestamp. */
  readonly offset: number
  /** Of the record found; -1 for 'earliest', 'latest' and where none was found. */
  readonly timestamp: number
  readonly error: OttlaError | null
}
