/*
 * Kafka's fixed-width integers: big-endian, two's complement. Reading beyond the end gives no error but nonsense, so
 * callers check lengths first.
 */

const TWO_32 = 2 ** 32

export function readInt16(bytes: Uint8Array, position: number): number {
  return (((bytes[position] ?? 0) << 24) >> 16) | (bytes[position + 1] ?? 0)
}

export function readInt32(bytes: Uint8Array, position: number): number {
  return (
    ((bytes[position] ?? 0) << 24) |
    ((bytes[position + 1] ?? 0) << 16) |
    ((bytes[position + 2] ?? 0) << 8) |
    (bytes[position + 3] ?? 0)
  )
}

/** Exact where the result is a safe integer. An int64 beyond 2^53 never rounds to one, so the caller can tell. */
export function readInt64(bytes: Uint8Array, position: number): number {
  const high = readInt32(bytes, position)
  const low = readInt32(bytes, position + 4)
  // Most offsets are small. As an int32 such a one stays out of the heap, and what is compared with it is twice as fast.
  if (high === 0 && low >= 0) return low
  return high * TWO_32 + (low >>> 0)
}

export function writeInt16(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 8
  bytes[position + 1] = value
}

export function writeInt32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 24
  bytes[position + 1] = value >> 16
  bytes[position + 2] = value >> 8
  bytes[position + 3] = value
}

/** Takes a safe integer. */
export function writeInt64(bytes: Uint8Array, position: number, value: number): void {
  writeInt32(bytes, position, Math.floor(value / TWO_32))
  // The shifts in writeInt32 take the value modulo 2^32, which is its lower half.
  writeInt32(bytes, position + 4, value)
}

/** Takes a safe integer, too. A DataView itself takes a bigint only. */
export function setInt64(view: DataView, position: number, value: number): void {
  view.setInt32(position, Math.floor(value / TWO_32))
  view.setInt32(position + 4, value)
}
