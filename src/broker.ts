import { EngineClient, nameOfTopic } from './client/client.js'
import { throwUncaught } from './client/events.js'
import { IdleWatch } from './client/idle.js'
import { brokerLabel, isInside } from './client/inside-handler.js'
import type { GroupMetrics, ProducerMetrics } from './client/metrics.js'
import { aFunction, aSignal, checkOptions, invalid, oneOf } from './client/options.js'
import type { Abortable } from './client/producer.js'
import type { AnyTopic } from './client/topic.js'
import { brokerSettings } from './engine/config.js'
import type { ConfigDefaults } from './engine/config-tables.js'
import { EmbeddedEngine, type PartitionExtent } from './engine/embedded-engine.js'
import { ENGINE, type HeldEngine } from './engine/engine-of.js'
import { OttlaError } from './errors.js'
import { randomId } from './random-id.js'
import { MemoryStorage } from './storage/memory-storage.js'
import type { RecoveryReport, Storage } from './storage/storage.js'
import { type Clock, systemClock } from './time/clock.js'

/** What `Broker.open` takes. */
export interface BrokerOptions {
  /** Where the log is kept. Default: a new `MemoryStorage`. One storage serves one broker at a time. */
  storage?: Storage
  /** Broker-wide defaults, by Kafka's names in camelCase, such as `numPartitions` or `logRetentionMs`. */
  config?: Record<string, unknown>
  /**
   * Whose defaults hold for what `config` leaves out. `'ottla'` keeps messages for ever, and a group begins at once.
   * `'kafka'` does what a Kafka of its own does: messages go after seven days, and so do the offsets of groups without
   * members, the first rebalance of a new group waits three seconds for more members, and `__consumer_offsets` has 50
   * partitions. Default `'ottla'`.
   */
  defaults?: ConfigDefaults
  /** Told what failed in the background, such as a retention that could not drop a segment. Without it that is an uncaught exception. */
  onError?: (error: OttlaError) => void
  /** Told of what opening had to mend after a crash, as soon as it is mended: all that `broker.recovery` lists then. */
  onRecovery?: (report: RecoveryReport) => void
  /** What time it is; a test gives a `ManualClock` of 'ottla/testing'. */
  clock?: Clock
}

/** What `Broker.metrics` gives: a snapshot. */
export interface BrokerMetrics {
  /** By name, ottla's own too: what each partition holds, in the order of their numbers. */
  topics: Record<string, PartitionExtent[]>
  /** The producers of this process. */
  producers: ProducerMetrics
  /** By the group's id. */
  groups: Record<string, GroupMetrics>
}

/** What `Broker.idle` takes. */
export interface IdleOptions extends Abortable {
  /** Groups that must have a member first: what is waited for may not have begun. */
  groups?: readonly string[]
}

