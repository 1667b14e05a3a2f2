import { join } from 'node:path'
import { type Damage, OttlaError } from '../../errors.js'
import type { RecoveryReport, TopicPartition } from '../storage.js'
import { corruption, type FoundDamage } from './batch-scan.js'
import { type PartitionMark, readSum, saySum } from './clean-mark.js'
import { DurableMark } from './durable-mark.js'
import { Gaps } from './gaps.js'
import {
  DURABLE_SUFFIX,
  EPOCH_FILE,
  GAPS_FILE,
  LOG_SUFFIX,
  METADATA_FILE,
  offsetInName,
  offsetPath,
  SIDE_SUFFIXES,
  SNAPSHOT_SUFFIX,
  SUM_SUFFIX,
} from './layout.js'
import { recoverLast } from './recovery-of-last.js'
import { type Disk, FileSegment } from './segment.js'
import { finishWhatWasUnderWay } from './unfinished.js'

export interface RecoveryContext {
  readonly disk: Disk
  readonly at: TopicPartition
  readonly directory: string
  readonly indexIntervalBytes: number | undefined
  /** What the last close said, if it was a clean one. */
  readonly mark: PartitionMark | undefined
  readonly onRecovery: (report: RecoveryReport) => void
}

/** What was found in the directory of a partition, fit for use. */
export interface RecoveredPartition {
  /** Empty for a partition that does not exist yet. */
  readonly segments: FileSegment[]
  /** Offsets, rising. */
  readonly snapshots: number[]
  readonly gaps: Gaps
  /** Of the last segment. */
  readonly durableMark: DurableMark | undefined
  /** False where it is new, so that a power cut would take it. */
  readonly isDurable: boolean
}

/**
 * Finds the segments of a partition. After a clean close nothing of them is read. Otherwise sealed segments are known by
 * their sums, and the last one is looked at from its durable mark on: what is no batch there is cut and reported, what
 * is one is written again and synced. Throws OTTLA_CORRUPTION for any other damage, and leaves the files alone.
 */
export async function recoverPartition(context: RecoveryContext): Promise<RecoveredPartition> {
  const { disk, directory } = context
  const { fileSystem, handles } = disk
  const listed = (await fileSystem.list(directory)).map(({ name }) => name)
  const names = await finishWhatWasUnderWay(disk, directory, listed)
  const bases = offsetsOf(names, LOG_SUFFIX)
  const snapshots = offsetsOf(names, SNAPSHOT_SUFFIX)
  const gaps = names.includes(GAPS_FILE) ? await Gaps.read(fileSystem, directory) : Gaps.none(fileSystem, directory)
  if (bases.length === 0) {
    if (names.every(mayPrecedeLog) && (context.mark?.segments.length ?? 0) === 0) {
      // They speak of a log that a power cut took before anything of it was durable.
      for (const name of names) {
        if (name === GAPS_FILE || name.endsWith(SNAPSHOT_SUFFIX)) await fileSystem.unlink(join(directory, name))
      }
      const gaps = Gaps.none(fileSystem, directory)
      return { segments: [], snapshots: [], gaps, durableMark: undefined, isDurable: false }
    }
    throw missing(join(directory, `*${LOG_SUFFIX}`), 0, 'its log files are missing')
  }
  checkOrphans(directory, names, bases)
  const segments = bases.map((baseOffset) => new FileSegment(disk, directory, baseOffset, context.indexIntervalBytes))
  for (const segment of segments.slice(0, -1)) segment.isSealed = true
  for (const segment of segments) segment.hasGaps = gaps.isWithin(segment.baseOffset)
  const [last] = segments.slice(-1)
  const durableMark = last && new DurableMark(fileSystem, handles, last.durablePath)
  let isDurable = true
  try {
    if (context.mark !== undefined) await restoreFromMark(context, context.mark, segments, names)
    else if (last !== undefined && durableMark !== undefined) {
      await restoreSealed(context, segments, gaps)
      isDurable = await recoverLast(context, last, durableMark, { names, isOnly: segments.length === 1 })
      for (const segment of segments) if (segment.isSealed) await segment.sealIndex()
    }
  } catch (error) {
    for (const segment of segments) await handles.retire(segment)
    throw error
  }
  await removeOrphans(disk, directory, names, bases)
  const endOffset = last?.endOffset ?? 0
  const beyond = snapshots.filter((offset) => offset > endOffset)
  for (const offset of beyond) await fileSystem.unlink(offsetPath(directory, offset) + SNAPSHOT_SUFFIX)
  // One that a power cut brought back would be believed once the log is as long again.
  if (beyond.length > 0) await fileSystem.syncDirectory(directory)
  return { segments, snapshots: snapshots.filter((offset) => offset <= endOffset), gaps, durableMark, isDurable }
}

/** False for what is only written once the name of a log file is durable, and so shows that there was one. */
function mayPrecedeLog(name: string): boolean {
  return [METADATA_FILE, EPOCH_FILE, GAPS_FILE].includes(name) || name.endsWith(SNAPSHOT_SUFFIX)
}

