import { bytes } from '../codec/bytes.js'
import type { TopicMetadata } from '../engine/engine.js'
import { checkTopicName } from '../engine/topic-name.js'
import type { MessageCodecs } from './decode.js'
import { describe, invalid } from './options.js'
import { type AnyTopic, isTopic } from './topic.js'

const BYTES: MessageCodecs = { key: bytes(), value: bytes() }

/** Which topics a group consumes: declarations, names, and expressions that pick up topics created later too. */
export class Subscription {
  readonly #topics: readonly (AnyTopic | string | RegExp)[]
  readonly #codecs = new Map<string, MessageCodecs>()

  /** Throws OTTLA_INVALID_ARGUMENT or OTTLA_INVALID_TOPIC. */
  constructor(groupId: string, topics: unknown) {
    this.#topics = checkTopics(groupId, topics)
    for (const topic of this.#topics) if (isTopic(topic)) this.#codecs.set(topic.name, topic)
  }

  /**
   * The names that are subscribed to while these topics exist: all that are named, and what the expressions match, but
   * for internal topics.
   */
  names(existing: readonly TopicMetadata[]): string[] {
    const names = new Set<string>()
    for (const topic of this.#topics) {
      if (typeof topic === 'string') names.add(topic)
      else if (isTopic(topic)) names.add(topic.name)
      else for (const { name, internal } of existing) if (!internal && matches(topic, name)) names.add(name)
    }
    return [...names].sort()
  }

  /** True where it takes in the topic of that name, whether there is one or not. */
  matches(name: string): boolean {
    return this.#topics.some((topic) => {
      if (topic instanceof RegExp) return matches(topic, name)
      return (typeof topic === 'string' ? topic : topic.name) === name
    })
  }

  /** All that it can ever name; null where an expression may match any topic. */
  get candidates(): readonly string[] | null {
    return this.#topics.some((topic) => topic instanceof RegExp) ? null : this.names([])
  }

  /** A topic without a declaration comes as bytes. */
  codecs(topic: string): MessageCodecs {
    return this.#codecs.get(topic) ?? BYTES
  }
}

function checkTopics(groupId: string, topics: unknown): readonly (AnyTopic | string | RegExp)[] {
  if (!Array.isArray(topics) || topics.length === 0) {
    throw invalid(`Group ${groupId} has no topics: give it { topics: [...] } with at least one`)
  }
  for (const topic of topics) {
    if (typeof topic === 'string') checkTopicName(topic)
    else if (!isTopic(topic) && !(topic instanceof RegExp)) {
      throw invalid(`A group's topics are Topics, names or regular expressions, not ${describe(topic)}`)
    }
  }
  return [...topics]
}

/** A sticky or global expression remembers where it stood. */
function matches(expression: RegExp, name: string): boolean {
  expression.lastIndex = 0
  return expression.test(name)
}
