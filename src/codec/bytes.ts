import { isUint8Array } from 'node:util/types'
import { OttlaError } from '../errors.js'
import type { Codec } from './codec.js'

const BYTES: Codec<Uint8Array> = {
  name: 'bytes',
  encode: (value) => {
    if (!isUint8Array(value)) {
      throw new OttlaError(
        'OTTLA_ENCODE',
        `bytes() encodes a Uint8Array, and was given ${typeof value}. Give the topic the codec of its values.`,
      )
    }
    return value
  },
  decode: (bytes) =>
    bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
}

/**
 * Bytes as they are, for values that something else has encoded. What is delivered is a view of the log, without a
 * copy, which is not to be written to and which other groups may get too, and a plain Uint8Array also where a Buffer was
 * sent. Anything but a Uint8Array is refused with OTTLA_ENCODE.
 *
 * @example
 * const raw = new Topic('orders.dlq', { value: bytes(), key: bytes() })
 */
export function bytes(): Codec<Uint8Array> {
  return BYTES
}
