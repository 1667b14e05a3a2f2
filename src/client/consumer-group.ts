import { EventEmitter } from 'eventemitter3'
import { bytes } from '../codec/bytes.js'
import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { Assignor } from './assignors/assignor.js'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky-assignor.js'
import { rangeAssignor } from './assignors/range-assignor.js'
import { kafkajsRoundRobinAssignor, roundRobinAssignor } from './assignors/round-robin-assignor.js'
import type { MessageCodecs } from './decode.js'
import { type Batch, type Delivery, DeliveryLoop, type Dispatch } from './delivery-loop.js'
import type { GroupEvents } from './events.js'
import { groupLag, type PartitionLag } from './group-lag.js'
import { handlerLabel, isInside } from './inside-handler.js'
import { Membership } from './membership.js'
import type { Message } from './message.js'
import { MessageIterator } from './message-iterator.js'
import { aFunction, aSignal, checkOptions, countOrInfinity, describe, invalid, oneOf, wholeNumber } from './options.js'
import { checkPosition, type Position, resolvePosition } from './position.js'
import type { Abortable } from './producer.js'
import { Slots } from './slots.js'
import { type AnyTopic, isTopic } from './topic.js'

export interface GroupOptions<Topics> {
  /** What to consume: topics, names, or expressions that pick up topics created later too. Those by name come as bytes. */
  topics: Topics
  /** Where to begin when nothing is committed. Default 'earliest' (Kafka's is 'latest', which loses what came before the join). */
  from?: Position
  /** What to do when messages were removed before they were read. Default 'error': the member stops. Kafka: auto.offset.reset. */
  onOutOfRange?: 'earliest' | 'latest' | 'error'
  /** 'auto' (default): offsets are committed after their handlers are done. 'manual': only by `commit`. */
  commit?: 'auto' | 'manual'
  /** Milliseconds between two automatic commits. Default 1,000. Kafka: auto.commit.interval.ms, there 5,000. */
  autoCommitIntervalMs?: number
  /** How the leader shares the partitions out. Default 'cooperativeSticky'. Kafka: partition.assignment.strategy. */
  assignor?: 'cooperativeSticky' | 'range' | 'roundRobin'
}

export interface RunOptions extends Abortable {
  /** Handlers that run at once. Default: for 'partition' no bound but one for each partition, else 16. */
  concurrency?: number
  /** 'partition' (default): one message of a partition at a time. 'key': one of a key. 'none': any. */
  ordering?: 'partition' | 'key' | 'none'
}

export interface BatchOptions extends Abortable {
  /** Handlers that run at once, one for each partition at most. Default: no bound. */
  concurrency?: number
  /** Messages in a batch at most. Default 1,000. */
  maxMessages?: number
  /** Milliseconds for which a batch that is not full waits for more. Default 0: it takes what is there. */
  maxWaitMs?: number
}

/** @internal */
export interface GroupContext {
  readonly engine: Engine
  readonly clock: Clock
  readonly brokerId: string
  readonly memberNumber: number
  /** Told whenever something happened that `idle` may wait for. */
  readonly onProgress: () => void
  /** Told when the member begins, and when it has ended: with what stopped it. */
  readonly onRun: (member: AnyGroup) => void
  readonly onEnd: (member: AnyGroup, failure: OttlaError | undefined) => void
  /** True while somebody else will hear of a failure. */
  readonly hearsFailures: () => boolean
}

/** @internal What `idle` asks a member. */
export interface MemberProgress {
  /** What is still to be done, in words; empty when it is all done and committed. */
  readonly outstanding: readonly string[]
  /** True where only the passing of time brings it on. */
  readonly waitsForTime: boolean
}

/** @internal */
// biome-ignore lint/suspicious/noExplicitAny: a group of messages of any type
export type AnyGroup = ConsumerGroup<any>

const REBALANCE_TIMEOUT_MS = 300_000
const LOOKAHEAD = 256

