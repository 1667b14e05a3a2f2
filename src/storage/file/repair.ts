import { join } from 'node:path'
import { OttlaError } from '../../errors.js'
import type { Repair } from '../storage.js'
import { type FoundDamage, findWholeBatch, scanBatches } from './batch-scan.js'
import { readSum } from './clean-mark.js'
import { type OpenFile, readAll, removeIfThere, writeAll, writeFileAtomically } from './file-system.js'
import { Gaps, type Joint } from './gaps.js'
import { CRC_OF_NOTHING, crcWithHeader } from './headers-crc.js'
import {
  CLEANED_SUFFIX,
  CORRUPT_SUFFIX,
  DURABLE_SUFFIX,
  GAPS_FILE,
  LOG_SUFFIX,
  offsetInName,
  offsetPath,
  REPLACEMENT_FILE,
  SNAPSHOT_SUFFIX,
  SUM_SUFFIX,
  SWAP_SUFFIX,
} from './layout.js'
import type { RecoveryContext } from './recovery.js'
import { keepAside } from './recovery-of-last.js'
import { FileSegment } from './segment.js'
import { finishWhatWasUnderWay } from './unfinished.js'

/**
 * What is done about damage: with 'truncate' the log ends before the first of it, with 'salvage' it goes on behind it
 * with whatever whole batches there are.
 */
export type RepairMode = 'truncate' | 'salvage'

const COPY_BYTES = 1024 * 1024

/**
 * Reads all of a partition and makes a log of it that opens. What is taken out of it is moved to files beside it first,
 * and a report of it all is written, so that nothing is gone. Where nothing is damaged nothing is changed.
 */
export async function repairPartition(context: RecoveryContext, mode: RepairMode, nowMs: number): Promise<void> {
  const repair = new PartitionRepair(context, mode)
  await repair.run()
  const { reports } = repair
  if (reports.length === 0) return
  const { fileSystem } = context.disk
  const path = join(context.directory, `repair-${nowMs}.json`)
  await writeFileAtomically(fileSystem, path, Buffer.from(`${JSON.stringify(reports, undefined, 2)}\n`))
  await fileSystem.syncDirectory(context.directory)
  for (const report of reports) context.onRecovery(report)
}

/** What is whole of a log file. */
interface Scanned {
  /** Runs of whole batches, by position. */
  readonly runs: { readonly from: number; to: number }[]
  readonly damages: (FoundDamage & { readonly endOffset: number; readonly removedBytes: number })[]
  readonly endOffset: number
  readonly headersCrc: number
}

class PartitionRepair {
  readonly reports: Repair[] = []
  readonly #context: RecoveryContext
  readonly #mode: RepairMode
  /** True where the list of gaps is lost, so that any gap may be one that was meant. */
  #gapsAreLost = false

  constructor(context: RecoveryContext, mode: RepairMode) {
    this.#context = context
    this.#mode = mode
  }

