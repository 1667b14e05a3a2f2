import { crc32c } from '../../record/crc32c.js'
import { decodeChecked, encodeChecked } from './checked-json.js'
import { type FileSystem, readFile, writeFile } from './file-system.js'
import type { FileSegment } from './segment.js'

/** What a partition held when it was closed: with it nothing needs to be read to open it again. */
export interface PartitionMark {
  readonly topicId: string | undefined
  readonly segments: readonly SegmentMark[]
}

export interface SegmentMark {
  readonly baseOffset: number
  readonly endOffset: number
  readonly sizeInBytes: number
  readonly maxTimestamp: number
  readonly firstTimestamp: number
  /** Of its index files, undefined where they were not written. */
  readonly indexBytes: number | undefined
  readonly timeIndexBytes: number | undefined
  /** CRC-32C of the headers of its batches; undefined where an earlier release wrote the mark. */
  readonly headersCrc32c: number | undefined
  /** CRC-32C of both index files, one behind the other. */
  readonly indexCrc32c: number | undefined
}

/** Partitions by the name of their directory. */
export type Marks = Map<string, PartitionMark>

export function markOf(segment: FileSegment): SegmentMark {
  const { baseOffset, endOffset, sizeInBytes, maxTimestamp, firstTimestamp } = segment
  const { indexBytes, timeIndexBytes, headersCrc32c, indexCrc32c } = segment
  return {
    baseOffset,
    endOffset,
    sizeInBytes,
    maxTimestamp,
    firstTimestamp,
    indexBytes,
    timeIndexBytes,
    headersCrc32c,
    indexCrc32c,
  }
}

/** The sum of a sealed segment, which lies beside it as NNN.sum. */
export function encodeSum(mark: SegmentMark): Uint8Array {
  return encodeChecked(mark)
}

/** Writes the sum of a sealed segment. Without it the segment is looked at when it is next opened after a crash. */
export async function saySum(fileSystem: FileSystem, segment: FileSegment): Promise<void> {
  try {
    await segment.knowHeadersCrc()
    // Where offsets are missing nothing else would tell a wrong one.
    await writeFile(fileSystem, segment.sumPath, encodeSum(markOf(segment)), segment.hasGaps ? 'synced' : 'cached')
  } catch {
    // Half of one is shown by its checksum.
  }
}

/** Undefined where there is none, or one that is damaged: the segment is then looked at. */
export async function readSum(
  fileSystem: FileSystem,
  path: string,
  baseOffset: number,
): Promise<SegmentMark | undefined> {
  const bytes = await readFile(fileSystem, path)
  // The checksum says that these are the bytes of encodeSum.
  const sum = bytes && (decodeChecked(bytes) as SegmentMark | undefined)
  return sum?.baseOffset === baseOffset ? sum : undefined
}

/** A checksum goes with it, since a mark that lies about an end would make the log lie. */
export function encodeMarks(marks: Marks): Uint8Array {
  const partitions = JSON.stringify(Object.fromEntries(marks))
  return Buffer.from(`{"crc32c":${checksum(partitions)},"partitions":${partitions}}\n`)
}

/** No marks where the file is not one that `encodeMarks` wrote: the partitions are then checked. */
export function decodeMarks(bytes: Uint8Array): Marks {
  const text = Buffer.from(bytes).toString()
  const [, crc, partitions] = /^\{"crc32c":(\d+),"partitions":(.*)\}\n$/.exec(text) ?? []
  if (partitions === undefined || Number(crc) !== checksum(partitions)) return new Map()
  // The checksum says that these are the bytes of encodeMarks.
  return new Map(Object.entries(JSON.parse(partitions) as Record<string, PartitionMark>))
}

function checksum(text: string): number {
  const bytes = Buffer.from(text)
  return crc32c(bytes, 0, bytes.length)
}
