import { OttlaError } from '../../errors.js'
import type { FileSystem } from './file-system.js'

/** What `new FileStorage` takes. */
export interface FileStorageOptions {
  /**
   * What a send waits for, and so what a power cut may take. Nothing here is lost when only the process dies.
   *
   * - `'fsync'`: written and synced, many sends sharing one sync. A power cut takes nothing that was acknowledged.
   * - `'interval'`: written; synced every `syncIntervalMs`. A power cut may take what was sent since.
   * - `'os'`: written; the operating system syncs when it likes. A power cut may take what was sent in the last
   *   half minute or so.
   *
   * Default: `'fsync'`.
   */
  durability?: 'fsync' | 'interval' | 'os'
  /** How often `'interval'` syncs, in milliseconds; not allowed with another durability. Default: 100. */
  syncIntervalMs?: number
  /** The segment size for topics that do not set one, in bytes. Default: Kafka's 1 GiB. */
  segmentBytes?: number
  /**
   * True to look at logs and change nothing, also beside their writer: what is there when the broker opens is what it
   * sees, up to the last whole batch. What would change anything rejects with OTTLA_READ_ONLY. A directory of logs
   * that an Apache Kafka wrote can be looked at like this too. Default: false.
   */
  readOnly?: boolean
  /**
   * What to do about damage, instead of refusing to open: each partition is then read whole.
   *
   * - `'truncate'`: its log ends before the first damage.
   * - `'salvage'`: what is damaged is left out, and the log goes on behind it with whatever whole batches there are.
   *
   * What is taken out is moved to files beside the log that end in `.corrupt`, and a report is written there. Give it for
   * one opening, after making a copy. Default: damage is OTTLA_CORRUPTION.
   */
  repair?: 'truncate' | 'salvage'
  /** What stands in for the disk: for tests. Default: the machine's own. */
  fileSystem?: FileSystem
}

const OPTION_NAMES: readonly string[] = [
  'durability',
  'syncIntervalMs',
  'segmentBytes',
  'readOnly',
  'repair',
  'fileSystem',
] satisfies (keyof FileStorageOptions)[]

const REPAIRS: readonly unknown[] = ['truncate', 'salvage']
const DURABILITIES: readonly unknown[] = ['fsync', 'interval', 'os']

/** Kafka keeps positions in 32 bits. */
const LARGEST_SEGMENT_BYTES = 2 ** 31 - 1

export function checkFileStorageOptions(directory: string, options: FileStorageOptions): void {
  if (typeof directory !== 'string' || directory === '') {
    throw invalidOption(`FileStorage takes the path of a directory, not ${JSON.stringify(directory)}.`)
  }
  for (const name of Object.keys(options)) {
    if (OPTION_NAMES.includes(name)) continue
    throw invalidOption(`FileStorage has no option ${name}: it takes ${OPTION_NAMES.join(', ')}.`)
  }
  checkOpening(options)
  const { durability, syncIntervalMs, segmentBytes } = options
  if (durability !== undefined && !DURABILITIES.includes(durability)) {
    throw invalidOption(`durability is one of ${DURABILITIES.join(', ')}, not ${String(durability)}.`)
  }
  if (syncIntervalMs !== undefined && durability !== 'interval') {
    throw invalidOption("syncIntervalMs says how often to sync: give durability: 'interval' too.")
  }
  if (syncIntervalMs !== undefined && !(Number.isFinite(syncIntervalMs) && syncIntervalMs > 0)) {
    throw invalidOption(`syncIntervalMs is a number of milliseconds above 0, not ${String(syncIntervalMs)}.`)
  }
  if (segmentBytes !== undefined && !isSegmentSize(segmentBytes)) {
    throw invalidOption(
      `segmentBytes is a number of bytes from 1 to ${LARGEST_SEGMENT_BYTES}, not ${String(segmentBytes)}.`,
    )
  }
}

function checkOpening({ readOnly, repair }: FileStorageOptions): void {
  if (readOnly !== undefined && typeof readOnly !== 'boolean') {
    throw invalidOption(`readOnly is true or false, not ${String(readOnly)}.`)
  }
  if (repair !== undefined && !REPAIRS.includes(repair)) {
    throw invalidOption(`repair is one of ${REPAIRS.join(', ')}, not ${String(repair)}.`)
  }
  if (readOnly === true && repair !== undefined) {
    throw invalidOption('readOnly changes nothing: give repair without it.')
  }
}

function isSegmentSize(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= LARGEST_SEGMENT_BYTES
}

function invalidOption(sentence: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', sentence)
}
