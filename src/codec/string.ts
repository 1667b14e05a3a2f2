import { OttlaError } from '../errors.js'
import type { Codec } from './codec.js'
import { decodeUtf8, isWellFormed } from './utf8.js'

const STRING: Codec<string> = {
  name: 'string',
  encode: (value) => {
    if (typeof value !== 'string') {
      throw new OttlaError(
        'OTTLA_ENCODE',
        `string() encodes a string, and was given ${typeof value}. Give the topic the codec of its values.`,
      )
    }
    if (!isWellFormed(value)) {
      throw new OttlaError(
        'OTTLA_ENCODE',
        'string() cannot encode this string: half of a surrogate pair stands alone in it, which UTF-8 cannot carry. Mend it with toWellFormed(), or send bytes.',
      )
    }
    return Buffer.from(value)
  },
  decode: (bytes) => decodeUtf8(bytes, 'string'),
}

/**
 * Text as UTF-8: what Kafka's StringSerializer writes, and the codec of keys unless another is given. A string that
 * UTF-8 cannot carry (a lone surrogate) is refused with OTTLA_ENCODE, bytes that are not UTF-8 with OTTLA_DECODE.
 *
 * @example
 * const lines = new Topic('lines', { value: string() })
 */
export function string(): Codec<string> {
  return STRING
}
