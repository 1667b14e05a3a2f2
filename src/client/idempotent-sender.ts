import type { Engine, ProduceResult } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { BatchQueue } from './batch-queue.js'
import type { BatchCarrier, OpenBatch, Outcome } from './open-batch.js'
import type { ProducerCounters } from './producer-counters.js'
import type { Identity, ProducerIdentity } from './producer-identity.js'

/** How a batch that was refused is sent again. */
export interface RetryRules {
  /** How often a batch is sent again. */
  readonly retries: number
  /** Milliseconds before the first retry, doubled for each further one up to a second. */
  readonly retryBackoffMs: number
  /** Milliseconds from a batch's first failure within which a retry may begin. */
  readonly deliveryTimeoutMs: number
}

/** What the senders of one producer share. */
export interface IdempotentSenderOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly identity: ProducerIdentity
  readonly rules: RetryRules
  /** Told when what waits has changed: for time to pass, or for the engine. */
  readonly onProgress: () => void
  readonly counters: ProducerCounters
}

/** Told what became of each batch. */
export interface SettledListener {
  settle(batch: OpenBatch, outcome: Outcome): void
}

/** As many as a partition remembers of each producer: with more, a batch that comes twice might not be known again. */
const MAX_IN_FLIGHT = 5
/** Kafka: retry.backoff.max.ms. */
const MAX_BACKOFF_MS = 1000

/**
 * Takes the closed batches of one partition to the engine, in order, each in the log once. It numbers them, so that the
 * log knows a repetition, and has up to five under way. When one is refused it lets the others come back, and goes on
 * with one at a time, the oldest first:
 *
 *     sending --(a batch is refused)--> recovering --(those that were under way are settled)--> sending
 *
 * What followed on the refused one was refused as out of order, and goes again under its old number: it may be in the log
 * all the same, and is known by that alone. Where a batch was given up, its number may never come, and the next one that
 * is out of order shows that it did not: neither that nor those behind it are in the log. Only then the epoch is bumped,
 * and their numbers begin anew.
 *
 * A log that has forgotten the producer, after a day without a batch, say, takes any number for the first: where the
 * oldest batch under way fails and the next one does not, the oldest is out of order. It goes on in a new epoch, too, as
 * in Kafka's client, but first whatever may be in the log all the same is sent again under its old number.
 */
export class IdempotentSender implements BatchCarrier {
  readonly #at: TopicPartition
  readonly #listener: SettledListener
  readonly #options: IdempotentSenderOptions
  /** Closed batches without a sequence yet. */
  readonly #waiting: OpenBatch[] = []
  /** Those that have one, oldest first: at the engine, or refused and to be sent again. */
  readonly #sent: BatchQueue = new BatchQueue()
  #atEngine = 0
  /** How many may be under way: 0 without an identity and while recovering. */
  #limit = 0
  #identity: Identity | undefined
  /** What goes into the next batch. */
  readonly #stamp = { producerId: -1, producerEpoch: -1, baseSequence: 0 }
  #isRecovering = false
  #isIdentityWanted = false
  /** A batch was given up: what has a later sequence may be out of order. */
  #hasGap = false
  /** It is. */
  #needsNewEpoch = false
  /** How often in a row the oldest batch failed, or the request for an id, and when that began. */
  #failures = 0
  #failingSince = 0
  #cancelBackoff: (() => void) | undefined
  #goOn: (() => void) | undefined
  #isClosing = false

  constructor(options: IdempotentSenderOptions, at: TopicPartition, listener: SettledListener) {
    this.#options = options
    this.#at = at
    this.#listener = listener
  }

  /** True where only the end of a backoff will send anything. */
  get waitsForTime(): boolean {
    return this.#cancelBackoff !== undefined
  }

