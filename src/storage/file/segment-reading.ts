import { BATCH_HEADER_BYTES, batchSizeAt, type EncodedBatch } from '../../record/encoded-batch.js'
import { DEFAULT_INDEX_INTERVAL_BYTES } from '../segment-index.js'
import { type Expected, endsInside, expectedBehind, type FoundDamage, verifiedBatch } from './batch-scan.js'
import { type OpenFile, readAll } from './file-system.js'

/** What one read of a file gave. */
export interface Chunk {
  readonly batches: EncodedBatch[]
  /** How many bytes may follow from the next segment, -1 for none. */
  room: number
  nextOffset: number
  nextPosition: number
}

export interface ChunkRequest {
  readonly path: string
  /** Where batches begin. */
  readonly from: number
  readonly expected: Expected
  /** The first offset that is wanted. */
  readonly offset: number
  readonly maxBytes: number
  readonly endOffset: number
  /** Something was found before, so that nothing need be found here. */
  readonly hasBatches: boolean
  /** How far the file may be read, which may grow meanwhile. */
  readonly sizeInBytes: () => number
  /** False once bytes were cut from the file: what was read may be gone. */
  readonly isValid: () => boolean
  readonly use: <T>(act: (file: OpenFile) => Promise<T>) => Promise<T>
}

/** A read begins at an index entry, most often less than this before what is wanted. */
const READ_SLACK_BYTES = 2 * DEFAULT_INDEX_INTERVAL_BYTES
const SMALLEST_READ_BYTES = 64 * 1024
const LARGEST_READ_BYTES = 1024 * 1024

/** Reads on until there are batches to hand out, each verified, or damage, or the end. */
export async function readChunk(request: ChunkRequest): Promise<Chunk | FoundDamage> {
  const { path, from, offset, maxBytes, endOffset, hasBatches } = request
  const chunk: Chunk = { batches: [], room: maxBytes, nextOffset: offset, nextPosition: from }
  let { expected } = request
  let needed = Math.min(Math.max(maxBytes + READ_SLACK_BYTES, SMALLEST_READ_BYTES), LARGEST_READ_BYTES)
  while (chunk.nextPosition < request.sizeInBytes()) {
    const position = chunk.nextPosition
    const length = Math.min(needed, request.sizeInBytes() - position)
    // Never from a pool, since views of it are handed out, nor zeroed, since every byte handed out was read.
    const buffer = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    const filled = await request.use((file) => readAll(file, buffer, length, position))
    if (!request.isValid()) return chunk
    let at = 0
    while (at < filled) {
      const batch = verifiedBatch(buffer, at, filled, expected, path, position + at)
      if (batch === undefined) break
      if ('reason' in batch) return batch
      expected = expectedBehind(batch, expected)
      const isWanted = batch.lastOffset >= offset
      const isTooMuch = batch.sizeInBytes > chunk.room && (hasBatches || chunk.batches.length > 0)
      if (isWanted && (batch.lastOffset >= endOffset || isTooMuch)) return { ...chunk, room: -1 }
      at += batch.sizeInBytes
      chunk.nextPosition = position + at
      if (!isWanted) continue
      chunk.batches.push(batch)
      chunk.nextOffset = batch.lastOffset + 1
      chunk.room = Math.max(chunk.room - batch.sizeInBytes, 0)
    }
    const isAtEnd = chunk.nextPosition >= request.sizeInBytes()
    if (chunk.batches.length > 0) return isAtEnd ? chunk : { ...chunk, room: -1 }
    if (at > 0) continue
    needed = filled < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchSizeAt(buffer, 0)
    if (filled < length || position + needed > request.sizeInBytes()) {
      return endsInside(path, position, expected.offset, needed)
    }
  }
  return chunk
}
