import { createRequire } from 'node:module'
import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'
import type { DecodeFailure } from './growing-output.js'
import { decodeLz4 } from './lz4.js'
import type { CompressionType } from './record-batch.js'
import { decodeSnappy } from './snappy.js'
import { zstdCost } from './zstd-frames.js'

/*
 * The records of a batch are compressed as one piece, behind its header. Batches are stored and sent as they came, and
 * decoded only where somebody looks at their records. snappy and lz4 are small enough to be decoded here; the others
 * need a library, which is loaded when the first batch of its kind is met.
 */

/**
 * What a batch may hold at most when it is decoded, and the largest window of zstd: 128 MiB, the most that zstd itself
 * makes room for unasked. A batch of a megabyte could hold gigabytes.
 */
export const MOST_DECODED_BYTES: number = 128 * 1024 * 1024

/** fzstd moves a whole window for each block of a frame that does not tell its size: this much takes seconds. */
const MOST_MOVED_BYTES = 16 * 1024 ** 3

/**
 * Decodes the records of a batch that stands at `position`. Throws OTTLA_CORRUPTION where the bytes are not what the
 * codec writes, and OTTLA_MESSAGE_TOO_LARGE beyond `MOST_DECODED_BYTES`.
 */
export function decompress(
  compression: Exclude<CompressionType, 'none'>,
  source: Uint8Array,
  position: number,
  most: number = MOST_DECODED_BYTES,
): Uint8Array {
  const decoded = DECODERS[compression](source, most)
  if (decoded instanceof Uint8Array) return decoded
  if (decoded.damage === undefined) {
    throw new OttlaError(
      'OTTLA_MESSAGE_TOO_LARGE',
      `The record batch at position ${position} holds more than ${most} bytes (${compression}). Send smaller batches.`,
    )
  }
  throw new OttlaError(
    'OTTLA_CORRUPTION',
    `The record batch at position ${position} is damaged: its ${compression} cannot be decoded, ${decoded.damage}. ` +
      'Send it again, or repair the log.',
  )
}

/** Compresses records as clients of Kafka do. */
export function gzip(records: Uint8Array): Uint8Array {
  return loadZlib().gzipSync(records)
}

type Decoder = (source: Uint8Array, most: number) => Uint8Array | DecodeFailure

const DECODERS: { readonly [Compression in Exclude<CompressionType, 'none'>]: Decoder } = {
  gzip(source, most) {
    try {
      return loadZlib().gunzipSync(source, { maxOutputLength: most })
    } catch (error) {
      return failureOfZlib(error)
    }
  },
  snappy: decodeSnappy,
  lz4: decodeLz4,
  zstd(source, most) {
    const cost = zstdCost(source)
    if ('damage' in cost) return cost
    if (cost.memory > MOST_DECODED_BYTES || cost.leastContent > most) return { damage: undefined }
    const { zstdDecompressSync } = loadZlib()
    if (zstdDecompressSync === undefined) {
      return cost.blocks * cost.largestWindow > MOST_MOVED_BYTES ? { damage: undefined } : decodeByFzstd(source, most)
    }
    try {
      return zstdDecompressSync(source, { maxOutputLength: most })
    } catch (error) {
      return failureOfZlib(error)
    }
  },
}

function failureOfZlib(error: unknown): DecodeFailure {
  const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
  return { damage: isTooLarge ? undefined : reasonOf(error) }
}

/** Node has zstd from 22.15 and 23.8 on. */
interface Zlib extends Pick<typeof import('node:zlib'), 'gunzipSync' | 'gzipSync'> {
  readonly zstdDecompressSync?: (source: Uint8Array, options: { maxOutputLength: number }) => Uint8Array
}

let zlib: Zlib | undefined

/** Decoding is not asynchronous, so what it needs is loaded so as well. */
function loadZlib(): Zlib {
  zlib ??= load('node:zlib') as Zlib
  return zlib
}

/** From where this file lies: the one name is known in CommonJS, the other in ECMAScript modules. */
function load(module: string): unknown {
  return createRequire(typeof __filename === 'string' ? __filename : import.meta.url)(module)
}

function decodeByFzstd(source: Uint8Array, most: number): Uint8Array | DecodeFailure {
  const { Decompress } = load('fzstd') as typeof import('fzstd')
  const chunks: Uint8Array[] = []
  let length = 0
  const decoder = new Decompress((chunk) => {
    length += chunk.length
    if (length > most) throw TOO_LARGE
    // What it hands out is memory of its own.
    chunks.push(chunk)
  })
  try {
    decoder.push(source, true)
  } catch (error) {
    return { damage: error === TOO_LARGE ? undefined : reasonOf(error) }
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length)
}

const TOO_LARGE: unique symbol = Symbol('too large')
