/*
 * As much of Zstandard's frames (RFC 8878), all little-endian, as tells what it would take to decode them:
 *
 *   frame        magic 28 b5 2f fd | descriptor | window u8? | dictionary u8|u16|u32? | size of the content u8|u16|u32|u64?
 *                then blocks, and a checksum u32 where bit 2 of the descriptor says so
 *   descriptor   bits 6-7 how long the size is, 5 single segment: no window, and a size; 0-1 how long the dictionary id is
 *   block        header u24: bit 0 last, bits 1-2 raw, run, compressed or reserved, then its size; a run takes one byte
 *   skippable    magic 5x 2a 4d 18 | size u32 | content
 */

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const MOST_BLOCK_BYTES = 128 * 1024

/** What is known of frames without decoding them. */
export interface ZstdCost {
  /** Bytes of window and content that decoding makes room for before it has decoded anything. */
  readonly memory: number
  /** No less than this comes out. */
  readonly leastContent: number
  readonly blocks: number
  readonly largestWindow: number
}

/** Walks the frames of a batch; or says why they are none. */
export function zstdCost(source: Uint8Array): ZstdCost | { readonly damage: string } {
  const view = new DataView(source.buffer, source.byteOffset, source.length)
  const { length: end } = source
  if (end === 0) return { damage: 'nothing is there' }
  let position = 0
  let memory = 0
  let leastContent = 0
  let blocks = 0
  let largestWindow = 0
  while (position < end) {
    if (end - position < 8) return { damage: 'a frame has no header' }
    const magic = view.getUint32(position, true)
    if ((magic & ~0x0f) === SKIPPABLE_MAGIC) {
      position += 8 + view.getUint32(position + 4, true)
      continue
    }
    if (magic !== MAGIC) return { damage: 'a frame does not begin as one' }
    const descriptor = source[position + 4] ?? 0
    const isSingleSegment = (descriptor & 0x20) !== 0
    const sizeFlag = descriptor >>> 6
    const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 1 << sizeFlag
    const dictionaryBytes = (descriptor & 3) === 3 ? 4 : descriptor & 3
    const sizeAt = position + 5 + Number(!isSingleSegment) + dictionaryBytes
    if (sizeAt + sizeBytes > end) return { damage: 'a frame has no header' }
    if (dictionaryBytes > 0) return { damage: 'a frame needs a dictionary' }
    const content = sizeBytes === 0 ? 0 : readSize(view, sizeAt, sizeBytes)
    const window = isSingleSegment ? content : windowOf(source[position + 5] ?? 0)
    memory += Math.max(content, window)
    largestWindow = Math.max(largestWindow, window)

    position = sizeAt + sizeBytes
    for (let isLast = false; !isLast; ) {
      if (end - position < 3) return { damage: 'a frame has no end' }
      const header = view.getUint16(position, true) | ((source[position + 2] ?? 0) << 16)
      const type = (header >>> 1) & 3
      const size = header >>> 3
      isLast = (header & 1) !== 0
      if (type === 3 || size > MOST_BLOCK_BYTES) return { damage: `a block of type ${type} and ${size} bytes` }
      if (type !== 2) leastContent += size
      blocks++
      position += 3 + (type === 1 ? 1 : size)
    }
    if ((descriptor & 0x04) !== 0) position += 4
  }
  return position === end ? { memory, leastContent, blocks, largestWindow } : { damage: 'a frame has no end' }
}

/** Two bytes count from 256. */
function readSize(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at)
  if (bytes === 2) return view.getUint16(at, true) + 256
  if (bytes === 4) return view.getUint32(at, true)
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 7)
}
