const SEED = 0x9747b28c | 0
const M = 0x5bd1e995
const R = 24

/**
 * MurmurHash2, 32 bits, with Kafka's seed: the signed number that Java's `Utils.murmur2` returns. Kafka's clients
 * place keys by it, so that all of them put the same key into the same partition.
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  const tail = length & ~3
  let hash = SEED ^ length
  for (let i = 0; i < tail; i += 4) {
    let k = byteAt(bytes, i) | (byteAt(bytes, i + 1) << 8) | (byteAt(bytes, i + 2) << 16) | (byteAt(bytes, i + 3) << 24)
    k = Math.imul(k, M)
    k ^= k >>> R
    hash = Math.imul(hash, M) ^ Math.imul(k, M)
  }
  if (tail < length) {
    // Bytes past the end count as 0, which leaves the hash as it is.
    hash ^= byteAt(bytes, tail) | (byteAt(bytes, tail + 1) << 8) | (byteAt(bytes, tail + 2) << 16)
    hash = Math.imul(hash, M)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0
}
