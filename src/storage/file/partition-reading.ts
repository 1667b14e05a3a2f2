import type { EncodedBatch } from '../../record/encoded-batch.js'
import { diskError, errorCode } from './file-system.js'
import type { FileSegment } from './segment.js'

/** As `PartitionStorage.read`, of segments that may be dropped or replaced meanwhile. */
export async function readSegments(
  segments: readonly FileSegment[],
  offset: number,
  maxBytes: number,
  endOffset: number,
): Promise<EncodedBatch[]> {
  const batches: EncodedBatch[] = []
  let room = maxBytes
  let from = offset
  while (room >= 0) {
    const segment = segments.find((each) => each.endOffset > from)
    if (segment === undefined || segment.baseOffset >= endOffset) break
    const { endOffset: segmentEnd } = segment
    const before = batches.length
    const left = await readBeside(segments, segment, () => segment.read(from, room, endOffset, batches))
    if (left === undefined) {
      batches.length = before
      continue
    }
    room = left
    from = segmentEnd
    // Only what is written gets there, and the rest may be had at once.
    if (batches.length > 0 && room === 0) break
  }
  return batches
}

/** As `PartitionStorage.findOffset`, of segments that may be dropped or replaced meanwhile. */
export async function findInSegments(segments: readonly FileSegment[], timestamp: number): Promise<number | undefined> {
  for (let from = 0; ; ) {
    const segment = segments.find((each) => each.endOffset > from && mayHold(each, timestamp))
    if (segment === undefined) return undefined
    const { endOffset } = segment
    const found = await readBeside(segments, segment, async () => ({ offset: await segment.findOffset(timestamp) }))
    if (found === undefined) continue
    if (found.offset !== undefined) return found.offset
    from = endOffset
  }
}

/** Undefined where the segment was dropped or replaced meanwhile, and what is there now is to be read. */
async function readBeside<T>(
  segments: readonly FileSegment[],
  segment: FileSegment,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    const result = segment.replaced === undefined ? await read() : undefined
    if (segment.replaced === undefined) return result
  } catch (error) {
    const isGone = errorCode(error) === 'ENOENT' && !segments.includes(segment)
    if (segment.replaced === undefined && !isGone) throw diskError(error, `Reading ${segment.path}`)
  }
  await segment.replaced
  return undefined
}

export function mayHold(segment: FileSegment, timestamp: number): boolean {
  return segment.sizeInBytes > 0 && segment.maxTimestamp >= timestamp
}
