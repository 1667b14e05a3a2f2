import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import { writeInt16, writeInt32 } from '../../record/big-endian.js'
import type { LastAssignment } from './assignor.js'
import type { Claim } from './sticky-pools.js'

/*
 * What a member of the sticky assignor tells the leader in its subscription: what it was given last, and when.
 *
 *   UserData => [assigned] generationId:int32      (generationId is missing in version 0, which has no number)
 *   assigned => topic:string [partition:int32]
 *
 *   string => length:int16 UTF-8    [x] => count:int32 x...
 *
 * As in Java, topics come in the order of a java.util.HashMap and partitions as the leader gave them, so the bytes are
 * equal. Bytes that make no sense are no claim: Java too goes on as if the member had held nothing.
 */

const NO_CLAIM: Claim = { partitions: [], generationId: -1 }

export function encodeStickyUserData({ partitions, generationId }: LastAssignment): Uint8Array {
  const topics = inHashMapOrder(partitions).map(({ topic, partitions: numbers }) => ({
    name: Buffer.from(topic),
    numbers,
  }))
  const size = topics.reduce((sum, { name, numbers }) => sum + 2 + name.length + 4 + 4 * numbers.length, 8)
  const bytes = new Uint8Array(size)
  let position = 4
  writeInt32(bytes, 0, topics.length)
  for (const { name, numbers } of topics) {
    writeInt16(bytes, position, name.length)
    bytes.set(name, position + 2)
    position += 2 + name.length
    writeInt32(bytes, position, numbers.length)
    position += 4
    for (const number of numbers) {
      writeInt32(bytes, position, number)
      position += 4
    }
  }
  writeInt32(bytes, position, generationId)
  return bytes
}

export function decodeStickyUserData(bytes: Uint8Array | null): Claim {
  if (bytes === null) return NO_CLAIM
  try {
    return readClaim(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (error) {
    // A count or a length that lies makes the view refuse to be read beyond its end.
    if (error instanceof RangeError) return NO_CLAIM
    throw error
  }
}

function readClaim(view: DataView): Claim {
  const partitions: { topic: string; partitions: number[] }[] = []
  let position = 4
  for (let left = view.getUint32(0); left > 0; left--) {
    const length = view.getUint16(position)
    const topic = Buffer.from(view.buffer, view.byteOffset + position + 2, length).toString()
    position += 2 + length
    const numbers: number[] = []
    const end = position + 4 + 4 * view.getUint32(position)
    for (position += 4; position < end; position += 4) numbers.push(view.getInt32(position))
    partitions.push({ topic, partitions: numbers })
  }
  return { partitions, generationId: position < view.byteLength ? view.getInt32(position) : -1 }
}

/**
 * The order in which a java.util.HashMap hands out these keys that Java enters by computeIfAbsent, which puts a key
 * before those that share its bucket.
 */
function inHashMapOrder(topics: readonly TopicPartitions[]): TopicPartitions[] {
  let capacity = 16
  while (topics.length > capacity * 0.75) capacity *= 2
  return [...topics]
    .reverse()
    .map((entry) => ({ entry, bucket: spread(entry.topic) & (capacity - 1) }))
    .sort((a, b) => a.bucket - b.bucket)
    .map(({ entry }) => entry)
}

/** Java's String.hashCode, spread as HashMap does it. */
function spread(text: string): number {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  return hash ^ (hash >>> 16)
}
