import { RecordBatchBuilder } from '../.cache/modules/record-batch-builder.js'
import { makePayloads } from '../harness/payloads.mjs'
import { decodeEagerly } from './peers/eager-record-batch.mjs'
import { encodeNaively } from './peers/naive-record-batch.mjs'

const RECORDS = 1000
const KEY_BYTES = 6
const VALUE_BYTES = 100
const TIMESTAMP = 1_700_000_000_000

export const workload = {
  name: 'record-batch',
  title: 'Encoding and decoding a record batch, nothing else',
  settings: [
    'batches of 1,000 records with a key of 6 B and a value of 100 B, one timestamp; memory that is used again',
    'encode: `append` of each, then `close`; with the checksum: `bytes()` of the batch too',
    'memcpy: the values alone, one behind the other into a slab',
    'naive: a Buffer for each varint, each record and the batch, put together by Buffer.concat; its bytes are compared with ours',
    'lazy: the cursor steps over the batch, and each offset is read',
    'eager: a decoder that makes an array of objects with offset, timestamp, key (text), value (a view) and headers',
  ],
  rows: [
    {
      id: '6',
      label: 'encode a batch, no checksum',
      ours: 'encode',
      peer: 'memcpy of the values',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.22,
      goal: 0.31,
    },
    {
      id: '6',
      label: 'encode a batch, with checksum',
      ours: 'encode and checksum',
      peer: 'naive Buffer.concat',
      better: 'higher',
      unit: 'msg/s',
      floor: 6,
      goal: 8,
    },
    {
      id: '7',
      label: 'decode a batch lazily, untouched',
      ours: 'lazy',
      peer: 'eager',
      better: 'higher',
      unit: 'msg/s',
      floor: 2.5,
      goal: 4,
    },
  ],
  repetitions: 9,
  warmups: 3,
  async open() {
    const keys = makePayloads(RECORDS, KEY_BYTES).map((key) => key.map((byte) => 97 + (byte % 26)))
    const values = makePayloads(RECORDS, VALUE_BYTES)
    const builder = new RecordBatchBuilder(256 * 1024)
    const slab = new Uint8Array(RECORDS * VALUE_BYTES)
    const naive = encodeNaively(TIMESTAMP, keys, values)
    const encode = () => {
      builder.reset()
      for (let index = 0; index < RECORDS; index++) builder.append(TIMESTAMP, keys[index], values[index])
      return builder.close()
    }
    const batch = encode()
    if (!naive.equals(batch.bytes())) throw new Error('The naive encoder and ours disagree')
    const checkEncoded = (encoded) => {
      if (encoded.recordCount !== RECORDS || !naive.equals(encoded.bytes()))
        throw new Error('A batch was encoded wrong')
    }
    return {
      contenders: {
        encode: () => timed(500, encode, (encoded) => checkEncoded(encoded)),
        'encode and checksum': () =>
          timed(
            250,
            () => {
              const encoded = encode()
              encoded.bytes()
              return encoded
            },
            checkEncoded,
          ),
        'memcpy of the values': () =>
          timed(
            2000,
            () => copyAll(values, slab),
            (end) => {
              if (end !== slab.length || slab[slab.length - 1] !== values.at(-1).at(-1)) throw new Error('Copied wrong')
            },
          ),
        'naive Buffer.concat': () =>
          timed(
            25,
            () => encodeNaively(TIMESTAMP, keys, values),
            (encoded) => {
              if (!naive.equals(encoded)) throw new Error('A batch was encoded wrong')
            },
          ),
        lazy: () => timed(1500, () => sumOfOffsets(batch), checkOffsets),
        eager: () => timed(500, () => sumOfEagerOffsets(naive), checkOffsets),
      },
      async close() {},
    }
  },
}

/** Times `rounds` batches, of which the last is checked. */
function timed(rounds, makeBatch, check) {
  let made
  const startedAt = performance.now()
  for (let round = 0; round < rounds; round++) made = makeBatch()
  const seconds = (performance.now() - startedAt) / 1000
  check(made)
  return { work: rounds * RECORDS, seconds }
}

function copyAll(values, slab) {
  let position = 0
  for (const value of values) {
    slab.set(value, position)
    position += value.length
  }
  return position
}

function sumOfOffsets(batch) {
  const records = batch.records()
  let sum = 0
  while (records.next()) sum += records.offset
  return sum
}

function sumOfEagerOffsets(bytes) {
  let sum = 0
  for (const record of decodeEagerly(bytes)) sum += record.offset
  return sum
}

function checkOffsets(sum) {
  if (sum !== (RECORDS * (RECORDS - 1)) / 2) throw new Error(`The offsets sum up to ${sum}`)
}
