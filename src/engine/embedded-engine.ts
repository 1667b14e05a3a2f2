import { OttlaError } from '../errors.js'
import {
  type CommitOffsetsRequest,
  type FetchedOffset,
  type FetchOffsetsRequest,
  GroupCoordinator,
  type GroupDescription,
  type GroupListing,
  type HeartbeatOptions,
  type HeartbeatRequest,
  type JoinGroupRequest,
  type JoinGroupResult,
  type LeaveGroupRequest,
  type LeaveGroupResult,
  type OffsetCommitResult,
  type SyncGroupRequest,
  type SyncGroupResult,
} from '../group/group-coordinator.js'
import { PartitionLog } from '../log/partition-log.js'
import { RecordBatchBuilder } from '../record/record-batch-builder.js'
import type { RecoveryReport, Storage, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import {
  type BrokerSettings,
  describeBrokerConfigs,
  describeTopicConfigs,
  parseTopicConfigs,
  topicSettings,
} from './config.js'
import type {
  ClusterMetadata,
  ConfigChange,
  ConfigDescription,
  ConfigOutcome,
  ConfigResource,
  CreateTopicsRequest,
  DeleteRecordsOutcome,
  Engine,
  FetchRequest,
  FetchResult,
  ListOffsetsOutcome,
  MetadataRequest,
  NewTopic,
  OffsetSpec,
  ProduceRequest,
  ProduceResult,
  TopicMetadata,
  TopicOutcome,
  Waiting,
} from './engine.js'
import { fetchFromLogs } from './fetch.js'
import { CLUSTER_METADATA, CONSUMER_OFFSETS, checkTopicName, collidesWith } from './topic-name.js'
import {
  clusterRecord,
  deletedTopicRecord,
  logStartRecord,
  type MetadataRecord,
  producerIdsRecord,
  TopicCatalog,
  type TopicState,
  topicRecord,
} from './topics.js'

export interface EmbeddedEngineOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly settings: BrokerSettings
  /** Told of each group whose committed offsets or membership changed. */
  readonly onGroupChange?: (groupId: string) => void
}

/** Ids are reserved in the log by the thousand, so that giving one out writes nothing (Kafka: ProducerIdsBlock). */
const PRODUCER_ID_BLOCK = 1000
const MAX_PARTITIONS = 10_000
const REPLAY_BYTES = 1 << 20
/** Partitions that are opened side by side at start. */
const OPENING_AT_ONCE = 16

/**
 * Kafka's verbs over logs of this process. Topics and their configs are records of `__cluster_metadata`, committed
 * offsets are records of `__consumer_offsets`; both are logs like any other, read back when the engine opens.
 */
export class EmbeddedEngine implements Engine {
  /** What opening the storage had to repair. */
  readonly recovery: readonly RecoveryReport[]
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #settings: BrokerSettings
  readonly #catalog = new TopicCatalog()
  readonly #logs = new Map<string, PartitionLog[]>()
  readonly #coordinator: GroupCoordinator
  readonly #metadataWaiters = new Set<() => void>()
  /** Changes of topics, one after the other: each looks at the catalog, writes, then applies what it wrote. */
  #changes: Promise<unknown> = Promise.resolve()
  #producerIds = { next: 0, end: 0 }
  #cancelRetention: (() => void) | undefined
  #closing: Promise<void> | undefined

