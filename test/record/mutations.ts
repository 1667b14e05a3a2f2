import { OttlaError } from '../../src/errors.js'
import { crc32c } from '../../src/record/crc32c.js'
import { decodeBatches } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { miscBatches } from './golden-batches.js'

/** How many mutated buffers could still be walked to the end, and how many were refused with a typed error. */
export interface Survival {
  decoded: number
  refused: number
}

/**
 * Damages valid batches in ways that `seed` fixes, and walks all that is left, verified and not. Throws where anything
 * but an OttlaError comes out, with the round and the bytes.
 */
export function surviveMutations(rounds: number, seed: number): Survival {
  const random = randomFrom(seed)
  const seeds = validBatches()
  const survival: Survival = { decoded: 0, refused: 0 }
  for (let round = 0; round < rounds; round++) {
    const bytes = mutate(seeds, random)
    for (const verify of [true, false]) {
      try {
        walkEverything(bytes, verify)
        survival.decoded++
      } catch (error) {
        if (!OttlaError.is(error)) {
          const hex = Buffer.from(bytes).toString('hex')
          throw new Error(`seed ${seed}, round ${round}, verify ${verify}: ${hex}`, { cause: error })
        }
        survival.refused++
      }
    }
  }
  return survival
}

export type Random = (below: number) => number

/** mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

function validBatches(): Uint8Array[] {
  const builder = new RecordBatchBuilder()
  const text = (content: string): Uint8Array => Buffer.from(content)
  for (let i = 0; i < 5; i++) {
    builder.append(1_700_000_000_000 - i * 1000, text(`k${i}`), text('v'.repeat(i * 30)), [
      ['größe', null],
      ['h', text('1')],
    ])
    builder.append(2 ** 52 + i, null, null)
  }
  const own = builder.close({ producerId: 7, producerEpoch: 1, baseSequence: 3 }).bytes().slice()
  return [own, ...miscBatches().values()]
}

/** Values that lengths, counts and varints go wrong at. */
export const EXTREMES: readonly (readonly number[])[] = [
  [0x00],
  [0x01],
  [0x7f],
  [0x80],
  [0xff],
  [0xfe, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x7f, 0xff, 0xff, 0xff],
  [0x80, 0x00, 0x00, 0x00],
  [0xff, 0xff, 0xff, 0xff],
  [0x00, 0x00, 0x00, 0x00],
  [0x00, 0x00, 0x00, 0x31],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
]

/** Where the header has lengths, counts and numbers: batchLength, attributes, lastOffsetDelta, timestamps, recordCount. */
const HEADER_FIELDS: readonly number[] = [0, 8, 16, 21, 22, 23, 27, 35, 57]

function mutate(seeds: readonly Uint8Array[], random: Random): Uint8Array {
  const pick = (): Uint8Array => seeds[random(seeds.length)] ?? new Uint8Array()
  let bytes = Uint8Array.from(pick())
  for (let i = 1 + random(3); i > 0; i--) {
    const at = random(bytes.length + 1)
    switch (random(6)) {
      case 0: // One bit.
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 1: // Cut short.
        bytes = bytes.slice(0, at)
        break
      case 2: {
        // The head of one and the tail of another.
        const other = pick()
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(random(other.length))])
        break
      }
      case 3: // An extreme in the header.
        put(bytes, HEADER_FIELDS[random(HEADER_FIELDS.length)] ?? 0, random)
        break
      case 4: // An extreme among the records.
        put(bytes, 61 + random(Math.max(bytes.length - 61, 1)), random)
        break
      default: // One byte more or less in the middle, so that all behind it shifts.
        bytes = Uint8Array.from([...bytes.subarray(0, at), random(256), ...bytes.subarray(at + 2 * random(2))])
    }
  }
  if (random(2) === 0) repair(bytes)
  return bytes
}

function put(bytes: Uint8Array, at: number, random: Random): void {
  const extreme = EXTREMES[random(EXTREMES.length)] ?? []
  for (const [i, byte] of extreme.entries()) bytes[at + i] = byte
}

/** Makes length and checksum fit, so that the walk behind them is reached. */
function repair(bytes: Uint8Array): void {
  if (bytes.length < 61) return
  const view = new DataView(bytes.buffer)
  view.setInt32(8, bytes.length - 12)
  view.setUint32(17, crc32c(bytes, 21, bytes.length))
}

function walkEverything(bytes: Uint8Array, verify: boolean): void {
  for (const batch of decodeBatches(bytes, 0, bytes.length, { verify })) {
    const cursor = batch.records()
    let previous = batch.baseOffset - 1
    while (cursor.next()) {
      const { offset, timestamp, key, value } = cursor
      const headers = cursor.headers()
      // What the cursor hands out is sound, not only free of errors of the wrong kind.
      if (!(offset > previous && offset <= batch.lastOffset)) throw new Error(`offset ${offset} after ${previous}`)
      if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(timestamp)) throw new Error('a number is not exact')
      if (headers.length !== cursor.headerCount) throw new Error('headers are missing')
      const size = (key?.length ?? 0) + (value?.length ?? 0)
      if (size > batch.sizeInBytes) throw new Error(`a record of ${size} bytes`)
      previous = offset
    }
  }
}
