import { join } from 'node:path'
import { OttlaError } from '../../errors.js'
import type { RecoveryReport, TopicPartition } from '../storage.js'
import { corruption, type Damage, findBatchBehind } from './batch-scan.js'
import type { PartitionMark } from './clean-mark.js'
import { readFile } from './file-system.js'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  EPOCH_FILE,
  GAPS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  METADATA_FILE,
  offsetInName,
  offsetPath,
  REPLACEMENT_FILE,
  SEGMENT_SUFFIXES,
  SNAPSHOT_SUFFIX,
  SWAP_SUFFIX,
  TEMPORARY_SUFFIX,
  TIME_INDEX_SUFFIX,
} from './layout.js'
import { type Disk, FileSegment } from './segment.js'

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
  readonly gaps: Gap[]
  /** True after a clean close: all of it would survive a power cut. */
  readonly isDurable: boolean
}

/** A segment that ends before the base of the next one: without this a lost segment would look the same. */
export type Gap = readonly [endOffset: number, nextBaseOffset: number]

/** Which segments a replacement under way takes the place of: those with a base in [baseOffset, endOffset). */
export interface Replacement {
  readonly baseOffset: number
  readonly endOffset: number
}

/**
 * Finds the segments of a partition. After a clean close nothing is read; otherwise the last segment is verified
 * batch by batch and a torn end of it cut and reported, and the sealed ones, which were synced when they were sealed,
 * must fit together. Throws OTTLA_CORRUPTION for any other damage, and leaves the files alone.
 */
export async function recoverPartition(context: RecoveryContext): Promise<RecoveredPartition> {
  const { disk, directory } = context
  const listed = (await disk.fileSystem.list(directory)).map(({ name }) => name)
  const names = await finishWhatWasUnderWay(disk, directory, listed)
  const bases = offsetsOf(names, LOG_SUFFIX)
  const snapshots = offsetsOf(names, SNAPSHOT_SUFFIX)
  if (bases.length === 0) {
    const isNew = names.every((name) => name === METADATA_FILE || name === EPOCH_FILE)
    if (isNew && (context.mark?.segments.length ?? 0) === 0)
      return { segments: [], snapshots: [], gaps: [], isDurable: false }
    throw corruption(damageAt(join(directory, `*${LOG_SUFFIX}`), 0, 0, 'its log files are missing'))
  }
  const segments = bases.map((baseOffset) => new FileSegment(disk, directory, baseOffset, context.indexIntervalBytes))
  for (const segment of segments.slice(0, -1)) segment.isSealed = true
  const gaps = await readGaps(disk, directory, names)
  let isDurable: boolean
  try {
    isDurable = await restoreFromMark(context, segments, names)
    if (!isDurable) await verify(context, segments, gaps)
  } catch (error) {
    for (const segment of segments) await disk.handles.retire(segment)
    throw error
  }
  await removeOrphans(disk, directory, names, bases)
  const endOffset = segments[segments.length - 1]?.endOffset ?? 0
  for (const offset of snapshots.filter((offset) => offset > endOffset)) {
    await disk.fileSystem.unlink(offsetPath(directory, offset) + SNAPSHOT_SUFFIX)
  }
  return { segments, snapshots: snapshots.filter((offset) => offset <= endOffset), gaps, isDurable }
}

/** True where the files are those that the mark names; then nothing of the logs is read. */
async function restoreFromMark(
  context: RecoveryContext,
  segments: readonly FileSegment[],
  names: readonly string[],
): Promise<boolean> {
  const marks = context.mark?.segments
  if (marks?.length !== segments.length) return false
  const { fileSystem } = context.disk
  const present = new Set(names.map((name) => join(context.directory, name)))
  const staleIndexes: FileSegment[] = []
  for (const [at, segment] of segments.entries()) {
    const mark = marks[at]
    if (mark?.baseOffset !== segment.baseOffset) return false
    if ((await fileSystem.stat(segment.path))?.sizeInBytes !== mark.sizeInBytes) return false
    segment.restore(mark)
    if (mark.sizeInBytes === 0) continue
    const [offsetPath, timePath] = segment.indexPaths
    const isWhole = async (path: string, bytes: number | undefined): Promise<boolean> =>
      present.has(path) && (await fileSystem.stat(path))?.sizeInBytes === bytes
    if (!(await isWhole(offsetPath, mark.indexBytes)) || !(await isWhole(timePath, mark.timeIndexBytes))) {
      staleIndexes.push(segment)
    }
  }
  for (const segment of staleIndexes) await segment.rebuildIndex()
  return true
}

async function verify(context: RecoveryContext, segments: readonly FileSegment[], gaps: readonly Gap[]): Promise<void> {
  const { fileSystem } = context.disk
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    if (next === undefined) {
      await verifyLast(context, segment, sizeInBytes)
      continue
    }
    await segment.probeFile(sizeInBytes)
    const fits =
      segment.endOffset === next.baseOffset ||
      gaps.some(([endOffset, base]) => endOffset === segment.endOffset && base === next.baseOffset)
    if (fits) continue
    const reason = `the segment before it ends at ${segment.endOffset}, so a segment is missing or not in its place`
    throw corruption(damageAt(next.path, 0, segment.endOffset, reason))
  }
  for (const segment of segments) if (segment.isSealed) await segment.sealIndex()
}

