import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OttlaError } from '../../src/errors.js'
import { ProducerState } from '../../src/log/producer-state.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'

const LAST_SEQUENCE = 2 ** 31 - 1
/** Bit of a batch's attributes, whose low byte lies at 22. */
const CONTROL_BIT = 0x20

interface BatchOptions {
  producerId?: number
  epoch?: number
  sequence?: number
  records?: number
  offset?: number
  timestamp?: number
  isTransactional?: boolean
}

function batchOf(options: BatchOptions): RecordBatch {
  const { producerId = 9, epoch = 0, sequence = 0, records = 1, offset = 0, timestamp = 1000 } = options
  const builder = new RecordBatchBuilder()
  for (let i = 0; i < records; i++) builder.append(timestamp, null, null)
  const isTransactional = options.isTransactional === true
  const batch = builder.close({ producerId, producerEpoch: epoch, baseSequence: sequence, isTransactional })
  batch.assignOffsets(offset, 0)
  return batch
}

function controlBatch(options: BatchOptions): RecordBatch {
  const bytes = batchOf({ ...options, sequence: -1 })
    .bytes()
    .slice()
  bytes[22] = (bytes[22] ?? 0) | CONTROL_BIT
  return new EncodedBatch(bytes, 0, bytes.length)
}

function stateAfter(...batches: BatchOptions[]): ProducerState {
  const state = new ProducerState()
  for (const batch of batches) state.update(batchOf(batch))
  return state
}

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return OttlaError.is(error) ? error.code : String(error)
  }
  return 'no error'
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Kafka's own, from a producer whose last batch is 5 to 9 at offsets 9 to 13, in a transaction that began at 12. */
const KAFKA_SNAPSHOT =
  '0001b5d50ed5000000010000000000000009000100000006000000000000000d000000010000018bcfe5680000000004000000000000000c'

