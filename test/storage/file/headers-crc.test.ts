import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/record/crc32c.js'
import { CRC_OF_NOTHING, crcWithHeader } from '../../../src/storage/file/headers-crc.js'
import { batchAt } from './file-rig.js'

describe('the checksum of headers', () => {
  it('is CRC-32C of the headers, one behind the other', () => {
    const batches = [batchAt(0, 3, 1), batchAt(3, 1, 0), batchAt(4, 2, 70_000)]
    let crc = CRC_OF_NOTHING
    for (const batch of batches) crc = crcWithHeader(crc, batch.bytes(), 0)
    const headers = Buffer.concat(batches.map((batch) => batch.bytes().subarray(0, 61)))
    expect(crc).toBe(crc32c(headers, 0, headers.length))
  })
})
