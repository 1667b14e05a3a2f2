import { crc32c } from '../../record/crc32c.js'
import { CRC_OF_NOTHING, combined } from './crc32c-of-file.js'
import { type OpenFile, readAll } from './file-system.js'

const READ_BYTES = 1024 * 1024

/** CRC-32C of the first `sizeInBytes` of a file, or of as many as there are. */
export async function crcOfFile(file: OpenFile, sizeInBytes: number): Promise<number> {
  const buffer = new Uint8Array(Math.min(READ_BYTES, sizeInBytes))
  let crc = CRC_OF_NOTHING
  for (let position = 0; position < sizeInBytes; ) {
    const filled = await readAll(file, buffer, Math.min(buffer.length, sizeInBytes - position), position)
    if (filled === 0) break
    crc = combined(crc, crc32c(buffer, 0, filled), filled)
    position += filled
  }
  return crc
}
