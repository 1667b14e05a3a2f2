import { CRC_AT } from '../../record/batch-layout.js'
import { readInt32 } from '../../record/big-endian.js'
import { crc32c } from '../../record/crc32c.js'

/** CRC-32C of no bytes. */
export const CRC_OF_NOTHING = 0

/**
 * CRC-32C of a file that grows by the batch at buffer[start, start + sizeInBytes), given the one before. The batch's own
 * checksum stands for the bytes that it covers, so this looks at 21 bytes of it, however large it is.
 */
export function crcWithBatch(before: number, buffer: Uint8Array, start: number, sizeInBytes: number): number {
  const withHead = combined(before, crc32c(buffer, start, start + UNCOVERED_BYTES), UNCOVERED_BYTES)
  return combined(withHead, readInt32(buffer, start + CRC_AT) >>> 0, sizeInBytes - UNCOVERED_BYTES)
}

/** CRC-32C of two runs of bytes from those of each; `length` is that of the second. */
export function combined(first: number, second: number, length: number): number {
  let shifted = first
  for (let place = 0, left = length; left > 0; place++, left = Math.floor(left / 256)) {
    const digit = left % 256
    if (digit > 0) shifted = multiplied(shifted, SHIFTS[place]?.[digit] ?? 0)
  }
  return (shifted ^ second) >>> 0
}

/** Offset, length, epoch, magic and the checksum itself lie outside of what a batch's checksum covers. */
const UNCOVERED_BYTES = 21

const POLYNOMIAL = 0x82f63b78

/** The product of two polynomials modulo CRC-32C's, the highest bit being the lowest power. */
function multiplied(a: number, b: number): number {
  let product = 0
  let factor = b
  for (let left = a | 0; left !== 0; left <<= 1) {
    if (left < 0) product ^= factor
    factor = (factor >>> 1) ^ (factor & 1 ? POLYNOMIAL : 0)
  }
  return product
}

/** SHIFTS[place][digit]: what puts digit * 256^place zero bytes behind. Files of up to 2^32 bytes. */
const SHIFTS: readonly Int32Array[] = ((): Int32Array[] => {
  const tables: Int32Array[] = []
  // x^8: one byte.
  let unit = 0x00800000
  for (let place = 0; place < 4; place++) {
    const table = new Int32Array(256)
    table[0] = 0x80000000 | 0
    for (let digit = 1; digit < 256; digit++) table[digit] = multiplied(table[digit - 1] ?? 0, unit)
    unit = multiplied(table[255] ?? 0, unit)
    tables.push(table)
  }
  return tables
})()
