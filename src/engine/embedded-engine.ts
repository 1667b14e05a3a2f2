import { OttlaError } from '../errors.js'
import { type ActiveGroup, GroupCoordinator } from '../group/group-coordinator.js'
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
import type { PartitionLog } from '../log/partition-log.js'
import { RunningTime } from '../log/running-time.js'
import type { MovedOffset, RecoveryReport, Storage, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { BackgroundCleaning } from './background-cleaning.js'
import { describeBrokerConfigs, describeTopicConfigs } from './config.js'
import type { BrokerSettings } from './config-tables.js'
import type {
  AlterConfigsOptions,
  ClusterMetadata,
  ConfigChange,
  ConfigDescription,
  ConfigOutcome,
  ConfigQuery,
  CreateTopicsRequest,
  DeleteRecordsOutcome,
  Engine,
  FetchRequest,
  FetchResult,
  ListOffsetsOutcome,
  MetadataRequest,
  OffsetSpec,
  ProduceRequest,
  ProduceResult,
  TopicMetadata,
  TopicOutcome,
  Waiting,
} from './engine.js'
import {
  asOttlaError,
  engineClosed,
  internalTopic,
  namedTwice,
  unknownPartition,
  unknownTopic,
} from './engine-errors.js'
import { type FetchSource, fetchFromLogs } from './fetch.js'
import { appendRecords, type KeyedRecord, replay } from './keyed-log.js'
import { repeatedNames } from './repeated-names.js'
import { CONSUMER_OFFSETS, checkTopicName, isInternalTopic } from './topic-name.js'
import { TopicStore } from './topic-store.js'
import type { TopicState } from './topics.js'

export interface EmbeddedEngineOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly settings: BrokerSettings
  /** Told of a failure that no call answers for, such as that of a retention by time. */
  readonly onError?: ((error: OttlaError) => void) | undefined
  /** Told of what opening had to mend, as soon as it is mended. */
  readonly onRecovery?: ((report: RecoveryReport) => void) | undefined
}

/** What the log of one partition holds. */
export interface PartitionExtent {
  /** The first offset that can be read. */
  logStartOffset: number
  /** The end that consumers see. It rises by one with each message, so its rate is what is produced. */
  logEndOffset: number
  /** Bytes of its segments. */
  sizeInBytes: number
}

/**
 * Kafka's verbs over logs of this process. Topics and their configs are records of `__cluster_metadata`, committed
 * offsets are records of `__consumer_offsets`; both are logs like any other, read back when the engine opens.
 */
export class EmbeddedEngine implements Engine {
  /** What opening had to mend. */
  readonly recovery: readonly RecoveryReport[]
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #settings: BrokerSettings
  readonly #store: TopicStore
  readonly #coordinator: GroupCoordinator
  readonly #onError: (error: OttlaError) => void
  /** Creations and deletions of topics, one after the other. Never rejects. */
  #topicChanges: Promise<unknown> = Promise.resolve()
  readonly #cleaning: BackgroundCleaning
  #time: RunningTime
  readonly #sourceOfFetches: FetchSource
  #onGroupProgress: () => void = () => {}
  #closing: Promise<void> | undefined

