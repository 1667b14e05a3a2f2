import { BATCH_HEADER_BYTES } from '../../record/batch-layout.js'
import { type FoundDamage, scanBatches } from './batch-scan.js'
import type { OpenFile } from './file-system.js'

/** Of a file without batches. */
export const CRC_OF_NOTHING = 0

/**
 * CRC-32C of the headers of a log's batches, one behind the other, given that of those before. A header holds the
 * checksum of its batch, and this one what that leaves out: so together they cover every byte of a file and the order of
 * its batches, at the cost of 61 bytes a batch.
 */
export function crcWithHeader(before: number, buffer: Uint8Array, start: number): number {
  let crc = ~before
  const end = start + BATCH_HEADER_BYTES
  // The index is below 256 or below `end`, so that `?? 0` is for the compiler and costs nothing.
  for (let at = start; at < end; at++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (buffer[at] ?? 0)) & 255] ?? 0)
  return ~crc >>> 0
}

/** That of the first `sizeInBytes` of a file, or the damage that is met; offsets may be missing in it. */
export async function headersCrcOf(
  file: OpenFile,
  path: string,
  baseOffset: number,
  sizeInBytes: number,
): Promise<number | FoundDamage> {
  let crc = CRC_OF_NOTHING
  const expected = { offset: baseOffset, lastOffset: -1, hasGaps: true }
  const damage = await scanBatches(file, { path, from: 0, to: sizeInBytes, expected }, (batch) => {
    crc = crcWithHeader(crc, batch.buffer, batch.start)
    return true
  })
  return damage ?? crc
}

/** 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL = 0x82f63b78

const TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
  return crc
})
