import type { CancelSignal } from '../cancellation.js'
import { OttlaError } from '../errors.js'
import { type LogSettings, PartitionLog } from '../log/partition-log.js'
import type { KeptTime } from '../log/running-time.js'
import { randomId } from '../random-id.js'
import type { Storage, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { alterTopicConfigs, parseTopicConfigs, topicSettings } from './config.js'
import type { BrokerSettings, TopicSettings } from './config-tables.js'
import type { AlterConfigsOptions, NewTopic } from './engine.js'
import {
  asOttlaError,
  engineClosed,
  internalTopic,
  namedTwice,
  unknownPartition,
  unknownTopic,
} from './engine-errors.js'
import { appendRecords, type KeyedRecord, replay } from './keyed-log.js'
import { repeatedNames } from './repeated-names.js'
import { CLUSTER_METADATA, CONSUMER_OFFSETS, checkTopicName, isInternalTopic } from './topic-name.js'
import {
  cleanedRecord,
  clockRecord,
  clusterRecord,
  deletedLogStartRecord,
  deletedTopicRecord,
  logStartRecord,
  type MetadataRecord,
  producerIdsRecord,
  TopicCatalog,
  type TopicState,
  topicRecord,
} from './topics.js'

export interface TopicStoreOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly settings: BrokerSettings
  /** Told of what failed beside the call that brought it about, which went well. */
  readonly onError?: ((error: OttlaError) => void) | undefined
  /** Milliseconds since a timestamp, in which messages aged. */
  readonly ageOf?: ((timestamp: number) => number) | undefined
  /** Called before anything is judged by its age. */
  readonly look?: (() => void) | undefined
  /** Told of logs that were opened, or whose settings have changed. */
  readonly onLogs?: ((logs: readonly PartitionLog[]) => void) | undefined
  /** Told of a log that sealed a segment. */
  readonly onSealed?: ((log: PartitionLog) => void) | undefined
}

const MAX_PARTITIONS = 10_000
/** Partitions that are opened side by side at start. */
const OPENING_AT_ONCE = 16
/** Ids are reserved in the log by the thousand, so that giving one out writes nothing (Kafka: ProducerIdsBlock). */
const PRODUCER_ID_BLOCK = 1000

/**
 * Which topics there are, and their logs. Every change is first a record of `__cluster_metadata`, then takes effect:
 * what a crash leaves undone in between is done when the store is loaded again.
 */
export class TopicStore {
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #settings: BrokerSettings
  readonly #options: TopicStoreOptions
  readonly #onError: (error: OttlaError) => void
  readonly #catalog = new TopicCatalog()
  /** Partitions in the storage that no topic owns, by name: kept, since to list all for each topic that is made would cost more with each. */
  readonly #strays = new Map<string, Set<number>>()
  readonly #logs = new Map<string, PartitionLog[]>()
  readonly #changeListeners = new Set<() => void>()
  /** Changes run one after the other: each looks at the catalog, writes, then applies what it wrote. */
  #changes: Promise<unknown> = Promise.resolve()
  #producerIds = { next: 0, end: 0 }
  /** Of all topics that set no config. */
  #commonSettings: LogSettings | undefined
  #isClosed = false

  constructor(options: TopicStoreOptions) {
    this.#storage = options.storage
    this.#clock = options.clock
    this.#settings = options.settings
    this.#options = options
    this.#onError = options.onError ?? (() => {})
  }

  get clusterId(): string {
    return this.#catalog.clusterId
  }

  /** Rises with each change of a topic. */
  get version(): number {
    return this.#catalog.version
  }

  /** The topics that changed since then; undefined where that was too many changes ago. */
  changedSince(version: number): string[] | undefined {
    return this.#catalog.changedSince(version)
  }

  /** In the order of their names. */
  get topics(): TopicState[] {
    return this.#catalog.topics
  }

  get(name: string): TopicState | undefined {
    return this.#catalog.get(name)
  }

  /** The logs of a topic by partition, ottla's own topics included. */
  logs(name: string): readonly PartitionLog[] | undefined {
    return this.#logs.get(name)
  }