const ASSIGNORS: Readonly<Record<'cooperativeSticky' | 'range' | 'roundRobin', Assignor>> = {
  cooperativeSticky: cooperativeStickyAssignor,
  range: rangeAssignor,
  roundRobin: roundRobinAssignor,
}

const GROUP_OPTIONS = {
  topics: (value: unknown) => (Array.isArray(value) ? undefined : 'an array of topics'),
  from: () => undefined,
  onOutOfRange: oneOf('earliest', 'latest', 'error'),
  commit: oneOf('auto', 'manual'),
  autoCommitIntervalMs: wholeNumber(1, 2 ** 31 - 1),
  assignor: oneOf(...Object.keys(ASSIGNORS)),
}
const RUN_OPTIONS = { signal: aSignal, concurrency: countOrInfinity(1), ordering: oneOf('partition', 'key', 'none') }
const BATCH_OPTIONS = {
  signal: aSignal,
  concurrency: countOrInfinity(1),
  maxMessages: wholeNumber(1),
  maxWaitMs: wholeNumber(0, 2 ** 31 - 1),
}

const BYTES: MessageCodecs = { key: bytes(), value: bytes() }

export let createConsumerGroup: (context: GroupContext, id: string, options: GroupOptions<unknown>) => AnyGroup
export let memberProgress: (
  member: AnyGroup,
  highWatermark: (at: TopicPartition) => number | undefined,
) => MemberProgress
/** Commits what is done now, instead of when it is due. */
export let commitMarked: (member: AnyGroup) => void

/**
 * One member of the group with this id. Members of a group share the partitions of its topics; each group gets
 * everything. `broker.consumerGroup(id, options)` makes a member; call it again for another.
 *
 * A handler that throws stops the member: the message is not committed, `closed` rejects with OTTLA_HANDLER_FAILED and
 * its cause, an 'error' event is emitted, and without anybody listening it is an uncaught exception.
 *
 * @example
 * const billing = broker.consumerGroup('billing', { topics: [orders] })
 * await billing.run(async (message) => { await charge(message.value) })
 */
// biome-ignore lint/suspicious/noExplicitAny: messages of any types
export class ConsumerGroup<M extends Message<any, any> = Message> implements AsyncIterable<M>, AsyncDisposable {
  readonly id: string
  readonly #context: GroupContext
  readonly #topics: readonly (AnyTopic | string | RegExp)[]
  readonly #codecs = new Map<string, MessageCodecs>()
  readonly #from: Position
  readonly #onOutOfRange: 'earliest' | 'latest' | 'error'
  readonly #commitsItself: boolean
  readonly #autoCommitIntervalMs: number
  readonly #events = new EventEmitter<GroupEvents>()
  readonly #membership: Membership
  readonly #loops = new Map<string, DeliveryLoop>()
  readonly #paused = new Set<string>()
  readonly #label: string
  readonly #ready = new Outcome()
  readonly #closed = new Outcome()
  #status: 'new' | 'running' | 'closing' | 'closed' = 'new'
  #dispatch: Dispatch | undefined
  #slots: Slots | undefined
  #running: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #failure: OttlaError | undefined
  #isClosedRead = false
  #cancelCommit: (() => void) | undefined
  #committing: Promise<void> = Promise.resolve()
  #stopListening: (() => void) | undefined

  static {
    createConsumerGroup = (context, id, options) => new ConsumerGroup(context, id, options)
    memberProgress = (member, highWatermark) => member.#progress(highWatermark)
    commitMarked = (member) => member.#commitSoon()
  }

