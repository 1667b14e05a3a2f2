import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { bytes, FileStorage, Topic } from 'ottla'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { OttlaError } from '../../src/errors.js'
import { decompress, gzip, MOST_DECODED_BYTES } from '../../src/record/compression.js'
import { decodeBatches, verifyBatch } from '../../src/record/encoded-batch.js'
import type { CompressionType } from '../../src/record/record-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { systemClock } from '../../src/time/clock.js'
import { brokers } from '../client/brokers.js'
import { capturedBatches } from './captured-batches.js'
import { compressedBatch, encode } from './compressed-batch.js'
import { randomFrom } from './mutations.js'
import { walk } from './walk.js'

type Codec = Exclude<CompressionType, 'none'>
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const failure = (code: string, message = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')

interface Vector {
  codec: Codec
  how: string
  content: string
  size: number
  sha256: string
  compressed: Buffer
}

/** What the reference libraries wrote: python-snappy, lz4, zstandard and zlib. A line is one vector, the bytes in base64. */
const vectors = readFileSync(new URL('../fixtures/record/compressed.tsv', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line): Vector => {
    const [codec, how = '', content = '', size, sha256 = '', compressed = ''] = line.split('\t')
    return {
      codec: codec as Codec,
      how,
      content,
      size: Number(size),
      sha256,
      compressed: Buffer.from(compressed, 'base64'),
    }
  })

describe('what other libraries compressed', () => {
  it.each(vectors)('is decoded: $codec, $how, $content', ({ codec, compressed, size, sha256 }) => {
    const decoded = decompress(codec, compressed, 0)
    expect(decoded.length).toBe(size)
    expect(createHash('sha256').update(decoded).digest('hex')).toBe(sha256)
  })

  it('is refused where it is cut, and never read beyond what it may be', () => {
    for (const { codec, compressed, size } of vectors) {
      if (size < 2 || compressed.length > 7000) continue
      for (let length = 0; length < compressed.length - 8; length += 1 + Math.floor(compressed.length / 50)) {
        expect(() => decompress(codec, compressed.subarray(0, length), 0), `${codec} ${length}`).toThrow(
          failure('OTTLA_CORRUPTION', new RegExp(`its ${codec} cannot be decoded`)),
        )
      }
      expect(decompress(codec, compressed, 0, size)).toHaveLength(size)
      expect(() => decompress(codec, compressed, 0, size - 1)).toThrow(failure('OTTLA_MESSAGE_TOO_LARGE'))
    }
  })
})

describe('batches that real clients compressed', () => {
  const batches = capturedBatches().filter(({ batch }) => batch.compression !== 'none')

  it('are of every codec', () => {
    expect(new Set(batches.map(({ batch }) => batch.compression))).toEqual(new Set(CODECS))
    expect(batches.length).toBe(34)
  })

  it('are walked like any other', () => {
    for (const { client, batch } of batches) {
      verifyBatch(batch)
      const records = walk(batch)
      expect(records.length).toBe(batch.recordCount)
      const values = records.map(({ value }) => Buffer.from(value ?? []).toString())
      if (/^(librdkafka|apache)/.test(client)) expect(values).toEqual(values.map((_, i) => `${i + 1}`))
      else if (/^kafka-python/.test(client)) expect(values).toEqual(values.map((_, i) => `v${i}`))
      else expect(values.join()).toMatch(/^(v+|(hello ?)+)$/)
    }
  })
})

describe('a compressed batch', () => {
  const plain = (count: number) => {
    const builder = new RecordBatchBuilder()
    for (let i = 0; i < count; i++) builder.append(1_000 + i, Buffer.from(`k${i}`), Buffer.from(`v${i}`), [['h', null]])
    return builder.close({ producerId: -1, producerEpoch: -1, baseSequence: -1 })
  }

  it.each(CODECS)('gives the records that were put in: %s', (codec) => {
    const batch = compressedBatch(plain(50), codec)
    verifyBatch(batch)
    expect(batch.compression).toBe(codec)
    batch.assignOffsets(70, 0)
    const expected = walk(plain(50)).map((record) => ({ ...record, offset: record.offset + 70 }))
    expect(walk(batch)).toEqual(expected)
    // Each walk has memory of its own, so what one handed out stays.
    const first = walk(batch)
    walk(batch)
    expect(first).toEqual(expected)
  })

  it.each(CODECS)('with more in it than its header counts is damaged: %s', (codec) => {
    const batch = compressedBatch(plain(5), codec)
    new DataView(batch.buffer.buffer, batch.buffer.byteOffset).setInt32(57, 4)
    expect(() => walk(batch)).toThrow(failure('OTTLA_CORRUPTION', /follow the last record/))
  })

  it('that compaction emptied has no records', () => {
    const bytes = Buffer.from(plain(1).bytes().subarray(0, 61))
    bytes.writeInt32BE(49, 8)
    bytes.writeInt16BE(2, 21)
    bytes.writeInt32BE(0, 57)
    const [batch] = decodeBatches(bytes, 0, 61)
    expect(batch?.compression).toBe('snappy')
    expect(batch && walk(batch)).toEqual([])
  })
})

describe('bytes that hold more than they should', () => {
  const most = MOST_DECODED_BYTES
  /** Deflated zeros, which gzip would take a second to write. */
  const gzipBomb = (): Buffer => {
    const block = deflateRawSync(Buffer.alloc(2 ** 20), { finishFlush: 2 })
    return Buffer.concat([hex('1f8b08000000000000ff'), ...Array.from({ length: 200 }, () => block)])
  }
  const zstdRuns = (count: number): Buffer =>
    Buffer.concat([hex('28b52ffd 00 58'), ...Array.from({ length: count }, () => hex('020010 61')), hex('030010 61')])

  it.each([
    ['gzip', 'zeros', gzipBomb(), 'OTTLA_MESSAGE_TOO_LARGE'],
    ['snappy', 'a size that its bytes cannot hold', hex('ffffffff0f 00 61'), 'OTTLA_CORRUPTION'],
    ['snappy', 'a size beyond 32 bits', hex('ffffffff1f 00 61'), 'OTTLA_CORRUPTION'],
    ['zstd', 'runs', zstdRuns(1100), 'OTTLA_MESSAGE_TOO_LARGE'],
    ['zstd', 'a size of 2^60', hex('28b52ffd e0 0000000000000010 010000'), 'OTTLA_MESSAGE_TOO_LARGE'],
    ['zstd', 'a window of two gigabytes', hex('28b52ffd 00 a8 010000'), 'OTTLA_MESSAGE_TOO_LARGE'],
    [
      'zstd',
      'many frames with large windows',
      Buffer.concat(Array(100).fill(hex('28b52ffd 00 88 010000'))),
      'OTTLA_MESSAGE_TOO_LARGE',
    ],
  ] as const)('are refused before room is made for it: %s, %s', (codec, _, bytes, code) => {
    const before = process.memoryUsage().arrayBuffers
    expect(() => decompress(codec, bytes, 0)).toThrow(failure(code))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * most)
  })

  it('are refused where lz4 multiplies them by 255', () => {
    // A literal and a match of distance 1 that goes on and on, in blocks of 4 MiB.
    const content = Buffer.concat([hex('1f 61 0100'), Buffer.alloc(16_000, 255), hex('00 10 61')])
    const size = Buffer.alloc(4)
    size.writeUInt32LE(content.length)
    const block = Buffer.concat([size, content])
    const frame = Buffer.concat([hex('04224d18 6070 00'), ...Array.from({ length: 40 }, () => block), Buffer.alloc(4)])
    expect(() => decompress('lz4', frame, 0)).toThrow(failure('OTTLA_MESSAGE_TOO_LARGE', /134217728 bytes \(lz4\)/))
  })
})

