import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/record/crc32c.js'
import { decodeBatches, EncodedBatch, peekBatchSize, verifyBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { walk } from './walk.js'

const failure = (code: string, message: RegExp = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })

/** Two records: 'k' -> 'v' with a header h=1, and null -> null. */
function sample(): Uint8Array {
  const builder = new RecordBatchBuilder()
  const [k, v, one] = [Buffer.from('k'), Buffer.from('v'), Buffer.from('1')]
  builder.append(1000, k, v, [['h', one]])
  builder.append(1001, null, null)
  return builder.close().bytes().slice()
}

/** The sample with bytes put over it, and the checksum made to fit again. */
function sampleWith(position: number, ...bytes: number[]): EncodedBatch {
  const changed = sample()
  changed.set(bytes, position)
  new DataView(changed.buffer).setUint32(17, crc32c(changed, 21, changed.length))
  return new EncodedBatch(changed, 0, changed.length)
}

describe('peekBatchSize', () => {
  it('knows the size once the whole batch is there', () => {
    const bytes = sample()
    const buffer = Buffer.concat([Buffer.alloc(5), bytes, Buffer.alloc(5)])
    expect(peekBatchSize(buffer, 5, buffer.length)).toBe(bytes.length)
    expect(peekBatchSize(buffer, 5, 5 + bytes.length)).toBe(bytes.length)
    expect(peekBatchSize(buffer, 5, 5 + bytes.length - 1)).toBe(undefined)
    expect(peekBatchSize(buffer, 5, 5 + 11)).toBe(undefined)
    expect(peekBatchSize(buffer, 5, 5)).toBe(undefined)
  })

  it('refuses a length that no batch has', () => {
    const bytes = sample()
    for (const length of [48, 0, -1, -(2 ** 31)]) {
      new DataView(bytes.buffer).setInt32(8, length)
      expect(() => peekBatchSize(bytes, 0, bytes.length)).toThrow(failure('OTTLA_CORRUPTION', /position 0/))
    }
    new DataView(bytes.buffer).setInt32(8, 2 ** 31 - 1)
    expect(peekBatchSize(bytes, 0, bytes.length)).toBe(undefined)
  })
})

describe('decodeBatches', () => {
  it('finds nothing in nothing', () => {
    expect(decodeBatches(sample(), 7, 7, { verify: true })).toEqual([])
  })

  it('names the position of what is cut short or damaged', () => {
    const bytes = sample()
    const two = Buffer.concat([bytes, bytes])
    for (const verify of [true, false]) {
      for (const cut of [1, 11, 12, 17, bytes.length - 1]) {
        expect(() => decodeBatches(two, 0, bytes.length + cut, { verify })).toThrow(
          failure('OTTLA_CORRUPTION', new RegExp(`position ${bytes.length} `)),
        )
      }
    }
    two[two.length - 1] = 0x7f
    expect(() => decodeBatches(two, 0, two.length, { verify: true })).toThrow(
      failure('OTTLA_CORRUPTION', new RegExp(`position ${bytes.length} .*checksum`)),
    )
    expect(decodeBatches(two, 0, two.length).length).toBe(2)
  })

  it('tells the message formats before v2 from damage', () => {
    for (const [magic, length] of [
      [0, 14],
      [1, 22],
    ] as const) {
      const message = new Uint8Array(12 + length)
      new DataView(message.buffer).setInt32(8, length)
      message[16] = magic
      const unsupported = failure('OTTLA_UNSUPPORTED_FORMAT', new RegExp(`position 0 has magic ${magic}`))
      expect(() => decodeBatches(message, 0, message.length, { verify: true })).toThrow(unsupported)
    }
    expect(() => decodeBatches(new Uint8Array(100), 0, 100, { verify: true })).toThrow(failure('OTTLA_CORRUPTION'))
  })
})

