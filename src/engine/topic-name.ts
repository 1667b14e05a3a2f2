import { OttlaError } from '../errors.js'

export const CONSUMER_OFFSETS: string = '__consumer_offsets'
export const TRANSACTION_STATE: string = '__transaction_state'
export const CLUSTER_METADATA: string = '__cluster_metadata'

const INTERNAL_TOPICS: ReadonlySet<string> = new Set([CONSUMER_OFFSETS, TRANSACTION_STATE, CLUSTER_METADATA])

/** A partition's directory is `<topic>-<partition>`: 249 leaves room for the number below a file name's 255 bytes. */
const LONGEST_NAME = 249

/** Throws OTTLA_INVALID_TOPIC where Kafka would refuse the name. */
export function checkTopicName(name: unknown): asserts name is string {
  if (typeof name !== 'string') throw invalid(`A topic name is a string, not ${name === null ? 'null' : typeof name}.`)
  if (name === '') throw invalid('A topic name cannot be empty.')
  if (name === '.' || name === '..') throw invalid(`A topic cannot be named '${name}', which would be a directory.`)
  if (name.length > LONGEST_NAME) {
    throw invalid(
      `A topic name has ${LONGEST_NAME} characters at most; this one has ${name.length}: ${name.slice(0, 40)}...`,
    )
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    throw invalid(`A topic name is made of a-z, A-Z, 0-9, '.', '_' and '-'; ${JSON.stringify(name)} has others.`)
  }
}

/** Topics whose names differ only in '.' and '_' collide: Kafka's metrics cannot tell them apart, so it refuses the second. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}

/** True for the topics that the broker keeps for itself. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name)
}

function invalid(message: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_TOPIC', message)
}
