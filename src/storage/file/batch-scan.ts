import { type Damage, OttlaError } from '../../errors.js'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  CRC_AT,
  LENGTH_OVERHEAD,
  MAGIC,
  MAGIC_AT,
} from '../../record/batch-layout.js'
import { readInt32, readInt64 } from '../../record/big-endian.js'
import { crc32c } from '../../record/crc32c.js'
import { batchSizeAt, EncodedBatch, peekBatchSize, verifyBatch } from '../../record/encoded-batch.js'
import { type OpenFile, readAll } from './file-system.js'

/** Bytes of a log file that are to hold batches, one behind the other. */
export interface ScanRange {
  readonly path: string
  readonly from: number
  readonly to: number
  readonly expected: Expected
}

/** What offsets must be met. */
export interface Expected {
  /** The next batch begins here; behind it in a log with gaps, or where `lastOffset` is given instead. */
  readonly offset: number
  /** What an index says of the next batch, -1 where it says nothing. */
  readonly lastOffset: number
  /** Offsets may be missing between batches: compaction took them, or nobody ever wrote them. */
  readonly hasGaps: boolean
  /** Leaders came and went, as in a log of Kafka's. */
  readonly anyEpoch?: boolean | undefined
}

/** Damage, in words too. */
export interface FoundDamage extends Damage {
  readonly reason: string
  readonly cause: unknown
}

/** Sequential, since one large read costs less than the many small ones it stands for, above all from a cold disk. */
const SCAN_BYTES = 1024 * 1024

/**
 * Walks the batches of a range and verifies each before `visit` sees it, whose memory is used again afterwards. Stops
 * when `visit` returns false, at the end, or at the first bytes that are no good batch: what is wrong there is
 * returned. Throws OTTLA_UNSUPPORTED_FORMAT for a batch that is whole but in a format we do not know.
 */
export async function scanBatches(
  file: OpenFile,
  range: ScanRange,
  visit: (batch: EncodedBatch, position: number) => boolean,
): Promise<FoundDamage | undefined> {
  const { path, from, to } = range
  let { expected } = range
  let buffer = new Uint8Array(Math.min(SCAN_BYTES, to - from))
  for (let position = from; position < to; ) {
    const filled = await readAll(file, buffer, Math.min(buffer.length, to - position), position)
    let at = 0
    while (at < filled) {
      const batch = verifiedBatch(buffer, at, Math.min(filled, to - position), expected, path, position + at)
      if (batch === undefined) break
      if ('reason' in batch) return batch
      if (!visit(batch, position + at)) return undefined
      expected = expectedBehind(batch, expected)
      at += batch.sizeInBytes
    }
    position += at
    if (at > 0 || position >= to) continue
    const needed = wholeSize(buffer, filled)
    if (position + needed > to || filled === 0 || filled < Math.min(buffer.length, to - position)) {
      return endsInside(path, position, expected.offset, needed)
    }
    buffer = new Uint8Array(needed)
  }
  return undefined
}

/**
 * The batch at buffer[at, end), which lies at `position` of the file. Undefined where not all of it is in the buffer;
 * otherwise what is wrong with it.
 */
export function verifiedBatch(
  buffer: Uint8Array,
  at: number,
  end: number,
  expected: Expected,
  path: string,
  position: number,
): EncodedBatch | FoundDamage | undefined {
  const damage = (kind: Damage['kind'], reason: string, cause?: unknown): FoundDamage => {
    return { file: path, position, expectedOffset: expected.offset, kind, reason, cause }
  }
  let size: number | undefined
  try {
    size = peekBatchSize(buffer, at, end)
  } catch (cause) {
    return damage('checksum', 'the bytes there are no batch', cause)
  }
  if (size === undefined) return undefined
  const batch = new EncodedBatch(buffer, at, size)
  try {
    verifyBatch(batch)
  } catch (cause) {
    if (OttlaError.is(cause) && cause.code !== 'OTTLA_CORRUPTION' && hasOwnChecksum(batch)) {
      throw new OttlaError(
        cause.code,
        `${path} holds at position ${position} (offset ${batch.baseOffset}) a batch in a format that this release does not know: open it with the release that wrote it.`,
        { cause },
      )
    }
    return damage('checksum', 'the batch there does not match its checksum or its header', cause)
  }
  const wrong = wrongPlace(batch, expected)
  return wrong === undefined ? batch : damage('offset', wrong)
}