async function verifyLast(context: RecoveryContext, segment: FileSegment, sizeInBytes: number): Promise<void> {
  const { disk, at, directory, onRecovery } = context
  const damage = await segment.scanFile(sizeInBytes)
  if (damage !== undefined) {
    const behind = await disk.handles.use(segment, (file) => findBatchBehind(file, damage, sizeInBytes))
    if (behind !== undefined) {
      const reason = `${damage.reason}, and a whole batch follows at position ${behind}, so this is no torn end`
      throw corruption({ ...damage, reason })
    }
    await disk.handles.use(segment, (file) => file.truncate(damage.position))
    segment.markDirty()
  }
  // What was found may lie only in the page cache, written by a process that died before its sync.
  if (sizeInBytes > 0) segment.markDirty()
  await segment.dataSync()
  await disk.fileSystem.syncDirectory(directory)
  if (damage === undefined) return
  onRecovery({
    ...at,
    file: segment.path,
    position: damage.position,
    removedBytes: sizeInBytes - damage.position,
    logEndOffset: segment.endOffset,
    reason: damage.reason,
  })
}

/**
 * Brings a change that a crash cut short to an end, forwards or back, and returns the names that are left. A
 * replacement counts from the moment when its log is called .swap.
 */
async function finishWhatWasUnderWay(
  { fileSystem }: Disk,
  directory: string,
  names: readonly string[],
): Promise<readonly string[]> {
  const path = (name: string): string => join(directory, name)
  const left = new Set(names)
  const remove = async (name: string): Promise<void> => {
    await fileSystem.unlink(path(name))
    left.delete(name)
  }
  for (const name of names) {
    if (name.endsWith(DELETED_SUFFIX) || name.endsWith(CLEANED_SUFFIX) || name.endsWith(TEMPORARY_SUFFIX)) {
      await remove(name)
    }
  }
  const swap = names.find((name) => offsetInName(name, LOG_SUFFIX + SWAP_SUFFIX) !== undefined)
  if (swap !== undefined) {
    const replacement = await readReplacement(fileSystem, path(REPLACEMENT_FILE), path(swap))
    for (const name of names) {
      if (SEGMENT_SUFFIXES.some((suffix) => isWithin(replacement, offsetInName(name, suffix)))) await remove(name)
    }
    const log = swap.slice(0, -SWAP_SUFFIX.length)
    await fileSystem.rename(path(swap), path(log))
    left.delete(swap)
    left.add(log)
    await fileSystem.syncDirectory(directory)
  }
  if (left.has(REPLACEMENT_FILE)) await remove(REPLACEMENT_FILE)
  return [...left]
}

function isWithin({ baseOffset, endOffset }: Replacement, offset: number | undefined): boolean {
  return offset !== undefined && offset >= baseOffset && offset < endOffset
}

async function readReplacement(fileSystem: Disk['fileSystem'], path: string, swapPath: string): Promise<Replacement> {
  const value = parseJson(await readFile(fileSystem, path))
  if (typeof value === 'object' && value !== null && 'baseOffset' in value && 'endOffset' in value) {
    const { baseOffset, endOffset } = value
    if (typeof baseOffset === 'number' && typeof endOffset === 'number') return { baseOffset, endOffset }
  }
  throw corruption(damageAt(swapPath, 0, 0, `${REPLACEMENT_FILE}, which says what it replaces, is missing or damaged`))
}

async function readGaps({ fileSystem }: Disk, directory: string, names: readonly string[]): Promise<Gap[]> {
  if (!names.includes(GAPS_FILE)) return []
  const path = join(directory, GAPS_FILE)
  const value = parseJson(await readFile(fileSystem, path))
  if (Array.isArray(value) && value.every(isGap)) return value
  throw corruption(damageAt(path, 0, 0, 'it is not the list of gaps that was written'))
}

function isGap(value: unknown): value is Gap {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)
}

function parseJson(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return undefined
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
    const base = offsetInName(name, INDEX_SUFFIX) ?? offsetInName(name, TIME_INDEX_SUFFIX)
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

function damageAt(path: string, position: number, expectedOffset: number, reason: string): Damage {
  return { path, position, expectedOffset, reason, cause: undefined }
}

/** The topic id that a partition.metadata names. Throws OTTLA_TOPIC_MISMATCH where it is another than `topicId`. */
export function checkTopicId(bytes: Uint8Array, topicId: string, directory: string): void {
  const found = /^topic_id: (\S+)$/m.exec(Buffer.from(bytes).toString())?.[1]
  // A power cut may leave the file of a partition torn that nothing was written to yet.
  if (found === undefined || found === topicId) return
  throw new OttlaError(
    'OTTLA_TOPIC_MISMATCH',
    `${directory} belongs to a topic with the id ${found}, not ${topicId}: move it away, or delete the topic.`,
  )
}