  private constructor(options: EmbeddedEngineOptions, recovery: readonly RecoveryReport[]) {
    this.recovery = recovery
    this.#storage = options.storage
    this.#clock = options.clock
    this.#settings = options.settings
    this.#coordinator = new GroupCoordinator({
      clock: options.clock,
      offsetsLog: { append: (groupId, records) => this.#appendOffsets(groupId, records) },
      initialRebalanceDelayMs: options.settings.groupInitialRebalanceDelayMs,
      minSessionTimeoutMs: options.settings.groupMinSessionTimeoutMs,
      maxSessionTimeoutMs: options.settings.groupMaxSessionTimeoutMs,
      ...(options.onGroupChange !== undefined && { onChange: options.onGroupChange }),
    })
  }

  static async open(options: EmbeddedEngineOptions): Promise<EmbeddedEngine> {
    const recovery: RecoveryReport[] = []
    await options.storage.open({ clock: options.clock, onRecovery: (report) => recovery.push(report) })
    const engine = new EmbeddedEngine(options, recovery)
    try {
      await engine.#load()
    } catch (error) {
      await engine.#closeLogs().catch(() => undefined)
      await options.storage.close()
      throw error
    }
    engine.#scheduleRetention()
    return engine
  }

  async metadata(request: MetadataRequest, options?: Waiting): Promise<ClusterMetadata> {
    this.#mustBeOpen()
    if (request.newerThan !== undefined && request.newerThan >= this.#catalog.version) {
      await this.#catalogChange(options?.signal)
      this.#mustBeOpen()
    }
    const names = request.topics ?? this.#catalog.topics.map((topic) => topic.name)
    return {
      clusterId: this.#catalog.clusterId,
      version: this.#catalog.version,
      topics: names.map((name) => this.#describeTopic(name)),
    }
  }

  createTopics(request: CreateTopicsRequest): Promise<TopicOutcome[]> {
    return this.#inOrder(async () => {
      const taken = new Set<string>(this.#catalog.names())
      const prepared = request.topics.map((topic) => this.#prepareTopic(topic, taken))
      const created = prepared.filter((outcome): outcome is TopicState => !OttlaError.is(outcome))
      if (request.validateOnly !== true && created.length > 0) await this.#createTopics(created)
      return prepared.map((outcome, index) =>
        OttlaError.is(outcome)
          ? { name: request.topics[index]?.name ?? '', topicId: '', partitionCount: -1, error: outcome }
          : { name: outcome.name, topicId: outcome.topicId, partitionCount: outcome.partitionCount, error: null },
      )
    })
  }

  createPartitions(topics: readonly { name: string; totalCount: number }[]): Promise<TopicOutcome[]> {
    return this.#inOrder(async () => {
      const outcomes: TopicOutcome[] = []
      for (const { name, totalCount } of topics) {
        const topic = this.#catalog.get(name)
        const error = topic === undefined ? unknownTopic(name) : refusedCount(topic, totalCount)
        if (topic !== undefined && error === null) {
          const grown = { ...topic, partitionCount: totalCount }
          await this.#appendMetadata([topicRecord(grown)])
          await this.#openTopic(grown)
          this.#wakeMetadataWaiters()
        }
        outcomes.push({ name, topicId: topic?.topicId ?? '', partitionCount: error === null ? totalCount : -1, error })
      }
      return outcomes
    })
  }

  deleteTopics(names: readonly string[]): Promise<TopicOutcome[]> {
    return this.#inOrder(async () => {
      const outcomes: TopicOutcome[] = []
      for (const name of names) {
        const topic = this.#catalog.get(name)
        const error =
          topic === undefined ? unknownTopic(name) : topic.internal ? internalTopic(name, 'cannot be deleted') : null
        if (topic !== undefined && error === null) {
          // The tombstone is the deletion; what follows only clears away, and is done at the next start if it fails.
          await this.#appendMetadata([deletedTopicRecord(name)])
          this.#wakeMetadataWaiters()
          await this.#closeLogs(name)
          for (let partition = 0; partition < topic.partitionCount; partition++) {
            await this.#storage.deletePartition({ topic: name, partition })
          }
          await this.#coordinator.removeTopic(name)
        }
        outcomes.push({ name, topicId: topic?.topicId ?? '', partitionCount: topic?.partitionCount ?? -1, error })
      }
      return outcomes
    })
  }

  async describeConfigs(resources: readonly ConfigResource[]): Promise<ConfigDescription[]> {
    this.#mustBeOpen()
    return resources.map(({ type, name }) => {
      if (type === 'broker') return { type, name, entries: describeBrokerConfigs(this.#settings), error: null }
      const topic = this.#catalog.get(name)
      if (topic === undefined) return { type, name, entries: [], error: unknownTopic(name) }
      return { type, name, entries: describeTopicConfigs(topic.configs, this.#settings), error: null }
    })
  }

  alterConfigs(changes: readonly ConfigChange[]): Promise<ConfigOutcome[]> {
    return this.#inOrder(async () => {
      const outcomes: ConfigOutcome[] = []
      for (const { type, name, configs } of changes) {
        const error = await this.#alterTopicConfigs(type, name, configs)
        outcomes.push({ type, name, error })
      }
      return outcomes
    })
  }

  async deleteRecords(at: readonly (TopicPartition & { beforeOffset: number })[]): Promise<DeleteRecordsOutcome[]> {
    this.#mustBeOpen()
    return Promise.all(
      at.map(async ({ topic, partition, beforeOffset }) => {
        try {
          const log = this.#log({ topic, partition })
          const offset = beforeOffset === -1 ? log.highWatermark : beforeOffset
          const lowWatermark = await this.#deleteRecords(log, offset)
          return { topic, partition, lowWatermark, error: null }
        } catch (error) {
          return { topic, partition, lowWatermark: -1, error: asOttlaError(error) }
        }
      }),
    )
  }

  initProducerId(): Promise<{ producerId: number; producerEpoch: number }> {
    return this.#inOrder(async () => {
      if (this.#producerIds.next === this.#producerIds.end) {
        const next = this.#catalog.nextProducerId
        await this.#appendMetadata([producerIdsRecord(next + PRODUCER_ID_BLOCK)])
        this.#producerIds = { next, end: next + PRODUCER_ID_BLOCK }
      }
      return { producerId: this.#producerIds.next++, producerEpoch: 0 }
    })
  }

  produce(request: ProduceRequest): Promise<ProduceResult> {
    const log = this.#logs.get(request.topic)?.[request.partition]
    if (log === undefined) return Promise.reject(this.#closing ? closed() : unknownPartition(request))
    return log.append(request.batch)
  }

  async fetch(request: FetchRequest, options?: Waiting): Promise<FetchResult[]> {
    this.#mustBeOpen()
    const results = await fetchFromLogs(request, this.#findLog, this.#clock, options)
    this.#mustBeOpen()
    return results
  }

  async listOffsets(at: readonly (TopicPartition & { at: OffsetSpec })[]): Promise<ListOffsetsOutcome[]> {
    this.#mustBeOpen()
    return Promise.all(
      at.map(async ({ topic, partition, at: spec }) => {
        try {
          return { topic, partition, ...(await offsetAt(this.#log({ topic, partition }), spec)), error: null }
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

  commitOffsets(request: CommitOffsetsRequest): Promise<OffsetCommitResult[]> {
    return this.#coordinator.commitOffsets(request)
  }

  fetchOffsets(request: FetchOffsetsRequest): Promise<FetchedOffset[]> {
    return this.#coordinator.fetchOffsets(request)
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
    return this.#findLog(at)?.highWatermark
  }

  /** Drops what retention no longer keeps. Returns how many segments went. */
  async applyRetention(topic: string): Promise<number> {
    this.#mustBeOpen()
    const logs = this.#logs.get(topic)
    if (logs === undefined) throw unknownTopic(topic)
    let dropped = 0
    for (const log of logs) dropped += await log.applyRetention()
    return dropped
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelRetention?.()
    this.#coordinator.close()
    this.#wakeMetadataWaiters()
    await this.#changes
    try {
      await this.#closeLogs()
    } finally {
      await this.#storage.close()
    }
  }

  async #load(): Promise<void> {
    const metadata = await this.#openLog({ topic: CLUSTER_METADATA, partition: 0 }, '', {})
    this.#logs.set(CLUSTER_METADATA, [metadata])
    const decoder = new TextDecoder()
    await replay(metadata, (key, value) => {
      this.#catalog.apply({ key: decoder.decode(key), value: value === null ? null : decoder.decode(value) })
    })
    if (this.#catalog.clusterId === '') await this.#appendMetadata([clusterRecord(newId())])
    // What a deletion left behind when the process ended in the middle of it. A stray of which nothing is known stays.
    for (const at of await this.#storage.partitions()) {
      if (this.#catalog.wasDeleted(at.topic)) await this.#storage.deletePartition(at)
    }
    const topics = this.#catalog.topics
    for (let first = 0; first < topics.length; first += OPENING_AT_ONCE) {
      await Promise.all(topics.slice(first, first + OPENING_AT_ONCE).map((topic) => this.#openTopic(topic)))
    }
    for (const log of this.#logs.get(CONSUMER_OFFSETS) ?? []) {
      await replay(log, (key, value) => this.#coordinator.replay(key, value))
    }
  }

  #prepareTopic(topic: NewTopic, taken: Set<string>): TopicState | OttlaError {
    try {
      checkTopicName(topic.name)
      if (taken.has(topic.name)) throw new OttlaError('OTTLA_TOPIC_EXISTS', `Topic ${topic.name} exists already`)
      const other = collidesWith(topic.name, taken)
      if (other !== undefined) {
        throw new OttlaError(
          'OTTLA_INVALID_TOPIC',
          `Topic ${topic.name} collides with ${other}: Kafka cannot tell '.' from '_' in the names of its metrics`,
        )
      }
      const partitionCount = topic.partitionCount === -1 ? this.#settings.numPartitions : topic.partitionCount
      checkPartitionCount(topic.name, partitionCount)
      const configs = parseTopicConfigs(topic.configs ?? {})
      taken.add(topic.name)
      return {
        name: topic.name,
        topicId: newId(),
        partitionCount,
        configs,
        codecs: topic.codecs ?? null,
        internal: topic.name === CONSUMER_OFFSETS,
      }
    } catch (error) {
      return asOttlaError(error)
    }
  }

  /** The metadata record is the creation: partitions that a crash kept from being made are made at the next start. */
  async #createTopics(topics: readonly TopicState[]): Promise<void> {
    const strays = new Set((await this.#storage.partitions()).map((at) => `${at.topic}-${at.partition}`))
    for (const { name, partitionCount } of topics) {
      for (let partition = 0; partition < partitionCount; partition++) {
        if (strays.has(`${name}-${partition}`)) await this.#storage.deletePartition({ topic: name, partition })
      }
    }
    await this.#appendMetadata(topics.map(topicRecord))
    for (const topic of topics) await this.#openTopic(topic)
    this.#wakeMetadataWaiters()
  }

  async #openTopic(topic: TopicState): Promise<void> {
    const logs = [...(this.#logs.get(topic.name) ?? [])]
    while (logs.length < topic.partitionCount) {
      const at = { topic: topic.name, partition: logs.length }
      const logStartOffset = this.#catalog.logStart(topic, at.partition)
      logs.push(await this.#openLog(at, topic.topicId, topic.configs, logStartOffset))
    }
    this.#logs.set(topic.name, logs)
  }

  async #openLog(
    at: TopicPartition,
    topicId: string,
    configs: Readonly<Record<string, string>>,
    logStartOffset = 0,
  ): Promise<PartitionLog> {
    const settings = topicSettings(configs, this.#settings)
    const internal = at.topic === CLUSTER_METADATA || at.topic === CONSUMER_OFFSETS
    const storage = await this.#storage.openPartition(at, {
      internal,
      indexIntervalBytes: settings.indexIntervalBytes,
      ...(topicId !== '' && { topicId }),
    })
    const { acknowledgeAfter } = this.#storage
    return PartitionLog.open({ at, storage, acknowledgeAfter, settings, clock: this.#clock, logStartOffset })
  }

  async #closeLogs(topic?: string): Promise<void> {
    const names = topic === undefined ? [...this.#logs.keys()] : [topic]
    const logs = names.flatMap((name) => this.#logs.get(name) ?? [])
    for (const name of names) this.#logs.delete(name)
    const outcomes = await Promise.allSettled(logs.map((log) => log.close()))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #alterTopicConfigs(
    type: ConfigResource['type'],
    name: string,
    changes: Readonly<Record<string, string | null>>,
  ): Promise<OttlaError | null> {
    if (type === 'broker') {
      return new OttlaError('OTTLA_INVALID_CONFIG', 'Configs of the broker are set when it opens: use Broker.open')
    }
    const topic = this.#catalog.get(name)
    if (topic === undefined) return unknownTopic(name)
    try {
      const kept = Object.entries(topic.configs).filter(([config]) => !(config in changes))
      const altered = { ...topic, configs: { ...Object.fromEntries(kept), ...parseTopicConfigs(changes) } }
      await this.#appendMetadata([topicRecord(altered)])
      const settings = topicSettings(altered.configs, this.#settings)
      for (const log of this.#logs.get(name) ?? []) log.settings = settings
      this.#wakeMetadataWaiters()
      return null
    } catch (error) {
      return asOttlaError(error)
    }
  }

  async #deleteRecords(log: PartitionLog, offset: number): Promise<number> {
    const { topic: name, partition } = log.at
    const topic = this.#catalog.get(name)
    if (topic === undefined) throw unknownPartition(log.at)
    if (topic.internal) throw internalTopic(name, 'keeps its records')
    log.checkDeletable(offset)
    if (offset > log.logStartOffset) {
      await this.#inOrder(() => this.#appendMetadata([logStartRecord(topic, partition, offset)]))
    }
    return log.deleteRecords(offset)
  }

  async #appendMetadata(records: readonly MetadataRecord[]): Promise<void> {
    const encoder = new TextEncoder()
    const bytes = records.map(({ key, value }) => ({
      key: encoder.encode(key),
      value: value === null ? null : encoder.encode(value),
    }))
    await this.#appendRecords(this.#log({ topic: CLUSTER_METADATA, partition: 0 }), bytes)
    for (const record of records) this.#catalog.apply(record)
  }

  async #appendOffsets(groupId: string, records: readonly KeyedBytes[]): Promise<void> {
    if (!this.#logs.has(CONSUMER_OFFSETS)) await this.#inOrder(() => this.#createOffsetsTopic())
    const logs = this.#logs.get(CONSUMER_OFFSETS)
    const log = logs?.[javaHash(groupId) % logs.length]
    if (log === undefined) throw closed()
    await this.#appendRecords(log, records)
  }

  /** Made when the first offset is committed; how many partitions it has is fixed from then on, as in Kafka. */
  async #createOffsetsTopic(): Promise<void> {
    if (this.#logs.has(CONSUMER_OFFSETS)) return
    await this.#createTopics([
      {
        name: CONSUMER_OFFSETS,
        topicId: newId(),
        partitionCount: this.#settings.offsetsTopicNumPartitions,
        configs: { 'cleanup.policy': 'compact' },
        codecs: null,
        internal: true,
      },
    ])
  }

  async #appendRecords(log: PartitionLog, records: readonly KeyedBytes[]): Promise<void> {
    const builder = new RecordBatchBuilder()
    const now = this.#clock.now()
    for (const { key, value } of records) builder.append(now, key, value)
    await log.append(builder.close())
  }

  #describeTopic(name: string): TopicMetadata {
    const topic = this.#catalog.get(name)
    if (topic !== undefined) {
      const { topicId, partitionCount, internal, codecs } = topic
      return { name, topicId, partitionCount, internal, codecs, error: null }
    }
    let error = unknownTopic(name)
    try {
      checkTopicName(name)
    } catch (cause) {
      error = asOttlaError(cause)
    }
    return { name, topicId: '', partitionCount: 0, internal: false, codecs: null, error }
  }

  readonly #findLog = (at: Readonly<TopicPartition>): PartitionLog | undefined =>
    this.#logs.get(at.topic)?.[at.partition]

  #log(at: Readonly<TopicPartition>): PartitionLog {
    const log = this.#findLog(at)
    if (log === undefined) throw this.#closing ? closed() : unknownPartition(at)
    return log
  }

  #catalogChange(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#metadataWaiters.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      if (signal?.aborted === true) return resolve()
      this.#metadataWaiters.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  #wakeMetadataWaiters(): void {
    for (const wake of this.#metadataWaiters) wake()
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(closed())
    const done = this.#changes.then(change)
    this.#changes = done.catch(() => undefined)
    return done
  }

  #scheduleRetention(): void {
    const intervalMs = this.#settings.retentionCheckIntervalMs
    this.#cancelRetention = this.#clock.schedule(async () => {
      for (const topic of [...this.#logs.keys()]) {
        if (this.#closing) return
        await this.applyRetention(topic).catch(() => undefined)
      }
      if (!this.#closing) this.#scheduleRetention()
    }, intervalMs)
  }

  #mustBeOpen(): void {
    if (this.#closing) throw closed()
  }
}

interface KeyedBytes {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** Walks a log from its start, record by record. */
async function replay(log: PartitionLog, onRecord: (key: Uint8Array, value: Uint8Array | null) => void): Promise<void> {
  let offset = log.logStartOffset
  while (offset < log.highWatermark) {
    const batches = await log.read(offset, REPLAY_BYTES)
    for (const batch of batches) {
      const records = batch.records()
      while (!batch.isControl && records.next()) if (records.key !== null) onRecord(records.key, records.value)
      offset = batch.lastOffset + 1
    }
    if (batches.length === 0) return
  }
}

async function offsetAt(log: PartitionLog, spec: OffsetSpec): Promise<{ offset: number; timestamp: number }> {
  const none = { offset: -1, timestamp: -1 }
  if (spec === 'earliest') return { offset: log.logStartOffset, timestamp: -1 }
  if (spec === 'latest') return { offset: log.highWatermark, timestamp: -1 }
  if (spec === 'maxTimestamp') return (await log.offsetOfMaxTimestamp()) ?? none
  return (await log.offsetForTimestamp(spec.timestamp)) ?? none
}

function checkPartitionCount(topic: string, count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_PARTITIONS) return
  throw new OttlaError(
    'OTTLA_INVALID_PARTITIONS',
    `Topic ${topic} cannot have ${count} partitions: give a whole number from 1 to ${MAX_PARTITIONS}`,
  )
}

function refusedCount(topic: TopicState, count: number): OttlaError | null {
  try {
    if (topic.internal) throw internalTopic(topic.name, 'keeps its partitions')
    checkPartitionCount(topic.name, count)
    if (count > topic.partitionCount) return null
    return new OttlaError(
      'OTTLA_INVALID_PARTITIONS',
      `Topic ${topic.name} has ${topic.partitionCount} partitions already: the count can only rise, not become ${count}`,
    )
  } catch (error) {
    return asOttlaError(error)
  }
}

/** 16 random bytes as Kafka writes a Uuid: never with a leading dash, which its tools would take for an option. */
function newId(): string {
  for (;;) {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url')
    if (!id.startsWith('-')) return id
  }
}

/** Java's String.hashCode made non-negative the way Kafka places a group in `__consumer_offsets`. */
function javaHash(text: string): number {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  return hash === -(2 ** 31) ? 0 : Math.abs(hash)
}

function asOttlaError(error: unknown): OttlaError {
  return OttlaError.is(error) ? error : new OttlaError('OTTLA_STORAGE_FAILED', String(error), { cause: error })
}

function unknownTopic(name: string): OttlaError {
  return new OttlaError('OTTLA_UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${name}: create it first`)
}

function unknownPartition(at: Readonly<TopicPartition>): OttlaError {
  return new OttlaError(
    'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    `There is no partition ${at.partition} of a topic ${at.topic}: create the topic first`,
  )
}

function internalTopic(name: string, rule: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_TOPIC', `${name} is ottla's own topic: it ${rule}`)
}

function closed(): OttlaError {
  return new OttlaError('OTTLA_CLOSED', 'The broker is closed: open a new one')
}