  /** Sends a batch that takes no more records, when its turn comes. */
  send(batch: OpenBatch): void {
    if (this.#identity === undefined && !this.#isIdentityWanted) this.#takeIdentityAtHand()
    const mayBegin = this.#sent.size < this.#limit && this.#waiting.length === 0
    if (mayBegin || this.#options.identity.fencedBy !== undefined) {
      this.#begin(batch)
      return
    }
    this.#waiting.push(batch)
    if (this.#identity === undefined && !this.#isIdentityWanted) this.#takeIdentity()
  }

  /** From now on nothing waits for a retry: what does so is tried once more, at once. */
  hurry(): void {
    this.#isClosing = true
    if (this.#cancelBackoff === undefined) return
    this.#cancelBackoff()
    this.#endBackoff()
  }

  /** From now on the log may be one that does not know this producer, and takes any sequence for the first. */
  beginAlone(): void {
    this.#limit = Math.min(this.#limit, 1)
  }

  #begin(batch: OpenBatch): void {
    const { fencedBy } = this.#options.identity
    if (fencedBy !== undefined) {
      this.#listener.settle(batch, { error: fencedBy })
      return
    }
    batch.closed = batch.builder.close(this.#stamp)
    this.#stamp.baseSequence = after(this.#stamp.baseSequence, batch.builder.recordCount)
    this.#sent.push(batch)
    this.#produce(batch)
  }

  #produce(batch: OpenBatch): void {
    const { topic, partition } = this.#at
    const { closed } = batch
    if (closed === undefined) return
    this.#atEngine++
    batch.carrier = this
    this.#options.engine.produce({ topic, partition, batch: closed }).then(batch.onAppended, batch.onRefused)
  }

  appended(batch: OpenBatch, result: ProduceResult): void {
    this.#atEngine--
    this.#forget(batch)
    this.#failures = 0
    if (this.#isRecovering) this.#recover()
    else {
      this.#limit = MAX_IN_FLIGHT
      if (this.#waiting.length > 0) this.#sendWaiting()
    }
    this.#listener.settle(batch, { result })
  }

  refused(batch: OpenBatch, error: unknown): void {
    this.#atEngine--
    this.#isRecovering = true
    this.#limit = 0
    const isOldest = this.#sent.first === batch
    // What is sent again is alone under way.
    const isTriedAlone = isOldest || batch.isInDoubt
    const code = OttlaError.is(error) ? error.code : undefined
    if (code === 'OTTLA_INVALID_PRODUCER_EPOCH') this.#options.identity.fencedBy = error as OttlaError
    // Because one before it is not in the log yet, or never will be, or the log forgot them all. Not the first of an epoch.
    const isFollower =
      code === 'OTTLA_OUT_OF_ORDER_SEQUENCE' && (!isOldest || this.#hasGap || batch.closed?.baseSequence !== 0)
    if (isFollower) {
      batch.isInDoubt = false
      this.#needsNewEpoch ||= isOldest
    } else if (isRetriable(error) && (!isTriedAlone || this.#mayFailAgain())) batch.isInDoubt = true
    else {
      this.#forget(batch)
      this.#hasGap = true
      // Where retries did not help, those behind it are tried once each, or a queue would take its length times as long.
      if (!isRetriable(error)) this.#failures = 0
      this.#listener.settle(batch, { error })
    }
    this.#recover()
  }

  /** Sends again what was refused, one batch at a time. */
  #recover(): void {
    if (this.#atEngine > 0) return
    const { fencedBy } = this.#options.identity
    if (fencedBy !== undefined) this.#failAll(fencedBy)
    else if (!this.#sent.all().some(isInDoubt) && (this.#needsNewEpoch || (this.#hasGap && this.#sent.size === 0))) {
      this.#beginAnew()
    } else if (this.#failures > 0) this.#backOff(() => this.#resend())
    else this.#resend()
  }

  /** The oldest; before a new epoch begins, the oldest of those in doubt. */
  #resend(): void {
    const next = this.#needsNewEpoch ? this.#sent.all().find(isInDoubt) : this.#sent.first
    if (next === undefined) {
      this.#isRecovering = false
      if (this.#waiting.length === 0) this.#failures = 0
      // One alone, until the log knows this producer: of one that it does not know it takes any sequence for the first.
      this.#limit = 1
      this.#sendWaiting()
      return
    }
    this.#options.counters.retries++
    this.#options.onProgress()
    this.#produce(next)
  }

  /** In a new epoch, what was sent, none of which is in the log, gets new sequences. */
  #beginAnew(): void {
    this.#hasGap = false
    this.#needsNewEpoch = false
    const old = this.#identity
    this.#identity = undefined
    this.#stamp.baseSequence = 0
    this.#withIdentity(
      () => (old === undefined ? this.#options.identity.get() : this.#options.identity.after(old)),
      (identity) => {
        for (const { closed, builder } of this.#sent.all()) {
          closed?.stampProducer(identity.producerId, identity.producerEpoch, this.#stamp.baseSequence)
          this.#stamp.baseSequence = after(this.#stamp.baseSequence, builder.recordCount)
        }
        this.#resend()
      },
    )
  }

  /** What the first partition waited for, the others need no wait and no queue for (benchmark: growth-topics). */
  #takeIdentityAtHand(): void {
    const { identity } = this.#options
    const atHand = identity.fencedBy === undefined ? identity.get() : undefined
    if (atHand === undefined || atHand instanceof Promise) return
    this.#use(atHand)
    this.#limit = 1
  }

  #use(identity: Identity): void {
    this.#identity = identity
    this.#stamp.producerId = identity.producerId
    this.#stamp.producerEpoch = identity.producerEpoch
  }

  #takeIdentity(): void {
    this.#withIdentity(
      () => this.#options.identity.get(),
      () => {
        this.#limit = 1
        this.#sendWaiting()
      },
    )
  }

  /** Within one turn of the event loop, where the engine has an id at hand. */
  #withIdentity(ask: () => Identity | Promise<Identity>, then: (identity: Identity) => void): void {
    this.#isIdentityWanted = true
    const take = (identity: Identity): void => {
      this.#isIdentityWanted = false
      this.#use(identity)
      then(identity)
    }
    const asked = ask()
    if (!(asked instanceof Promise)) {
      take(asked)
      return
    }
    asked.then(take, (error) => {
      if (isRetriable(error) && this.#mayFailAgain()) {
        this.#backOff(() => this.#withIdentity(() => this.#options.identity.get(), then))
        return
      }
      this.#isIdentityWanted = false
      this.#failures = 0
      this.#failAll(error)
    })
  }

  #sendWaiting(): void {
    while (this.#sent.size < this.#limit) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#begin(next)
    }
  }

  /** Counts a failure, and tells whether another try may follow. */
  #mayFailAgain(): boolean {
    const { clock, rules } = this.#options
    const now = clock.monotonic()
    if (this.#failures === 0) this.#failingSince = now
    this.#failures++
    if (this.#isClosing || this.#failures > rules.retries) return false
    return now + this.#backoffMs() - this.#failingSince <= rules.deliveryTimeoutMs
  }

  #backoffMs(): number {
    return Math.min(this.#options.rules.retryBackoffMs * 2 ** (this.#failures - 1), MAX_BACKOFF_MS)
  }

  #backOff(goOn: () => void): void {
    if (this.#cancelBackoff !== undefined) return
    // Each batch behind the one that was given up has its last try at once, too.
    if (this.#isClosing) {
      goOn()
      return
    }
    this.#goOn = goOn
    this.#cancelBackoff = this.#options.clock.schedule(() => this.#endBackoff(), this.#backoffMs(), { keepAlive: true })
    this.#options.onProgress()
  }

  #endBackoff(): void {
    this.#cancelBackoff = undefined
    this.#goOn?.()
  }

  #failAll(error: unknown): void {
    this.#isRecovering = false
    this.#needsNewEpoch = false
    const sent = this.#sent.all()
    this.#sent.clear()
    for (const batch of [...sent, ...this.#waiting.splice(0)]) {
      this.#listener.settle(batch, { error })
    }
  }

  #forget(batch: OpenBatch): void {
    batch.isInDoubt = false
    this.#sent.remove(batch)
  }
}

function isInDoubt(batch: OpenBatch): boolean {
  return batch.isInDoubt
}

/** A full memory, disk or topic that is gone is the sender's to mend: told at once, as it may take any time. */
const TOLD_AT_ONCE: ReadonlySet<string> = new Set(['OTTLA_STORAGE_FULL', 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'])

function isRetriable(error: unknown): boolean {
  return OttlaError.is(error) && error.retriable && !TOLD_AT_ONCE.has(error.code)
}

/** Sequences wrap from 2^31 - 1 to 0. */
function after(sequence: number, recordCount: number): number {
  const next = sequence + recordCount
  return next > 2 ** 31 - 1 ? next - 2 ** 31 : next
}
