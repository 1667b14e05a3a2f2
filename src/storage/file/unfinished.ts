import { join } from 'node:path'
import { corruption } from './batch-scan.js'
import { decodeChecked } from './checked-json.js'
import { encodeSum, readSum, type SegmentMark } from './clean-mark.js'
import { type FileSystem, readFile, writeFile } from './file-system.js'
import { headersCrcOf } from './headers-crc.js'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  DURABLE_SUFFIX,
  LOG_SUFFIX,
  offsetInName,
  offsetPath,
  REPLACEMENT_FILE,
  SEGMENT_SUFFIXES,
  SUM_SUFFIX,
  SWAP_SUFFIX,
  TEMPORARY_SUFFIX,
} from './layout.js'
import type { Disk } from './segment.js'

/** What a replacement under way puts in the place of the segments with a base in [baseOffset, endOffset). */
export interface Replacement {
  readonly baseOffset: number
  readonly endOffset: number
  /** What is put there. */
  readonly sum: SegmentMark
}

/**
 * Brings a change that a crash cut short to an end, forwards or back, and returns the names that are left. A
 * replacement counts from the moment when its log is called .swap.
 */
export async function finishWhatWasUnderWay(
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
  const swap = names.find((name) => offsetInName(name, LOG_SUFFIX + SWAP_SUFFIX) !== undefined)
  // Read before anything is changed, since it may be damaged.
  const replacement =
    swap !== undefined || left.has(REPLACEMENT_FILE)
      ? await readReplacement(fileSystem, path(REPLACEMENT_FILE), swap && path(swap))
      : undefined
  for (const name of names) {
    if (name.endsWith(CLEANED_SUFFIX) || name.endsWith(TEMPORARY_SUFFIX)) await remove(name)
  }
  if (replacement !== undefined) {
    const { sum } = replacement
    const sumName = offsetPath('', sum.baseOffset) + SUM_SUFFIX
    if (swap !== undefined) {
      for (const name of names) {
        if (SEGMENT_SUFFIXES.some((suffix) => isWithin(replacement, offsetInName(name, suffix)))) await remove(name)
      }
      // Once the new log has its name nothing says any more that these are to go.
      await fileSystem.syncDirectory(directory)
      const log = swap.slice(0, -SWAP_SUFFIX.length)
      await writeSum(fileSystem, path(sumName), sum)
      await fileSystem.rename(path(swap), path(log))
      left.delete(swap)
      left.add(log).add(sumName)
    } else if (await lacksSum(fileSystem, path(sumName), sum)) {
      await writeSum(fileSystem, path(sumName), sum)
      left.add(sumName)
    }
    await fileSystem.syncDirectory(directory)
    await remove(REPLACEMENT_FILE)
  }
  await removeDeleted(fileSystem, directory, left)
  return [...left]
}

/** A sum or mark without a log means that the log was lost, unless a .deleted one is there: so that goes last. */
async function removeDeleted(fileSystem: FileSystem, directory: string, left: Set<string>): Promise<void> {
  const deleted = [...left].filter((name) => name.endsWith(DELETED_SUFFIX))
  let hasOrphans = false
  for (const name of deleted) {
    const log = name.slice(0, -DELETED_SUFFIX.length)
    if (left.has(log)) continue
    for (const suffix of [SUM_SUFFIX, DURABLE_SUFFIX]) {
      const orphan = log.slice(0, -LOG_SUFFIX.length) + suffix
      if (!left.delete(orphan)) continue
      await fileSystem.unlink(join(directory, orphan))
      hasOrphans = true
    }
  }
  if (hasOrphans) await fileSystem.syncDirectory(directory)
  for (const name of deleted) {
    await fileSystem.unlink(join(directory, name))
    left.delete(name)
  }
}

/** Synced, since in a segment with gaps only its sum tells a wrong offset. */
export async function writeSum(fileSystem: FileSystem, path: string, sum: SegmentMark): Promise<void> {
  await writeFile(fileSystem, path, encodeSum(sum), 'synced')
}

/** True where the replacement took its place, and a power cut kept that and not its sum. */
async function lacksSum(fileSystem: FileSystem, sumPath: string, sum: SegmentMark): Promise<boolean> {
  if ((await readSum(fileSystem, sumPath, sum.baseOffset)) !== undefined) return false
  const logPath = sumPath.slice(0, -SUM_SUFFIX.length) + LOG_SUFFIX
  if ((await fileSystem.stat(logPath))?.sizeInBytes !== sum.sizeInBytes) return false
  const file = await fileSystem.open(logPath, 'read')
  try {
    return (await headersCrcOf(file, logPath, sum.baseOffset, sum.sizeInBytes)) === sum.headersCrc32c
  } finally {
    await file.close()
  }
}

function isWithin({ baseOffset, endOffset }: Replacement, offset: number | undefined): boolean {
  return offset !== undefined && offset >= baseOffset && offset < endOffset
}

async function readReplacement(
  fileSystem: FileSystem,
  path: string,
  swapPath: string | undefined,
): Promise<Replacement | undefined> {
  const bytes = await readFile(fileSystem, path)
  // The checksum says that these are the bytes that were written.
  const value = bytes && (decodeChecked(bytes) as Replacement | undefined)
  if (value !== undefined) return value
  throw corruption({
    file: swapPath ?? path,
    position: 0,
    expectedOffset: 0,
    kind: 'sidecar',
    reason: `${REPLACEMENT_FILE}, which says what is replaced, is missing or damaged`,
    cause: undefined,
  })
}
