import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { ActiveGroup } from '../group/group-coordinator.js'
import { reasonOf } from '../reason-of.js'
import type { RecoveryReport, TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { closeTimedOut, settlesWithin } from './close-timeout.js'
import { DeadLetters } from './dead-letters.js'
import type { Delivery } from './delivery.js'
import type { DeliveryLoop } from './delivery-loop.js'
import type { Batch, Dispatch } from './dispatch.js'
import { GroupEmitter, type GroupEvents, throwUncaught } from './events.js'
import { Failures } from './failures.js'
import type { GroupCounters } from './group-counters.js'
import { groupLag, lagIn, type PartitionLag } from './group-lag.js'
import {
  BATCH_OPTIONS,
  type BatchOptions,
  CLOSE_TIMEOUT_MS,
  checkGroupId,
  GROUP_OPTIONS,
  type GroupOptions,
  MESSAGES_OPTIONS,
  type MessagesOptions,
  memberOptions,
  offeredAssignors,
  RUN_OPTIONS,
  type RunOptions,
} from './group-options.js'
import { type Delivering, type HandledPlace, HeldPartitions } from './held-partitions.js'
import { handlerLabel, isInside } from './inside-handler.js'
import { isOfGeneration, type MemberProgress, type ProgressView, progressOf } from './member-progress.js'
import { Membership } from './membership.js'
import type { Message } from './message.js'
import { MessageIterator, type MessageStream } from './message-iterator.js'
import { type CommittedOffset, checkOffsets, OffsetCommitter } from './offset-committer.js'
import { aFunction, checkOptions, describe, invalid } from './options.js'
import { Outcome } from './outcome.js'
import { partitionName } from './partition-name.js'
import { checkPosition, type Position, resolvePosition } from './position.js'
import { ProcessHold } from './process-hold.js'
import type { Producer } from './producer.js'
import { Slots } from './slots.js'
import { Subscription } from './subscription.js'
import type { AnyTopic } from './topic.js'
import { traced } from './tracing.js'

/** @internal */
export interface GroupContext {
  readonly engine: Engine
  readonly clock: Clock
  readonly brokerId: string
  readonly memberNumber: number
  /** Of all members of the group that this client makes. */
  readonly counters: GroupCounters
  /** Creates the topic, or checks that it is as declared. */
  readonly topic: (topic: AnyTopic) => Promise<unknown>
  /** Sends what is parked in dead-letter topics. */
  readonly deadLetterProducer: () => Producer
  /** What opening had to mend. */
  readonly recovery: readonly RecoveryReport[]
  /** Told whenever something happened that `idle` may wait for. */
  readonly onProgress: () => void
  /** Told when the member begins, which it does not where this throws, and when it has ended: with what stopped it. */
  readonly onRun: (member: AnyGroup) => void
  readonly onEnd: (member: AnyGroup, failure: OttlaError | undefined) => void
  /** Told when somebody waits for a member that has not begun: it ends with the client. */
  readonly onAwaited: (member: AnyGroup) => void
  /** True while somebody else will hear of a failure. */
  readonly hearsFailures: () => boolean
}

/** @internal */
// biome-ignore lint/suspicious/noExplicitAny: a group of messages of any type
export type AnyGroup = ConsumerGroup<any>

const LOOKAHEAD = 256

export let createConsumerGroup: (context: GroupContext, id: string, options: GroupOptions<unknown>) => AnyGroup
/** Of a member of that group, as the coordinator knows it. */
export let memberProgress: (member: AnyGroup, group: ActiveGroup | undefined, log: ProgressView) => MemberProgress
/** The id that the coordinator gave the member last; empty where it has none. */
export let memberId: (member: AnyGroup) => string
/** True where the place of the member is kept when it closes. */
export let isStatic: (member: AnyGroup) => boolean
/** Ends the member. Unlike `close`, it can be waited for from anywhere but a handler of this member. */
export let closeMember: (member: AnyGroup) => Promise<void>
/** The partitions that the member holds, and how many of them a handler works on. */
export let memberLoad: (member: AnyGroup) => { partitions: number; busyPartitions: number }
/** Commits what is done now, instead of when it is due. */
export let commitDue: (member: AnyGroup) => void
/** What stopped the member, if `hearsFailures` alone promised to hear of it. Once: it counts as heard then. */
export let takeUnheardFailure: (member: AnyGroup) => OttlaError | undefined

/**
 * One member of the group with this id. Members of a group share the partitions of its topics; each group gets
 * everything. `broker.consumerGroup(id, options)` makes a member; call it again for another.
 *
 * A handler that throws is tried again as `retry` says. Then its message goes to the topic `deadLetter`, or the member
 * stops: the message is not committed, `closed` rejects with OTTLA_HANDLER_FAILED and its cause, an 'error' event is
 * emitted, and without anybody listening it is an uncaught exception. What cannot be decoded goes the same way.
 *
 * @example
 * const billing = broker.consumerGroup('billing', { topics: [orders] })
 * await billing.run(async (message) => { await charge(message.value) })
 */
// biome-ignore lint/suspicious/noExplicitAny: messages of any types
export class ConsumerGroup<M extends Message<any, any> = Message> implements AsyncIterable<M>, AsyncDisposable {
  /** The group's id; all members of the group have the same. */
  readonly id: string
  readonly #context: GroupContext
  readonly #subscription: Subscription
  readonly #commitsItself: boolean
  readonly #closeTimeoutMs: number
  readonly #keepAlive: boolean
  readonly #hold: ProcessHold
  readonly #events = new GroupEmitter()
  readonly #membership: Membership
  readonly #committer: OffsetCommitter
  readonly #held: HeldPartitions
  readonly #label: string
  readonly #ready = new Outcome()
  readonly #closed = new Outcome()
  #status: 'new' | 'running' | 'closing' | 'closed' = 'new'
  #delivering: Delivering | undefined
  #iterator: MessageIterator<M> | undefined
  #running: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #failure: OttlaError | undefined
  #isFailureUnheard = false
  /** What of that this member has not been told yet. */
  #recovery: readonly RecoveryReport[]
  #stopListening: (() => void) | undefined

  static {
    createConsumerGroup = (context, id, options) => new ConsumerGroup(context, id, options)
    memberProgress = (member, group, log) => member.#progress(group, log)
    memberId = (member) => member.#membership.identity.memberId
    isStatic = (member) => member.#membership.identity.instanceId !== null
    closeMember = (member) => member.#leaveLoop()
    memberLoad = (member) => {
      const loops = [...member.#held.loops.values()]
      return { partitions: loops.length, busyPartitions: loops.filter((loop) => loop.progress.inFlight > 0).length }
    }
    commitDue = (member) => member.#committer.commitDue()
    takeUnheardFailure = (member) => {
      const failure = member.#isFailureUnheard ? member.#failure : undefined
      member.#isFailureUnheard = false
      return failure
    }
  }

  private constructor(context: GroupContext, id: string, options: GroupOptions<unknown>) {
    checkGroupId(id)
    if (options === undefined) throw invalid(`Group ${id} has no topics: give it { topics: [...] }`)
    checkOptions(`group ${id}`, options, GROUP_OPTIONS)
    const { engine, clock, counters, onProgress } = context
    const { maxPollIntervalMs, rebalanceTimeoutMs, ...member } = memberOptions(id, options)
    this.id = id
    this.#context = context
    this.#recovery = context.recovery
    this.#subscription = new Subscription(id, options.topics)
    this.#commitsItself = options.commit !== 'manual'
    this.#closeTimeoutMs = options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS
    this.#keepAlive = options.keepAlive === true
    this.#hold = new ProcessHold(clock)
    this.#label = handlerLabel(context.brokerId, context.memberNumber)
    this.#held = new HeldPartitions({
      engine,
      clock,
      groupId: id,
      subscription: this.#subscription,
      from: options.from === undefined ? 'earliest' : checkPosition('from', options.from),
      onOutOfRange: options.onOutOfRange ?? 'error',
      rebalanceTimeoutMs,
      maxPollIntervalMs,
      label: this.#label,
      onProgress,
      onRevoked: (partitions) => this.#events.emit('revoked', partitions),
      onLost: (partitions) => this.#events.emit('lost', partitions),
      onReset: (at) => this.#events.emit('outOfRange', at),
      onStalled: (at) => this.#dropOut(at),
      onFailure: (error) => this.#fail(error),
    })
    this.#membership = new Membership({
      engine,
      clock,
      groupId: id,
      counters,
      ...member,
      assignors: offeredAssignors(options.assignor),
      rebalanceTimeoutMs,
      candidates: this.#subscription.candidates,
      subscription: (existing) => this.#subscription.names(existing),
      onAssigned: (partitions) => this.#begin(partitions),
      onSettled: () => this.#context.onProgress(),
      onRevoked: (partitions) => this.#held.giveUp(partitions, 'revoked', this.#committer),
      onLost: (partitions) => this.#held.lose(partitions),
    })
    this.#committer = new OffsetCommitter({
      engine,
      clock,
      groupId: id,
      counters,
      membership: this.#membership,
      intervalMs: this.#commitsItself ? (options.autoCommitIntervalMs ?? 1000) : undefined,
      loops: this.#held.loops,
      onCommitted: (offsets) => this.#committed(offsets),
      onFailure: (error) => this.#fail(asOttlaError(error)),
    })
  }

  /** Resolves when partitions are assigned for the first time; rejects if the member ends before that. */
  get ready(): Promise<void> {
    if (this.#status === 'new') this.#context.onAwaited(this)
    return this.#ready.promise
  }

  /** Settles when the member has left; rejects with the cause when a failure stopped it. */
  get closed(): Promise<void> {
    if (this.#status === 'new') this.#context.onAwaited(this)
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
    this.#start({ kind: 'each', handler: untyped, ordering, lookahead: LOOKAHEAD }, slots(concurrency), options)
    await this.#ready.promise
  }

  /**
   * Calls the handler with the messages of one partition by the batch: up to `maxMessages`, or what came within
   * `maxWaitMs`. When it throws, what `batch.resolve` named is done. The rest is tried again as `retry` says, the last time
   * each message alone; what then fails is parked, skipped or stops the member.
   */
  async runBatches(
    handler: (batch: Batch<M>, delivery: Delivery) => unknown,
    options: BatchOptions = {},
  ): Promise<void> {
    this.#checkHandler('runBatches', handler, options, BATCH_OPTIONS)
    const { maxMessages = 1000, maxWaitMs = 0, concurrency = Number.POSITIVE_INFINITY } = options
    // The topics' types are known to the compiler alone.
    const untyped = handler as (batch: Batch<Message>, delivery: Delivery) => unknown
    this.#start({ kind: 'batch', handler: untyped, maxMessages, maxWaitMs }, slots(concurrency), options)
    await this.#ready.promise
  }

  /**
   * The messages, one at a time. Asking for the next one marks the one before as done; break, return or throw closes
   * the member and leaves the last one uncommitted, unless commit(message) was awaited. Throws what stopped the member.
   * The signal lets the loop's body finish and then ends the loop; `close` does not wait for the body, where it may
   * have been called. `broker.idle()` does, until the next message is asked for: in the body it would wait for itself.
   * A body that catches what its message failed with says so with `fail`, and then the options for failures hold.
   *
   * @example
   * const messages = billing.messages({ retry: { attempts: 5 }, deadLetter: 'orders.dlq' })
   * for await (const message of messages) await charge(message.value).catch((error) => messages.fail(error))
   */
  messages(options: MessagesOptions = {}): MessageStream<M> {
    checkOptions('messages', options, MESSAGES_OPTIONS)
    const slots = new Slots(0)
    const iterator = new MessageIterator<M>(slots, async () => {
      await this.close()
      await this.#closed.promise
    })
    // The topics' types are known to the compiler alone.
    const handler = (message: Message): unknown => iterator.offer(message as M)
    this.#start({ kind: 'each', handler, ordering: 'partition', lookahead: 0 }, slots, options)
    this.#iterator = iterator
    this.#closed.promise.then(
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
      const offset = Math.max(message.offset + 1, offsets.get(partitionName(message))?.offset ?? 0)
      offsets.set(partitionName(message), { topic, partition, offset })
    }
    if (this.#status === 'new' || this.#status === 'closed') throw notRunning(this.id, this.#status)
    await this.#committer.commit([...offsets.values()])
  }

  /**
   * Commits offsets as they are, for one who keeps count by hand: each is that of the *next* message to be handled.
   * `commit(message)` is what a handler wants. Unless the group commits by hand alone, the next automatic commit sets
   * them to what is done. Rejects as `commit` does, and with OTTLA_INVALID_ARGUMENT.
   */
  async commitOffsets(offsets: readonly (TopicPartition & { offset: number })[]): Promise<void> {
    const checked = checkOffsets(offsets)
    if (this.#status === 'new' || this.#status === 'closed') throw notRunning(this.id, this.#status)
    await this.#committer.commit(checked)
  }

  /**
   * Hands out no more messages of these partitions (default: all assigned), once the running handlers are done. As in
   * Kafka, a partition stays paused only while it is assigned: one that a rebalance took and gives back is not. Under
   * 'sticky', 'range' and 'roundRobin' every rebalance takes them all; pause again on 'assigned'.
   */
  pause(partitions?: readonly TopicPartition[]): void {
    for (const loop of this.#chosen(partitions)) loop.pause()
    this.#context.onProgress()
  }

  /** Hands out messages of these partitions again (default: all assigned). */
  resume(partitions?: readonly TopicPartition[]): void {
    for (const loop of this.#chosen(partitions)) loop.resume()
    this.#context.onProgress()
  }

  /**
   * Goes on from another place in these partitions (default: all assigned), when the running handlers are done. The
   * group's offset goes there with the next commit. Rejects with OTTLA_INVALID_ARGUMENT, also where one of them is not
   * assigned any more by the time its place is found, and moves none then; with OTTLA_CLOSED where the member closed.
   */
  async seek(to: Position, partitions?: readonly TopicPartition[]): Promise<void> {
    const position = checkPosition('seek', to)
    const places = this.#chosen(partitions).map((loop) => loop.at)
    const offsets = await resolvePosition(this.#context.engine, position, places)
    this.#held.seek(this.#chosen(places), offsets)
    this.#context.onProgress()
  }

  /** How far the group is behind, for each partition of the subscribed topics; `committedOffset` null where it has none. */
  async lag(): Promise<PartitionLag[]> {
    const { engine } = this.#context
    const { topics } = await engine.metadata({ topics: null })
    const subscribed = new Set(this.#subscription.names(topics))
    return groupLag(
      engine,
      this.id,
      topics.filter((topic) => subscribed.has(topic.name)),
    )
  }

  /** Calls the listener at each such event. What it throws is an uncaught exception. */
  on<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): this {
    this.#events.on(event, listener)
    return this
  }

  /** Takes a listener away that was given to `on`. */
  off<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  /**
   * Leaves the group: running handlers finish, what is done is committed, the partitions pass on. May be called more
   * than once, and before `run`. From inside a handler it returns at once, since it would wait for itself.
   */
  async close(): Promise<void> {
    const closing = this.#leaveLoop()
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

  #start(dispatch: Dispatch, slots: Slots | undefined, options: MessagesOptions): void {
    if (this.#status === 'running') {
      throw new OttlaError(
        'OTTLA_ALREADY_RUNNING',
        `This member of group ${this.id} runs already: call broker.consumerGroup() again for another member`,
      )
    }
    if (this.#status !== 'new') throw notRunning(this.id, this.#status)
    const { signal } = options
    signal?.throwIfAborted()
    const failures = new Failures(options, this.#deadLetters(options.deadLetter), this.#events, this.#context.counters)
    this.#context.onRun(this)
    this.#status = 'running'
    this.#delivering = { dispatch: traced(dispatch), slots, committer: this.#committer, failures }
    if (signal !== undefined) {
      const onAbort = (): void => void this.#close()
      signal.addEventListener('abort', onAbort)
      this.#stopListening = () => signal.removeEventListener('abort', onAbort)
    }
    if (this.#keepAlive) this.#hold.take()
    this.#running = this.#takePart(failures).catch((error) => this.#fail(asOttlaError(error)))
  }

  async #takePart(failures: Failures): Promise<void> {
    await failures.prepare()
    await this.#membership.run()
  }

  #deadLetters(topic: AnyTopic | string | undefined): DeadLetters | undefined {
    if (topic === undefined) return undefined
    const { engine, topic: checkTopic, deadLetterProducer: producer } = this.#context
    return new DeadLetters({ engine, groupId: this.id, topic, subscription: this.#subscription, checkTopic, producer })
  }

  #leaveLoop(): Promise<void> {
    const closing = this.#close()
    // The body of a `for await` may be what waits for this.
    this.#iterator?.giveBack()
    return closing
  }

  /** Never rejects. */
  #close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    const hasRun = this.#status === 'running'
    this.#status = 'closing'
    this.#stopListening?.()
    this.#hold.release()
    // A failure on the way out counts, unless another one came before.
    if (hasRun) await this.#leave().catch((error) => this.#fail(asOttlaError(error)))
    this.#status = 'closed'
    this.#context.onEnd(this, this.#failure)
    if (this.#failure === undefined) {
      this.#ready.reject(notRunning(this.id, 'closed'))
      this.#closed.resolve()
    } else this.#tell(this.#failure)
  }

  async #leave(): Promise<void> {
    this.#committer.stop()
    this.#membership.stop()
    try {
      const finished = Promise.all([this.#held.stop(), this.#running])
      const { clock } = this.#context
      if (await settlesWithin(finished, this.#closeTimeoutMs, clock)) {
        await this.#held.giveUp(this.#held.all, 'closing', this.#committer)
      } else await this.#abandon()
    } finally {
      // Whatever went wrong: a member that is gone must not keep the others waiting.
      await this.#membership.leave()
    }
  }

  /** Commits what is done, and leaves handlers to themselves that do not come to an end. */
  async #abandon(): Promise<void> {
    const at = this.#held.handled
    await this.#committer.commitDone([...this.#held.loops.values()])
    this.#held.abandon()
    this.#failure ??= closeTimedOut(this.id, this.#closeTimeoutMs, at)
  }

  /** Handlers that take too long cost the member its partitions. It comes back when they are done. */
  #dropOut(at: readonly HandledPlace[]): void {
    if (this.#status !== 'running') return
    this.#context.counters.stalls += at.length
    for (const place of at) this.#events.emit('stalled', place)
    this.#membership.dropOut()
  }

  /** A failure ends the member; the first one is the cause. */
  #fail(error: OttlaError): void {
    this.#failure ??= error
    void this.#close()
  }

  /** Nothing silent: a failure that nobody listens for is thrown where the process sees it. */
  #tell(failure: OttlaError): void {
    const isAwaited = [this.#ready.reject(failure), this.#closed.reject(failure)].includes(true)
    if (this.#events.emit('error', failure) || isAwaited) return
    if (this.#context.hearsFailures()) this.#isFailureUnheard = true
    else throwUncaught(failure)
  }

  async #begin(partitions: readonly TopicPartition[]): Promise<void> {
    const delivering = this.#delivering
    if (delivering === undefined) throw notRunning(this.id, this.#status)
    await delivering.failures.prepare()
    if (!(await this.#held.begin(partitions, delivering, () => this.#status === 'running'))) return
    if (partitions.length > 0 || !this.#ready.isSettled) this.#events.emit('assigned', [...partitions])
    if (this.#recovery.length > 0) this.#tellRecovery(partitions)
    this.#ready.resolve()
    this.#context.onProgress()
  }

  #tellRecovery(partitions: readonly TopicPartition[]): void {
    const names = new Set(partitions.map(partitionName))
    const isOurs = (report: RecoveryReport): boolean =>
      names.has(partitionName(report)) && (report.kind !== 'moved-offset' || report.groupId === this.id)
    const reports = this.#recovery.filter(isOurs)
    this.#recovery = this.#recovery.filter((report) => !isOurs(report))
    if (reports.length > 0) this.#events.emit('recovery', reports)
  }

  #committed(offsets: readonly CommittedOffset[]): void {
    this.#context.onProgress()
    if (offsets.length === 0) return
    this.#events.emit('commit', [...offsets])
    if (this.#events.isHeard('lag')) void this.#tellLag(offsets)
  }

  async #tellLag(partitions: readonly TopicPartition[]): Promise<void> {
    const places = partitions.map(({ topic, partition }) => ({ topic, partition }))
    try {
      this.#events.emit('lag', await lagIn(this.#context.engine, this.id, places))
    } catch (error) {
      // A member that has ended is behind in nothing any more.
      if (this.#status === 'running') this.#fail(asOttlaError(error))
    }
  }

  #chosen(partitions: readonly TopicPartition[] | undefined): DeliveryLoop[] {
    if (this.#status !== 'running') throw notRunning(this.id, this.#status)
    return this.#held.chosen(partitions)
  }

  #progress(group: ActiveGroup | undefined, log: ProgressView): MemberProgress {
    const { isSettled, identity } = this.#membership
    return progressOf(
      {
        isClosing: this.#status === 'closing',
        isSettled: isSettled && isOfGeneration(identity, group),
        commitsItself: this.#commitsItself,
        loops: this.#held.loops.values(),
      },
      log,
    )
  }
}

/** None where nothing bounds the member's handlers but one for each partition. */
function slots(concurrency: number): Slots | undefined {
  return concurrency === Number.POSITIVE_INFINITY ? undefined : new Slots(concurrency)
}

function notRunning(id: string, status: string): OttlaError {
  if (status === 'new') return invalid(`This member of group ${id} does not run yet: call run() first`)
  return new OttlaError('OTTLA_CLOSED', `This member of group ${id} is closed: make another with consumerGroup()`)
}

function asOttlaError(error: unknown): OttlaError {
  return OttlaError.is(error) ? error : new OttlaError('OTTLA_GROUP_STOPPED', reasonOf(error), { cause: error })
}