  async run(): Promise<void> {
    const { disk, directory } = this.#context
    const names = await this.#finish()
    const gaps = await this.#gaps()
    const bases = names.flatMap((name) => offsetInName(name, LOG_SUFFIX) ?? []).sort((a, b) => a - b)
    await this.#setOrphansAside(names, bases)
    const joints: Joint[] = []
    const within: number[] = []
    let expectedOffset = bases[0] ?? 0
    /** Then what is missing before the next segment was told already. */
    let endIsDamaged = false
    for (const [at, baseOffset] of bases.entries()) {
      const segment = new FileSegment(disk, directory, baseOffset, undefined)
      const isJoined = at === 0 || expectedOffset === baseOffset || gaps.hasJoint(expectedOffset, baseOffset)
      if (!isJoined && !this.#gapsAreLost) {
        const reason = `the segment before it ends at ${expectedOffset}, so a segment is missing or not in its place`
        if (baseOffset < expectedOffset || this.#mode === 'truncate') {
          await this.#setAside(bases.slice(at), expectedOffset, reason)
          break
        }
        if (!endIsDamaged) {
          this.#report({ file: segment.path, position: 0, expectedOffset, reason }, baseOffset, 0, undefined)
        }
      }
      if (expectedOffset < baseOffset && at > 0) joints.push([expectedOffset, baseOffset])
      const hasGaps = this.#gapsAreLost || gaps.isWithin(baseOffset)
      const scanned = await this.#scan(segment, hasGaps)
      if (scanned.damages.length > 0) {
        if (this.#mode === 'truncate') {
          await this.#cut(segment, scanned)
          if (at + 1 < bases.length) {
            const reason = 'the log ends before it, since a segment before it is damaged'
            await this.#setAside(bases.slice(at + 1), scanned.damages[0]?.expectedOffset ?? baseOffset, reason)
          }
          break
        }
        // Written down before it is so.
        within.push(baseOffset)
        await gaps.add({ joints, within }, bases[0] ?? 0)
        await this.#salvage(segment, scanned)
      } else if (this.#gapsAreLost) within.push(baseOffset)
      await disk.handles.retire(segment)
      expectedOffset = scanned.endOffset
      endIsDamaged = scanned.damages.at(-1)?.endOffset === scanned.endOffset
    }
    if (this.reports.length > 0) await gaps.add({ joints, within }, bases[0] ?? 0)
  }

  /** As the opening does, save that what cannot be finished is set aside. */
  async #finish(): Promise<readonly string[]> {
    const { disk, directory } = this.#context
    const list = async () => (await disk.fileSystem.list(directory)).map(({ name }) => name)
    try {
      return await finishWhatWasUnderWay(disk, directory, await list())
    } catch (error) {
      if (!OttlaError.is(error) || error.code !== 'OTTLA_CORRUPTION') throw error
      const file = join(directory, REPLACEMENT_FILE)
      let keptAs: string | undefined
      for (const name of await list()) {
        const isPart = name === REPLACEMENT_FILE || name.endsWith(SWAP_SUFFIX) || name.endsWith(CLEANED_SUFFIX)
        if (isPart) keptAs = await this.#rename(join(directory, name))
      }
      this.#report({ file, position: 0, expectedOffset: 0, reason: error.message }, 0, 0, keptAs)
      return await finishWhatWasUnderWay(disk, directory, await list())
    }
  }