  readonly find = (at: Readonly<TopicPartition>): PartitionLog | undefined => this.#logs.get(at.topic)?.[at.partition]

  /** Throws OTTLA_UNKNOWN_TOPIC_OR_PARTITION or OTTLA_CLOSED. */
  log(at: Readonly<TopicPartition>): PartitionLog {
    const log = this.find(at)
    if (log === undefined) throw this.#isClosed ? engineClosed() : unknownPartition(at)
    return log
  }

  /** Reads `__cluster_metadata` and opens every log. */
  async load(): Promise<void> {
    // Producer ids are never given twice and topics never lost, so here `durability: 'os'` does not hold either.
    const metadata = await this.#openLog({ topic: CLUSTER_METADATA, partition: 0 }, undefined, 'sync')
    this.#logs.set(CLUSTER_METADATA, [metadata])
    this.#options.onLogs?.([metadata])
    const decoder = new TextDecoder()
    await replay(metadata, (key, value) => {
      this.#catalog.apply({ key: decoder.decode(key), value: value === null ? null : decoder.decode(value) })
    })
    const isReadOnly = this.#storage.readOnly === true
    if (this.#catalog.clusterId === '') {
      if (isReadOnly) this.#catalogPartitions(await this.#storage.partitions())
      else await this.#recordWithIds([clusterRecord(randomId())])
    }
    // What a deletion left behind when the process ended in the middle of it. A stray of which nothing is known stays.
    for (const at of isReadOnly ? [] : await this.#storage.partitions()) {
      if (this.#catalog.wasDeleted(at.topic)) await this.#storage.deletePartition(at)
      else if (at.topic !== CLUSTER_METADATA && at.partition >= (this.#catalog.get(at.topic)?.partitionCount ?? 0)) {
        this.#addStray(at)
      }
    }
    const { topics } = this.#catalog
    for (let first = 0; first < topics.length; first += OPENING_AT_ONCE) {
      await Promise.all(topics.slice(first, first + OPENING_AT_ONCE).map((topic) => this.#openTopic(topic)))
    }
  }

  /** Of logs without our records, as an Apache Kafka wrote them, the topics are those that there are partitions of. */
  #catalogPartitions(partitions: readonly TopicPartition[]): void {
    this.#catalog.apply(clusterRecord(randomId()))
    const counts = new Map<string, number>()
    for (const { topic, partition } of partitions) {
      counts.set(topic, Math.max(counts.get(topic) ?? 0, partition + 1))
    }
    for (const [name, partitionCount] of counts) {
      const topic = { name, topicId: randomId(), partitionCount, configs: {}, codecs: null, internal: false }
      this.#catalog.apply(topicRecord(topic))
    }
  }

  /** For each the topic as it was made, or why it was not. With `validateOnly` nothing is made. */
  create(topics: readonly NewTopic[], validateOnly: boolean): Promise<(TopicState | OttlaError)[]> {
    return this.#inOrder(async () => {
      const repeated = repeatedNames(topics.map(({ name }) => name))
      const prepared = topics.map((topic) => this.#prepare(topic, repeated))
      const accepted = prepared.filter((outcome): outcome is TopicState => !OttlaError.is(outcome))
      if (validateOnly || accepted.length === 0) return prepared
      const created = await this.#create(accepted)
      return prepared.map((outcome) => (OttlaError.is(outcome) ? outcome : (created.get(outcome.name) ?? outcome)))
    })
  }

  /** `__consumer_offsets`, made when it is first needed; how many partitions it has is fixed from then on, as in Kafka. */
  async offsetsLogs(): Promise<readonly PartitionLog[]> {
    const existing = this.#logs.get(CONSUMER_OFFSETS)
    if (existing !== undefined) return existing
    return this.#inOrder(async () => {
      const offsets: TopicState = {
        name: CONSUMER_OFFSETS,
        topicId: randomId(),
        partitionCount: this.#settings.offsetsTopicNumPartitions,
        configs: { 'cleanup.policy': 'compact' },
        codecs: null,
        internal: true,
      }
      const made = this.#logs.get(CONSUMER_OFFSETS)
      if (made !== undefined) return made
      const failure = (await this.#create([offsets])).get(CONSUMER_OFFSETS)
      if (failure !== undefined) throw failure
      return this.#logs.get(CONSUMER_OFFSETS) ?? []
    })
  }

  /** Raises the partition count of a topic. */
  grow(name: string, partitionCount: number): Promise<TopicState> {
    return this.#inOrder(async () => {
      const topic = this.#mutable(name, 'keeps its partitions')
      checkPartitionCount(name, partitionCount)
      if (partitionCount <= topic.partitionCount) {
        throw new OttlaError(
          'OTTLA_INVALID_PARTITIONS',
          `Topic ${name} has ${topic.partitionCount} partitions: the count can only rise, not become ${partitionCount}`,
        )
      }
      const grown = { ...topic, partitionCount }
      await this.#discardStrays([grown], topic.partitionCount)
      await this.#record([topicRecord(grown)])
      try {
        await this.#openTopic(grown)
      } catch (error) {
        await this.#takeBack(grown, topic)
        throw asOttlaError(error)
      }
      this.#announce()
      return grown
    })
  }

  /** The tombstone is the deletion; what follows only clears away. */
  delete(name: string): Promise<TopicState> {
    return this.#inOrder(async () => {
      const topic = this.#mutable(name, 'cannot be deleted')
      await this.#record(this.#deletionOf(topic))
      const logs = this.#logs.get(name) ?? []
      this.#logs.delete(name)
      this.#announce()
      await Promise.all(logs.map((log) => log.abandon()))
      await this.#deletePartitions(topic, 0)
      return topic
    })
  }

  /** Sets configs, or takes them back to their default where the value is null. */
  alterConfigs(
    name: string,
    changes: Readonly<Record<string, string | null>>,
    { validateOnly = false }: AlterConfigsOptions = {},
  ): Promise<void> {
    return this.#inOrder(async () => {
      checkTopicName(name)
      const topic = this.#catalog.get(name)
      if (topic === undefined) throw unknownTopic(name)
      const altered = { ...topic, configs: alterTopicConfigs(topic.configs, changes) }
      if (validateOnly) return
      await this.#record([topicRecord(altered)])
      const settings = this.#logSettings(altered)
      const logs = this.#logs.get(name) ?? []
      for (const log of logs) log.settings = settings
      this.#options.onLogs?.(logs)
      this.#announce()
    })
  }

  /** Moves a log start up, for good. -1 stands for the high watermark. */
  deleteRecords(at: TopicPartition, beforeOffset: number): Promise<number> {
    return this.#inOrder(async () => {
      const log = this.log(at)
      const topic = this.#mutable(at.topic, 'keeps its records')
      if (topicSettings(topic.configs, this.#settings).cleanupPolicy === 'compact') throw keepsItsKeys(at.topic)
      const offset = beforeOffset === -1 ? log.highWatermark : beforeOffset
      log.checkDeletable(offset)
      if (offset > log.logStartOffset) await this.#record([logStartRecord(topic, at.partition, offset)])
      return log.deleteRecords(offset)
    })
  }

  nextProducerId(): Promise<number> {
    if (this.#hasProducerId && !this.#isClosed) return Promise.resolve(this.#producerIds.next++)
    return this.#inOrder(async () => {
      if (!this.#hasProducerId) await this.#recordWithIds([])
      return this.#producerIds.next++
    })
  }

  /** Drops what retention no longer keeps of a topic. Returns how many segments went. */
  async applyRetention(name: string): Promise<number> {
    const logs = this.#logs.get(name)
    if (logs === undefined) throw this.#isClosed ? engineClosed() : unknownTopic(name)
    let dropped = 0
    for (const log of logs) dropped += await log.applyRetention()
    return dropped
  }

  /** Keeps up to where a log was compacted, so that the next opening need not do it again. */
  recordCleaned(log: PartitionLog, cleanedTo: number): Promise<void> {
    return this.#inOrder(async () => {
      const { topic, partition } = log.at
      const state = this.#catalog.get(topic)
      // The topic was deleted meanwhile, or it is __cluster_metadata, which is small.
      if (state === undefined || this.find(log.at) !== log) return
      await this.#record([cleanedRecord(state, partition, cleanedTo)])
    })
  }

  /** What was kept of the time when the broker closed; failing that, when a record was last written. */
  keptTime(): KeptTime | undefined {
    const kept = this.#catalog.keptTime
    const now = this.#clock.now()
    let at = kept?.at ?? -1
    for (const logs of this.#logs.values()) {
      for (const { maxTimestamp } of logs) if (maxTimestamp <= now) at = Math.max(at, maxTimestamp)
    }
    return at < 0 ? kept : { at, pauses: kept?.pauses ?? [] }
  }

  keepTime(kept: KeptTime): Promise<void> {
    return this.#inOrder(() => this.#record([clockRecord(kept)]))
  }

  /** Resolves when a topic changes, the store closes or the caller aborts. */
  changed(signal: CancelSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true || this.#isClosed) return resolve()
      const wake = (): void => {
        this.#changeListeners.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#changeListeners.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  /** Lets the change under way finish, then closes every log. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#announce()
    await this.#changes
    const logs = [...this.#logs.values()].flat()
    this.#logs.clear()
    await closeAll(logs)
  }

  #prepare(topic: NewTopic, repeated: ReadonlySet<string>): TopicState | OttlaError {
    const { name } = topic
    try {
      if (repeated.has(name)) throw namedTwice(name)
      checkTopicName(name)
      if (this.#catalog.get(name) !== undefined) {
        throw new OttlaError('OTTLA_TOPIC_EXISTS', `Topic ${name} exists already`)
      }
      if (isInternalTopic(name)) throw internalTopic(name, 'is made when it is needed')
      const other = this.#catalog.collision(name)
      if (other !== undefined) {
        throw new OttlaError(
          'OTTLA_INVALID_TOPIC',
          `Topic ${name} collides with ${other}: as in Kafka, names that differ only in '.' and '_' are refused`,
        )
      }
      const partitionCount = topic.partitionCount === -1 ? this.#settings.numPartitions : topic.partitionCount
      checkPartitionCount(name, partitionCount)
      const configs = parseTopicConfigs(topic.configs ?? {})
      return { name, topicId: randomId(), partitionCount, configs, codecs: topic.codecs ?? null, internal: false }
    } catch (error) {
      return asOttlaError(error)
    }
  }

  /**
   * The record is the creation: partitions that a crash keeps from being made are made at the next start. Returns why
   * a topic was not made; its record is then taken back.
   */
  async #create(topics: readonly TopicState[]): Promise<Map<string, OttlaError>> {
    await this.#discardStrays(topics, 0)
    await this.#recordWithIds(topics.map(topicRecord))
    const failures = new Map<string, OttlaError>()
    for (const topic of topics) {
      try {
        await this.#openTopic(topic)
      } catch (error) {
        failures.set(topic.name, asOttlaError(error))
        await this.#takeBack(topic, undefined)
      }
    }
    this.#announce()
    return failures
  }

  /** Undoes a creation, or a growth from `before` on, whose partitions could not all be opened. */
  async #takeBack(topic: TopicState, before: TopicState | undefined): Promise<void> {
    await this.#record(before === undefined ? this.#deletionOf(topic) : [topicRecord(before)])
    await this.#deletePartitions(topic, before?.partitionCount ?? 0)
  }

  #deletionOf(topic: TopicState): MetadataRecord[] {
    return [deletedTopicRecord(topic.name), ...this.#catalog.deletedOffsetRecords(topic)]
  }

  /** All that can be: what cannot be removed now goes at the next start, or when a topic needs the name. */
  async #deletePartitions({ name, partitionCount }: TopicState, first: number): Promise<void> {
    for (let partition = first; partition < partitionCount; partition++) {
      try {
        await this.#storage.deletePartition({ topic: name, partition })
      } catch (error) {
        this.#addStray({ topic: name, partition })
        this.#onError(asOttlaError(error))
      }
    }
  }

  #addStray({ topic, partition }: TopicPartition): void {
    const strays = this.#strays.get(topic)
    if (strays === undefined) this.#strays.set(topic, new Set([partition]))
    else strays.add(partition)
  }

  /** A partition that no topic owns has the name of one that is about to be: it must not come back as its beginning. */
  async #discardStrays(topics: readonly TopicState[], firstPartition: number): Promise<void> {
    for (const { name, partitionCount } of topics) {
      const strays = this.#strays.get(name) ?? new Set()
      for (const partition of strays) {
        if (partition < firstPartition || partition >= partitionCount) continue
        await this.#storage.deletePartition({ topic: name, partition })
        strays.delete(partition)
      }
      if (strays.size === 0) this.#strays.delete(name)
    }
  }

  async #openTopic(topic: TopicState): Promise<void> {
    const logs = [...(this.#logs.get(topic.name) ?? [])]
    while (logs.length < topic.partitionCount) {
      logs.push(await this.#openLog({ topic: topic.name, partition: logs.length }, topic))
    }
    this.#logs.set(topic.name, logs)
    this.#options.onLogs?.(logs)
  }

  async #openLog(
    at: TopicPartition,
    topic: TopicState | undefined,
    acknowledgeAfter: Storage['acknowledgeAfter'] = this.#storage.acknowledgeAfter,
  ): Promise<PartitionLog> {
    const { indexIntervalBytes } = topicSettings(topic?.configs ?? {}, this.#settings)
    const storage = await this.#storage.openPartition(at, {
      indexIntervalBytes,
      internal: isInternalTopic(at.topic),
      ...(topic !== undefined && { topicId: topic.topicId }),
    })
    const logStartOffset = topic === undefined ? 0 : this.#catalog.logStart(topic, at.partition)
    const settings = this.#logSettings(topic)
    const { ageOf, look, onSealed } = this.#options
    const log = await PartitionLog.open({
      at,
      storage,
      acknowledgeAfter,
      settings,
      clock: this.#clock,
      logStartOffset,
      cleanedTo: topic && this.#catalog.cleanedTo(topic, at.partition),
      ...(ageOf !== undefined && { ageOf }),
      look,
      producerIdExpirationMs: this.#settings.producerIdExpirationMs,
      onSealed,
    })
    // A crash took back the records up to which others were deleted: what is appended in their place must stay.
    if (topic !== undefined && logStartOffset > log.highWatermark && this.#storage.readOnly !== true) {
      const { partition } = at
      await this.#record([deletedLogStartRecord(topic, partition), logStartRecord(topic, partition, log.highWatermark)])
    }
    return log
  }

  #logSettings(topic: TopicState | undefined): LogSettings {
    const settings = topicSettings(topic?.configs ?? {}, this.#settings)
    const isCompacted = settings.cleanupPolicy.includes('compact')
    if (topic === undefined || topic.internal) {
      const { metadataLogSegmentBytes, offsetsTopicSegmentBytes } = this.#settings
      const segmentBytes = topic === undefined ? metadataLogSegmentBytes : offsetsTopicSegmentBytes
      // A limit that is meant for producers must not refuse the broker's own records.
      const maxMessageBytes = Number.POSITIVE_INFINITY
      return new SettingsOfLog(settings, { isCompacted: true, isKept: true, segmentBytes, maxMessageBytes })
    }
    if (!isCompacted) {
      const common = { isCompacted, isKept: false }
      if (Object.keys(topic.configs).length > 0) return new SettingsOfLog(settings, common)
      this.#commonSettings ??= new SettingsOfLog(settings, common)
      return this.#commonSettings
    }
    // A message that waits in the active segment for that long is sealed with it.
    const segmentMs = Math.min(settings.segmentMs, settings.maxCompactionLagMs)
    return new SettingsOfLog(settings, { isCompacted, isKept: !settings.cleanupPolicy.includes('delete'), segmentMs })
  }

  #mutable(name: string, rule: string): TopicState {
    if (isInternalTopic(name)) throw internalTopic(name, rule)
    const topic = this.#catalog.get(name)
    if (topic === undefined) throw unknownTopic(name)
    return topic
  }

  get #hasProducerId(): boolean {
    return this.#producerIds.next < this.#producerIds.end
  }

  /** Reserves producer ids by the way, where none are left: the first send of a producer then waits for no sync but its own. */
  async #recordWithIds(records: readonly MetadataRecord[]): Promise<void> {
    if (this.#hasProducerId) return this.#record(records)
    const next = this.#catalog.nextProducerId
    await this.#record([...records, producerIdsRecord(next + PRODUCER_ID_BLOCK)])
    this.#producerIds = { next, end: next + PRODUCER_ID_BLOCK }
  }

  async #record(records: readonly MetadataRecord[]): Promise<void> {
    const encoder = new TextEncoder()
    const encoded: KeyedRecord[] = records.map(({ key, value }) => ({
      key: encoder.encode(key),
      value: value === null ? null : encoder.encode(value),
    }))
    await appendRecords(this.log({ topic: CLUSTER_METADATA, partition: 0 }), encoded, this.#clock.now())
    for (const record of records) this.#catalog.apply(record)
  }

  #announce(): void {
    for (const listener of this.#changeListeners) listener()
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(engineClosed())
    const done = this.#changes.then(change)
    // Its caller hears of a failure; the next change begins anew.
    this.#changes = done.catch(() => undefined)
    return done
  }
}

