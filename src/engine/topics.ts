import { OttlaError } from '../errors.js'
import type { KeptTime } from '../log/running-time.js'
import type { TopicCodecs } from './engine.js'
import { collisionKey, isInternalTopic } from './topic-name.js'

/** What is known of a topic. A change makes a new object. */
export interface TopicState {
  readonly name: string
  readonly topicId: string
  readonly partitionCount: number
  /** Only those that were set, by Kafka's names. */
  readonly configs: Readonly<Record<string, string>>
  readonly codecs: TopicCodecs | null
  readonly internal: boolean
}

/** One record of `__cluster_metadata`; a null value takes back what the key said. */
export interface MetadataRecord {
  readonly key: string
  readonly value: string | null
}

/*
 * Records of `__cluster_metadata`. Keys are UTF-8 text, values are JSON, and the newest value of a key holds:
 *
 *   cluster                      { "id" }                                        the cluster id, set once
 *   producer-ids                 { "next" }                                      ids below it may be taken
 *   topic/<name>                 { "id", "partitions", "configs", "codecs" }     null: deleted
 *   log-start/<name>/<partition> { "id", "offset" }                              where deleteRecords moved the log start to
 *   cleaned/<name>/<partition>   { "id", "offset" }                              up to where it was compacted
 *   clock                        { "at", "pauses" }                              see RunningTime
 *
 * A log start, and where a log was compacted, count only for the topic whose id they carry: one that is recreated begins
 * at 0. A log start never moves down, unless a null came before.
 * Fields that are not known are left alone, so that a newer release may add some.
 */
const TOPIC = 'topic/'
const LOG_START = 'log-start/'
const CLEANED = 'cleaned/'

/** So many changes of topics are known by the name of the topic: whoever follows them is one or two behind. */
const REMEMBERED_CHANGES = 1000

export function topicRecord(state: TopicState): MetadataRecord {
  const { name, topicId, partitionCount, configs, codecs } = state
  return { key: TOPIC + name, value: JSON.stringify({ id: topicId, partitions: partitionCount, configs, codecs }) }
}

export function deletedTopicRecord(name: string): MetadataRecord {
  return { key: TOPIC + name, value: null }
}

export function logStartRecord(topic: TopicState, partition: number, offset: number): MetadataRecord {
  return { key: `${LOG_START}${topic.name}/${partition}`, value: JSON.stringify({ id: topic.topicId, offset }) }
}

export function deletedLogStartRecord(topic: TopicState, partition: number): MetadataRecord {
  return { key: `${LOG_START}${topic.name}/${partition}`, value: null }
}

export function cleanedRecord(topic: TopicState, partition: number, offset: number): MetadataRecord {
  return { key: `${CLEANED}${topic.name}/${partition}`, value: JSON.stringify({ id: topic.topicId, offset }) }
}

function deletedCleanedRecord(topic: TopicState, partition: number): MetadataRecord {
  return { key: `${CLEANED}${topic.name}/${partition}`, value: null }
}

export function clockRecord(kept: KeptTime): MetadataRecord {
  const pauses = kept.pauses.map(({ after, ms }) => [after, ms])
  return { key: 'clock', value: JSON.stringify({ at: kept.at, pauses }) }
}

export function clusterRecord(id: string): MetadataRecord {
  return { key: 'cluster', value: JSON.stringify({ id }) }
}

export function producerIdsRecord(next: number): MetadataRecord {
  return { key: 'producer-ids', value: JSON.stringify({ next }) }
}

/** What the records of `__cluster_metadata` add up to. Changed by `apply` alone, at start and after each append. */
export class TopicCatalog {
  readonly #topics = new Map<string, TopicState>()
  /** Names by their collision key. */
  readonly #collisions = new Map<string, string>()
  readonly #deleted = new Set<string>()
  readonly #logStarts = new Map<string, OffsetOfTopic>()
  readonly #cleaned = new Map<string, OffsetOfTopic>()
  #keptTime: KeptTime | undefined
  #clusterId = ''
  #nextProducerId = 0
  #version = 0
  /** The topic of each of the last changes; the newest made it this version. */
  #changed: string[] = []

  get clusterId(): string {
    return this.#clusterId
  }

  /** Producer ids from here on were never given out. */
  get nextProducerId(): number {
    return this.#nextProducerId
  }

  /** Rises with each change of a topic. */
  get version(): number {
    return this.#version
  }

