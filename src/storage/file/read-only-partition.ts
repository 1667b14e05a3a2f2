import { join } from 'node:path'
import { OttlaError } from '../../errors.js'
import type { RecordBatch } from '../../record/record-batch.js'
import type { Clock } from '../../time/clock.js'
import type { PartitionStorage, Snapshot, TopicPartition } from '../storage.js'
import { corruption } from './batch-scan.js'
import { decodeChecked } from './checked-json.js'
import { readSum } from './clean-mark.js'
import { readDurablePoint } from './durable-mark.js'
import { diskError, errorCode, readFile } from './file-system.js'
import { Gaps } from './gaps.js'
import { LOG_SUFFIX, offsetInName, partitionName, REPLACEMENT_FILE, SNAPSHOT_SUFFIX, SWAP_SUFFIX } from './layout.js'
import { findInSegments, mayHold, readSegments } from './partition-reading.js'
import { missing } from './recovery.js'
import { type Disk, FileSegment } from './segment.js'
import { SnapshotFiles } from './snapshot-files.js'
import type { Replacement } from './unfinished.js'

/** The log of one partition as it was when it was looked at, perhaps beside its writer. */
export class ReadOnlyPartition implements PartitionStorage {
  readonly segments: readonly FileSegment[]
  readonly #at: TopicPartition
  readonly #disk: Disk
  readonly #snapshots: SnapshotFiles
  #isOpen = true

  private constructor(at: TopicPartition, disk: Disk, segments: readonly FileSegment[], snapshots: SnapshotFiles) {
    this.#at = at
    this.#disk = disk
    this.segments = segments
    this.#snapshots = snapshots
  }

  /**
   * A writer may roll, drop or replace segments meanwhile, so that what is seen of them does not fit together: then it is
   * looked at again. Throws OTTLA_CORRUPTION where it never does.
   */
  static async open(options: {
    readonly at: TopicPartition
    readonly disk: Disk
    readonly directory: string
    readonly indexIntervalBytes: number | undefined
    readonly clock: Clock
    /** An Apache Kafka wrote it. */
    readonly isKafkas: boolean
  }): Promise<ReadOnlyPartition> {
    const { at, disk, directory, clock } = options
    for (let attempt = 1; ; attempt++) {
      try {
        const names = (await disk.fileSystem.list(directory)).map(({ name }) => name)
        const segments = options.isKafkas ? await lookAtKafkas(options, names) : await look(options, names)
        const end = segments.at(-1)?.endOffset ?? 0
        const snapshots = names.flatMap((name) => offsetInName(name, SNAPSHOT_SUFFIX) ?? [])
        const kept = snapshots.filter((offset) => offset <= end).sort((a, b) => a - b)
        return new ReadOnlyPartition(at, disk, segments, new SnapshotFiles(disk.fileSystem, directory, kept))
      } catch (error) {
        const mayBeMoving = errorCode(error) === 'ENOENT' || (OttlaError.is(error) && error.code === 'OTTLA_CORRUPTION')
        if (!mayBeMoving || attempt === ATTEMPTS) throw error
        await clock.nextTurn()
      }
    }
  }

  /** What is there of a partition whose directory is not made yet. */
  static empty(at: TopicPartition, disk: Disk, directory: string): ReadOnlyPartition {
    const segment = new FileSegment(disk, directory, 0, undefined)
    return new ReadOnlyPartition(at, disk, [segment], new SnapshotFiles(disk.fileSystem, directory, []))
  }

  get durableEndOffset(): number {
    return this.segments.at(-1)?.endOffset ?? 0
  }

  read(offset: number, maxBytes: number, endOffset: number): readonly RecordBatch[] | Promise<readonly RecordBatch[]> {
    this.#assertOpen()
    if (offset >= this.durableEndOffset || offset >= endOffset) return []
    return readSegments(this.segments, offset, maxBytes, endOffset)
  }

  findOffset(timestamp: number): number | undefined | Promise<number | undefined> {
    this.#assertOpen()
    if (!this.segments.some((segment) => mayHold(segment, timestamp))) return undefined
    return findInSegments(this.segments, timestamp)
  }

  /** Nothing is waiting to be synced here. */
  sync(): void {
    this.#assertOpen()
  }

  async loadSnapshot(offset: number): Promise<Snapshot | undefined> {
    this.#assertOpen()
    try {
      return await this.#snapshots.load(offset)
    } catch (error) {
      throw diskError(error, `Reading a snapshot of ${partitionName(this.#at)}`)
    }
  }

  append(): never {
    throw this.#refused('be appended to')
  }

  roll(): never {
    throw this.#refused('be rolled')
  }

  drop(): never {
    throw this.#refused('lose segments')
  }

  truncate(): never {
    throw this.#refused('be truncated')
  }

  replace(): never {
    throw this.#refused('be compacted')
  }

  saveSnapshot(): never {
    throw this.#refused('keep snapshots')
  }

  async close(): Promise<void> {
    this.#isOpen = false
    for (const segment of this.segments) await this.#disk.handles.retire(segment)
  }

  #assertOpen(): void {
    if (this.#isOpen) return
    const name = partitionName(this.#at)
    throw new OttlaError('OTTLA_CLOSED', `The log of ${name} is closed: open the partition before it is used.`)
  }

  #refused(what: string): OttlaError {
    this.#assertOpen()
    return readOnlyError(`The log of ${partitionName(this.#at)} cannot ${what}`)
  }
}

