import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/record/crc32c.js'
import { CRC_OF_NOTHING, combined, crcWithBatch } from '../../../src/storage/file/crc32c-of-file.js'
import { batchAt } from './file-rig.js'

describe('the checksum of a file', () => {
  it('is made of those of its parts, whatever their lengths', () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => Math.imul(at + 1, 2654435761) >>> 24)
    const whole = (from: number, to: number): number => crc32c(bytes, from, to)
    for (const cut of [0, 1, 21, 255, 256, 257, 4096, 65_535, 65_536, 65_537, 70_000]) {
      expect(combined(whole(0, cut), whole(cut, bytes.length), bytes.length - cut)).toBe(whole(0, bytes.length))
    }
  })

  it('follows from the checksums of its batches', () => {
    const batches = [batchAt(0, 3, 1), batchAt(3, 1, 0), batchAt(4, 2, 70_000)]
    let crc = CRC_OF_NOTHING
    for (const batch of batches) crc = crcWithBatch(crc, batch.bytes(), 0, batch.sizeInBytes)
    const file = Buffer.concat(batches.map((batch) => batch.bytes()))
    expect(crc).toBe(crc32c(file, 0, file.length))
  })
})
