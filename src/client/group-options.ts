import { OttlaError } from '../errors.js'
import type { Assignor } from './assignors/assignor.js'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky-assignor.js'
import { type CustomAssignor, customAssignor, customAssignorProblem } from './assignors/custom-assignor.js'
import { rangeAssignor } from './assignors/range-assignor.js'
import { kafkajsRoundRobinAssignor, roundRobinAssignor } from './assignors/round-robin-assignor.js'
import { stickyAssignor } from './assignors/sticky-assignor.js'
import {
  aBoolean,
  aSignal,
  countOrInfinity,
  describe,
  invalid,
  type OptionRule,
  oneOf,
  wholeNumber,
} from './options.js'
import type { Position } from './position.js'
import type { Abortable } from './producer.js'
import { FAILURE_OPTIONS, type FailureOptions } from './retry.js'

/** How one member of a group consumes. */
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
  /**
   * How the leader shares the partitions out. Default 'cooperativeSticky'. With one of the names a member shares its
   * group with members that chose another, and the group agrees on one; with an assignor of your own all must have that.
   * Kafka: partition.assignment.strategy.
   */
  assignor?: 'cooperativeSticky' | 'sticky' | 'range' | 'roundRobin' | CustomAssignor
  /**
   * Makes the member static: when it closes, its partitions are kept for whoever comes back under this id, without a
   * rebalance, until `sessionTimeoutMs` is over. A second member that joins under it takes its place, and the first one
   * fails with OTTLA_FENCED_INSTANCE_ID. Kafka: group.instance.id.
   */
  instanceId?: string
  /** How long the place of a static member that is gone is kept. Only with `instanceId`. Default 45,000. Kafka: session.timeout.ms. */
  sessionTimeoutMs?: number
  /**
   * How long a handler may take, in milliseconds. Then 'stalled' names it and the member loses its partitions, so that
   * others go on; it comes back when the handler is done, and gets the message again. Default Infinity: for as long as
   * it wants. Kafka: max.poll.interval.ms, there 300,000.
   */
  maxPollIntervalMs?: number
  /** How long handlers may hold up a rebalance that takes their partition away. Default 300,000. Kafka: rebalance.timeout.ms. */
  rebalanceTimeoutMs?: number
  /**
   * How long `close` waits for running handlers. Then it leaves without them, and `closed` rejects with
   * OTTLA_CLOSE_TIMEOUT. Default 30,000; Infinity waits for ever.
   */
  closeTimeoutMs?: number
  /** True to keep the process running while the member runs. Default false: a member with nothing to do lets it end. */
  keepAlive?: boolean
}

/** How `run` calls its handler, and what becomes of messages that it fails at. */
export type RunOptions = Abortable &
  FailureOptions & {
    /** Handlers that run at once. Default: for 'partition' no bound but one for each partition, else 16. */
    concurrency?: number
    /** 'partition' (default): one message of a partition at a time. 'key': one of a key. 'none': any. */
    ordering?: 'partition' | 'key' | 'none'
  }

/** What ends `messages`, and what becomes of messages that the loop's body fails at. */
export type MessagesOptions = Abortable & FailureOptions

/** How `runBatches` calls its handler, and what becomes of messages that it fails at. */
export type BatchOptions = Abortable &
  FailureOptions & {
    /** Handlers that run at once, one for each partition at most. Default: no bound. */
    concurrency?: number
    /** Messages in a batch at most. Default 1,000. */
    maxMessages?: number
    /** Milliseconds for which a batch that is not full waits for more. Default 0: it takes what is there. */
    maxWaitMs?: number
  }

const ASSIGNORS: Readonly<Record<Extract<NonNullable<GroupOptions<unknown>['assignor']>, string>, Assignor>> = {
  cooperativeSticky: cooperativeStickyAssignor,
  sticky: stickyAssignor,
  range: rangeAssignor,
  roundRobin: roundRobinAssignor,
}

