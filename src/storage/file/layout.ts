import { join } from 'node:path'
import { OttlaError } from '../../errors.js'
import type { TopicPartition } from '../storage.js'

/*
 * The names in a directory of ours. Kafka's are Kafka's; the others are files that Kafka passes over.
 *
 *   ottla.json                      the layout of the directory; there before anything else
 *   clean-shutdown.json             what every partition held at the last close; gone while the directory is in use
 *   .lock                           who holds the directory
 *   log-dirs.json                   of a broker with several directories: which they are
 *   <topic>-<partition>/            one partition
 *     <base>.log .index .timeindex    a segment, named by its base offset in 20 digits; no index where it never held a batch
 *     <offset>.snapshot               the producers' state as of that offset
 *     <base>.sum                      what a sealed segment holds, with the checksum of its file
 *     <base>.durable                  up to where the active segment is durable
 *     partition.metadata              the topic id
 *     leader-epoch-checkpoint         epoch 0 from offset 0 on
 *     gaps.json                       where a segment ends before the base of the next one, and which have gaps within
 *     replacement.json                which segments the one under way takes the place of
 *   <topic>-<partition>.<32 hex>-delete/   a partition that is being removed
 */

/** 1 had neither sums nor durable marks. */
export const LAYOUT = 2
export const LAYOUT_FILE = 'ottla.json'
export const CLEAN_FILE = 'clean-shutdown.json'
export const LOG_DIRS_FILE = 'log-dirs.json'
/** Kafka's, in each of its directories of logs. */
export const KAFKA_FILE = 'meta.properties'
/** Kafka's records of its cluster, in a directory of the same name as ours. */
export const KAFKA_METADATA_TOPIC = '__cluster_metadata'
export const METADATA_FILE = 'partition.metadata'
export const EPOCH_FILE = 'leader-epoch-checkpoint'
export const GAPS_FILE = 'gaps.json'
export const REPLACEMENT_FILE = 'replacement.json'

export const LOG_SUFFIX = '.log'
export const INDEX_SUFFIX = '.index'
export const TIME_INDEX_SUFFIX = '.timeindex'
export const SNAPSHOT_SUFFIX = '.snapshot'
export const SUM_SUFFIX = '.sum'
export const DURABLE_SUFFIX = '.durable'
/** What lies beside a log file, and means nothing without it. */
export const SIDE_SUFFIXES: readonly string[] = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, SUM_SUFFIX, DURABLE_SUFFIX]
export const SEGMENT_SUFFIXES: readonly string[] = [LOG_SUFFIX, ...SIDE_SUFFIXES]
/** What was cut or replaced because it was damaged; never touched again. */
export const CORRUPT_SUFFIX = '.corrupt'
/** On its way out. */
export const DELETED_SUFFIX = '.deleted'
/** Being written; means nothing yet. */
export const CLEANED_SUFFIX = '.cleaned'
/** Written whole, and decided that it takes the place of others. */
export const SWAP_SUFFIX = '.swap'
/** Of a file that is written whole before it takes its place. */
export const TEMPORARY_SUFFIX = '.tmp'

const OFFSET_DIGITS = 20

/** The path of a file named by an offset, without its suffix. */
export function offsetPath(directory: string, offset: number): string {
  return join(directory, String(offset).padStart(OFFSET_DIGITS, '0'))
}

/** The offset in a name such as 00000000000000000042.log, if it has exactly that suffix. */
export function offsetInName(name: string, suffix: string): number | undefined {
  if (name.length !== OFFSET_DIGITS + suffix.length || !name.endsWith(suffix)) return undefined
  const digits = name.slice(0, OFFSET_DIGITS)
  return /^\d+$/.test(digits) ? Number(digits) : undefined
}

export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** A topic may hold dashes, so the partition stands behind the last one. */
export function parsePartitionName(name: string): TopicPartition | undefined {
  const [, topic, partition] = /^([a-zA-Z0-9._-]{1,249})-(0|[1-9]\d{0,9})$/.exec(name) ?? []
  return topic === undefined || partition === undefined ? undefined : { topic, partition: Number(partition) }
}

/** Refuses a name that would not come back from the directory, or would lead out of it. */
export function checkPartitionName(at: TopicPartition): void {
  if (parsePartitionName(partitionName(at))?.topic === at.topic) return
  throw new OttlaError(
    'OTTLA_INVALID_TOPIC',
    `${JSON.stringify(at.topic)} partition ${at.partition} has no directory: name topics with up to 249 letters, digits, dots, dashes and underscores, and number partitions from 0.`,
  )
}

/** Held open by the one process that writes; it names it. */
export const LOCK_FILE = '.lock'

const LONGEST_NAME = 255

/** Kafka's name for a directory that is about to go. `id` is a random one, so that two never meet. */
export function deletedName({ topic, partition }: TopicPartition, id: string): string {
  const suffix = `-${partition}.${Buffer.from(id, 'base64url').toString('hex')}-delete`
  return topic.slice(0, LONGEST_NAME - suffix.length) + suffix
}

export function isDeletedName(name: string): boolean {
  return /\.[0-9a-f]{32}-delete$/.test(name)
}