describe('damaged bytes', () => {
  /** A frame of one compressed block. */
  const lz4 = (block: string): string =>
    `04224d18 6040 00 ${(block.replace(/ /g, '').length / 2).toString(16).padStart(2, '0')}000000 ${block} 00000000`

  it.each([
    ['snappy', 'a copy from before the start', '05 00 61 0d 02', /a copy from 2 bytes before/],
    ['snappy', 'a copy from nowhere', '05 00 61 01 00', /a copy from 0 bytes before/],
    ['snappy', 'a copy that makes too much', '04 00 61 01 01', /holds more than it says/],
    ['snappy', 'a literal that makes too much', '01 04 61 62', /holds more than it says/],
    ['snappy', 'less than it says', '03 04 61 62', /holds 2 bytes of 3/],
    ['snappy', 'a literal without its end', '03 08 61', /a literal of 3 bytes where 1 are left/],
    ['snappy', 'a block of a negative size', '82534e4150505900 00000001 00000001 ffffffff', /a block of -1 bytes/],
    ['lz4', 'a match from before the start', lz4('10 61 0200 00'), /a match from 2 bytes before/],
    ['lz4', 'a match from nowhere', lz4('10 61 0000 00'), /a match from 0 bytes before/],
    ['lz4', 'a block that ends with a match', lz4('10 61 0100'), /does not end with literals/],
    ['lz4', 'literals that are not there', lz4('50 61'), /5 literals where 1 bytes are left/],
    ['lz4', 'a dictionary', '04224d18 6140 00 00000000', /needs a dictionary/],
    ['lz4', 'a block beyond its size', '04224d18 6040 00 01000100', /a block of 65537 bytes/],
    ['lz4', 'another magic', '04224d19 6040 00 00000000', /does not begin as one/],
    ['zstd', 'a dictionary', '28b52ffd 21 05 01 010000', /needs a dictionary/],
    ['zstd', 'a block of the reserved type', '28b52ffd 20 01 0f0000 61', /a block of type 3/],
    ['zstd', 'no last block', '28b52ffd 20 01 080000 61', /has no end/],
  ] as const)('are told from others: %s, %s', (codec, _, text, reason) => {
    expect(() => decompress(codec, hex(text), 70)).toThrow(failure('OTTLA_CORRUPTION', reason))
    expect(() => decompress(codec, hex(text), 70)).toThrow(/The record batch at position 70 is damaged/)
  })

  it('give typed errors only, two thousand times', () => {
    const seed = 20_261_126
    const random = randomFrom(seed)
    const survival = { decoded: 0, refused: 0 }
    const seeds = vectors.filter(({ compressed }) => compressed.length > 0 && compressed.length < 3000)
    for (let round = 0; round < 2_000; round++) {
      const { codec, compressed } = seeds[random(seeds.length)] ?? { codec: 'gzip', compressed: Buffer.alloc(1) }
      const bytes = Buffer.from(compressed)
      for (let i = random(3); i >= 0; i--) bytes[random(bytes.length)] = random(256)
      const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
      try {
        expect(decompress(codec, cut, 0, 2 ** 20).length).toBeLessThanOrEqual(2 ** 20)
        survival.decoded++
      } catch (error) {
        if (!OttlaError.is(error))
          throw new Error(`seed ${seed}, ${round}, ${codec} ${cut.toString('hex')}`, { cause: error })
        survival.refused++
      }
    }
    expect(survival.decoded).toBeGreaterThan(200)
    expect(survival.refused).toBeGreaterThan(600)
  })
})