  async #gaps(): Promise<Gaps> {
    const { disk, directory } = this.#context
    try {
      return await Gaps.read(disk.fileSystem, directory)
    } catch (error) {
      if (!OttlaError.is(error) || error.code !== 'OTTLA_CORRUPTION') throw error
      this.#gapsAreLost = true
      const file = join(directory, GAPS_FILE)
      const keptAs = await this.#rename(file)
      this.#report({ file, position: 0, expectedOffset: 0, reason: error.message }, 0, 0, keptAs)
      return await Gaps.read(disk.fileSystem, directory)
    }
  }

  /** What speaks of a log that is gone. Where all logs are, the log goes on behind whatever is known of it. */
  async #setOrphansAside(names: readonly string[], bases: readonly number[]): Promise<void> {
    const { disk, directory, mark } = this.#context
    const { fileSystem } = disk
    let end = mark?.segments.at(-1)?.endOffset ?? 0
    for (const name of names) {
      const base = offsetInName(name, SUM_SUFFIX) ?? offsetInName(name, DURABLE_SUFFIX)
      end = Math.max(end, offsetInName(name, SNAPSHOT_SUFFIX) ?? 0, base ?? 0)
      if (base === undefined || bases.includes(base)) continue
      const file = offsetPath(directory, base) + LOG_SUFFIX
      const sum = await readSum(fileSystem, offsetPath(directory, base) + SUM_SUFFIX, base)
      const keptAs = await this.#rename(join(directory, name))
      const reason = `it is missing, and ${name} was there`
      end = Math.max(end, sum?.endOffset ?? 0)
      this.#report({ file, position: 0, expectedOffset: base, reason }, sum?.endOffset ?? base, 0, keptAs)
    }
    if (bases.length > 0 || end === 0) return
    const file = offsetPath(directory, end) + LOG_SUFFIX
    await writeFileAtomically(fileSystem, file, new Uint8Array(0))
    this.#report({ file, position: 0, expectedOffset: 0, reason: 'all log files are missing' }, end, 0, undefined)
  }

  async #scan(segment: FileSegment, hasGaps: boolean): Promise<Scanned> {
    const { fileSystem } = this.#context.disk
    const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    const sum = await readSum(fileSystem, segment.sumPath, segment.baseOffset)
    const scanned = await segment.use((file) => scanAll(file, segment, sizeInBytes, hasGaps))
    const { path: file, baseOffset } = segment
    if (scanned.damages.length > 0 || sum?.headersCrc32c === undefined) return scanned
    if (sum.sizeInBytes === sizeInBytes && scanned.headersCrc === sum.headersCrc32c) return scanned
    const isShort = sizeInBytes < sum.sizeInBytes
    const damage = {
      file,
      position: isShort ? sizeInBytes : 0,
      expectedOffset: isShort ? scanned.endOffset : baseOffset,
      kind: 'sum' as const,
      reason: `it is not the file of ${sum.sizeInBytes} bytes that was sealed`,
      cause: undefined,
      endOffset: sum.endOffset,
      removedBytes: isShort ? 0 : sizeInBytes,
    }
    return { ...scanned, damages: [damage] }
  }

  async #cut(segment: FileSegment, scanned: Scanned): Promise<void> {
    const { disk, directory } = this.#context
    const [damage] = scanned.damages
    if (damage === undefined) return
    const sizeInBytes = (await disk.fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    const { position } = damage
    const isAll = position === sizeInBytes
    const keptAs = isAll ? undefined : await keepAside(disk.fileSystem, directory, segment, position, sizeInBytes)
    await this.#forget(segment)
    await segment.use(async (file) => {
      await file.truncate(position)
      await file.dataSync()
    })
    await disk.handles.retire(segment)
    this.#report(damage, Math.max(scanned.endOffset, damage.endOffset), sizeInBytes - position, keptAs)
  }

  async #salvage(segment: FileSegment, scanned: Scanned): Promise<void> {
    const { disk, directory } = this.#context
    const { fileSystem } = disk
    const sizeInBytes = (await fileSystem.stat(segment.path))?.sizeInBytes ?? 0
    const keptAs = sizeInBytes === 0 ? undefined : await keepAside(fileSystem, directory, segment, 0, sizeInBytes)
    const temporary = segment.path + CLEANED_SUFFIX
    const target = await fileSystem.open(temporary, 'replace')
    try {
      let position = 0
      for (const { from, to } of scanned.runs)
        position += await segment.use((file) => copy(file, from, to, target, position))
      await target.dataSync()
    } finally {
      await target.close()
    }
    await this.#forget(segment)
    await disk.handles.retire(segment)
    await fileSystem.rename(temporary, segment.path)
    await fileSystem.syncDirectory(directory)
    for (const damage of scanned.damages) this.#report(damage, damage.endOffset, damage.removedBytes, keptAs)
  }

  /** Whole segments, which are no part of the log any more. */
  async #setAside(bases: readonly number[], expectedOffset: number, reason: string): Promise<void> {
    const { disk, directory } = this.#context
    for (const base of [...bases].reverse()) {
      const segment = new FileSegment(disk, directory, base, undefined)
      const sizeInBytes = (await disk.fileSystem.stat(segment.path))?.sizeInBytes ?? 0
      const sum = await readSum(disk.fileSystem, segment.sumPath, base)
      await this.#forget(segment)
      const keptAs = await this.#rename(segment.path)
      this.#report(
        { file: segment.path, position: 0, expectedOffset, reason },
        sum?.endOffset ?? base,
        sizeInBytes,
        keptAs,
      )
    }
  }

  /** Sum and mark speak of another file than the one that comes; they are made anew. */
  async #forget(segment: FileSegment): Promise<void> {
    const { fileSystem } = this.#context.disk
    for (const path of [segment.sumPath, segment.durablePath, ...segment.indexPaths])
      await removeIfThere(fileSystem, path)
    await fileSystem.syncDirectory(this.#context.directory)
  }

  async #rename(path: string): Promise<string> {
    const { fileSystem } = this.#context.disk
    let kept = path + CORRUPT_SUFFIX
    for (let copy = 2; (await fileSystem.stat(kept)) !== undefined; copy++) kept = `${path}.${copy}${CORRUPT_SUFFIX}`
    await fileSystem.rename(path, kept)
    await fileSystem.syncDirectory(this.#context.directory)
    return kept
  }

  #report(
    { file, position, expectedOffset, reason }: Pick<FoundDamage, 'file' | 'position' | 'expectedOffset' | 'reason'>,
    endOffset: number,
    removedBytes: number,
    keptAs: string | undefined,
  ): void {
    const { at } = this.#context
    this.reports.push({
      kind: 'repair',
      ...at,
      repair: this.#mode,
      file,
      position,
      removedBytes,
      keptAs,
      firstOffset: expectedOffset,
      endOffset,
      reason,
    })
  }
}

