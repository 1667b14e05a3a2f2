import { basename } from 'node:path'
import { corruption, type FoundDamage, findWholeBatch } from './batch-scan.js'
import { readSum } from './clean-mark.js'
import { type DurableMark, readDurablePoint } from './durable-mark.js'
import { type FileSystem, readAll, removeIfThere, writeAll } from './file-system.js'
import { CORRUPT_SUFFIX } from './layout.js'
import type { RecoveryContext } from './recovery.js'
import type { FileSegment } from './segment.js'

const COPY_BYTES = 1024 * 1024

/**
 * Makes the last segment fit for use after a crash. Up to its durable mark it is believed, and not read. Behind that lie
 * writes whose sync may not have come back: they may be torn, and what is whole may be in the page cache only, where
 * a sync would not write it that failed once. So that is written again.
 *
 * `names` are the files of the partition, `isOnly` says that it has no other segment. Returns false where the name of
 * the segment may not be durable yet.
 */
export async function recoverLast(
  context: RecoveryContext,
  segment: FileSegment,
  durableMark: DurableMark,
  { names, isOnly }: { readonly names: readonly string[]; readonly isOnly: boolean },
): Promise<boolean> {
  const { disk, at, directory, onRecovery } = context
  const { fileSystem } = disk
  const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
  const hasSum = names.includes(basename(segment.sumPath))
  await restoreDurable(context, segment, sizeInBytes, hasSum)
  // Ten thousand idle logs are not synced: nothing came behind the mark, which was made when file and name were synced,
  // or nothing was ever written, and the name is synced with what is.
  const isAsMarked = segment.sizeInBytes === sizeInBytes && (sizeInBytes > 0 || isOnly)
  if (isAsMarked && !hasSum) return sizeInBytes > 0
  const { sizeInBytes: position, endOffset: firstOffset } = segment
  const damage = await segment.scanFile(sizeInBytes)
  let keptAs: string | undefined
  if (damage !== undefined) {
    const whole = await segment.use((file) => findWholeBatch(file, damage, sizeInBytes))
    if (whole !== undefined) keptAs = await keepAside(fileSystem, directory, segment, damage.position, sizeInBytes)
    await segment.use((file) => file.truncate(damage.position))
    segment.markDirty()
  }
  await rewrite(segment, position)
  await segment.dataSync()
  // A segment that was sealed may be the last one, and grow again: its sum holds no longer.
  await removeIfThere(fileSystem, segment.sumPath)
  await fileSystem.syncDirectory(directory)
  await sayDurable(segment, durableMark)
  const { path: file, endOffset: logEndOffset } = segment
  if (damage !== undefined) {
    const { position, reason } = damage
    const removedBytes = sizeInBytes - position
    onRecovery({ kind: 'torn-tail', ...at, file, position, removedBytes, keptAs, logEndOffset, reason })
  }
  const rewrittenBytes = segment.sizeInBytes - position
  if (rewrittenBytes > 0) {
    onRecovery({ kind: 'rewritten-tail', ...at, file, position, rewrittenBytes, firstOffset, logEndOffset })
  }
  return true
}

/** Takes over what is known to be durable. */
async function restoreDurable(
  { disk, indexIntervalBytes }: RecoveryContext,
  segment: FileSegment,
  sizeInBytes: number,
  hasSum: boolean,
): Promise<void> {
  const { baseOffset, path } = segment
  const sum = hasSum ? await readSum(disk.fileSystem, segment.sumPath, baseOffset) : undefined
  if (sum !== undefined) {
    if (sum.sizeInBytes > sizeInBytes) throw shorterThanDurable(path, sizeInBytes, sum.sizeInBytes, sum.endOffset)
    segment.restore(sum)
    return
  }
  const durable = await readDurablePoint(disk.fileSystem, segment.durablePath, baseOffset, indexIntervalBytes)
  if (durable === undefined) return
  const { point, index } = durable
  if (point.position > sizeInBytes) throw shorterThanDurable(path, sizeInBytes, point.position, point.endOffset)
  segment.restorePoint(point, index)
}

function shorterThanDurable(file: string, sizeInBytes: number, durableBytes: number, endOffset: number): Error {
  const reason = `the file ends there, and ${durableBytes} bytes of it, up to offset ${endOffset}, were synced`
  const damage: FoundDamage = {
    file,
    position: sizeInBytes,
    expectedOffset: endOffset,
    kind: 'cut-short',
    reason,
    cause: undefined,
  }
  return corruption(damage)
}

/** Copies what is about to be cut to a file beside it, for good. */
export async function keepAside(
  fileSystem: FileSystem,
  directory: string,
  segment: FileSegment,
  from: number,
  to: number,
): Promise<string> {
  let path = `${segment.path}.${from}${CORRUPT_SUFFIX}`
  for (let copy = 2; (await fileSystem.stat(path)) !== undefined; copy++) {
    path = `${segment.path}.${from}.${copy}${CORRUPT_SUFFIX}`
  }
  const target = await fileSystem.open(path, 'create')
  try {
    const buffer = new Uint8Array(Math.min(COPY_BYTES, to - from))
    for (let position = from; position < to; ) {
      const filled = await segment.use((file) =>
        readAll(file, buffer, Math.min(buffer.length, to - position), position),
      )
      if (filled === 0) break
      await writeAll(target, buffer, 0, filled, position - from)
      position += filled
    }
    await target.dataSync()
  } finally {
    await target.close()
  }
  await fileSystem.syncDirectory(directory)
  return path
}

/** Makes the pages from `from` on dirty again, by writing what they hold. */
async function rewrite(segment: FileSegment, from: number): Promise<void> {
  const { sizeInBytes } = segment
  const buffer = new Uint8Array(Math.min(COPY_BYTES, sizeInBytes - from))
  for (let position = from; position < sizeInBytes; ) {
    const length = Math.min(buffer.length, sizeInBytes - position)
    await segment.use(async (file) => {
      const filled = await readAll(file, buffer, length, position)
      await writeAll(file, buffer, 0, filled, position)
      position += filled
      if (filled < length) throw new Error(`${segment.path} became shorter while it was opened`)
    })
    segment.markDirty()
  }
}

/** Says up to where the segment is durable now. That it fails costs the next open a longer look. */
export async function sayDurable(segment: FileSegment, durableMark: DurableMark): Promise<void> {
  try {
    const index = await segment.index()
    await segment.knowHeadersCrc()
    const point = segment.durablePoint()
    if (point !== undefined && point.position > 0) await durableMark.write(point, index)
  } catch {
    // An older mark says less, and is as true.
  }
}