describe('a log that holds compressed batches', () => {
  const openBroker = brokers()
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ottla-compressed-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  /** Records 0 to 9 in a batch of each codec in turn; the timestamp of each record is its number. */
  async function fill(): Promise<void> {
    const storage = new FileStorage(directory)
    const onError = (error: Error): never => {
      throw error
    }
    const settings = brokerSettings({}, storage)
    const engine = await EmbeddedEngine.open({ storage, clock: systemClock, settings, onError })
    await engine.createTopics({ topics: [{ name: 'squeezed', partitionCount: 1 }] })
    for (const [index, codec] of (['none', ...CODECS] as const).entries()) {
      const builder = new RecordBatchBuilder()
      for (const n of [2 * index, 2 * index + 1]) builder.append(n + 1, Buffer.from(`k${n}`), Buffer.from(`v${n}`))
      const batch = compressedBatch(builder.close({ producerId: -1, producerEpoch: -1, baseSequence: -1 }), codec)
      await engine.produce({ topic: 'squeezed', partition: 0, batch })
    }
    await engine.close()
  }

  const topic = new Topic('squeezed', { partitions: 1, key: bytes(), value: bytes() })
  const valuesFrom = async (from: 'earliest' | { offset: number } | { timestamp: number }): Promise<string[]> => {
    const broker = await openBroker({ storage: new FileStorage(directory) })
    const values: string[] = []
    for await (const { value } of broker.reader(topic, { until: 'end', from })) {
      values.push(Buffer.from(value ?? []).toString())
    }
    await broker.close()
    return values
  }
  const all = Array.from({ length: 10 }, (_, n) => `v${n}`)

  it('is read whole, from any offset and from any time', async () => {
    await fill()
    expect(await valuesFrom('earliest')).toEqual(all)
    for (let n = 0; n < 10; n++) {
      expect(await valuesFrom({ offset: n })).toEqual(all.slice(n))
      expect(await valuesFrom({ timestamp: n + 1 })).toEqual(all.slice(n))
    }
  })
})

it('gzip is what Kafka reads: a member with a header and a checksum', () => {
  expect(Buffer.from(gzip(Buffer.from('a'))).toString('hex')).toMatch(/^1f8b0800/)
  expect(decompress('gzip', encode('gzip', Buffer.from('abc')), 0)).toEqual(Buffer.from('abc'))
})
