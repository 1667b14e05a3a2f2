import type { Engine } from '../engine/engine.js'

/**
 * Names of topics by their ids, and the other way round: newer versions of Fetch, Produce and the offsets name topics by
 * id. Read again when the engine says that some topic has changed.
 */
export class TopicIds {
  readonly #engine: Engine
  #version = -1
  #names = new Map<string, string>()
  #ids = new Map<string, string>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Brings both directions up to date: before a request that names topics by id is looked at. */
  async refresh(): Promise<void> {
    const { version } = await this.#engine.metadata({ topics: [] })
    if (version === this.#version) return
    const all = await this.#engine.metadata({ topics: null })
    this.#names = new Map(all.topics.map(({ topicId, name }) => [topicId, name]))
    this.#ids = new Map(all.topics.map(({ topicId, name }) => [name, topicId]))
    this.#version = all.version
  }

  nameOf(topicId: string): string | undefined {
    return this.#names.get(topicId)
  }

  /** '' for a topic that is not there. */
  idOf(name: string): string {
    return this.#ids.get(name) ?? ''
  }
}