/** What must come next, once a batch was where it belongs. */
export function expectedBehind(batch: EncodedBatch, { hasGaps, anyEpoch }: Expected): Expected {
  return { offset: batch.lastOffset + 1, lastOffset: -1, hasGaps, anyEpoch }
}

/** Offset and epoch lie outside of what the checksum covers. */
function wrongPlace(batch: EncodedBatch, expected: Expected): string | undefined {
  const { offset, lastOffset, hasGaps, anyEpoch } = expected
  if (batch.partitionLeaderEpoch !== EPOCH && anyEpoch !== true)
    return `the batch there has the epoch ${batch.partitionLeaderEpoch}`
  if (lastOffset >= 0 && batch.lastOffset !== lastOffset) {
    return `the batch there ends at offset ${batch.lastOffset}, and its index says ${lastOffset}`
  }
  const fits = hasGaps || lastOffset >= 0 ? batch.baseOffset >= offset : batch.baseOffset === offset
  return fits ? undefined : `the batch there begins at offset ${batch.baseOffset}`
}

/** Of the leader that appends, of which an embedded log has one. */
export const EPOCH = 0

export function endsInside(path: string, position: number, expectedOffset: number, batchBytes: number): FoundDamage {
  const reason = `the file ends inside a batch of ${batchBytes} bytes`
  return { file: path, position, expectedOffset, kind: 'cut-short', reason, cause: undefined }
}

/** The error for damage that is no torn tail. */
export function corruption(damage: FoundDamage): OttlaError {
  const { file, position, expectedOffset, kind, reason, cause } = damage
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `${file} is damaged at position ${position}, where offset ${expectedOffset} was expected: ${reason}. Nothing was changed: restore the file from a copy.`,
    { cause, damage: { file, position, expectedOffset, kind } },
  )
}

/**
 * Looks at damage and behind it for a batch that is whole, if not in its place: then what is there is no mere scrap. A
 * batch may begin at any byte, since the length field of the damaged one cannot be believed.
 */
export async function findWholeBatch(file: OpenFile, damage: Damage, to: number): Promise<number | undefined> {
  const buffer = new Uint8Array(Math.min(SCAN_BYTES, Math.max(to - damage.position, 0)))
  for (let from = damage.position; from + BATCH_HEADER_BYTES <= to; ) {
    const filled = await readAll(file, buffer, Math.min(buffer.length, to - from), from)
    if (filled < BATCH_HEADER_BYTES) return undefined
    for (let at = 0; at + BATCH_HEADER_BYTES <= filled; at++) {
      if (buffer[at + MAGIC_AT] !== MAGIC) continue
      const size = plausibleSize(buffer, at, damage.expectedOffset, to - from - at)
      if (size !== undefined && (await isBatch(file, from + at, size))) return from + at
    }
    from += filled - BATCH_HEADER_BYTES + 1
  }
  return undefined
}

/** A segment spans at most 2^31 offsets, so what follows the damage lies no further. */
const MAX_OFFSET_STEP = 2 ** 31

function plausibleSize(buffer: Uint8Array, at: number, expectedOffset: number, room: number): number | undefined {
  const baseOffset = readInt64(buffer, at)
  if (baseOffset < expectedOffset || baseOffset > expectedOffset + MAX_OFFSET_STEP) return undefined
  const size = wholeSize(buffer, buffer.length, at)
  return size >= BATCH_HEADER_BYTES && size <= room ? size : undefined
}

async function isBatch(file: OpenFile, position: number, size: number): Promise<boolean> {
  const bytes = new Uint8Array(size)
  if ((await readAll(file, bytes, size, position)) < size) return false
  return hasOwnChecksum(new EncodedBatch(bytes, 0, size))
}

/** The checksum covers neither magic nor epoch, so this tells a whole batch of another format from damage. */
function hasOwnChecksum({ buffer, start, sizeInBytes }: EncodedBatch): boolean {
  return readInt32(buffer, start + CRC_AT) === (crc32c(buffer, start + ATTRIBUTES_AT, start + sizeInBytes) | 0)
}

/** What the length field at `at` says, or the least there is to read where it is not in the buffer. */
function wholeSize(buffer: Uint8Array, filled: number, at: number = 0): number {
  return filled - at < LENGTH_OVERHEAD ? BATCH_HEADER_BYTES : batchSizeAt(buffer, at)
}
