import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { Message } from './message.js'
import { aFunction, checkOptions, countOrInfinity, describe, invalid, type OptionRule, oneOf } from './options.js'
import { type AnyTopic, isTopic } from './topic.js'

/**
 * How long to wait before the next try: milliseconds by the number of the try that failed, 1 at first, or a wait that
 * grows. With an object try n is followed by a wait of `initialMs` × `factor` to the power of n - 1, `maxMs` at most.
 */
export type Backoff =
  | ((attempt: number) => number)
  | {
      /** The wait after the first try, in milliseconds. */
      initialMs: number
      /** By what each wait is longer than the one before. Default 2. */
      factor?: number
      /** No wait is longer. Default 30,000. */
      maxMs?: number
      /** From 0 to 1: up to this share of each wait is taken off, at random. Default 0. */
      jitter?: number
    }

/** How often a message is tried. */
export interface RetryOptions {
  /** Tries in all, the first one included; Infinity never gives up. */
  attempts: number
  /** Default `{ initialMs: 100 }`, which doubles up to half a minute. */
  backoff?: Backoff
  /** False for an error that another try would meet again: the message counts as exhausted at once. Default: all are tried again. */
  retryIf?: (error: unknown) => boolean
}

/**
 * What becomes of a message whose handler fails. A dead-letter topic and another end are one or the other.
 *
 * `deadLetter` is the topic to which a message goes when its tries are used up, with key and value byte for byte. It is
 * made when the member begins, with as many partitions as the largest topic that is consumed. Without one, `onExhausted`
 * says what happens: 'stop' (default) closes the member and keeps the offset, 'skip' emits 'skipped' and goes on.
 */
export type FailureOptions = { retry?: RetryOptions } & (
  | { deadLetter?: AnyTopic | string; onExhausted?: never }
  | { deadLetter?: never; onExhausted?: 'stop' | 'skip' }
)

const RETRY_OPTIONS: Readonly<Record<keyof RetryOptions, OptionRule>> = {
  attempts: countOrInfinity(1),
  backoff: (value) => (typeof value === 'function' || isObject(value) ? undefined : 'a function or { initialMs }'),
  retryIf: aFunction,
}
const BACKOFF_OPTIONS: Readonly<Record<string, OptionRule>> = {
  initialMs: aNumber(0),
  factor: aNumber(1),
  maxMs: aNumber(0),
  jitter: aNumber(0, 1),
}
export const FAILURE_OPTIONS: Readonly<Record<keyof FailureOptions, OptionRule>> = {
  retry: (value) => (isObject(value) ? undefined : 'an object such as { attempts: 5 }'),
  deadLetter: (value) => (isTopic(value) || typeof value === 'string' ? undefined : 'a Topic or its name'),
  onExhausted: oneOf('stop', 'skip'),
}

const DEFAULT_BACKOFF: Backoff = { initialMs: 100 }
const DEFAULT_FACTOR = 2
const DEFAULT_MAX_MS = 30_000

/**
 * Decides on messages that failed: whether and when they are tried again. It keeps no state, and acts on nothing.
 * Throws OTTLA_INVALID_ARGUMENT for options that it does not take.
 */
export class RetryPolicy {
  /** Tries in all. */
  readonly attempts: number
  readonly #backoff: Backoff
  readonly #retryIf: ((error: unknown) => boolean) | undefined
  readonly #random: () => number

  /** `random` returns numbers from 0 up to, but not including, 1. */
  constructor(options: FailureOptions, random: () => number = Math.random) {
    const { retry, deadLetter, onExhausted } = options
    if (deadLetter !== undefined && onExhausted !== undefined) {
      throw invalid(
        `The options deadLetter and onExhausted exclude each other: a message that is used up goes to the dead-letter topic, or '${onExhausted}' is what happens`,
      )
    }
    if (retry !== undefined) {
      checkOptions('retry', retry, RETRY_OPTIONS)
      if (retry.attempts === undefined) throw invalid('The option retry has no attempts: give { attempts: 5 }, say')
      if (typeof retry.backoff === 'object') {
        checkOptions('backoff', retry.backoff, BACKOFF_OPTIONS)
        if (retry.backoff.initialMs === undefined) throw invalid('The backoff of retry has no initialMs')
      }
    }
    this.attempts = retry?.attempts ?? 1
    this.#backoff = retry?.backoff ?? DEFAULT_BACKOFF
    this.#retryIf = retry?.retryIf
    this.#random = random
  }

  /**
   * Milliseconds until a message may be tried again whose try number `attempt` failed, or undefined where it is used up.
   * Throws OTTLA_INVALID_ARGUMENT where a function of the user's throws, or returns no time to wait.
   */
  retryInMs(error: unknown, attempt: number): number | undefined {
    if (attempt >= this.attempts || !this.#mayHelp(error)) return undefined
    const backoff = this.#backoff
    if (typeof backoff === 'function') return waitOf(backoff, attempt)
    const { initialMs, factor = DEFAULT_FACTOR, maxMs = DEFAULT_MAX_MS, jitter = 0 } = backoff
    // A power may come to Infinity, which no wait of 0 can be multiplied by.
    const waitMs = Math.min(initialMs * Math.min(factor ** (attempt - 1), Number.MAX_VALUE), maxMs)
    return waitMs * (1 - jitter * this.#random())
  }

  #mayHelp(error: unknown): boolean {
    if (this.#retryIf === undefined) return true
    try {
      return this.#retryIf(error)
    } catch (cause) {
      throw invalidCall('retryIf', `threw: ${reasonOf(cause)}`, cause)
    }
  }
}

/** What a message failed with when its tries are used up, where nothing else is to become of it. */
export function handlerFailed(message: Message, cause: unknown, attempts: number): OttlaError {
  const tries = attempts > 1 ? `, ${attempts} times` : ''
  return new OttlaError(
    'OTTLA_HANDLER_FAILED',
    `The handler failed at ${message.topic}-${message.partition} offset ${message.offset}${tries}: ${reasonOf(cause)}. The message is not committed, and is delivered again to the next member`,
    { cause },
  )
}

function waitOf(backoff: (attempt: number) => number, attempt: number): number {
  let waitMs: unknown
  try {
    waitMs = backoff(attempt)
  } catch (cause) {
    throw invalidCall('backoff', `threw: ${reasonOf(cause)}`, cause)
  }
  if (typeof waitMs === 'number' && waitMs >= 0 && Number.isFinite(waitMs)) return waitMs
  throw invalidCall('backoff', `returned ${describe(waitMs)}, where milliseconds from 0 up are due`)
}

function invalidCall(option: string, what: string, cause?: unknown): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', `The function ${option} of retry ${what}`, { cause })
}

function aNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): OptionRule {
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} up` : `from ${least} to ${most}`
  return (value) => (typeof value === 'number' && value >= least && value <= most ? undefined : `a number ${range}`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
