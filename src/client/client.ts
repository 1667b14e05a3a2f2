import { topicConfigEntries } from '../engine/config.js'
import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { RecoveryReport, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { assignedPartitions } from './assigned-partitions.js'
import { type AnyGroup, type ConsumerGroup, closeMember, createConsumerGroup } from './consumer-group.js'
import { checkDeadLetterTopic } from './dead-letters.js'
import { GroupCounters } from './group-counters.js'
import { groupLag, type PartitionLag } from './group-lag.js'
import { checkGroupId, type GroupOptions } from './group-options.js'
import { brokerLabel, isInside } from './inside-handler.js'
import { CONSUMER_PROTOCOL_TYPE } from './membership.js'
import type { Message, MessageOf } from './message.js'
import { type GroupMetrics, groupMetrics, type ProducerMetrics } from './metrics.js'
import { BatchPool } from './open-batch.js'
import { aBoolean, checkOptions, describe, invalid, isWholeNumber } from './options.js'
import { checkPosition, type Position, resolvePosition } from './position.js'
import { createProducer, type Producer, pendingSends } from './producer.js'
import { ProducerCounters } from './producer-counters.js'
import { ProducerIds } from './producer-identity.js'
import type { ProducerOptions } from './producer-options.js'
import { createReader, type ReaderOptions } from './reader.js'
import type { RedriveOptions, RedriveResult } from './redrive.js'
import {
  type AnyTopic,
  checkPartitions,
  isTopic,
  TOPIC_DECLARATION,
  Topic,
  type TopicArguments,
  type TopicConfig,
} from './topic.js'
import { describeTopic, TopicDirectory } from './topic-directory.js'

/** A group as the coordinator knows it. */
export interface GroupDescription {
  /** The group's id. */
  id: string
  /** Kafka's words: 'Stable' while its members consume, 'Empty' without members. */
  state: 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'
  /** Each with the partitions that it holds, where they are consumers; `instanceId` null where it has none. */
  members: { memberId: string; instanceId: string | null; assignment: TopicPartition[] }[]
  /** For each partition of the topics in which the group has committed, or of which a member holds one. */
  lag: PartitionLag[]
}

/** What `resetOffsets` takes. */
export interface ResetOptions {
  /** Default: every topic in which the group has committed. */
  topics?: readonly (AnyTopic | string)[]
  /** Says what would be set, and sets nothing. */
  dryRun?: boolean
}

/**
 * What application code should accept as its bus: the embedded `Broker` is one. Every method rejects with OTTLA_CLOSED
 * after `close`, and with OTTLA_INVALID_ARGUMENT for an argument or option that it does not take.
 */
export interface Client extends AsyncDisposable {
  /**
   * Creates the topic, or checks that the options *given* hold for the one that exists: rejects with
   * OTTLA_TOPIC_MISMATCH or OTTLA_CODEC_MISMATCH where they do not, and changes nothing.
   */
  topic<Value, Key, Input>(topic: Topic<Value, Key, Input>): Promise<Topic<Value, Key, Input>>
  topic<Value = unknown, Key = string, Input = Value>(
    name: string,
    ...options: TopicArguments<Value, Key, Input>
  ): Promise<Topic<Value, Key, Input>>
  /** The names of all topics but ottla's own, in order. */
  topics(): Promise<string[]>
  /** Changes configs of a topic. `partitions` can only rise. Rejects with OTTLA_UNKNOWN_TOPIC_OR_PARTITION, OTTLA_INVALID_CONFIG or OTTLA_INVALID_PARTITIONS. */
  alterTopic(topic: AnyTopic | string, changes: TopicConfig): Promise<void>
  /** Deletes a topic with its messages and the groups' offsets in it. Rejects with OTTLA_UNKNOWN_TOPIC_OR_PARTITION. */
  deleteTopic(topic: AnyTopic | string): Promise<void>
  /**
   * Removes what lies before an offset, -1 for the end: it can no longer be read, also after a restart. Rejects with
   * OTTLA_OFFSET_OUT_OF_RANGE beyond the end, and with OTTLA_POLICY_VIOLATION in a topic that is compacted alone.
   */
  deleteRecords(at: readonly (TopicPartition & { beforeOffset: number })[]): Promise<void>
  /** Makes a producer; any number may be open. Throws OTTLA_INVALID_ARGUMENT or OTTLA_CLOSED. */
  producer(options?: ProducerOptions): Producer
  /** Makes one member of the group; nothing happens until `run`, `runBatches` or `for await`. */
  consumerGroup<const Topics extends readonly (AnyTopic | string | RegExp)[]>(
    id: string,
    options: GroupOptions<Topics>,
  ): ConsumerGroup<MessageOf<Topics[number]>>
  /** The messages of a topic, without a group: from a place on, one partition or all, up to the end or for ever. */
  reader<T extends AnyTopic>(topic: T, options?: ReaderOptions): AsyncIterableIterator<MessageOf<T>>
  /** The ids of all groups, in order. */
  groups(): Promise<string[]>
  /** Rejects with OTTLA_GROUP_NOT_FOUND. */
  describeGroup(id: string): Promise<GroupDescription>
  /**
   * Moves the offsets of a group without members, within what each log holds. Resolves with how far it is behind then.
   * Rejects with OTTLA_GROUP_NOT_EMPTY, OTTLA_UNKNOWN_TOPIC_OR_PARTITION, and without `topics` OTTLA_GROUP_NOT_FOUND.
   */
  resetOffsets(id: string, to: Position, options?: ResetOptions): Promise<PartitionLag[]>
  /** Forgets a group without members. Rejects with OTTLA_GROUP_NOT_EMPTY or OTTLA_GROUP_NOT_FOUND. */
  deleteGroup(id: string): Promise<void>
  /**
   * Sends the messages of a dead-letter topic again, each to the topic and partition that it came from, as it was: key,
   * value, headers and time. Up to what is there now; a message that was sent again is not when called again. Nothing is
   * removed from the dead-letter topic: what is dealt with is kept as the offsets of the group `<topic>.redrive`.
   * Rejects with what a send rejects with, when all the others are sent; the next call tries again what failed. Rejects
   * with OTTLA_UNKNOWN_TOPIC_OR_PARTITION without the topic. Where the process or the storage fails, up to 256 messages of a
   * partition that were sent last are sent once more by the next call.
   */
  redrive(deadLetterTopic: AnyTopic | string, options?: RedriveOptions): Promise<RedriveResult>
  /** Members leave, producers flush, then everything is let go. May be called more than once. */
  close(): Promise<void>
}

/** @internal Who hears of a client's producers and members. */
export interface ClientListener {
  /** Something was sent, handled, committed or assigned. */
  readonly onProgress: () => void
  onProducer(producer: Producer): void
  onProducerClosed(producer: Producer): void
  onRun(member: AnyGroup): void
  onEnd(member: AnyGroup, failure: OttlaError | undefined): void
  onGroupDeleted(groupId: string): void
  /** From now on nothing new begins, and what goes on is brought to its end. */
  onClose(): void
  /** True while the failure of a member reaches somebody this way. */
  hearsFailures(): boolean
}

const RESET_OPTIONS = {
  topics: (value: unknown) => (Array.isArray(value) ? undefined : 'an array of topics'),
  dryRun: aBoolean,
}

/** A `Client` on an engine's verbs, whichever engine it is. */
export class EngineClient implements Client {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #id: string
  readonly #listener: ClientListener
  readonly #directory: TopicDirectory
  readonly #producerIds: ProducerIds
  readonly #producerCounters = new ProducerCounters()
  readonly #producers = new Set<Producer>()
  readonly #batches = new BatchPool()
  readonly #members = new Set<AnyGroup>()
  readonly #counters = new Map<string, GroupCounters>()
  /** By dead-letter topic, the newest call. */
  readonly #redriving = new Map<string, Promise<RedriveResult>>()
  /** Made when the first message is parked. */
  #deadLetterProducer: Producer | undefined
  #memberNumber = 0
  #isClosed = false
  #closing: Promise<void> | undefined

  /** @internal `id` is on the stack of every handler: see inside-handler.ts. */
  constructor(engine: Engine, clock: Clock, id: string, listener: ClientListener) {
    this.#engine = engine
    this.#clock = clock
    this.#id = id
    this.#listener = listener
    this.#directory = new TopicDirectory(engine)
    this.#producerIds = new ProducerIds(engine)
  }

  /** @internal What opening had to mend, where there is something that is opened. */
  get recovery(): readonly RecoveryReport[] {
    return []
  }

  topic<Value, Key, Input>(topic: Topic<Value, Key, Input>): Promise<Topic<Value, Key, Input>>
  topic<Value = unknown, Key = string, Input = Value>(
    name: string,
    ...options: TopicArguments<Value, Key, Input>
  ): Promise<Topic<Value, Key, Input>>
  async topic(named: AnyTopic | string, ...options: TopicArguments<unknown, string, unknown>): Promise<AnyTopic> {
    this.mustBeOpen()
    const topic = typeof named === 'string' ? new Topic(named, ...options) : named
    if (!isTopic(topic)) throw invalid(`topic takes a Topic or a name, not ${describe(named)}`)
    if (topic === named && options.length > 0) {
      throw invalid(`The options of topic ${topic.name} stand in its declaration: give them to new Topic`)
    }
    const { partitionCount, configs } = topic[TOPIC_DECLARATION]
    const codecs = { key: topic.key.name, value: topic.value.name }
    const [outcome] = await this.#engine.createTopics({
      topics: [{ name: topic.name, partitionCount, configs, codecs }],
    })
    const error = outcome?.error
    if (error?.code === 'OTTLA_TOPIC_EXISTS') await this.#checkTopic(topic)
    else if (error) throw error
    // What was known of it is of another topic that had its name.
    else this.#directory.forget(topic.name)
    await this.#directory.lookUp(topic.name)
    return topic
  }

  async topics(): Promise<string[]> {
    this.mustBeOpen()
    const { topics } = await this.#engine.metadata({ topics: null })
    return topics.filter((topic) => !topic.internal).map((topic) => topic.name)
  }

  async alterTopic(topic: AnyTopic | string, changes: TopicConfig): Promise<void> {
    this.mustBeOpen()
    const name = nameOfTopic(topic)
    if (typeof changes !== 'object' || changes === null || Array.isArray(changes)) {
      throw invalid(`The changes of topic ${name} are an object, not ${describe(changes)}`)
    }
    const { partitions, ...config } = changes
    const configs = topicConfigEntries(config)
    const totalCount = partitions === undefined ? undefined : checkPartitions(name, partitions)
    const { partitionCount } = await describeTopic(this.#engine, name)
    try {
      if (totalCount !== undefined && totalCount !== partitionCount) {
        throwFirst(await this.#engine.createPartitions([{ name, totalCount }]))
      }
      if (Object.keys(configs).length > 0) {
        throwFirst(await this.#engine.alterConfigs([{ type: 'topic', name, configs }]))
      }
    } finally {
      // The first may be done where the second fails.
      this.#directory.forget(name)
    }
    await this.#directory.lookUp(name)
  }

  async deleteTopic(topic: AnyTopic | string): Promise<void> {
    this.mustBeOpen()
    const name = nameOfTopic(topic)
    throwFirst(await this.#engine.deleteTopics([name]))
    this.#directory.forget(name)
  }

  async deleteRecords(at: readonly (TopicPartition & { beforeOffset: number })[]): Promise<void> {
    this.mustBeOpen()
    if (!Array.isArray(at)) throw invalid(`deleteRecords takes an array, not ${describe(at)}`)
    const places = at.map(checkRecordsToDelete)
    // All are checked before the first is deleted, so that a refused call changes nothing.
    const ends = await this.#engine.listOffsets(places.map((place) => ({ ...place, at: 'latest' })))
    throwFirst(ends)
    for (const [index, { topic, partition, beforeOffset }] of places.entries()) {
      const end = ends[index]?.offset ?? -1
      if (beforeOffset > end) throw beyondTheEnd(topic, partition, beforeOffset, end)
    }
    throwFirst(await this.#engine.deleteRecords(places))
  }

  producer(options?: ProducerOptions): Producer {
    this.mustBeOpen()
    return this.#makeProducer(options)
  }

  readonly #producerOfLetters = (): Producer => {
    this.#deadLetterProducer ??= this.#makeProducer()
    return this.#deadLetterProducer
  }

  /** Also while the client closes: its members may have something to park. */
  #makeProducer(options?: ProducerOptions): Producer {
    const producer = createProducer(
      {
        engine: this.#engine,
        clock: this.#clock,
        topics: this.#directory,
        ids: this.#producerIds,
        counters: this.#producerCounters,
        batches: this.#batches,
        onProgress: this.#listener.onProgress,
        onClose: (closed) => {
          this.#producers.delete(closed)
          this.#listener.onProducerClosed(closed)
        },
      },
      options,
    )
    this.#producers.add(producer)
    this.#listener.onProducer(producer)
    return producer
  }

  consumerGroup<const Topics extends readonly (AnyTopic | string | RegExp)[]>(
    id: string,
    options: GroupOptions<Topics>,
  ): ConsumerGroup<MessageOf<Topics[number]>> {
    this.mustBeOpen()
    return createConsumerGroup(
      {
        engine: this.#engine,
        clock: this.#clock,
        brokerId: this.#id,
        memberNumber: this.#memberNumber++,
        counters: this.#countersOf(id),
        topic: (topic) => this.topic(topic),
        deadLetterProducer: this.#producerOfLetters,
        recovery: this.recovery,
        onProgress: this.#listener.onProgress,
        hearsFailures: () => this.#listener.hearsFailures(),
        onRun: (member) => {
          this.mustBeOpen()
          this.#members.add(member)
          this.#listener.onRun(member)
        },
        onAwaited: (member) => {
          if (this.#isClosed) void closeMember(member)
          else this.#members.add(member)
        },
        onEnd: (member, failure) => {
          this.#members.delete(member)
          this.#listener.onEnd(member, failure)
        },
      },
      id,
      options,
    )
  }

  reader<T extends AnyTopic>(topic: T, options?: ReaderOptions): AsyncIterableIterator<MessageOf<T>> {
    this.mustBeOpen()
    // The topic's types are known to the compiler alone.
    const messages: AsyncIterableIterator<Message> = createReader(this.#engine, this.#clock, topic, options)
    return messages as AsyncIterableIterator<MessageOf<T>>
  }

  async groups(): Promise<string[]> {
    this.mustBeOpen()
    const groups = await this.#engine.listGroups()
    return groups.map((group) => group.groupId).sort()
  }

  async describeGroup(id: string): Promise<GroupDescription> {
    this.mustBeOpen()
    const [group] = await this.#engine.describeGroups([id])
    if (group === undefined) throw new TypeError(`The engine left out group ${id}`)
    if (group.error !== null) throw group.error
    const members = group.members.map(({ memberId, instanceId, assignment }) => ({
      memberId,
      instanceId,
      // In another protocol these bytes say something else.
      assignment: group.protocolType === CONSUMER_PROTOCOL_TYPE ? assignedPartitions(assignment) : [],
    }))
    const held = members.flatMap((member) => member.assignment).map((at) => at.topic)
    return { id, state: group.state, members, lag: await this.#lag(id, held) }
  }

  async resetOffsets(id: string, to: Position, options: ResetOptions = {}): Promise<PartitionLag[]> {
    this.mustBeOpen()
    checkGroupId(id)
    const position = checkPosition('resetOffsets', to)
    checkOptions('resetOffsets', options, RESET_OPTIONS)
    const names = options.topics?.map(nameOfTopic) ?? (await this.#committedTopics(id))
    const [group] = await this.#engine.describeGroups([id])
    // A group may be given offsets before it has any, in topics that are named.
    if (options.topics === undefined && group !== undefined && group.error !== null) throw group.error
    const lag = await this.#lag(id, names, names)
    const starts = await resolvePosition(this.#engine, 'earliest', lag)
    const offsets = await resolvePosition(this.#engine, position, lag)
    const reset = lag.map((at, index) => {
      const offset = Math.max(offsets[index] as number, starts[index] as number)
      return { ...at, offset: Math.min(offset, at.logEndOffset) }
    })
    if (options.dryRun !== true && reset.length > 0) {
      if (group !== undefined && group.members.length > 0) throw groupNotEmpty(id)
      throwFirst(
        await this.#engine.commitOffsets({
          groupId: id,
          memberId: '',
          generationId: -1,
          instanceId: null,
          offsets: reset.map(({ topic, partition, offset }) => ({ topic, partition, offset, metadata: null })),
        }),
      )
    }
    return reset.map(({ topic, partition, offset, logEndOffset }) => ({
      topic,
      partition,
      committedOffset: offset,
      logEndOffset,
      lag: logEndOffset - offset,
    }))
  }

  async deleteGroup(id: string): Promise<void> {
    this.mustBeOpen()
    throwFirst(await this.#engine.deleteGroups([id]))
    this.#counters.delete(id)
    this.#listener.onGroupDeleted(id)
  }

  async redrive(deadLetterTopic: AnyTopic | string, options?: RedriveOptions): Promise<RedriveResult> {
    this.mustBeOpen()
    const name = checkDeadLetterTopic(deadLetterTopic)
    const [engine, clock, producer] = [this.#engine, this.#clock, this.#producerOfLetters]
    // Few programs ever redrive (benchmark: cold-start).
    const { Redrive } = await import('./redrive.js')
    const redrive = new Redrive({ engine, clock, producer }, name, options)
    // One after the other, or two would send the same.
    const before = this.#redriving.get(name)?.catch(() => undefined)
    const redriven = (before ?? Promise.resolve()).then(() => redrive.run())
    this.#redriving.set(name, redriven)
    try {
      return await redriven
    } finally {
      if (this.#redriving.get(name) === redriven) this.#redriving.delete(name)
    }
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    // Inside a handler it would wait for that handler, which waits for it: there it goes on by itself.
    if (isInside(brokerLabel(this.#id))) return
    await this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#isClosed = true
    this.#listener.onClose()
    await Promise.all([...this.#members].map(closeMember))
    await Promise.all([...this.#producers].map((producer) => producer.close()))
    await this.#engine.close()
  }

  async #checkTopic(topic: AnyTopic): Promise<void> {
    const { name } = topic
    const { partitionCount, configs, checksKey, checksValue } = topic[TOPIC_DECLARATION]
    const existing = await describeTopic(this.#engine, name)
    if (partitionCount !== -1 && partitionCount !== existing.partitionCount) {
      throw mismatch(name, 'partitions', partitionCount, existing.partitionCount)
    }
    const [described] = await this.#engine.describeConfigs([{ type: 'topic', name }])
    for (const [config, value] of Object.entries(configs)) {
      const holds = described?.entries.find((entry) => entry.name === config)?.value
      if (holds !== value) throw mismatch(name, config, value, holds)
    }
    const { codecs } = existing
    if (codecs === null) return
    if (checksKey && codecs.key !== topic.key.name) throw codecMismatch(name, 'keys', codecs.key, topic.key.name)
    if (checksValue && codecs.value !== topic.value.name) {
      throw codecMismatch(name, 'values', codecs.value, topic.value.name)
    }
  }

  async #committedTopics(groupId: string): Promise<string[]> {
    const committed = await this.#engine.fetchOffsets({ groupId, partitions: null })
    return [...new Set(committed.map((at) => at.topic))]
  }

  /** For the partitions of `held` topics, and those in which the group has committed. */
  async #lag(groupId: string, held: readonly string[], only?: readonly string[]): Promise<PartitionLag[]> {
    const names = new Set(only ?? [...held, ...(await this.#committedTopics(groupId))])
    const { topics } = await this.#engine.metadata({ topics: [...names].sort() })
    if (only !== undefined) throwFirst(topics)
    return groupLag(
      this.#engine,
      groupId,
      topics.filter((topic) => topic.error === null),
    )
  }

  /** @internal */
  protected async groupMetrics(): Promise<Record<string, GroupMetrics>> {
    const ids = await this.groups()
    const described = await Promise.all(
      // One that goes in the meantime is left out.
      ids.map((id) => this.describeGroup(id).catch(() => undefined)),
    )
    const found = described.filter((group) => group !== undefined)
    return Object.fromEntries(
      found.map((group) => [group.id, groupMetrics(group, this.#members, this.#countersOf(group.id))]),
    )
  }

  /** @internal */
  protected producerMetrics(): ProducerMetrics {
    const pending = [...this.#producers].map((producer) => pendingSends(producer).count)
    const pendingMessages = pending.reduce((sum, count) => sum + count, 0)
    return { open: pending.length, pendingMessages, ...this.#producerCounters.snapshot() }
  }

  #countersOf(groupId: string): GroupCounters {
    const counters = this.#counters.get(groupId) ?? new GroupCounters()
    this.#counters.set(groupId, counters)
    return counters
  }

  /** @internal */
  protected mustBeOpen(): void {
    if (this.#isClosed) throw new OttlaError('OTTLA_CLOSED', 'The broker is closed: open a new one')
  }
}

export function nameOfTopic(topic: AnyTopic | string): string {
  if (typeof topic === 'string') return topic
  if (isTopic(topic)) return topic.name
  throw invalid(`A topic is given as a Topic or by its name, not as ${describe(topic)}`)
}

function throwFirst(outcomes: readonly { error: OttlaError | null }[]): void {
  for (const { error } of outcomes) if (error !== null) throw error
}

/** Kafka: DeleteRecordsRequest.HIGH_WATERMARK. */
const HIGH_WATERMARK = -1

function checkRecordsToDelete(at: unknown): TopicPartition & { beforeOffset: number } {
  if (typeof at !== 'object' || at === null || !('topic' in at && 'partition' in at && 'beforeOffset' in at)) {
    throw invalid(`deleteRecords takes { topic, partition, beforeOffset }, not ${describe(at)}`)
  }
  const { topic, partition, beforeOffset } = at
  if (typeof topic !== 'string') throw invalid(`deleteRecords names its topics, not ${describe(topic)}`)
  if (!isWholeNumber(partition)) throw invalid(`A partition is a whole number from 0 up, not ${describe(partition)}`)
  if (isWholeNumber(beforeOffset) || beforeOffset === HIGH_WATERMARK) return { topic, partition, beforeOffset }
  throw invalid(
    `The beforeOffset of ${topic}-${partition} is a whole number from 0 up, or -1 for its end, not ${describe(beforeOffset)}`,
  )
}

function beyondTheEnd(topic: string, partition: number, offset: number, end: number): OttlaError {
  return new OttlaError(
    'OTTLA_OFFSET_OUT_OF_RANGE',
    `Offset ${offset} is beyond the end of ${topic}-${partition}, which is ${end}: delete up to that at most`,
  )
}

function mismatch(topic: string, option: string, wanted: unknown, exists: unknown): OttlaError {
  return new OttlaError(
    'OTTLA_TOPIC_MISMATCH',
    `Topic ${topic} exists with ${option} ${exists}, not ${wanted}: declare it as it is, or change it with alterTopic`,
  )
}

function codecMismatch(topic: string, part: string, exists: string, wanted: string): OttlaError {
  return new OttlaError(
    'OTTLA_CODEC_MISMATCH',
    `The ${part} of topic ${topic} were written with the codec ${exists}, not ${wanted}: declare the topic with that codec`,
  )
}

function groupNotEmpty(id: string): OttlaError {
  return new OttlaError(
    'OTTLA_GROUP_NOT_EMPTY',
    `Group ${id} has members, whose positions a reset would not move: close them first`,
  )
}
