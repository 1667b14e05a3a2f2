import { type DecodeFailure, GrowingOutput } from './growing-output.js'

/*
 * Snappy, as clients of Kafka write it: one raw block, or Java's xerial stream of such blocks.
 *
 *   block    size of the content uvarint, then elements until the end. The lowest two bits of the first byte say which:
 *              00 literal   length - 1 in the upper six bits; 60 to 63 stand for 1 to 4 bytes of it, little-endian
 *              01 copy      length - 4 in three bits, distance in the upper three bits and one byte
 *              10 copy      length - 1 in the upper six bits, distance in two bytes, little-endian
 *              11 copy      the same, distance in four bytes
 *   stream   82 'SNAPPY' 00, version int32, oldest compatible version int32, then [size int32, block] until the end
 */

const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
const XERIAL_HEADER_BYTES = 16

/** An element of two bytes makes at most eleven, one of three at most 64: a larger size is a lie. */
const MOST_GROWTH = 32

/** The content, or what is wrong with the bytes: a reason, or undefined for more than `most` bytes. */
export function decodeSnappy(source: Uint8Array, most: number): Uint8Array | DecodeFailure {
  if (!isXerial(source)) {
    const output = new GrowingOutput(0, most)
    const failure = decodeBlock(source, 0, source.length, output)
    return failure ?? output.finish()
  }
  const output = new GrowingOutput(2 * source.length, most)
  let position = XERIAL_HEADER_BYTES
  while (position < source.length) {
    if (source.length - position < 4) return { damage: 'a block has no size' }
    const size = new DataView(source.buffer, source.byteOffset + position, 4).getInt32(0)
    position += 4
    if (size < 0 || size > source.length - position) {
      return { damage: `a block of ${size} bytes where ${source.length - position} are left` }
    }
    const failure = decodeBlock(source, position, position + size, output)
    if (failure !== undefined) return failure
    position += size
  }
  return output.finish()
}

function isXerial(source: Uint8Array): boolean {
  return source.length >= XERIAL_HEADER_BYTES && XERIAL_MAGIC.every((byte, i) => source[i] === byte)
}

/** Appends the content of the block in source[start, end). */
function decodeBlock(source: Uint8Array, start: number, end: number, output: GrowingOutput): DecodeFailure | undefined {
  let position = start
  let size = 0
  for (let shift = 0; ; shift += 7) {
    const byte = source[position]
    if (position >= end || byte === undefined || shift > 28 || (shift === 28 && byte > 0x0f)) {
      return { damage: 'a block has no size' }
    }
    position++
    size += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) break
  }
  if (size > (end - position) * MOST_GROWTH) return { damage: `${end - position} bytes cannot hold ${size}` }
  if (!output.reserve(size)) return { damage: undefined }

  const blockStart = output.length
  const blockEnd = blockStart + size
  while (position < end) {
    const tag = source[position++] ?? 0
    let length = tag >>> 2
    if ((tag & 3) === 0) {
      if (length >= 60) {
        const bytes = length - 59
        if (bytes > end - position) return { damage: 'it ends inside a literal' }
        length = readLittleEndian(source, position, bytes)
        position += bytes
      }
      length++
      if (length > end - position) return { damage: `a literal of ${length} bytes where ${end - position} are left` }
      if (length > blockEnd - output.length) return { damage: 'it holds more than it says' }
      output.append(source, position, position + length)
      position += length
      continue
    }
    const distanceBytes = (tag & 3) === 3 ? 4 : tag & 3
    if (distanceBytes > end - position) return { damage: 'it ends inside a copy' }
    let distance = readLittleEndian(source, position, distanceBytes)
    position += distanceBytes
    if ((tag & 3) === 1) {
      distance += (tag >>> 5) << 8
      length = (length & 7) + 4
    } else {
      length++
    }
    if (distance === 0 || distance > output.length - blockStart)
      return { damage: `a copy from ${distance} bytes before` }
    if (length > blockEnd - output.length) return { damage: 'it holds more than it says' }
    output.repeat(distance, length)
  }
  return output.length === blockEnd ? undefined : { damage: `it holds ${output.length - blockStart} bytes of ${size}` }
}

function readLittleEndian(source: Uint8Array, position: number, bytes: number): number {
  let value = 0
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (source[position + i] ?? 0)
  return value
}
