import type { EncodedBatch } from '../../record/encoded-batch.js'
import { diskError, errorCode } from './file-system.js'
import type { FileSegment } from './segment.js'

/** As `PartitionStorage.read`, of segments that may be dropped meanwhile. */
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
    try {
      room = await segment.read(from, room, endOffset, batches)
    } catch (error) {
      // Its file went while we were on our way to it: what follows it is what there is to read.
      if (errorCode(error) === 'ENOENT' && !segments.includes(segment)) continue
      throw diskError(error, `Reading ${segment.path}`)
    }
    from = segmentEnd
    // Only what is written gets there, and the rest may be had at once.
    if (batches.length > 0 && room === 0) break
  }
  return batches
}

/** As `PartitionStorage.findOffset`, of segments that may be dropped meanwhile. */
export async function findInSegments(segments: readonly FileSegment[], timestamp: number): Promise<number | undefined> {
  for (const segment of segments.slice()) {
    if (!mayHold(segment, timestamp)) continue
    try {
      const found = await segment.findOffset(timestamp)
      if (found !== undefined) return found
    } catch (error) {
      if (errorCode(error) === 'ENOENT' && !segments.includes(segment)) continue
      throw diskError(error, `Reading ${segment.path}`)
    }
  }
  return undefined
}

export function mayHold(segment: FileSegment, timestamp: number): boolean {
  return segment.sizeInBytes > 0 && segment.maxTimestamp >= timestamp
}