/** Each attempt is a turn of the event loop, and a writer that moves files about is soon done. */
const ATTEMPTS = 200

export function readOnlyError(what: string): OttlaError {
  return new OttlaError(
    'OTTLA_READ_ONLY',
    `${what}, since its storage was opened with readOnly: open it without, once its writer has closed.`,
  )
}

interface Place {
  readonly disk: Disk
  readonly directory: string
  readonly indexIntervalBytes: number | undefined
}

/**
 * Kafka says neither where offsets are missing nor how far it synced, so each batch is looked at, and may begin anywhere
 * behind the one before it.
 */
async function lookAtKafkas(
  { disk, directory, indexIntervalBytes }: Place,
  names: readonly string[],
): Promise<FileSegment[]> {
  const swap = names.find((name) => name.endsWith(SWAP_SUFFIX))
  if (swap !== undefined) {
    throw missing(
      join(directory, swap),
      0,
      'Kafka was replacing segments: let it start and close once, which ends that',
    )
  }
  const bases = names.flatMap((name) => offsetInName(name, LOG_SUFFIX) ?? []).sort((a, b) => a - b)
  if (bases.length === 0) return [new FileSegment(disk, directory, 0, indexIntervalBytes)]
  const segments: FileSegment[] = []
  for (const [at, baseOffset] of bases.entries()) {
    const segment = new FileSegment(disk, directory, baseOffset, indexIntervalBytes)
    segment.hasGaps = true
    segment.anyEpoch = true
    const status = await disk.fileSystem.stat(segment.path)
    if (status === undefined) throw missing(segment.path, baseOffset, 'it went while it was opened')
    const damage = await segment.scanFile(status.sizeInBytes)
    if (damage !== undefined && at < bases.length - 1) throw corruption(damage)
    const before = segments.at(-1)?.endOffset ?? 0
    if (before > baseOffset) throw missing(segment.path, before, `the segment before it ends at ${before}`)
    segments.push(segment)
  }
  return segments
}

async function look({ disk, directory, indexIntervalBytes }: Place, names: readonly string[]): Promise<FileSegment[]> {
  const { fileSystem } = disk
  const gaps = await Gaps.read(fileSystem, directory)
  const bases = names.flatMap((name) => offsetInName(name, LOG_SUFFIX) ?? [])
  const swap = names.find((name) => offsetInName(name, LOG_SUFFIX + SWAP_SUFFIX) !== undefined)
  // A writer that died half-way left it: nobody will finish it for us.
  const replacement = swap === undefined ? undefined : await replacementIn(disk, directory)
  const segments = bases
    .filter((base) => replacement === undefined || base < replacement.baseOffset || base >= replacement.endOffset)
    .map((base) => new FileSegment(disk, directory, base, indexIntervalBytes))
  if (replacement !== undefined && swap !== undefined) {
    const { sum } = replacement
    const segment = new FileSegment(disk, directory, sum.baseOffset, indexIntervalBytes, join(directory, swap))
    segment.hasGaps = true
    segment.restore({ ...sum, indexBytes: undefined })
    segments.push(segment)
  }
  segments.sort((a, b) => a.baseOffset - b.baseOffset)
  if (segments.length === 0) return [new FileSegment(disk, directory, 0, indexIntervalBytes)]
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    if (segment.endOffset === segment.baseOffset)
      await restore(disk, segment, gaps, indexIntervalBytes, next === undefined)
    if (next === undefined || segment.endOffset === next.baseOffset) continue
    if (gaps.hasJoint(segment.endOffset, next.baseOffset)) continue
    throw missing(next.path, segment.endOffset, `the segment before it ends at ${segment.endOffset}`)
  }
  return segments
}

/** What is not whole at the end is what its writer is about to write, or what the next one will cut. */
async function restore(
  { fileSystem }: Disk,
  segment: FileSegment,
  gaps: Gaps,
  indexIntervalBytes: number | undefined,
  isLast: boolean,
): Promise<void> {
  segment.hasGaps = gaps.isWithin(segment.baseOffset)
  const sum = await readSum(fileSystem, segment.sumPath, segment.baseOffset)
  const durable =
    sum === undefined
      ? await readDurablePoint(fileSystem, segment.durablePath, segment.baseOffset, indexIntervalBytes)
      : undefined
  const status = await fileSystem.stat(segment.path)
  if (status === undefined) throw missing(segment.path, segment.baseOffset, 'it went while it was opened')
  if (sum !== undefined && sum.sizeInBytes <= status.sizeInBytes) segment.restore(sum)
  else if (durable !== undefined && durable.point.position <= status.sizeInBytes) {
    segment.restorePoint(durable.point, durable.index)
  }
  if (segment.sizeInBytes === status.sizeInBytes) return
  const damage = await segment.scanFile(status.sizeInBytes)
  if (damage !== undefined && !isLast) throw corruption(damage)
}

async function replacementIn({ fileSystem }: Disk, directory: string): Promise<Replacement> {
  const path = join(directory, REPLACEMENT_FILE)
  const bytes = await readFile(fileSystem, path)
  // The checksum says that these are the bytes that were written.
  const value = bytes && (decodeChecked(bytes) as Replacement | undefined)
  if (value !== undefined) return value
  throw missing(path, 0, 'a segment is being replaced, and nothing says which')
}