describe('verifyBatch', () => {
  it('catches every flipped bit that the checksum covers, and those of magic and length', () => {
    const bytes = sample()
    for (let position = 8; position < bytes.length; position++) {
      if (position >= 12 && position < 16) continue // The leader epoch, which nothing here can know.
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Uint8Array.from(bytes)
        flipped[position] = (flipped[position] ?? 0) ^ (1 << bit)
        const batch = new EncodedBatch(flipped, 0, flipped.length)
        expect(() => verifyBatch(batch)).toThrow(
          failure(position === 16 ? 'OTTLA_UNSUPPORTED_FORMAT' : 'OTTLA_CORRUPTION'),
        )
      }
    }
  })

  it('still catches damage after the bytes were handed out', () => {
    const bytes = sample()
    bytes[bytes.length - 1] = 0x7f
    const batch = new EncodedBatch(bytes, 0, bytes.length)
    batch.bytes()
    expect(() => verifyBatch(batch)).toThrow(failure('OTTLA_CORRUPTION', /checksum/))
  })

  it('refuses attribute bits and codecs that are not known', () => {
    for (let bit = 7; bit < 16; bit++) {
      expect(() => verifyBatch(sampleWith(21, (1 << bit) >> 8, (1 << bit) & 0xff))).toThrow(
        failure('OTTLA_UNSUPPORTED_FORMAT'),
      )
    }
    for (const codec of [5, 6, 7]) {
      expect(() => verifyBatch(sampleWith(22, codec))).toThrow(failure('OTTLA_UNSUPPORTED_COMPRESSION'))
    }
    for (const known of [1, 2, 3, 4, 8, 16, 32, 64]) verifyBatch(sampleWith(22, known))
  })

  it('refuses counts that contradict each other, and accepts the gaps of compaction', () => {
    const corruption = failure('OTTLA_CORRUPTION')
    expect(() => verifyBatch(sampleWith(57, 0, 0, 0, 3))).toThrow(corruption)
    expect(() => verifyBatch(sampleWith(57, 0xff, 0xff, 0xff, 0xff))).toThrow(corruption)
    expect(() => verifyBatch(sampleWith(23, 0xff, 0xff, 0xff, 0xff))).toThrow(corruption)
    expect(() => verifyBatch(sampleWith(23, 0, 0, 0, 0))).toThrow(corruption)
    // A million records in twenty bytes.
    const million = [0, 15, 66, 64]
    const claimed = sampleWith(23, ...million)
    claimed.buffer.set(million, 57)
    new DataView(claimed.buffer.buffer).setUint32(17, crc32c(claimed.buffer, 21, claimed.sizeInBytes))
    expect(() => verifyBatch(claimed)).toThrow(corruption)
    verifyBatch(sampleWith(23, 0, 0, 0, 9))
  })

  it('refuses numbers that a JavaScript number cannot hold', () => {
    const twoTo53 = [0, 0x20, 0, 0, 0, 0, 0, 0]
    const corruption = failure('OTTLA_CORRUPTION', /2\^53/)
    for (const position of [0, 27, 35, 43]) {
      expect(() => verifyBatch(sampleWith(position, ...twoTo53))).toThrow(corruption)
    }
    expect(() => verifyBatch(sampleWith(0, 0xff))).toThrow(corruption)
    expect(() => sampleWith(27, ...twoTo53).records()).toThrow(corruption)
  })
})

describe('a batch that shares its values', () => {
  it('gives each cursor the same view of a value, whichever asks first, and the same records as before', () => {
    const builder = new RecordBatchBuilder()
    for (const [key, value] of [
      ['a', '1'],
      [null, null],
      ['c', ''],
      [null, '4'],
    ] as const) {
      builder.append(1000, key === null ? null : Buffer.from(key), value === null ? null : Buffer.from(value))
    }
    const batch = builder.close()
    const before = walk(batch)
    batch.shareValues()
    expect(walk(batch)).toEqual(before)
    const [one, other] = [batch.records(), batch.records()]
    // The other one asks for the second half only, and first.
    const skipped = [other.next(), other.next(), other.next()]
    const fromOther = [other.value, other.next() ? other.value : undefined]
    const fromOne: unknown[] = []
    while (one.next()) fromOne.push(one.value)
    expect(skipped).toEqual([true, true, true])
    expect(fromOne.map((value) => (value === null ? null : String(value)))).toEqual(['49', null, '', '52'])
    expect(fromOne[2]).toBe(fromOther[0])
    expect(fromOne[3]).toBe(fromOther[1])
  })
})

