/**
 * Decodes all records of a batch of Kafka's format v2 into an array, as most clients do: keys as text, values as views.
 * Believes what the batch says, and reads no headers.
 *
 * @param {Buffer} bytes
 */
export function decodeEagerly(bytes) {
  const baseOffset = Number(bytes.readBigInt64BE(0))
  const baseTimestamp = Number(bytes.readBigInt64BE(27))
  const count = bytes.readInt32BE(57)
  const records = []
  let position = 61
  const varint = () => {
    let value = 0
    let shift = 0
    for (;;) {
      const byte = bytes[position++]
      value |= (byte & 127) << shift
      if (byte < 128) return (value >>> 1) ^ -(value & 1)
      shift += 7
    }
  }
  for (let index = 0; index < count; index++) {
    varint()
    position++
    const timestamp = baseTimestamp + varint()
    const offset = baseOffset + varint()
    const keyLength = varint()
    const key = keyLength < 0 ? null : bytes.utf8Slice(position, position + keyLength)
    if (keyLength > 0) position += keyLength
    const valueLength = varint()
    const value = valueLength < 0 ? null : bytes.subarray(position, position + valueLength)
    if (valueLength > 0) position += valueLength
    if (varint() !== 0) throw new Error('A record has headers')
    records.push({ offset, timestamp, key, value, headers: [] })
  }
  return records
}