  /** The topics that changed since then; undefined where that was too many changes ago. */
  changedSince(version: number): string[] | undefined {
    const count = this.#version - version
    if (count > this.#changed.length) return undefined
    return count <= 0 ? [] : [...new Set(this.#changed.slice(-count))]
  }

  /** In the order of their names. */
  get topics(): TopicState[] {
    return [...this.#topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  get(name: string): TopicState | undefined {
    return this.#topics.get(name)
  }

  /** The topic whose name differs from this one in '.' and '_' alone. */
  collision(name: string): string | undefined {
    const other = this.#collisions.get(collisionKey(name))
    return other === name ? undefined : other
  }

  /** True for a topic that was deleted and not created again: what is still on disk of it may go. */
  wasDeleted(name: string): boolean {
    return this.#deleted.has(name)
  }

  logStart(topic: TopicState, partition: number): number {
    const recorded = this.#logStarts.get(`${topic.name}/${partition}`)
    return recorded?.id === topic.topicId ? recorded.offset : 0
  }

  /** Up to where a partition was compacted, undefined where it was not. */
  cleanedTo(topic: TopicState, partition: number): number | undefined {
    const recorded = this.#cleaned.get(`${topic.name}/${partition}`)
    return recorded?.id === topic.topicId ? recorded.offset : undefined
  }

  /** What was kept of the time when the broker closed. */
  get keptTime(): KeptTime | undefined {
    return this.#keptTime
  }

  /** What takes back all that is recorded of the partitions of a topic, also of an earlier one of that name. */
  deletedOffsetRecords(topic: TopicState): MetadataRecord[] {
    const records: MetadataRecord[] = []
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      const at = `${topic.name}/${partition}`
      if (this.#logStarts.has(at)) records.push(deletedLogStartRecord(topic, partition))
      if (this.#cleaned.has(at)) records.push(deletedCleanedRecord(topic, partition))
    }
    return records
  }

  apply(record: MetadataRecord): void {
    const { key, value } = record
    if (key.startsWith(TOPIC)) this.#applyTopic(key.slice(TOPIC.length), value)
    else if (key.startsWith(LOG_START)) this.#applyLogStart(key.slice(LOG_START.length), value)
    else if (key.startsWith(CLEANED)) this.#applyCleaned(key.slice(CLEANED.length), value)
    else if (key === 'clock' && value !== null) this.#keptTime = keptTime(key, fields(key, value))
    else if (key === 'cluster' && value !== null) this.#clusterId = text(key, fields(key, value).id)
    else if (key === 'producer-ids' && value !== null) this.#nextProducerId = integer(key, fields(key, value).next)
  }

  #applyLogStart(at: string, value: string | null): void {
    if (value === null) {
      this.#logStarts.delete(at)
      return
    }
    const recorded = fields(LOG_START + at, value)
    const [id, offset] = [text(at, recorded.id), integer(at, recorded.offset)]
    const before = this.#logStarts.get(at)
    this.#logStarts.set(at, { id, offset: before?.id === id ? Math.max(before.offset, offset) : offset })
  }

  #applyCleaned(at: string, value: string | null): void {
    if (value === null) {
      this.#cleaned.delete(at)
      return
    }
    const { id, offset } = fields(CLEANED + at, value)
    this.#cleaned.set(at, { id: text(at, id), offset: integer(at, offset) })
  }

  #applyTopic(name: string, value: string | null): void {
    this.#version++
    this.#changed.push(name)
    if (this.#changed.length === 2 * REMEMBERED_CHANGES) this.#changed = this.#changed.slice(REMEMBERED_CHANGES)
    if (value === null) {
      this.#topics.delete(name)
      this.#collisions.delete(collisionKey(name))
      this.#deleted.add(name)
      return
    }
    const { id, partitions, configs, codecs } = fields(TOPIC + name, value)
    this.#deleted.delete(name)
    this.#collisions.set(collisionKey(name), name)
    this.#topics.set(name, {
      name,
      topicId: text(name, id),
      partitionCount: integer(name, partitions),
      configs: Object.fromEntries(Object.entries(configs ?? {}).map(([config, set]) => [config, text(config, set)])),
      codecs: isCodecs(codecs) ? { key: codecs.key, value: codecs.value } : null,
      internal: isInternalTopic(name),
    })
  }
}

interface OffsetOfTopic {
  readonly id: string
  readonly offset: number
}

function keptTime(key: string, { at, pauses }: Record<string, unknown>): KeptTime {
  const list: readonly unknown[] = Array.isArray(pauses) ? pauses : []
  return {
    at: integer(key, at),
    pauses: list.map((pause) => {
      const [after, ms]: readonly unknown[] = Array.isArray(pause) ? pause : []
      return { after: number(key, after), ms: number(key, ms) }
    }),
  }
}

function fields(key: string, value: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(value)
    if (typeof parsed === 'object' && parsed !== null) return Object.fromEntries(Object.entries(parsed))
  } catch (cause) {
    throw new OttlaError('OTTLA_CORRUPTION', `The metadata record ${key} is not JSON: ${value}`, { cause })
  }
  throw new OttlaError('OTTLA_CORRUPTION', `The metadata record ${key} is not an object: ${value}`)
}

function text(key: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new OttlaError('OTTLA_CORRUPTION', `The metadata record ${key} holds ${String(value)} where a text belongs`)
}

function integer(key: string, value: unknown): number {
  const read = number(key, value)
  if (Number.isSafeInteger(read) && read >= 0) return read
  throw new OttlaError('OTTLA_CORRUPTION', `The metadata record ${key} holds ${read} where a whole number belongs`)
}

function number(key: string, value: unknown): number {
  if (typeof value === 'number') return value
  throw new OttlaError('OTTLA_CORRUPTION', `The metadata record ${key} holds ${String(value)} where a number belongs`)
}

function isCodecs(value: unknown): value is TopicCodecs {
  return (
    typeof value === 'object' &&
    value !== null &&
    'key' in value &&
    'value' in value &&
    typeof value.key === 'string' &&
    typeof value.value === 'string'
  )
}
