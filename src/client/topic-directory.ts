import type { Engine, TopicMetadata } from '../engine/engine.js'
import { OttlaError } from '../errors.js'

/** What a producer must know of a topic. */
export interface KnownTopic {
  readonly topicId: string
  readonly partitionCount: number
  readonly maxMessageBytes: number
}

/** How a topic was when the engine's metadata had this version. */
interface Learnt {
  readonly topic: KnownTopic
  readonly version: number
  /** The topic has changed since then, or may have. */
  isOld: boolean
}

const MAX_MESSAGE_BYTES = 'max.message.bytes'

/**
 * What was learnt of topics, so that not every send asks the engine. From the first look-up on it hears of every change
 * of topics, whoever made it, and asks again about a topic that is used after it changed; about any of them, where the
 * engine cannot tell which one did. Hearing holds no process.
 */
export class TopicDirectory {
  readonly #engine: Engine
  readonly #learnt = new Map<string, Learnt>()
  readonly #lookups = new Map<string, Promise<KnownTopic>>()
  /** The newest version of the metadata that was heard of. */
  #version = 0
  /** What was learnt at an older one does not count. */
  #oldestVersion = 0
  #revision = 0
  #isHearing = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Rises whenever `get` may answer otherwise than before. */
  get revision(): number {
    return this.#revision
  }

  /** Undefined where the topic must be looked up. One that is as it was is the same object. */
  get(name: string): KnownTopic | undefined {
    const learnt = this.#learnt.get(name)
    if (learnt === undefined || learnt.isOld || learnt.version < this.#oldestVersion) return undefined
    return learnt.topic
  }

  /** Asks the engine; rejects with OTTLA_UNKNOWN_TOPIC_OR_PARTITION. */
  lookUp(name: string): Promise<KnownTopic> {
    const known = this.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const underWay = this.#lookups.get(name)
    if (underWay !== undefined) return underWay
    const lookup: Promise<KnownTopic> = this.#ask(name, () => this.#lookups.get(name) === lookup)
    this.#lookups.set(name, lookup)
    return lookup
  }

  /** For a topic that was changed: what is being asked about it now does not count either. */
  forget(name: string): void {
    this.#learnt.delete(name)
    this.#lookups.delete(name)
    this.#revision++
  }

  async #ask(name: string, counts: () => boolean): Promise<KnownTopic> {
    try {
      const { version, topics } = await this.#engine.metadata({ topics: [name] })
      if (!this.#isHearing) void this.#hear(version)
      const described = await this.#describe(onlyTopic(name, topics))
      const before = this.#learnt.get(name)?.topic
      const topic = before !== undefined && isSame(before, described) ? before : described
      if (counts()) {
        // What was heard of meanwhile may be a change of this topic.
        this.#learnt.set(name, { topic, version, isOld: version < this.#version })
        this.#revision++
      }
      return topic
    } catch (error) {
      if (counts() && OttlaError.is(error) && error.code === 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION') {
        this.#learnt.delete(name)
        this.#revision++
      }
      throw error
    } finally {
      if (counts()) this.#lookups.delete(name)
    }
  }

  /** Never rejects. */
  async #hear(version: number): Promise<void> {
    this.#isHearing = true
    this.#version = Math.max(this.#version, version)
    // Nobody heard of what changed before.
    this.#oldestVersion = this.#version
    this.#revision++
    try {
      for (;;) {
        const { version, changed } = await this.#engine.metadata({ topics: [], newerThan: this.#version })
        this.#version = version
        if (changed === undefined) this.#oldestVersion = version
        else for (const name of changed) this.#makeOld(name)
        this.#revision++
      }
    } catch {
      // The engine has closed, or cannot tell: the next look-up tries again.
      this.#isHearing = false
    }
  }

  #makeOld(name: string): void {
    const learnt = this.#learnt.get(name)
    if (learnt !== undefined && learnt.version < this.#version) learnt.isOld = true
  }

  async #describe({ name, topicId, partitionCount }: TopicMetadata): Promise<KnownTopic> {
    const [described] = await this.#engine.describeConfigs([{ type: 'topic', name, configNames: [MAX_MESSAGE_BYTES] }])
    if (described?.error) throw described.error
    const limit = described?.entries.find((entry) => entry.name === MAX_MESSAGE_BYTES)
    return { topicId, partitionCount, maxMessageBytes: Number(limit?.value) }
  }
}

function isSame(one: KnownTopic, other: KnownTopic): boolean {
  return (
    one.topicId === other.topicId &&
    one.partitionCount === other.partitionCount &&
    one.maxMessageBytes === other.maxMessageBytes
  )
}

/** One topic's metadata. Rejects with its error, such as OTTLA_UNKNOWN_TOPIC_OR_PARTITION. */
export async function describeTopic(engine: Engine, name: string): Promise<TopicMetadata> {
  const { topics } = await engine.metadata({ topics: [name] })
  return onlyTopic(name, topics)
}

function onlyTopic(name: string, [topic]: readonly TopicMetadata[]): TopicMetadata {
  if (topic === undefined) throw new TypeError(`The engine left out topic ${name}`)
  if (topic.error !== null) throw topic.error
  return topic
}
