import { Packr } from 'msgpackr/pack'
import { OttlaError } from '../errors.js'
import type { Codec } from './codec.js'
import { C1, withEscapes, withoutEscapes } from './msgpack-escapes.js'
import { survey } from './msgpack-survey.js'

/**
 * Plain MessagePack. The entry 'msgpackr/pack' loads in a third of the time of the main one, which brings streams and
 * a native string reader that made no difference here. `moreTypes` adds msgpackr's own extensions for sets, typed arrays and big integers; records are
 * off, since they would tie a record to those before it. No extension of ours is registered: they belong to the module
 * as a whole, which an application's bundler may make one with its own msgpackr.
 *
 * msgpackr packs into memory that it shares between all its users. It moves on after each value and never goes back,
 * so what it returns stays as it is; what it unpacks is copied out.
 */
const packr = new Packr({
  useRecords: false,
  moreTypes: true,
  mapsAsObjects: true,
  variableMapSize: true,
  copyBuffers: true,
  useToJSON: false,
})

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
      return packr.pack(needsEscapes ? [C1, withEscapes(value)] : value)
    } catch (cause) {
      throw new OttlaError('OTTLA_ENCODE', 'msgpack() cannot encode this value: packing it throws. See the cause.', {
        cause,
      })
    }
  },
  decode: (bytes) => {
    try {
      // A view of its own: msgpackr hangs a property on what it reads, and makes Buffers only from a Buffer.
      const value: unknown = packr.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
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