  private constructor(context: GroupContext, id: string, options: GroupOptions<unknown>) {
    if (typeof id !== 'string' || id === '') {
      throw new OttlaError('OTTLA_INVALID_GROUP_ID', `A group's id is a string that is not empty, not ${describe(id)}`)
    }
    if (options === undefined) throw invalid(`Group ${id} has no topics: give it { topics: [...] }`)
    checkOptions(`group ${id}`, options, GROUP_OPTIONS)
    this.id = id
    this.#context = context
    this.#topics = checkTopics(id, options.topics)
    for (const topic of this.#topics) if (isTopic(topic)) this.#codecs.set(topic.name, topic)
    this.#from = options.from === undefined ? 'earliest' : checkPosition('from', options.from)
    this.#onOutOfRange = options.onOutOfRange ?? 'error'
    this.#commitsItself = options.commit !== 'manual'
    this.#autoCommitIntervalMs = options.autoCommitIntervalMs ?? 1000
    this.#label = handlerLabel(context.brokerId, context.memberNumber)
    this.#membership = new Membership({
      engine: context.engine,
      groupId: id,
      assignors: offered(options.assignor ?? 'cooperativeSticky'),
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      subscription: (existing) => this.#subscription(existing),
      onAssigned: (partitions) => this.#begin(partitions),
      onRevoked: (partitions) => this.#giveUp(partitions),
      onLost: (partitions) => this.#lose(partitions),
    })
  }

  /** Resolves when partitions are assigned for the first time; rejects if the member ends before that. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Settles when the member has left; rejects with the cause when a failure stopped it. */
  get closed(): Promise<void> {
    this.#isClosedRead = true
    return this.#closed.promise
  }

  /**
   * Calls the handler with each message. Resolves once partitions are assigned and delivery has begun; the end is
   * `closed`. An offset is committed only after its handler resolved. Rejects with OTTLA_INVALID_ARGUMENT,
   * OTTLA_ALREADY_RUNNING or OTTLA_CLOSED.
   */
  async run(handler: (message: M, delivery: Delivery) => unknown, options: RunOptions = {}): Promise<void> {
    this.#checkHandler('run', handler, options, RUN_OPTIONS)
    const ordering = options.ordering ?? 'partition'
    const concurrency = options.concurrency ?? (ordering === 'partition' ? Number.POSITIVE_INFINITY : 16)
    // The topics' types are known to the compiler alone.
    const untyped = handler as (message: Message, delivery: Delivery) => unknown
    this.#start({ kind: 'each', handler: untyped, ordering, lookahead: LOOKAHEAD }, concurrency, options.signal)
    await this.#ready.promise
  }

  /**
   * Calls the handler with the messages of one partition by the batch: up to `maxMessages`, or what came within
   * `maxWaitMs`. When it throws, what `batch.resolve` named is done, the rest is not, and the member stops.
   */
  async runBatches(
    handler: (batch: Batch<M>, delivery: Delivery) => unknown,
    options: BatchOptions = {},
  ): Promise<void> {
    this.#checkHandler('runBatches', handler, options, BATCH_OPTIONS)
    const { maxMessages = 1000, maxWaitMs = 0, concurrency = Number.POSITIVE_INFINITY } = options
    // The topics' types are known to the compiler alone.
    const untyped = handler as (batch: Batch<Message>, delivery: Delivery) => unknown
    this.#start({ kind: 'batch', handler: untyped, maxMessages, maxWaitMs }, concurrency, options.signal)
    await this.#ready.promise
  }

  /**
   * The messages, one at a time. Asking for the next one marks the one before as done; break, return or throw closes
   * the member and leaves the last one uncommitted, unless commit(message) was awaited. Throws what stopped the member.
   */
  messages(options: Abortable = {}): AsyncIterableIterator<M> {
    checkOptions('messages', options, { signal: aSignal })
    const iterator = new MessageIterator<M>(() => this.close())
    const handler = (message: Message): unknown => iterator.offer(message as M)
    this.#start({ kind: 'each', handler, ordering: 'partition', lookahead: 0 }, 1, options.signal)
    this.closed.then(
      () => iterator.end(),
      (error) => iterator.end(error),
    )
    return iterator
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<M> {
    return this.messages()
  }

  /**
   * Commits the offset *after* each message; resolves at the log's durability. Rejects with OTTLA_ILLEGAL_GENERATION,
   * OTTLA_UNKNOWN_MEMBER_ID or OTTLA_REBALANCE_IN_PROGRESS where the partition may be another member's by now.
   */
  async commit(handled: M | readonly M[]): Promise<void> {
    const messages: readonly M[] = Array.isArray(handled) ? handled : [handled]
    const offsets = new Map<string, TopicPartition & { offset: number }>()
    for (const message of messages) {
      if (typeof message?.offset !== 'number' || typeof message.topic !== 'string') {
        throw invalid(`commit takes messages of this group, not ${describe(message)}`)
      }
      const { topic, partition } = message
      const offset = Math.max(message.offset + 1, offsets.get(nameOf(message))?.offset ?? 0)
      offsets.set(nameOf(message), { topic, partition, offset })
    }
    if (this.#status === 'new' || this.#status === 'closed') throw notRunning(this.id, this.#status)
    if (offsets.size === 0) return
    const refusal = firstError(await this.#commitOffsets([...offsets.values()]))
    if (refusal !== undefined) throw refusal
    for (const at of offsets.values()) this.#loops.get(nameOf(at))?.committed(at.offset)
  }

  /** Hands out no more messages of these partitions (default: all assigned), once the running handlers are done. */
  pause(partitions?: readonly TopicPartition[]): void {
    for (const loop of this.#chosen(partitions)) {
      this.#paused.add(nameOf(loop.at))
      loop.pause()
    }
    this.#context.onProgress()
  }

  resume(partitions?: readonly TopicPartition[]): void {
    for (const loop of this.#chosen(partitions)) {
      this.#paused.delete(nameOf(loop.at))
      loop.resume()
    }
    this.#context.onProgress()
  }

  /**
   * Goes on from another place in these partitions (default: all assigned), when the running handlers are done. The
   * group's offset goes there with the next commit. Rejects with OTTLA_INVALID_ARGUMENT.
   */
  async seek(to: Position, partitions?: readonly TopicPartition[]): Promise<void> {
    const position = checkPosition('seek', to)
    const loops = this.#chosen(partitions)
    const offsets = await resolvePosition(
      this.#context.engine,
      position,
      loops.map((loop) => loop.at),
    )
    for (const [index, loop] of loops.entries()) loop.seek(offsets[index] as number)
    this.#context.onProgress()
  }

  /** How far the group is behind, for each partition of the subscribed topics; `committedOffset` null where it has none. */
  async lag(): Promise<PartitionLag[]> {
    const { engine } = this.#context
    const { topics } = await engine.metadata({ topics: null })
    const subscribed = new Set(this.#subscription(topics.map((topic) => topic.name)))
    return groupLag(
      engine,
      this.id,
      topics.filter((topic) => subscribed.has(topic.name)),
    )
  }

  on<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): this {
    // eventemitter3 types the arguments of a listener in its own way.
    this.#events.on(event, listener as never)
    return this
  }

  off<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): this {
    this.#events.off(event, listener as never)
    return this
  }

  /**
   * Leaves the group: running handlers finish, what is done is committed, the partitions pass on. May be called more
   * than once, and before `run`. From inside a handler it returns at once, since it would wait for itself.
   */
  async close(): Promise<void> {
    const closing = this.#close()
    if (isInside(this.#label)) return
    await closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkHandler(
    method: string,
    handler: unknown,
    options: object,
    rules: Readonly<Record<string, (value: unknown) => string | undefined>>,
  ): void {
    const wrong = aFunction(handler)
    if (wrong !== undefined) throw invalid(`The handler of ${method} is ${wrong}, not ${describe(handler)}`)
    checkOptions(method, options, rules)
  }

  #start(dispatch: Dispatch, concurrency: number, signal: AbortSignal | undefined): void {
    if (this.#status === 'running') {
      throw new OttlaError(
        'OTTLA_ALREADY_RUNNING',
        `This member of group ${this.id} runs already: call broker.consumerGroup() again for another member`,
      )
    }
    if (this.#status !== 'new') throw notRunning(this.id, this.#status)
    signal?.throwIfAborted()
    this.#status = 'running'
    this.#dispatch = dispatch
    this.#slots = concurrency === Number.POSITIVE_INFINITY ? undefined : new Slots(concurrency)
    if (signal !== undefined) {
      const onAbort = (): void => void this.#close()
      signal.addEventListener('abort', onAbort)
      this.#stopListening = () => signal.removeEventListener('abort', onAbort)
    }
    this.#context.onRun(this)
    this.#running = this.#membership.run().catch((error) => this.#fail(asOttlaError(error)))
  }

  #close(): Promise<void> {
    this.#closing ??= this.#leave()
    return this.#closing
  }

  async #leave(): Promise<void> {
    const hasRun = this.#status === 'running'
    this.#status = 'closing'
    this.#stopListening?.()
    this.#cancelCommit?.()
    if (hasRun) {
      try {
        this.#membership.stop()
        for (const loop of this.#loops.values()) loop.abortHandlers()
        await Promise.all([...this.#loops.values()].map((loop) => loop.stop(false)))
        await this.#running
        await this.#giveUp([...this.#loops.values()].map((loop) => loop.at))
        await this.#membership.leave()
      } catch (error) {
        // Leaving failed after all was given up: the cause counts, unless something else failed before.
        this.#failure ??= asOttlaError(error)
      }
    }
    this.#status = 'closed'
    this.#context.onEnd(this, this.#failure)
    const failure = this.#failure
    this.#ready.reject(failure ?? notRunning(this.id, 'closed'))
    if (failure === undefined) this.#closed.resolve()
    else {
      this.#closed.reject(failure)
      this.#tell(failure)
    }
  }

  /** A failure ends the member; the first one is the cause. */
  #fail(error: OttlaError): void {
    if (this.#status !== 'running') return
    this.#failure = error
    void this.#close()
  }

  /** Nothing silent: a failure that nobody listens for is thrown where the process sees it. */
  #tell(failure: OttlaError): void {
    const isHeard = this.#isClosedRead || this.#ready.isRead || this.#context.hearsFailures()
    if (this.#events.listenerCount('error') > 0) this.#emit('error', failure)
    else if (!isHeard) queueMicrotask(() => throwUncaught(failure))
  }

  #emit<Event extends keyof GroupEvents>(event: Event, ...args: GroupEvents[Event]): void {
    for (const listener of this.#events.listeners(event)) {
      try {
        // eventemitter3 types the arguments of a listener in its own way.
        ;(listener as (...given: unknown[]) => void)(...args)
      } catch (error) {
        queueMicrotask(() => throwUncaught(error))
      }
    }
  }

  #subscription(existing: readonly string[]): string[] {
    const names = new Set<string>()
    for (const topic of this.#topics) {
      if (typeof topic === 'string') names.add(topic)
      else if (isTopic(topic)) names.add(topic.name)
      else for (const name of existing) if (!name.startsWith('__') && matches(topic, name)) names.add(name)
    }
    return [...names].sort()
  }

  async #begin(partitions: TopicPartition[]): Promise<void> {
    const offsets = await this.#startOffsets(partitions)
    if (this.#status !== 'running') return
    for (const [index, at] of partitions.entries())
      this.#loops.set(nameOf(at), this.#loop(at, offsets[index] as number))
    this.#emit('assigned', partitions)
    this.#ready.resolve()
    this.#context.onProgress()
  }

  #loop(at: TopicPartition, startOffset: number): DeliveryLoop {
    const { engine, clock, onProgress } = this.#context
    const dispatch = this.#dispatch
    if (dispatch === undefined) throw notRunning(this.id, this.#status)
    return new DeliveryLoop({
      engine,
      clock,
      at,
      group: this.id,
      codecs: this.#codecs.get(at.topic) ?? BYTES,
      dispatch,
      slots: this.#slots,
      startOffset,
      isPaused: this.#paused.has(nameOf(at)),
      label: this.#label,
      onOutOfRange: async (error) => {
        if (this.#onOutOfRange === 'error') throw error
        const [offset] = await resolvePosition(engine, this.#onOutOfRange, [at])
        return offset as number
      },
      onMark: () => this.#scheduleCommit(),
      onRest: onProgress,
      onFailure: (error) => this.#fail(error),
    })
  }

  async #startOffsets(partitions: readonly TopicPartition[]): Promise<number[]> {
    const { engine } = this.#context
    const committed = await engine.fetchOffsets({ groupId: this.id, partitions })
    const without = partitions.filter((_, index) => (committed[index]?.offset ?? -1) < 0)
    const resolved = await resolvePosition(engine, this.#from, without)
    return partitions.map((at, index) => {
      const offset = committed[index]?.offset ?? -1
      return offset >= 0 ? offset : (resolved[without.indexOf(at)] as number)
    })
  }

  /** Lets the handlers finish and commits, so that the next holder goes on where this one stops. */
  async #giveUp(partitions: readonly TopicPartition[]): Promise<void> {
    const loops = partitions.flatMap((at) => this.#loops.get(nameOf(at)) ?? [])
    await Promise.all(loops.map((loop) => loop.stop(false)))
    if (this.#commitsItself) await this.#commitLoops(loops)
    this.#forget(partitions)
    if (loops.length > 0) this.#emit('revoked', [...partitions])
  }

  async #lose(partitions: readonly TopicPartition[]): Promise<void> {
    const loops = partitions.flatMap((at) => this.#loops.get(nameOf(at)) ?? [])
    this.#forget(partitions)
    this.#emit('lost', [...partitions])
    await Promise.all(loops.map((loop) => loop.stop(true)))
  }

  #forget(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) {
      this.#loops.delete(nameOf(at))
      this.#paused.delete(nameOf(at))
    }
    this.#context.onProgress()
  }

  #scheduleCommit(): void {
    if (!this.#commitsItself || this.#cancelCommit !== undefined || this.#status !== 'running') return
    const due = (): void => this.#commitSoon()
    this.#cancelCommit = this.#context.clock.schedule(due, this.#autoCommitIntervalMs, { keepAlive: true })
  }

  #commitSoon(): void {
    this.#cancelCommit?.()
    this.#cancelCommit = undefined
    if (!this.#commitsItself || this.#status !== 'running') return
    this.#commitLoops([...this.#loops.values()]).catch((error) => this.#fail(asOttlaError(error)))
  }

  /** One commit at a time, so that an older offset never follows a newer one. */
  #commitLoops(loops: readonly DeliveryLoop[]): Promise<void> {
    const done = this.#committing.then(async () => {
      const offsets = loops.flatMap((loop) => {
        const offset = loop.committableOffset
        return offset === undefined ? [] : [{ ...loop.at, offset }]
      })
      if (offsets.length === 0) {
        for (const loop of loops) loop.unmark()
        return
      }
      const refusal = await this.#commitOffsets(offsets).then(firstError, asOttlaError)
      if (refusal === undefined) for (const at of offsets) this.#loops.get(nameOf(at))?.committed(at.offset)
      else if (refusal.code === 'OTTLA_REBALANCE_IN_PROGRESS') this.#scheduleCommit()
      else if (!MEANS_NOT_OURS.has(refusal.code)) throw refusal
      this.#context.onProgress()
    })
    this.#committing = done.catch(() => undefined)
    return done
  }

  #commitOffsets(
    offsets: readonly (TopicPartition & { offset: number })[],
  ): Promise<readonly { error: OttlaError | null }[]> {
    return this.#context.engine.commitOffsets({
      groupId: this.id,
      ...this.#membership.identity,
      instanceId: null,
      offsets: offsets.map((at) => ({ ...at, metadata: null })),
    })
  }

  #chosen(partitions: readonly TopicPartition[] | undefined): DeliveryLoop[] {
    if (this.#status !== 'running') throw notRunning(this.id, this.#status)
    if (partitions === undefined) return [...this.#loops.values()]
    return partitions.map((at) => {
      const loop = this.#loops.get(nameOf(at))
      if (loop !== undefined) return loop
      throw invalid(`${nameOf(at)} is not assigned to this member of group ${this.id}`)
    })
  }

  #progress(highWatermark: (at: TopicPartition) => number | undefined): MemberProgress {
    const outstanding: string[] = []
    let waitsForTime = true
    if (this.#status === 'closing') {
      outstanding.push('a member is closing')
      waitsForTime = false
    } else if (!this.#membership.isSettled) {
      outstanding.push('partitions are being assigned')
      waitsForTime = false
    }
    for (const loop of this.#loops.values()) {
      const { position, inFlight, isPaused, waitsForTime: loopWaits } = loop.progress
      const end = highWatermark(loop.at)
      const isBehind = !isPaused && end !== undefined && position < end
      const isUncommitted = this.#commitsItself && loop.committableOffset !== undefined
      if (inFlight === 0 && !isBehind && !isUncommitted) continue
      const what = inFlight > 0 ? 'is being handled' : isBehind ? `is to be handled up to ${end}` : 'is to be committed'
      outstanding.push(`${nameOf(loop.at)} offset ${position} ${what}`)
      if (!loopWaits) waitsForTime = false
    }
    return { outstanding, waitsForTime: outstanding.length > 0 && waitsForTime }
  }
}

