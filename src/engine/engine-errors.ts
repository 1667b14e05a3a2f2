import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { TopicPartition } from '../storage/storage.js'

export function unknownTopic(name: string): OttlaError {
  return new OttlaError('OTTLA_UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${name}: create it first`)
}

export function unknownPartition(at: Readonly<TopicPartition>): OttlaError {
  return new OttlaError(
    'OTTLA_UNKNOWN_TOPIC_OR_PARTITION',
    `There is no partition ${at.partition} of a topic ${at.topic}: create the topic first`,
  )
}

export function internalTopic(name: string, rule: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_TOPIC', `${name} is ottla's own topic: it ${rule}`)
}

/** Kafka refuses a name that one request has twice, since it cannot know which one is meant. */
export function namedTwice(name: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', `Topic ${name} is named twice in one request: name it once`)
}

export function engineClosed(): OttlaError {
  return new OttlaError('OTTLA_CLOSED', 'The broker is closed: open a new one')
}

/** What is not an error of ours came from a storage. */
export function asOttlaError(error: unknown): OttlaError {
  if (OttlaError.is(error)) return error
  return new OttlaError('OTTLA_STORAGE_FAILED', `The storage failed: ${reasonOf(error)}`, { cause: error })
}
