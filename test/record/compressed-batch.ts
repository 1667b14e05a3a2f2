import { gzip } from '../../src/record/compression.js'
import { crc32c } from '../../src/record/crc32c.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import type { CompressionType } from '../../src/record/record-batch.js'

const HEADER_BYTES = 61

/** The batch as a producer would send it that compresses. */
export function compressedBatch(plain: EncodedBatch, compression: CompressionType): EncodedBatch {
  const bytes = plain.bytes()
  const records = encode(compression, bytes.subarray(HEADER_BYTES))
  const batch = Buffer.concat([bytes.subarray(0, HEADER_BYTES), records])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(batch.readInt16BE(21) | ['none', 'gzip', 'snappy', 'lz4', 'zstd'].indexOf(compression), 21)
  batch.writeUInt32BE(crc32c(batch, 21, batch.length), 17)
  return new EncodedBatch(batch, 0, batch.length)
}

/** What the codec would write if it found nothing to save; gzip does save. */
export function encode(compression: CompressionType, content: Uint8Array): Uint8Array {
  switch (compression) {
    case 'none':
      return content
    case 'gzip':
      return gzip(content)
    case 'snappy': {
      const size = content.length
      // The content in one literal, whose length takes four bytes.
      const head = Buffer.from([
        0x80 | (size & 127),
        0x80 | ((size >> 7) & 127),
        (size >> 14) & 127,
        63 << 2,
        0,
        0,
        0,
        0,
      ])
      head.writeUInt32LE(size - 1, 4)
      return Buffer.concat([head, content])
    }
    case 'lz4': {
      const head = Buffer.from('04224d18' + '6070' + '00' + '00000000', 'hex')
      head.writeUInt32LE((content.length | 0x8000_0000) >>> 0, 7)
      return Buffer.concat([head, content, Buffer.alloc(4)])
    }
    case 'zstd': {
      // A single segment with a size of four bytes, and one raw block.
      const head = Buffer.from('28b52ffd' + 'a0' + '00000000' + '000000', 'hex')
      head.writeUInt32LE(content.length, 5)
      head.writeUIntLE((content.length << 3) | 1, 9, 3)
      return Buffer.concat([head, content])
    }
  }
}
