import { readInt32, readInt64, writeInt32, writeInt64 } from '../../record/big-endian.js'
import { crc32c } from '../../record/crc32c.js'
import { SegmentIndex } from '../segment-index.js'
import { type FileSystem, readFile, removeIfThere, writeAll, writeFile } from './file-system.js'
import type { HandlePool, PooledFile } from './handle-pool.js'
import { TEMPORARY_SUFFIX } from './layout.js'

/**
 * Up to where the active segment of a log is known to be durable, kept beside it, so that after a crash only what lies
 * behind is looked at and only that may be cut. It is written after a sync, never before, and needs none itself: an
 * older mark says less and is as true.
 *
 *     NNN.durable = *entry
 *     entry       = length:i32 crc:i32 | end-offset:i64 position:i64 max-timestamp:i64 its-offset:i64
 *                   first-timestamp:i64 headers-crc:i32 offset-bytes:i32 | .index entries | .timeindex entries
 *
 * `length` and `crc` (CRC-32C) are those of what follows them. Each entry has the index entries that came since the
 * one before, so that the index of what is not read need not be made anew. The first entry that is torn ends the file.
 */
export interface DurablePoint {
  readonly endOffset: number
  readonly position: number
  readonly maxTimestamp: number
  readonly offsetOfMaxTimestamp: number
  readonly firstTimestamp: number
  /** CRC-32C of the headers of the batches up to `position`. */
  readonly headersCrc: number
  /** How many entries of the indexes lie before it. */
  readonly offsetEntries: number
  readonly timeEntries: number
}

const HEAD_BYTES = 8
const POINT_BYTES = 48

/** Writes the marks of one segment, as far apart as its user likes. */
export class DurableMark implements PooledFile {
  readonly path: string
  readonly #fileSystem: FileSystem
  readonly #handles: HandlePool
  #bytes = 0
  #offsetEntries = 0
  #timeEntries = 0
  /** False while the file does not hold what came before, because another process wrote it. */
  #isOurs = false

  constructor(fileSystem: FileSystem, handles: HandlePool, path: string) {
    this.#fileSystem = fileSystem
    this.#handles = handles
    this.path = path
  }

  /** Rejects where the disk does; nothing is lost then but the time to look further back. */
  async write(point: DurablePoint, index: SegmentIndex): Promise<void> {
    if (!this.#isOurs) {
      const entry = encodeEntry(point, index, 0, 0)
      await writeFile(this.#fileSystem, this.path + TEMPORARY_SUFFIX, entry)
      await this.#fileSystem.rename(this.path + TEMPORARY_SUFFIX, this.path)
      this.#isOurs = true
      this.#bytes = entry.length
    } else {
      const entry = encodeEntry(point, index, this.#offsetEntries, this.#timeEntries)
      await this.#handles.use(this, (file) => writeAll(file, entry, 0, entry.length, this.#bytes))
      this.#bytes += entry.length
    }
    this.#offsetEntries = point.offsetEntries
    this.#timeEntries = point.timeEntries
  }

  /** Forgets what was said, before the segment is cut: until the directory is synced a power cut may bring it back. */
  async remove(): Promise<void> {
    this.#isOurs = false
    await this.close()
    await removeIfThere(this.#fileSystem, this.path)
  }

  async close(): Promise<void> {
    await this.#handles.retire(this)
  }

  async beforeEviction(): Promise<void> {}

  onEvictionFailed(): void {
    // What is lost with it is an older mark's to say.
  }
}

/** The last point that the file names, with the index of what lies before it; undefined where it names none. */
export async function readDurablePoint(
  fileSystem: FileSystem,
  path: string,
  baseOffset: number,
  indexIntervalBytes: number | undefined,
): Promise<{ point: DurablePoint; index: SegmentIndex } | undefined> {
  const bytes = await readFile(fileSystem, path)
  if (bytes === undefined) return undefined
  const offsets: Uint8Array[] = []
  const times: Uint8Array[] = []
  let at = 0
  let last = -1
  while (at + HEAD_BYTES + POINT_BYTES <= bytes.length) {
    const start = at + HEAD_BYTES
    const end = start + readInt32(bytes, at)
    if (end < start + POINT_BYTES || end > bytes.length) break
    if (readInt32(bytes, at + 4) !== (crc32c(bytes, start, end) | 0)) break
    const offsetEnd = start + POINT_BYTES + readInt32(bytes, start + 44)
    offsets.push(bytes.subarray(start + POINT_BYTES, offsetEnd))
    times.push(bytes.subarray(offsetEnd, end))
    last = start
    at = end
  }
  if (last < 0) return undefined
  const [offsetIndex, timeIndex] = [Buffer.concat(offsets), Buffer.concat(times)]
  const position = readInt64(bytes, last + 8)
  const index = SegmentIndex.decode(baseOffset, position, offsetIndex, timeIndex, indexIntervalBytes)
  if (index === undefined) return undefined
  const point: DurablePoint = {
    endOffset: readInt64(bytes, last),
    position,
    maxTimestamp: readInt64(bytes, last + 16),
    offsetOfMaxTimestamp: readInt64(bytes, last + 24),
    firstTimestamp: readInt64(bytes, last + 32),
    headersCrc: readInt32(bytes, last + 40) >>> 0,
    offsetEntries: index.offsetEntryCount,
    timeEntries: index.timeEntryCount,
  }
  index.resume(point.maxTimestamp, point.offsetOfMaxTimestamp)
  return { point, index }
}

function encodeEntry(point: DurablePoint, index: SegmentIndex, fromOffset: number, fromTime: number): Uint8Array {
  const offsets = index.encodeOffsetIndex(fromOffset, point.offsetEntries)
  const times = index.encodeTimeIndex(fromTime, point.timeEntries)
  const entry = new Uint8Array(HEAD_BYTES + POINT_BYTES + offsets.length + times.length)
  const start = HEAD_BYTES
  writeInt64(entry, start, point.endOffset)
  writeInt64(entry, start + 8, point.position)
  writeInt64(entry, start + 16, point.maxTimestamp)
  writeInt64(entry, start + 24, point.offsetOfMaxTimestamp)
  writeInt64(entry, start + 32, point.firstTimestamp)
  writeInt32(entry, start + 40, point.headersCrc | 0)
  writeInt32(entry, start + 44, offsets.length)
  entry.set(offsets, start + POINT_BYTES)
  entry.set(times, start + POINT_BYTES + offsets.length)
  writeInt32(entry, 0, entry.length - HEAD_BYTES)
  writeInt32(entry, 4, crc32c(entry, start, entry.length) | 0)
  return entry
}
