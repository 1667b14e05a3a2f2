import type { Engine, TopicMetadata } from '../engine/engine.js'

/** What a producer must know of a topic. */
export interface KnownTopic {
  readonly partitionCount: number
  readonly maxMessageBytes: number
}

/** What was learnt of topics, so that not every send asks the engine. */
export class TopicDirectory {
  readonly #engine: Engine
  readonly #known = new Map<string, KnownTopic>()
  readonly #lookups = new Map<string, Promise<KnownTopic>>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  get(name: string): KnownTopic | undefined {
    return this.#known.get(name)
  }

  /** Asks the engine; rejects with OTTLA_UNKNOWN_TOPIC_OR_PARTITION. */
  lookUp(name: string): Promise<KnownTopic> {
    const known = this.#known.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const underWay = this.#lookups.get(name)
    if (underWay !== undefined) return underWay
    const lookup: Promise<KnownTopic> = this.#ask(name, () => this.#lookups.get(name) === lookup)
    this.#lookups.set(name, lookup)
    return lookup
  }

  /** For a topic that was changed: what is being asked about it now does not count either. */
  forget(name: string): void {
    this.#known.delete(name)
    this.#lookups.delete(name)
  }

  async #ask(name: string, counts: () => boolean): Promise<KnownTopic> {
    try {
      const known = await this.#describe(name)
      if (counts()) this.#known.set(name, known)
      return known
    } finally {
      if (counts()) this.#lookups.delete(name)
    }
  }

  async #describe(name: string): Promise<KnownTopic> {
    const topic = await describeTopic(this.#engine, name)
    const [described] = await this.#engine.describeConfigs([{ type: 'topic', name }])
    if (described?.error) throw described.error
    const limit = described?.entries.find((entry) => entry.name === 'max.message.bytes')
    return { partitionCount: topic.partitionCount, maxMessageBytes: Number(limit?.value) }
  }
}

/** One topic's metadata. Rejects with its error, such as OTTLA_UNKNOWN_TOPIC_OR_PARTITION. */
export async function describeTopic(engine: Engine, name: string): Promise<TopicMetadata> {
  const { topics } = await engine.metadata({ topics: [name] })
  const [topic] = topics
  if (topic === undefined) throw new TypeError(`The engine left out topic ${name}`)
  if (topic.error !== null) throw topic.error
  return topic
}