/** A commit that is refused for these says that the partition went to others, or away, in the meantime. */
const MEANS_NOT_OURS: ReadonlySet<string> = new Set([
  'OTTLA_ILLEGAL_GENERATION',
  'OTTLA_UNKNOWN_MEMBER_ID',
  'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
])

/** A promise that may be rejected before anybody looks. */
class Outcome {
  isRead = false
  readonly #promise: Promise<void>
  #settle!: { resolve: () => void; reject: (error: unknown) => void }

  constructor() {
    this.#promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.#promise.catch(() => undefined)
  }

  /** A promise of its own for each reader: who reads it and does not catch is told by Node. */
  get promise(): Promise<void> {
    this.isRead = true
    return this.#promise.then()
  }

  resolve(): void {
    this.#settle.resolve()
  }

  reject(error: unknown): void {
    this.#settle.reject(error)
  }
}

function offered(preferred: keyof typeof ASSIGNORS): Assignor[] {
  const first = ASSIGNORS[preferred]
  return [first, ...Object.values(ASSIGNORS).filter((assignor) => assignor !== first), kafkajsRoundRobinAssignor]
}

function checkTopics(groupId: string, topics: unknown): readonly (AnyTopic | string | RegExp)[] {
  if (!Array.isArray(topics) || topics.length === 0) {
    throw invalid(`Group ${groupId} has no topics: give it { topics: [...] } with at least one`)
  }
  for (const topic of topics) {
    if (!isTopic(topic) && typeof topic !== 'string' && !(topic instanceof RegExp)) {
      throw invalid(`A group's topics are Topics, names or regular expressions, not ${describe(topic)}`)
    }
  }
  return topics
}

/** A sticky or global expression remembers where it stood. */
function matches(expression: RegExp, name: string): boolean {
  expression.lastIndex = 0
  return expression.test(name)
}

function firstError(results: readonly { error: OttlaError | null }[]): OttlaError | undefined {
  return results.find(({ error }) => error !== null)?.error ?? undefined
}

function nameOf(at: Readonly<TopicPartition>): string {
  return `${at.topic}-${at.partition}`
}

function notRunning(id: string, status: string): OttlaError {
  if (status === 'new') return invalid(`This member of group ${id} does not run yet: call run() first`)
  return new OttlaError('OTTLA_CLOSED', `This member of group ${id} is closed: make another with consumerGroup()`)
}

function asOttlaError(error: unknown): OttlaError {
  return OttlaError.is(error) ? error : new OttlaError('OTTLA_GROUP_STOPPED', String(error), { cause: error })
}

function throwUncaught(error: unknown): never {
  throw error
}
