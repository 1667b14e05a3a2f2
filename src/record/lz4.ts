import { type DecodeFailure, GrowingOutput } from './growing-output.js'

/*
 * LZ4's frame format, all little-endian. Its own checksums are passed over: that of the batch covers all of it.
 *
 *   frame      magic 04 22 4d 18 | flags | block size | size of the content u64? | dictionary u32? | checksum u8
 *              then blocks, u32 0, checksum of the content u32?
 *   flags      bits 6-7 version 01, 5 blocks stand alone, 4 blocks have checksums, 3 size of the content, 2 checksum of
 *              the content, 0 dictionary
 *   block      size u32, whose top bit says that it is not compressed | content | checksum u32?
 *   content    sequences: token, literals, distance u16, with the length of the literals in the upper four bits of the
 *              token and the length of the match - 4 in the lower; 15 goes on in bytes, of which 255 goes on again.
 *              The last sequence ends with its literals.
 */

const MAGIC = 0x184d2204
const LEAST_MATCH_BYTES = 4
const UNCOMPRESSED_BIT = 0x8000_0000

/** By bits 4 to 6 of the block size byte, less the 4 that is the least they say. */
const BLOCK_BYTES: readonly number[] = [1 << 16, 1 << 18, 1 << 20, 1 << 22]

/** The content, or what is wrong with the bytes: a reason, or undefined for more than `most` bytes. */
export function decodeLz4(source: Uint8Array, most: number): Uint8Array | DecodeFailure {
  const view = new DataView(source.buffer, source.byteOffset, source.length)
  const output = new GrowingOutput(4 * source.length, most)
  let position = 0
  do {
    const end = decodeFrame(source, view, position, output)
    if (typeof end !== 'number') return end
    position = end
  } while (position < source.length)
  return output.finish()
}

/** Appends the content of the frame at `start`, and returns where it ends. */
function decodeFrame(source: Uint8Array, view: DataView, start: number, output: GrowingOutput): number | DecodeFailure {
  const { length: end } = source
  if (end - start < 7) return { damage: 'a frame has no header' }
  if (view.getUint32(start, true) !== MAGIC) return { damage: 'a frame does not begin as one' }
  const flags = source[start + 4] ?? 0
  const blockBytes = BLOCK_BYTES[(((source[start + 5] ?? 0) >>> 4) & 7) - 4]
  if (flags >>> 6 !== 1 || blockBytes === undefined) return { damage: 'a frame is of no known version or block size' }
  if ((flags & 1) !== 0) return { damage: 'a frame needs a dictionary' }
  const blockChecksumBytes = (flags & 0x10) === 0 ? 0 : 4
  const contentChecksumBytes = (flags & 0x04) === 0 ? 0 : 4
  const frameStart = output.length
  let position = start + ((flags & 0x08) === 0 ? 7 : 15)
  for (;;) {
    if (end - position < 4) return { damage: 'a frame has no end' }
    const word = view.getUint32(position, true)
    position += 4
    if (word === 0) break
    const size = word & ~UNCOMPRESSED_BIT
    if (size > blockBytes || size + blockChecksumBytes > end - position) {
      return { damage: `a block of ${size} bytes where ${end - position} are left` }
    }
    if ((word & UNCOMPRESSED_BIT) !== 0) {
      if (!output.reserve(size)) return { damage: undefined }
      output.append(source, position, position + size)
    } else {
      const failure = decodeBlock(source, position, position + size, blockBytes, frameStart, output)
      if (failure !== undefined) return failure
    }
    position += size + blockChecksumBytes
  }
  return contentChecksumBytes > end - position ? { damage: 'a frame has no end' } : position + contentChecksumBytes
}

/** Appends the content of the block in source[start, end). Matches may reach back to `frameStart` of the output. */
function decodeBlock(
  source: Uint8Array,
  start: number,
  end: number,
  blockBytes: number,
  frameStart: number,
  output: GrowingOutput,
): DecodeFailure | undefined {
  const blockEnd = output.length + blockBytes
  let position = start
  while (position < end) {
    const token = source[position++] ?? 0
    let literals = token >>> 4
    if (literals === 15) {
      let byte = 255
      while (byte === 255 && position < end) {
        byte = source[position++] ?? 0
        literals += byte
      }
    }
    if (literals > end - position) return { damage: `${literals} literals where ${end - position} bytes are left` }
    if (output.length + literals > blockEnd) return { damage: 'a block holds more than its size' }
    if (!output.reserve(literals)) return { damage: undefined }
    output.append(source, position, position + literals)
    position += literals
    if (position === end) return undefined

    if (end - position < 2) return { damage: 'a block ends inside a match' }
    const distance = (source[position] ?? 0) | ((source[position + 1] ?? 0) << 8)
    position += 2
    let match = (token & 15) + LEAST_MATCH_BYTES
    if ((token & 15) === 15) {
      let byte = 255
      while (byte === 255 && position < end) {
        byte = source[position++] ?? 0
        match += byte
      }
    }
    if (distance === 0 || distance > output.length - frameStart)
      return { damage: `a match from ${distance} bytes before` }
    if (output.length + match > blockEnd) return { damage: 'a block holds more than its size' }
    if (!output.reserve(match)) return { damage: undefined }
    output.repeat(distance, match)
  }
  return { damage: 'a block does not end with literals' }
}
