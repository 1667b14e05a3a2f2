import { OttlaError } from '../errors.js'
import type { Codec } from './codec.js'
import { withEscapes, withoutEscapes } from './msgpack-escapes.js'
import { C1 } from './msgpack-format.js'
import { unpack } from './msgpack-reader.js'
import { survey } from './msgpack-survey.js'
import { pack } from './msgpack-writer.js'

/**
 * A record that holds escapes is the array [C1, value], which no other value begins like: 0x92 0xc1. The byte 0xc1 is
 * the one that MessagePack never uses.
 */
const ESCAPED = [0x92, 0xc1] as const

// One instance serves every T, which exists for the compiler only.
const MSGPACK: Codec<unknown> = {
  name: 'msgpack',
  encode: (value) => {
    const needsEscapes = survey(value)
    try {
      return pack(needsEscapes ? [C1, withEscapes(value)] : value)
    } catch (cause) {
      throw new OttlaError('OTTLA_ENCODE', 'msgpack() cannot encode this value: packing it throws. See the cause.', {
        cause,
      })
    }
  },
  decode: (bytes) => {
    try {
      const value = unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      if (value === C1) throw new TypeError('The byte 0xc1 is no MessagePack')
      return bytes[0] === ESCAPED[0] && bytes[1] === ESCAPED[1] && Array.isArray(value)
        ? withoutEscapes(value[1])
        : value
    } catch (cause) {
      throw new OttlaError(
        'OTTLA_DECODE',
        `msgpack() cannot decode these ${bytes.byteLength} bytes. Read them with the codec they were sent with, or with bytes().`,
        { cause },
      )
    }
  },
}

/**
 * The codec of values unless another is given. A value arrives exactly as it was sent, or `send` refuses it:
 * - carried: plain objects (also without a prototype), arrays, strings, numbers (also -0, NaN, Infinity), booleans, null
 *   and undefined inside, BigInt of any size, Date, Map, Set, Buffer, typed arrays, ArrayBuffer and DataView;
 * - refused with OTTLA_ENCODE, which names the place: instances of classes (also Error and RegExp), functions, symbols,
 *   cycles, arrays with holes or named properties, strings with half a surrogate pair, more than 500 levels.
 *
 * What a getter returns is sent. What is referred to twice arrives as two equal values. Memory is copied, so a view
 * does not bring the rest of its ArrayBuffer along; named properties of a typed array are not looked at.
 * OTTLA_DECODE for bytes that are not MessagePack. The type is taken at its word: `schema()` checks it.
 *
 * Any MessagePack library reads objects, arrays, strings, numbers, booleans, Dates and Buffers; the rest is
 * JavaScript's, in extensions. Use `json()` for topics that other languages read.
 *
 * @example
 * const payments = new Topic('payments', { value: msgpack<Payment>() })
 */
export function msgpack<T = unknown>(): Codec<T> {
  return MSGPACK as Codec<T>
}