export const CLOSE_TIMEOUT_MS = 30_000
const SESSION_TIMEOUT_MS = 45_000
const REBALANCE_TIMEOUT_MS = 300_000

export const GROUP_OPTIONS: Readonly<Record<keyof GroupOptions<unknown>, OptionRule>> = {
  topics: (value: unknown) => (Array.isArray(value) ? undefined : 'an array of topics'),
  from: () => undefined,
  onOutOfRange: oneOf('earliest', 'latest', 'error'),
  commit: oneOf('auto', 'manual'),
  keepAlive: aBoolean,
  instanceId: (value: unknown) =>
    typeof value === 'string' && value !== '' ? undefined : 'a string that is not empty',
  sessionTimeoutMs: wholeNumber(1, 2 ** 31 - 1),
  maxPollIntervalMs: countOrInfinity(1),
  rebalanceTimeoutMs: countOrInfinity(1),
  closeTimeoutMs: countOrInfinity(0),
  autoCommitIntervalMs: wholeNumber(1, 2 ** 31 - 1),
  assignor: (value: unknown) => {
    const problem = typeof value === 'string' ? oneOf(...Object.keys(ASSIGNORS))(value) : customAssignorProblem(value)
    return typeof value === 'string' || problem === undefined ? problem : `a name or a CustomAssignor (${problem})`
  },
}
export const RUN_OPTIONS: Readonly<Record<keyof RunOptions, OptionRule>> = {
  signal: aSignal,
  concurrency: countOrInfinity(1),
  ordering: oneOf('partition', 'key', 'none'),
  ...FAILURE_OPTIONS,
}
export const MESSAGES_OPTIONS: Readonly<Record<keyof MessagesOptions, OptionRule>> = {
  signal: aSignal,
  ...FAILURE_OPTIONS,
}
export const BATCH_OPTIONS: Readonly<Record<keyof BatchOptions, OptionRule>> = {
  signal: aSignal,
  concurrency: countOrInfinity(1),
  maxMessages: wholeNumber(1),
  maxWaitMs: wholeNumber(0, 2 ** 31 - 1),
  ...FAILURE_OPTIONS,
}

/** What decides on how the member takes part, with its defaults. Throws OTTLA_INVALID_ARGUMENT. */
export function memberOptions(id: string, options: GroupOptions<unknown>): MemberOptions {
  const { instanceId, sessionTimeoutMs = SESSION_TIMEOUT_MS } = options
  if (instanceId === undefined && options.sessionTimeoutMs !== undefined) {
    throw invalid(`The option sessionTimeoutMs of group ${id} is of static members: give an instanceId too`)
  }
  return {
    instanceId: instanceId ?? null,
    sessionTimeoutMs: instanceId === undefined ? Number.POSITIVE_INFINITY : sessionTimeoutMs,
    maxPollIntervalMs: options.maxPollIntervalMs ?? Number.POSITIVE_INFINITY,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? REBALANCE_TIMEOUT_MS,
  }
}

interface MemberOptions {
  readonly instanceId: string | null
  readonly sessionTimeoutMs: number
  readonly maxPollIntervalMs: number
  readonly rebalanceTimeoutMs: number
}

/** Throws OTTLA_INVALID_GROUP_ID. */
export function checkGroupId(id: unknown): string {
  if (typeof id === 'string' && id !== '') return id
  throw new OttlaError('OTTLA_INVALID_GROUP_ID', `A group's id is a string that is not empty, not ${describe(id)}`)
}

/**
 * What a member offers to its group: of the named ones all, the preferred one first, so that it can share the group
 * with any client; an assignor of the user's own alone.
 */
export function offeredAssignors(preferred: GroupOptions<unknown>['assignor'] = 'cooperativeSticky'): Assignor[] {
  if (typeof preferred !== 'string') return [customAssignor(preferred)]
  const first = ASSIGNORS[preferred]
  return [first, ...Object.values(ASSIGNORS).filter((assignor) => assignor !== first), kafkajsRoundRobinAssignor]
}