/**
 * A class, since V8 gives each object that is made by spreading another a hidden class of its own, and every send looks
 * into these (benchmark: growth-topics).
 */
class SettingsOfLog implements LogSettings {
  readonly retentionMs: number
  readonly retentionBytes: number
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly minCleanableDirtyRatio: number
  readonly deleteRetentionMs: number
  readonly minCompactionLagMs: number
  readonly maxCompactionLagMs: number
  readonly maxMessageBytes: number
  readonly messageTimestampType: LogSettings['messageTimestampType']
  readonly isCompacted: boolean

  /** `isKept` for ottla's own topics, and those that are compacted alone: they keep what the broker's retention would drop. */
  constructor(
    settings: TopicSettings,
    log: { isCompacted: boolean; isKept: boolean; segmentBytes?: number; segmentMs?: number; maxMessageBytes?: number },
  ) {
    this.retentionMs = log.isKept ? -1 : settings.retentionMs
    this.retentionBytes = log.isKept ? -1 : settings.retentionBytes
    this.segmentBytes = log.segmentBytes ?? settings.segmentBytes
    this.segmentMs = log.segmentMs ?? settings.segmentMs
    this.minCleanableDirtyRatio = settings.minCleanableDirtyRatio
    this.deleteRetentionMs = settings.deleteRetentionMs
    this.minCompactionLagMs = settings.minCompactionLagMs
    this.maxCompactionLagMs = settings.maxCompactionLagMs
    this.maxMessageBytes = log.maxMessageBytes ?? settings.maxMessageBytes
    this.messageTimestampType = settings.messageTimestampType
    this.isCompacted = log.isCompacted
  }
}

/** Closes all, then throws the first failure. */
async function closeAll(logs: readonly PartitionLog[]): Promise<void> {
  const outcomes = await Promise.allSettled(logs.map((log) => log.close()))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

function keepsItsKeys(topic: string): OttlaError {
  return new OttlaError(
    'OTTLA_POLICY_VIOLATION',
    `Records of ${topic} are not deleted by offset, since its cleanupPolicy is 'compact': send tombstones, or make it 'compact,delete' with alterTopic`,
  )
}

function checkPartitionCount(topic: string, count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_PARTITIONS) return
  throw new OttlaError(
    'OTTLA_INVALID_PARTITIONS',
    `Topic ${topic} cannot have ${count} partitions: give a whole number from 1 to ${MAX_PARTITIONS}`,
  )
}