describe('ProducerState', () => {
  it('decides as Kafka does, batch by batch, and writes the same snapshots', () => {
    const lines = readFileSync(new URL('../fixtures/log/producer-state.tsv', import.meta.url), 'utf8')
      .trim()
      .split('\n')
    let state = new ProducerState()
    for (const [index, line] of lines.entries()) {
      const at = `line ${index + 1}`
      const [first = '', ...rest] = line.split('\t')
      if (first.startsWith('#')) continue
      if (first === 'N') {
        state = new ProducerState()
      } else if (first === 'S') {
        expect(hex(state.snapshot()), at).toBe(rest[0])
        state = new ProducerState()
        state.restore(Buffer.from(rest[0] ?? '', 'hex'))
      } else {
        const [epoch, sequence, records, offset, timestamp] = rest.map(Number)
        if (epoch === undefined || sequence === undefined || records === undefined) throw new Error(at)
        if (offset === undefined || timestamp === undefined) throw new Error(at)
        const batch = batchOf({ producerId: Number(first), epoch, sequence, records, offset, timestamp })
        expect(decide(state, batch), at).toBe(rest.slice(5).join(' '))
      }
    }
  })

  it('lets batches without a producer pass and remembers nothing of them', () => {
    const state = new ProducerState()
    const batch = batchOf({ producerId: -1, epoch: -1, sequence: -1 })
    expect(state.check(batch)).toBeUndefined()
    state.update(batch)
    expect(state.size).toBe(0)
  })

  it('goes by the producer id alone: kafkajs sends epoch 0 and sequence 0 without one', () => {
    const state = new ProducerState()
    const batch = batchOf({ producerId: -1, epoch: 0, sequence: 0 })
    state.update(batch)
    expect(state.check(batch)).toBeUndefined()
  })

  it('lets a producer that is not known begin at any sequence', () => {
    expect(new ProducerState().check(batchOf({ sequence: 17 }))).toBeUndefined()
  })

  it('refuses a sequence below 0', () => {
    expect(codeOf(() => new ProducerState().check(batchOf({ sequence: -1 })))).toBe('OTTLA_INVALID_ARGUMENT')
  })

  it('finds each of the last five batches again and gives its first offset and timestamp', () => {
    const state = new ProducerState()
    for (let i = 0; i < 6; i++) {
      state.update(batchOf({ sequence: i * 2, records: 2, offset: 100 + i * 2, timestamp: 1000 + i }))
    }
    for (let i = 1; i < 6; i++) {
      expect(state.check(batchOf({ sequence: i * 2, records: 2 }))).toEqual({
        baseOffset: 100 + i * 2,
        timestamp: 1000 + i,
      })
    }
    expect(codeOf(() => state.check(batchOf({ sequence: 0, records: 2 })))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
  })

  it('takes no batch for a repetition that ends elsewhere', () => {
    const state = stateAfter({ sequence: 0, records: 3 })
    expect(codeOf(() => state.check(batchOf({ sequence: 0, records: 2 })))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
  })

  it('refuses a batch that leaves a gap, and says which sequence is next', () => {
    const state = stateAfter({ sequence: 0, records: 3 })
    expect(() => state.check(batchOf({ sequence: 4 }))).toThrow(/sequence 4 where 3 is next/)
    expect(state.check(batchOf({ sequence: 3 }))).toBeUndefined()
  })

  it('counts on from 2^31 - 1 to 0, between batches and within one', () => {
    const atEnd = stateAfter({ sequence: LAST_SEQUENCE })
    expect(atEnd.check(batchOf({ sequence: 0 }))).toBeUndefined()
    const across = stateAfter({ sequence: LAST_SEQUENCE - 1, records: 4, offset: 7 })
    expect(across.check(batchOf({ sequence: 2 }))).toBeUndefined()
    expect(codeOf(() => across.check(batchOf({ sequence: 1 })))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
    expect(across.check(batchOf({ sequence: LAST_SEQUENCE - 1, records: 4 }))?.baseOffset).toBe(7)
  })

  it('fences an older epoch, even for a batch that it already has', () => {
    const state = stateAfter({ epoch: 0, sequence: 0 }, { epoch: 1, sequence: 0, offset: 1 })
    expect(codeOf(() => state.check(batchOf({ epoch: 0, sequence: 0 })))).toBe('OTTLA_INVALID_PRODUCER_EPOCH')
  })

  it('begins a new epoch at 0 and nowhere else', () => {
    const state = stateAfter({ epoch: 0, sequence: 0 })
    expect(codeOf(() => state.check(batchOf({ epoch: 1, sequence: 1 })))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
    expect(state.check(batchOf({ epoch: 1, sequence: 0 }))).toBeUndefined()
  })

  it('takes the epoch of a control batch but no sequence', () => {
    const state = stateAfter({ epoch: 0, sequence: 0 })
    state.update(controlBatch({ epoch: 0, offset: 1 }))
    expect(state.check(batchOf({ epoch: 0, sequence: 1 }))).toBeUndefined()
    state.update(controlBatch({ epoch: 1, offset: 2 }))
    expect(codeOf(() => state.check(batchOf({ epoch: 0, sequence: 1 })))).toBe('OTTLA_INVALID_PRODUCER_EPOCH')
    expect(codeOf(() => state.check(batchOf({ epoch: 1, sequence: 1 })))).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
    expect(state.check(batchOf({ epoch: 1, sequence: 0 }))).toBeUndefined()
  })

  it('keeps the first offset of an open transaction in the snapshot until its marker comes', () => {
    const firstOffset = (state: ProducerState): bigint => Buffer.from(state.snapshot()).readBigInt64BE(10 + 38)
    const state = stateAfter(
      { sequence: 0, offset: 5, isTransactional: true },
      { sequence: 1, offset: 6, isTransactional: true },
    )
    expect(firstOffset(state)).toBe(5n)
    state.update(controlBatch({ offset: 7 }))
    expect(firstOffset(state)).toBe(-1n)
  })

  it('appends any run of batches in order, and finds the last five again wherever it begins', () => {
    const runs = fc.record({
      start: fc.oneof(fc.nat(20), fc.integer({ min: LAST_SEQUENCE - 20, max: LAST_SEQUENCE })),
      sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 12 }),
    })
    fc.assert(
      fc.property(runs, ({ start, sizes }) => {
        const state = new ProducerState()
        const sent: BatchOptions[] = []
        let offset = 0
        for (const records of sizes) {
          const options = { sequence: (start + offset) % 2 ** 31, records, offset }
          expect(state.check(batchOf(options))).toBeUndefined()
          state.update(batchOf(options))
          sent.push(options)
          offset += records
        }
        for (const options of sent.slice(-5)) {
          expect(state.check(batchOf({ ...options, offset: 999 }))?.baseOffset).toBe(options.offset)
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe("ProducerState's snapshot", () => {
  it('is read from and written to the bytes of Kafka', () => {
    const state = new ProducerState()
    state.restore(Buffer.from(KAFKA_SNAPSHOT, 'hex'))
    expect(state.size).toBe(1)
    expect(hex(state.snapshot())).toBe(KAFKA_SNAPSHOT)
    expect(state.check(batchOf({ epoch: 1, sequence: 7 }))).toBeUndefined()
    expect(state.check(batchOf({ epoch: 1, sequence: 5, records: 2 }))?.baseOffset).toBe(12)
  })

  it('of nobody is a header', () => {
    const bytes = new ProducerState().snapshot()
    expect(bytes.length).toBe(10)
    const state = stateAfter({})
    state.restore(bytes)
    expect(state.size).toBe(0)
  })

  it('keeps a producer that has an epoch but no batch', () => {
    const state = new ProducerState()
    state.update(controlBatch({ epoch: 3 }))
    const restored = new ProducerState()
    restored.restore(state.snapshot())
    expect(hex(restored.snapshot())).toBe(hex(state.snapshot()))
    expect(codeOf(() => restored.check(batchOf({ epoch: 2 })))).toBe('OTTLA_INVALID_PRODUCER_EPOCH')
  })

  it('is refused where a bit is flipped or bytes are missing or too many, and nothing changes', () => {
    const bytes = stateAfter({ producerId: 1 }, { producerId: 2 }).snapshot()
    const state = stateAfter({ producerId: 7 })
    const before = hex(state.snapshot())
    const damaged = fc.oneof(
      fc.nat(bytes.length * 8 - 1).map((bit) => {
        const copy = bytes.slice()
        copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        return copy
      }),
      fc.nat(bytes.length - 1).map((length) => bytes.slice(0, length)),
      fc.uint8Array({ minLength: 1, maxLength: 60 }).map((more) => Uint8Array.of(...bytes, ...more)),
      fc.uint8Array({ maxLength: 200 }),
    )
    fc.assert(
      fc.property(damaged, (garbage) => {
        expect(codeOf(() => state.restore(garbage))).toBe('OTTLA_CORRUPTION')
        expect(hex(state.snapshot())).toBe(before)
      }),
    )
  })
})

function decide(state: ProducerState, batch: RecordBatch): string {
  try {
    const duplicate = state.check(batch)
    if (duplicate !== undefined) return `D ${duplicate.baseOffset} ${duplicate.timestamp}`
    state.update(batch)
    return 'A'
  } catch (error) {
    if (!OttlaError.is(error)) throw error
    return error.code === 'OTTLA_INVALID_PRODUCER_EPOCH'
      ? 'E'
      : error.code === 'OTTLA_OUT_OF_ORDER_SEQUENCE'
        ? 'O'
        : '?'
  }
}
