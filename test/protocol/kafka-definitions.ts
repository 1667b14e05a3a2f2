import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What Kafka's own definition says of a message, without its prose. */
export interface Definition {
  release: string
  name: string
  key: number
  versions: string
  flexible: string
  fields: DefinedField[]
}

export interface DefinedField {
  name: string
  /** As Kafka writes it: `int32`, `[]string`, `[]Coordinator`. */
  type: string
  versions: string
  nullable?: string
  tagged?: string
  tag?: number
  default?: string
  /** Of a struct, or of each element. */
  fields?: DefinedField[]
}

const FIXTURE = fileURLToPath(new URL('../fixtures/protocol/kafka-messages.jsonl', import.meta.url))

/** Where Kafka's definitions lie for those who have them: two releases, since the newer one dropped old versions. */
const RELEASES = ['4.2', '3.9'].map((release) => ({
  release,
  directory: fileURLToPath(new URL(`../../../shared/reference/kafka-messages-${release}/`, import.meta.url)),
}))

export const DEFINITIONS_FIXTURE: string = FIXTURE

export function kafkaDefinitionsExist(): boolean {
  return RELEASES.every(({ directory }) => existsSync(directory))
}

/** The text of the fixture, made from Kafka's own files: one definition a line, older ones where the newest lacks a version. */
export function extractDefinitions(names: readonly string[]): string {
  const lines = names.flatMap((name) =>
    ['Request', 'Response'].flatMap((kind) => {
      const [newest, ...older] = RELEASES.map(({ release, directory }) =>
        extract(release, readFileSync(`${directory}${name}${kind}.json`, 'utf8')),
      )
      const lacking = older.filter(
        ({ versions }) => !newest || !inRange(Number.parseInt(versions, 10), newest.versions),
      )
      return newest === undefined ? lacking : [newest, ...lacking]
    }),
  )
  return lines.map((definition) => `${JSON.stringify(definition)}\n`).join('')
}

let loaded: Definition[] | undefined

/** The definition of the newest release that has this version. */
export function definitionOf(message: string, version: number): Definition {
  loaded ??= readFileSync(FIXTURE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Definition)
  const definition = loaded.find(({ name, versions }) => name === message && inRange(version, versions))
  if (definition === undefined) throw new Error(`Kafka defines no version ${version} of ${message}`)
  return definition
}

/** Whether `0-7`, `3+`, `5` or `none` holds the version. */
export function inRange(version: number, range: string | undefined): boolean {
  if (range === undefined || range === 'none') return false
  if (range.endsWith('+')) return version >= Number.parseInt(range, 10)
  const [first, last = first] = range.split('-')
  return version >= Number(first) && version <= Number(last)
}

interface KafkaField {
  name: string
  type: string
  versions: string
  nullableVersions?: string
  taggedVersions?: string
  tag?: number
  default?: string | number | boolean
  fields?: KafkaField[]
}

interface KafkaMessage {
  name: string
  apiKey: number
  validVersions: string
  flexibleVersions: string
  fields: KafkaField[]
  commonStructs?: { name: string; fields: KafkaField[] }[]
}

function extract(release: string, text: string): Definition {
  const message = JSON.parse(text.replace(/(^|\s)\/\/ ?.*$/gm, '')) as KafkaMessage
  const fieldOf = ({
    name,
    type,
    versions,
    nullableVersions,
    taggedVersions,
    tag,
    ...field
  }: KafkaField): DefinedField => {
    const element = type.replace('[]', '')
    const fields = field.fields ?? message.commonStructs?.find((struct) => struct.name === element)?.fields
    return {
      name,
      type,
      versions,
      ...(nullableVersions !== undefined && { nullable: nullableVersions }),
      ...(taggedVersions !== undefined && { tagged: taggedVersions, tag }),
      ...(field.default !== undefined && { default: String(field.default) }),
      ...(fields !== undefined && { fields: fields.map(fieldOf) }),
    }
  }
  return {
    release,
    name: message.name,
    key: message.apiKey,
    versions: message.validVersions,
    flexible: message.flexibleVersions,
    fields: message.fields.map(fieldOf),
  }
}
