import { crc32c } from '../../.cache/modules/crc32c.js'

/**
 * Kafka's record batch v2 as it is most simply written: each part is a Buffer, and Buffer.concat makes the whole. The
 * checksum is ours, so that only the encoding differs.
 *
 * @param {number} timestamp @param {readonly Uint8Array[]} keys @param {readonly Uint8Array[]} values
 */
export function encodeNaively(timestamp, keys, values) {
  const records = Buffer.concat(values.map((value, index) => record(index, keys[index], value)))
  const last = values.length - 1
  const covered = Buffer.concat([
    // Attributes, last offset delta, base and max timestamp; producer id, epoch and base sequence; count.
    int16(0),
    int32(last),
    int64(timestamp),
    int64(timestamp),
    int64(-1),
    int16(-1),
    int32(-1),
    int32(values.length),
    records,
  ])
  const checksum = int32(crc32c(covered, 0, covered.length) | 0)
  // Leader epoch, magic, checksum and what it covers.
  const afterLength = Buffer.concat([int32(0), Buffer.from([2]), checksum, covered])
  return Buffer.concat([int64(0), int32(afterLength.length), afterLength])
}

function record(offsetDelta, key, value) {
  const fields = Buffer.concat([
    Buffer.from([0]),
    varint(0),
    varint(offsetDelta),
    varint(key.length),
    key,
    varint(value.length),
    value,
    varint(0),
  ])
  return Buffer.concat([varint(fields.length), fields])
}

function varint(value) {
  const bytes = []
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  while (rest > 127) {
    bytes.push((rest & 127) | 128)
    rest >>>= 7
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}

function int16(value) {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int64(value) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}