const BROKER_OPTIONS = {
  storage: hasMethod('openPartition', 'a Storage'),
  config: (value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object',
  defaults: oneOf('ottla', 'kafka'),
  onError: aFunction,
  onRecovery: aFunction,
  clock: hasMethod('monotonic', 'a Clock'),
}
const IDLE_OPTIONS = {
  signal: aSignal,
  groups: (value: unknown) =>
    Array.isArray(value) && value.every((id) => typeof id === 'string') ? undefined : 'an array of group ids',
}

/**
 * The embedded broker: the log, its topics and its groups, in this process.
 *
 * @example
 * const broker = await Broker.open({ storage: new FileStorage('./data') })
 * await broker.topic(orders)
 * await broker.producer().send(orders, { key: 'alice', value: order })
 * await broker.close()
 */
export class Broker extends EngineClient {
  readonly #engine: EmbeddedEngine
  readonly #clock: Clock
  readonly #idle: IdleWatch
  readonly #label: string

  private constructor(engine: EmbeddedEngine, clock: Clock, idle: IdleWatch) {
    const id = randomId()
    super(engine, clock, id, idle)
    // TypeScript sees to it; JavaScript does not.
    if (engine === undefined) throw invalid('A broker is opened, not constructed: await Broker.open()')
    this.#engine = engine
    this.#clock = clock
    this.#idle = idle
    this.#label = brokerLabel(id)
  }

  /**
   * Opens a broker on a storage, which it holds until `close`. Rejects with OTTLA_LOCKED while another broker has it,
   * OTTLA_CORRUPTION where the log is damaged, OTTLA_UNSUPPORTED_FORMAT for one of a newer version,
   * OTTLA_INVALID_CONFIG or OTTLA_INVALID_ARGUMENT; nothing was changed then.
   */
  static async open(options: BrokerOptions = {}): Promise<Broker> {
    checkOptions('Broker.open', options, BROKER_OPTIONS)
    const { storage = new MemoryStorage(), config, defaults, onError = throwUncaught } = options
    const { onRecovery, clock = systemClock } = options
    const settings = brokerSettings(config, storage, defaults)
    const tell = onRecovery && ((report: RecoveryReport) => callSafely(onRecovery, report))
    const engine = await EmbeddedEngine.open({ storage, clock, settings, onError, onRecovery: tell })
    return new Broker(engine, clock, new IdleWatch(clock, engine))
  }

  /** @internal For the other entry points, such as the listener of 'ottla/wire'. */
  get [ENGINE](): HeldEngine {
    return { engine: this.#engine, clock: this.#clock }
  }

  /**
   * What opening had to mend: a torn tail that was cut, whole batches of which nothing said that they were synced,
   * committed offsets beyond the end of their log, and what `repair` did. Empty after a clean close.
   */
  override get recovery(): readonly RecoveryReport[] {
    return this.#engine.recovery
  }

  /**
   * Resolves when everything sent is handled and committed: every send has settled, and every group with a member (from
   * its call of `run` on) has handled each partition that is not paused up to its end, and committed that unless it
   * commits by hand. A member that came over the wire counts by what it has committed, and so does a closed static one
   * while its place is kept. Exact: no time is waited for.
   *
   * Rejects with OTTLA_GROUP_STOPPED when a failure stopped a group that has messages left, with OTTLA_CLOSED when the
   * broker closes, and with OTTLA_NEVER_IDLE inside a handler (which it would wait for), when only a manual clock that
   * stands still could help, and on abort. The body of a `for await` cannot be told from other code: do not wait there,
   * since it would be for the message that the body holds.
   */
  async idle(options: IdleOptions = {}): Promise<void> {
    checkOptions('idle', options, IDLE_OPTIONS)
    this.mustBeOpen()
    if (isInside(this.#label)) {
      throw new OttlaError('OTTLA_NEVER_IDLE', 'idle() inside a handler would wait for that handler: call it outside')
    }
    await this.#idle.wait(options.groups ?? [], options.signal)
  }

  /**
   * What the broker holds and does, as plain data that can be kept, compared and exported. Nothing is counted for each
   * message: messages are told by the offsets, which rise with them.
   */
  async metrics(): Promise<BrokerMetrics> {
    this.mustBeOpen()
    const { topics } = await this.#engine.metadata({ topics: null })
    const extents = topics.map(({ name, partitionCount }): [string, PartitionExtent[]] => [
      name,
      Array.from({ length: partitionCount }, (_, partition) =>
        this.#engine.extentOf({ topic: name, partition }),
      ).filter((extent) => extent !== undefined),
    ])
    return {
      topics: Object.fromEntries(extents),
      producers: this.producerMetrics(),
      groups: await this.groupMetrics(),
    }
  }

  /**
   * Compacts a topic now, whatever share of it is new: in its sealed segments only the newest message of each key stays,
   * with its offset. The active segment is not touched, nor what `minCompactionLagMs` leaves alone. Rejects with
   * OTTLA_POLICY_VIOLATION where the topic's `cleanupPolicy` does not compact it, OTTLA_UNKNOWN_TOPIC_OR_PARTITION, or
   * OTTLA_CLOSED when the broker closes meanwhile.
   */
  async compact(topic: AnyTopic | string): Promise<void> {
    this.mustBeOpen()
    await this.#engine.compact(nameOfTopic(topic))
  }

  /** Drops the segments that retention no longer keeps, instead of when that is next due. */
  async applyRetention(topic: AnyTopic | string): Promise<void> {
    this.mustBeOpen()
    await this.#engine.applyRetention(nameOfTopic(topic))
  }
}

/** What a listener throws never reaches the engine. */
function callSafely(listener: (report: RecoveryReport) => void, report: RecoveryReport): void {
  try {
    listener(report)
  } catch (error) {
    throwUncaught(error)
  }
}

function hasMethod(method: string, kind: string): (value: unknown) => string | undefined {
  return (value) =>
    typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function' ? undefined : kind
}
