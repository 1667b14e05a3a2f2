import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { Codec } from './codec.js'
import { decodeUtf8 } from './utf8.js'

// One instance serves every T, which exists for the compiler only.
const JSON_CODEC: Codec<unknown> = {
  name: 'json',
  encode: (value) => {
    const text = stringify(value)
    // NaN, Infinity and an invalid Date become null, which a consumer would take for a tombstone's value.
    if (text === undefined || text === 'null') {
      throw new OttlaError(
        'OTTLA_ENCODE',
        `json() cannot encode this ${typeof value}: JSON has nothing for it${text === 'null' ? ' but null' : ''}. Send an object, an array, a string, a finite number or a boolean.`,
      )
    }
    return Buffer.from(text)
  },
  decode: (bytes) => {
    const text = decodeUtf8(bytes, 'json')
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new OttlaError(
        'OTTLA_DECODE',
        `json() cannot decode these ${bytes.byteLength} bytes: ${sentence(cause)} Read them with the codec they were sent with, or with bytes().`,
        { cause },
      )
    }
  },
}

/**
 * JSON as UTF-8, for topics that other languages read. What is inside follows JSON: a Date arrives as a string,
 * `undefined` and functions in an object are left out, NaN arrives as null; use `msgpack()` where values must arrive as
 * they were. OTTLA_ENCODE for what JSON cannot hold at all: a BigInt, a cycle, a bare function, NaN or symbol.
 * OTTLA_DECODE for bytes that are not JSON. The type is taken at its word: `schema()` checks it.
 *
 * @example
 * const orders = new Topic('orders', { value: json<Order>() })
 */
export function json<T = unknown>(): Codec<T> {
  return JSON_CODEC as Codec<T>
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new OttlaError(
      'OTTLA_ENCODE',
      `json() cannot encode this value: ${sentence(cause)} Send plain data, or use msgpack() for what JSON does not have.`,
      { cause },
    )
  }
}

/** Only the first line: V8 draws a cycle over several. */
function sentence(cause: unknown): string {
  const [line = ''] = reasonOf(cause).split('\n')
  return /[.!?]$/.test(line) ? line : `${line}.`
}