describe('a cursor', () => {
  /** Where the fields of the first record stand: length, attributes, deltas, key, value, headers. */
  const LENGTH = 61
  const OFFSET_DELTA = 64
  const KEY_LENGTH = 65
  const VALUE_LENGTH = 67
  const HEADER_COUNT = 69
  const HEADER_NAME_LENGTH = 70
  const HEADER_VALUE_LENGTH = 72

  it('refuses each length that the bytes do not bear out', () => {
    const corruption = failure('OTTLA_CORRUPTION', /position \d+/)
    const zigzag = (value: number): number => (value << 1) ^ (value >> 31)
    for (const [position, right] of [
      [LENGTH, 12],
      [KEY_LENGTH, 1],
      [VALUE_LENGTH, 1],
      [HEADER_COUNT, 1],
      [HEADER_NAME_LENGTH, 1],
      [HEADER_VALUE_LENGTH, 1],
    ] as const) {
      expect(sample()[position]).toBe(zigzag(right))
      for (let wrong = -64; wrong < 64; wrong++) {
        if (wrong !== right) expect(() => walk(sampleWith(position, zigzag(wrong)))).toThrow(corruption)
      }
    }
  })

  it('refuses too few records, too many, and bytes behind the last', () => {
    const corruption = failure('OTTLA_CORRUPTION')
    expect(() => walk(sampleWith(57, 0, 0, 0, 1))).toThrow(corruption)
    expect(() => walk(sampleWith(57, 0, 0, 0, 0))).toThrow(corruption)
    expect(() => walk(sampleWith(57, 0, 0, 0, 3))).toThrow(corruption)
    expect(() => walk(sampleWith(57, 0xff, 0, 0, 0))).toThrow(corruption)
    expect(() => walk(sampleWith(57, 0x7f, 0, 0, 0))).toThrow(corruption)
  })

  it('refuses offsets that do not rise or lie beyond the last', () => {
    const corruption = failure('OTTLA_CORRUPTION', /offset delta/)
    expect(() => walk(sampleWith(OFFSET_DELTA, 1))).toThrow(corruption)
    expect(() => walk(sampleWith(OFFSET_DELTA, 2))).toThrow(corruption)
    expect(() => walk(sampleWith(OFFSET_DELTA, 4))).toThrow(corruption)
  })

  it('refuses a header without a name', () => {
    const unnamed = sampleWith(HEADER_COUNT, 0x04, 0x01, 0x02, 0x61, 0x01)
    expect(() => walk(unnamed)).toThrow(failure('OTTLA_CORRUPTION', /no name/))
  })

  it('refuses a timestamp that only its delta takes beyond 2^53', () => {
    const last = sampleWith(27, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
    verifyBatch(last)
    const cursor = last.records()
    expect([cursor.next(), cursor.timestamp]).toEqual([true, 2 ** 53 - 1])
    expect(() => cursor.next()).toThrow(failure('OTTLA_CORRUPTION', /2\^53/))
  })

  it('stays where it was after bytes that are no record', () => {
    const cursor = sampleWith(74 + 4, 0x04).records()
    expect(cursor.next()).toBe(true)
    for (let i = 0; i < 2; i++) {
      expect(() => cursor.next()).toThrow(failure('OTTLA_CORRUPTION'))
      expect([cursor.offset, cursor.timestamp, cursor.headerCount]).toEqual([0, 1000, 1])
      expect(cursor.headers()).toEqual([['h', Uint8Array.of(0x31)]])
    }
  })

  it('gives views of the memory of the batch', () => {
    const batch = sampleWith(0, 0)
    const cursor = batch.records()
    cursor.next()
    expect(cursor.key?.buffer).toBe(batch.buffer.buffer)
    expect(cursor.value?.buffer).toBe(batch.buffer.buffer)
  })
})