/** Walks a whole file, from each damage to the next whole batch behind it. */
async function scanAll(file: OpenFile, segment: FileSegment, to: number, hasGaps: boolean): Promise<Scanned> {
  const runs: Scanned['runs'] = []
  const damages: Scanned['damages'] = []
  let endOffset = segment.baseOffset
  let headersCrc = CRC_OF_NOTHING
  let mayGap = hasGaps
  for (let from = 0; from < to; ) {
    const run = { from, to: from }
    const expected = { offset: endOffset, lastOffset: -1, hasGaps: mayGap }
    const damage = await scanBatches(file, { path: segment.path, from, to, expected }, (batch, position) => {
      run.to = position + batch.sizeInBytes
      endOffset = batch.lastOffset + 1
      headersCrc = crcWithHeader(headersCrc, batch.buffer, batch.start)
      // What was missing is behind.
      return hasGaps || !mayGap
    })
    if (run.to > run.from) runs.push(run)
    mayGap = hasGaps
    if (damage === undefined) {
      from = run.to
      continue
    }
    const next = await nextWhole(file, { ...damage, expectedOffset: endOffset }, to)
    damages.push({
      ...damage,
      endOffset: next?.baseOffset ?? endOffset,
      removedBytes: (next?.position ?? to) - damage.position,
    })
    from = next?.position ?? to
    mayGap = true
  }
  return { runs, damages, endOffset, headersCrc }
}

/** A whole batch may have a wrong offset, which no checksum covers: then the one behind it does not follow. */
async function nextWhole(
  file: OpenFile,
  damage: FoundDamage,
  to: number,
): Promise<{ position: number; baseOffset: number } | undefined> {
  let candidate = await wholeFrom(file, damage, damage.position, to)
  while (candidate !== undefined) {
    const next = await wholeFrom(file, damage, candidate.end, to)
    if (next === undefined || next.baseOffset > candidate.lastOffset) return candidate
    candidate = next
  }
  return undefined
}

async function wholeFrom(
  file: OpenFile,
  damage: FoundDamage,
  start: number,
  to: number,
): Promise<{ position: number; end: number; baseOffset: number; lastOffset: number } | undefined> {
  const expected = { offset: damage.expectedOffset, lastOffset: -1, hasGaps: true }
  for (let from = start; ; ) {
    const position = await findWholeBatch(file, { ...damage, position: from }, to)
    if (position === undefined) return undefined
    const found: { end: number; baseOffset: number; lastOffset: number }[] = []
    await scanBatches(file, { path: damage.file, from: position, to, expected }, (batch) => {
      found.push({ end: position + batch.sizeInBytes, baseOffset: batch.baseOffset, lastOffset: batch.lastOffset })
      return false
    })
    const [whole] = found
    if (whole !== undefined) return { position, ...whole }
    from = position + 1
  }
}

async function copy(source: OpenFile, from: number, to: number, target: OpenFile, at: number): Promise<number> {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, to - from))
  let done = 0
  while (from + done < to) {
    const filled = await readAll(source, buffer, Math.min(buffer.length, to - from - done), from + done)
    if (filled === 0) break
    await writeAll(target, buffer, 0, filled, at + done)
    done += filled
  }
  return done
}