/** Nothing of the logs is read. The mark was taken away before anything was written, so the files are those it names. */
async function restoreFromMark(
  context: RecoveryContext,
  mark: PartitionMark,
  segments: readonly FileSegment[],
  names: readonly string[],
): Promise<void> {
  const { fileSystem } = context.disk
  const present = new Set(names.map((name) => join(context.directory, name)))
  const marks = new Map(mark.segments.map((each) => [each.baseOffset, each]))
  for (const { baseOffset } of mark.segments) {
    if (segments.some((segment) => segment.baseOffset === baseOffset)) continue
    throw missing(offsetPath(context.directory, baseOffset) + LOG_SUFFIX, baseOffset, 'it was there at the last close')
  }
  const staleIndexes: FileSegment[] = []
  for (const segment of segments) {
    const known = marks.get(segment.baseOffset)
    if (known === undefined) throw missing(segment.path, segment.baseOffset, 'it was not there at the last close')
    const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    if (sizeInBytes !== known.sizeInBytes) throw wrongSize(segment.path, sizeInBytes, known)
    segment.restore(known)
    if (known.sizeInBytes === 0) continue
    // Those that are there and not what they should be are found out when they are first used.
    if (known.indexBytes === undefined || !segment.indexPaths.every((path) => present.has(path))) {
      staleIndexes.push(segment)
    }
  }
  for (const segment of staleIndexes) await segment.rebuildIndex()
}

/** Sealed segments were synced before they were sealed: each must be what its sum says, or be whole, and lead to the next. */
async function restoreSealed({ disk }: RecoveryContext, segments: readonly FileSegment[], gaps: Gaps): Promise<void> {
  const { fileSystem } = disk
  const unsummed: FileSegment[] = []
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    if (next === undefined) break
    const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    const sum = await readSum(fileSystem, segment.sumPath, segment.baseOffset)
    if (sum !== undefined) {
      if (sum.sizeInBytes !== sizeInBytes) throw wrongSize(segment.path, sizeInBytes, sum)
      segment.restore(sum)
    } else {
      const damage = await segment.scanFile(sizeInBytes)
      if (damage !== undefined) throw corruption(damage)
      unsummed.push(segment)
    }
    if (segment.endOffset === next.baseOffset || gaps.hasJoint(segment.endOffset, next.baseOffset)) continue
    const reason = `the segment before it ends at ${segment.endOffset}, so a segment is missing or not in its place`
    throw missing(next.path, segment.endOffset, reason)
  }
  // Only where nothing is wrong: of a damaged log nothing is touched.
  for (const segment of unsummed) {
    await segment.sealIndex()
    await saySum(fileSystem, segment)
  }
}

/** A sum or mark whose log is gone tells that it was lost: of a segment that is removed they go first. */
function checkOrphans(directory: string, names: readonly string[], bases: readonly number[]): void {
  for (const name of names) {
    const base = offsetInName(name, SUM_SUFFIX) ?? offsetInName(name, DURABLE_SUFFIX)
    if (base === undefined || bases.includes(base)) continue
    const path = offsetPath(directory, base) + LOG_SUFFIX
    throw missing(path, base, `it is missing, and ${name} is there`)
  }
}

/** Index files whose log went before them. */
async function removeOrphans(
  { fileSystem }: Disk,
  directory: string,
  names: readonly string[],
  bases: readonly number[],
): Promise<void> {
  const present = new Set(bases)
  for (const name of names) {
    const base = SIDE_SUFFIXES.map((suffix) => offsetInName(name, suffix)).find((each) => each !== undefined)
    if (base !== undefined && !present.has(base)) await fileSystem.unlink(join(directory, name))
  }
}

function offsetsOf(names: readonly string[], suffix: string): number[] {
  const offsets: number[] = []
  for (const name of names) {
    const offset = offsetInName(name, suffix)
    if (offset !== undefined) offsets.push(offset)
  }
  return offsets.sort((a, b) => a - b)
}

export function missing(file: string, expectedOffset: number, reason: string): OttlaError {
  return corruption({ ...at(file, 'missing-file'), expectedOffset, reason, cause: undefined })
}

/** The file is not the one of which its mark or sum speaks. */
function wrongSize(
  file: string,
  sizeInBytes: number,
  known: { readonly sizeInBytes: number; readonly endOffset: number; readonly baseOffset: number },
): OttlaError {
  const position = Math.min(sizeInBytes, known.sizeInBytes)
  const expectedOffset = sizeInBytes < known.sizeInBytes ? known.baseOffset : known.endOffset
  const reason = `it has ${sizeInBytes} bytes, and ${known.sizeInBytes} were written and synced`
  return corruption({ ...at(file, 'cut-short'), position, expectedOffset, reason, cause: undefined })
}

function at(file: string, kind: Damage['kind']): Pick<FoundDamage, 'file' | 'position' | 'kind'> {
  return { file, position: 0, kind }
}

/** Kafka's Uuid: 128 bits in base64url. */
const TOPIC_ID = /^topic_id: ([\w-]{22})$/m

/** The topic id that a partition.metadata names. Throws OTTLA_TOPIC_MISMATCH where it is another than `topicId`. */
export function checkTopicId(bytes: Uint8Array, topicId: string, directory: string): void {
  const found = TOPIC_ID.exec(Buffer.from(bytes).toString())?.[1]
  // It is a cache, and not synced: a power cut may leave it torn, and half of an id is none.
  if (found === undefined || found === topicId) return
  throw new OttlaError(
    'OTTLA_TOPIC_MISMATCH',
    `${directory} belongs to a topic with the id ${found}, not ${topicId}: move it away, or delete the topic.`,
  )
}