  private constructor(options: EmbeddedEngineOptions, recovery: readonly RecoveryReport[]) {
    const { storage, clock, settings } = options
    this.recovery = recovery
    this.#storage = storage
    this.#clock = clock
    this.#settings = settings
    this.#onError = options.onError ?? (() => {})
    this.#cleaning = new BackgroundCleaning({
      clock,
      retentionCheckIntervalMs: settings.retentionCheckIntervalMs,
      cleanerBackoffMs: settings.cleanerBackoffMs,
      dedupeBufferSize: settings.cleanerDedupeBufferSize,
      look: () => this.#time.look(),
      onCompacted: (log, cleanedTo) => this.#store.recordCleaned(log, cleanedTo),
      onError: this.#onError,
    })
    this.#time = new RunningTime(clock)
    this.#store = new TopicStore({
      ...options,
      ageOf: (timestamp) => this.#time.ageOf(timestamp),
      look: () => this.#time.look(),
      onLogs: storage.readOnly === true ? undefined : (logs) => this.#cleaning.add(logs),
      onSealed: this.#cleaning.sealed,
    })
    this.#sourceOfFetches = { clock, find: this.#store.find, mustBeOpen: () => this.#mustBeOpen() }
    this.#coordinator = new GroupCoordinator({
      clock,
      offsetsLog: { append: (groupId, records) => this.#appendOffsets(groupId, records) },
      initialRebalanceDelayMs: settings.groupInitialRebalanceDelayMs,
      minSessionTimeoutMs: settings.groupMinSessionTimeoutMs,
      maxSessionTimeoutMs: settings.groupMaxSessionTimeoutMs,
      offsetMetadataMaxBytes: settings.offsetMetadataMaxBytes,
      offsetsRetentionMs: settings.offsetsRetentionMs,
      offsetsRetentionCheckIntervalMs: settings.offsetsRetentionCheckIntervalMs,
      onError: (error) => this.#onError(asOttlaError(error)),
      onProgress: () => this.#onGroupProgress(),
    })
  }

  static async open(options: EmbeddedEngineOptions): Promise<EmbeddedEngine> {
    const { storage, clock } = options
    const recovery: RecoveryReport[] = []
    const onRecovery = (report: RecoveryReport): void => {
      recovery.push(report)
      options.onRecovery?.(report)
    }
    await storage.open({ clock, onRecovery })
    const engine = new EmbeddedEngine(options, recovery)
    try {
      await engine.#load(onRecovery)
    } catch (error) {
      // What kept it from opening counts, whatever closing says.
      await Promise.allSettled([engine.#store.close()])
      await Promise.allSettled([storage.close({ clean: storage.openedCleanly !== false })])
      throw error
    }
    if (storage.readOnly !== true) engine.#coordinator.expireOffsetsByTheWay()
    return engine
  }

  async metadata(request: MetadataRequest, options?: Waiting): Promise<ClusterMetadata> {
    this.#mustBeOpen()
    if (request.newerThan !== undefined && request.newerThan >= this.#store.version) {
      await this.#store.changed(options?.signal)
      this.#mustBeOpen()
    }
    const names = new Set(request.topics ?? this.#store.topics.map((topic) => topic.name))
    const { clusterId, version } = this.#store
    const topics = Array.from(names, (name) => this.#describeTopic(name))
    if (request.newerThan === undefined) return { clusterId, version, topics }
    return { clusterId, version, topics, changed: this.#store.changedSince(request.newerThan) }
  }

  createTopics(request: CreateTopicsRequest): Promise<TopicOutcome[]> {
    return this.#changeTopics(async () => {
      // A deletion may have failed to do so.
      if (request.validateOnly !== true) await this.#removeOffsetsOfDeletedTopics()
      const outcomes = await this.#store.create(request.topics, request.validateOnly === true)
      return outcomes.map((outcome, index) =>
        OttlaError.is(outcome) ? refused(request.topics[index]?.name ?? '', outcome) : accepted(outcome),
      )
    })
  }

  createPartitions(topics: readonly { name: string; totalCount: number }[]): Promise<TopicOutcome[]> {
    const repeated = repeatedNames(topics.map(({ name }) => name))
    return oneByOne(topics, async ({ name, totalCount }) => {
      if (repeated.has(name)) return refused(name, namedTwice(name))
      return this.#store.grow(name, totalCount).then(accepted, (error) => refused(name, error))
    })
  }

  deleteTopics(names: readonly string[]): Promise<TopicOutcome[]> {
    const repeated = repeatedNames(names)
    const deleteTopic = async (name: string): Promise<TopicOutcome> => {
      if (repeated.has(name)) return refused(name, namedTwice(name))
      try {
        const deleted = await this.#store.delete(name)
        await this.#coordinator.removeTopic(name)
        return accepted(deleted)
      } catch (error) {
        return refused(name, error)
      }
    }
    return this.#changeTopics(() => oneByOne(names, deleteTopic))
  }

  async describeConfigs(resources: readonly ConfigQuery[]): Promise<ConfigDescription[]> {
    this.#mustBeOpen()
    return resources.map(({ type, name, configNames }) => {
      if (type === 'broker') {
        return { type, name, entries: describeBrokerConfigs(this.#settings, configNames), error: null }
      }
      const topic = this.#store.get(name)
      if (topic === undefined) return { type, name, entries: [], error: missingTopic(name) }
      return { type, name, entries: describeTopicConfigs(topic.configs, this.#settings, configNames), error: null }
    })
  }

  alterConfigs(changes: readonly ConfigChange[], options?: AlterConfigsOptions): Promise<ConfigOutcome[]> {
    return oneByOne(changes, async ({ type, name, configs }) => {
      try {
        if (type === 'broker') throw new OttlaError('OTTLA_INVALID_CONFIG', READ_ONLY_BROKER)
        await this.#store.alterConfigs(name, configs, options)
        return { type, name, error: null }
      } catch (error) {
        return { type, name, error: asOttlaError(error) }
      }
    })
  }

  async deleteRecords(at: readonly (TopicPartition & { beforeOffset: number })[]): Promise<DeleteRecordsOutcome[]> {
    this.#mustBeOpen()
    return Promise.all(
      at.map(async ({ topic, partition, beforeOffset }) => {
        try {
          const lowWatermark = await this.#store.deleteRecords({ topic, partition }, beforeOffset)
          return { topic, partition, lowWatermark, error: null }
        } catch (error) {
          return { topic, partition, lowWatermark: -1, error: asOttlaError(error) }
        }
      }),
    )
  }

  async initProducerId(): Promise<{ producerId: number; producerEpoch: number }> {
    return { producerId: await this.#store.nextProducerId(), producerEpoch: 0 }
  }

  produce(request: ProduceRequest): Promise<ProduceResult> {
    if (isInternalTopic(request.topic))
      return Promise.reject(internalTopic(request.topic, 'takes no messages of others'))
    const log = this.#store.find(request)
    if (log === undefined) return Promise.reject(this.#closing ? engineClosed() : unknownPartition(request))
    if (log.settings.isCompacted) {
      const error = withoutKey(request)
      if (error !== undefined) return Promise.reject(error)
    }
    return log.append(request.batch)
  }

  /** Not async, since an idle consumer is woken through each function that awaits on its way (benchmark: latency). */
  fetch(request: FetchRequest, options?: Waiting): Promise<FetchResult[]> {
    return fetchFromLogs(request, this.#sourceOfFetches, options)
  }

  async listOffsets(at: readonly (TopicPartition & { at: OffsetSpec })[]): Promise<ListOffsetsOutcome[]> {
    this.#mustBeOpen()
    return Promise.all(
      at.map(async ({ topic, partition, at: spec }) => {
        try {
          return { topic, partition, ...(await offsetAt(this.#store.log({ topic, partition }), spec)), error: null }
        } catch (error) {
          return { topic, partition, offset: -1, timestamp: -1, error: asOttlaError(error) }
        }
      }),
    )
  }

  joinGroup(request: JoinGroupRequest, options?: Waiting): Promise<JoinGroupResult> {
    return this.#coordinator.joinGroup(request, options)
  }

  syncGroup(request: SyncGroupRequest, options?: Waiting): Promise<SyncGroupResult> {
    return this.#coordinator.syncGroup(request, options)
  }

  heartbeat(request: HeartbeatRequest, options?: HeartbeatOptions): Promise<void> {
    return this.#coordinator.heartbeat(request, options)
  }

  leaveGroup(request: LeaveGroupRequest): Promise<LeaveGroupResult> {
    return this.#coordinator.leaveGroup(request)
  }

  async commitOffsets(request: CommitOffsetsRequest): Promise<OffsetCommitResult[]> {
    const known = request.offsets.filter((at) => this.#store.find(at) !== undefined)
    const results = await this.#coordinator.commitOffsets({ ...request, offsets: known })
    return known.length === request.offsets.length ? results : inOrderOf(request.offsets, results)
  }

  fetchOffsets(request: FetchOffsetsRequest): Promise<FetchedOffset[]> {
    return this.#coordinator.fetchOffsets(request)
  }

  async deleteOffsets({ groupId, partitions }: DeleteOffsetsRequest): Promise<OffsetDeleteResult[]> {
    this.#mustBeOpen()
    const known = partitions.filter((at) => this.#store.find(at) !== undefined)
    // As with Kafka, a group that is asked for unknown partitions alone is not looked for.
    const results = known.length === 0 ? [] : await this.#coordinator.deleteOffsets({ groupId, partitions: known })
    return inOrderOf(partitions, results)
  }

  listGroups(): Promise<GroupListing[]> {
    return this.#coordinator.listGroups()
  }

  describeGroups(groupIds: readonly string[]): Promise<GroupDescription[]> {
    return this.#coordinator.describeGroups(groupIds)
  }

  deleteGroups(groupIds: readonly string[]): Promise<{ groupId: string; error: OttlaError | null }[]> {
    return this.#coordinator.deleteGroups(groupIds)
  }

  /** The end that readers know, without a turn of the event loop; undefined where there is no such partition. */
  highWatermark(at: Readonly<TopicPartition>): number | undefined {
    return this.#store.find(at)?.highWatermark
  }

  /** What one partition holds; undefined where there is no such partition. */
  extentOf(at: Readonly<TopicPartition>): PartitionExtent | undefined {
    const log = this.#store.find(at)
    if (log === undefined) return undefined
    const { logStartOffset, highWatermark, sizeInBytes } = log
    return { logStartOffset, logEndOffset: highWatermark, sizeInBytes }
  }

  /** The groups that have members, by their ids, without a turn of the event loop. */
  activeGroups(): ReadonlyMap<string, ActiveGroup> {
    return this.#coordinator.activeGroups()
  }

  /** What a group has committed for one partition, without a turn of the event loop: -1 for nothing. */
  committedOffset(groupId: string, at: Readonly<TopicPartition>): number {
    return this.#coordinator.committedOffset(groupId, at)
  }

  /** From now on the listener is called when a group went on to another state, and when offsets were committed. */
  watchGroups(listener: () => void): void {
    this.#onGroupProgress = listener
  }

  /** Drops what retention no longer keeps. Returns how many segments went. */
  async applyRetention(topic: string): Promise<number> {
    this.#mustBeOpen()
    this.#time.look()
    return this.#store.applyRetention(topic)
  }

  /** Compacts what can be compacted of a topic, whether it is due or not. */
  async compact(topic: string): Promise<void> {
    this.#mustBeOpen()
    const logs = this.#store.logs(topic)
    if (logs === undefined) throw missingTopic(topic)
    for (const log of logs) {
      if (!log.settings.isCompacted) throw notCompacted(topic)
      await this.#cleaning.compact(log)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cleaning.close()
    this.#coordinator.close()
    try {
      // Where that fails, the newest record tells the next opening nearly as much.
      if (this.#cleaning.dropsByAge) await this.#store.keepTime(this.#time.kept()).catch(() => undefined)
      await this.#store.close()
    } finally {
      await this.#storage.close()
    }
  }

  async #load(onRecovery: (report: RecoveryReport) => void): Promise<void> {
    await this.#store.load()
    this.#time = new RunningTime(this.#clock, this.#store.keptTime())
    for (const log of this.#store.logs(CONSUMER_OFFSETS) ?? []) {
      await replay(log, (key, value) => this.#coordinator.replay(key, value))
    }
    if (this.#storage.readOnly === true) return
    // The process may have ended between the deletion of a topic and that of its offsets.
    await this.#removeOffsetsOfDeletedTopics()
    if (this.#storage.openedCleanly === false) await this.#moveOffsetsBack(onRecovery)
  }

  /**
   * A power cut may take messages whose offsets were committed. Left as they are those offsets would skip what is sent
   * next, so they are set back to the end of the log, for good, before anything is sent.
   */
  async #moveOffsetsBack(onRecovery: (report: RecoveryReport) => void): Promise<void> {
    const moved: MovedOffset[] = []
    for (const { groupId } of await this.#coordinator.listGroups()) {
      const ahead: MovedOffset[] = []
      for (const { topic, partition, offset } of await this.#coordinator.fetchOffsets({ groupId, partitions: null })) {
        const logEndOffset = this.#store.find({ topic, partition })?.highWatermark
        if (logEndOffset === undefined || offset <= logEndOffset) continue
        ahead.push({ kind: 'moved-offset', groupId, topic, partition, committedOffset: offset, logEndOffset })
      }
      if (ahead.length === 0) continue
      // The note that was kept with an offset speaks of a place that is gone.
      const offsets = ahead.map(({ topic, partition, logEndOffset }) => {
        return { topic, partition, offset: logEndOffset, metadata: null }
      })
      await this.#coordinator.commitOffsets({ groupId, memberId: '', instanceId: null, generationId: -1, offsets })
      moved.push(...ahead)
    }
    if (moved.length === 0) return
    for (const log of this.#store.logs(CONSUMER_OFFSETS) ?? []) await log.flush()
    for (const report of moved) onRecovery(report)
  }

  async #removeOffsetsOfDeletedTopics(): Promise<void> {
    for (const topic of this.#coordinator.committedTopics()) {
      if (this.#store.get(topic) === undefined) await this.#coordinator.removeTopic(topic)
    }
  }

  /** So that a topic which is created again never finds the offsets of the one that is being deleted. */
  #changeTopics<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#topicChanges.then(change)
    this.#topicChanges = changed.catch(() => undefined)
    return changed
  }

  async #appendOffsets(groupId: string, records: readonly KeyedRecord[]): Promise<void> {
    const logs = await this.#store.offsetsLogs()
    const log = logs[javaHash(groupId) % logs.length]
    if (log === undefined) throw engineClosed()
    await appendRecords(log, records, this.#clock.now())
  }

  #describeTopic(name: string): TopicMetadata {
    const topic = this.#store.get(name)
    if (topic !== undefined) {
      const { topicId, partitionCount, internal, codecs } = topic
      return { name, topicId, partitionCount, internal, codecs, error: null }
    }
    return { name, topicId: '', partitionCount: 0, internal: false, codecs: null, error: missingTopic(name) }
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw engineClosed()
  }
}

const READ_ONLY_BROKER = 'Configs of the broker are set when it opens: give them to Broker.open'

function notCompacted(topic: string): OttlaError {
  return new OttlaError(
    'OTTLA_POLICY_VIOLATION',
    `Topic ${topic} is not compacted, since its cleanupPolicy is 'delete': make it 'compact' or 'compact,delete' with alterTopic`,
  )
}

/** Why a compacted topic does not take a batch: a message without a key would be in nobody's place. */
function withoutKey({ topic, partition, batch }: ProduceRequest): OttlaError | undefined {
  try {
    const records = batch.records()
    while (records.next()) {
      if (records.key !== null) continue
      return new OttlaError(
        'OTTLA_INVALID_RECORD',
        `Topic ${topic} is compacted and takes no message without a key, of which there is one in this batch for partition ${partition}: nothing of it was appended`,
      )
    }
    return undefined
  } catch (error) {
    return asOttlaError(error)
  }
}

function accepted({ name, topicId, partitionCount }: TopicState): TopicOutcome {
  return { name, topicId, partitionCount, error: null }
}

function refused(name: string, error: unknown): TopicOutcome {
  return { name, topicId: '', partitionCount: -1, error: asOttlaError(error) }
}

async function oneByOne<Request, Outcome>(
  requests: readonly Request[],
  answer: (request: Request) => Promise<Outcome>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const request of requests) outcomes.push(await answer(request))
  return outcomes
}

/** Why there is no such topic: its name may be one that no topic can have. */
/** An answer for each partition that was named: those without a result are not there. */
function inOrderOf<Result extends TopicPartition & { error: OttlaError | null }>(
  named: readonly Readonly<TopicPartition>[],
  results: readonly Result[],
): (Result | (TopicPartition & { error: OttlaError }))[] {
  return named.map(
    ({ topic, partition }) =>
      results.find((result) => result.topic === topic && result.partition === partition) ?? {
        topic,
        partition,
        error: unknownPartition({ topic, partition }),
      },
  )
}

function missingTopic(name: string): OttlaError {
  try {
    checkTopicName(name)
    return unknownTopic(name)
  } catch (error) {
    return asOttlaError(error)
  }
}

async function offsetAt(log: PartitionLog, spec: OffsetSpec): Promise<{ offset: number; timestamp: number }> {
  const none = { offset: -1, timestamp: -1 }
  if (spec === 'earliest') return { offset: log.logStartOffset, timestamp: -1 }
  if (spec === 'latest') return { offset: log.highWatermark, timestamp: -1 }
  if (spec === 'maxTimestamp') return (await log.offsetOfMaxTimestamp()) ?? none
  return (await log.offsetForTimestamp(spec.timestamp)) ?? none
}

/** Java's String.hashCode made non-negative the way Kafka places a group in `__consumer_offsets`. */
function javaHash(text: string): number {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  return hash === -(2 ** 31) ? 0 : Math.abs(hash)
}
