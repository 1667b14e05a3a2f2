const POLYNOMIAL = 0x82f63b78

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
  return crc
})

/** CRC-32C as textbooks have it: one table, one byte a step. @param {Uint8Array} buffer @param {number} start @param {number} end */
export function crc32cByBytes(buffer, start, end) {
  let crc = ~0
  for (let at = start; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ buffer[at]) & 255]
  return ~crc >>> 0
}
