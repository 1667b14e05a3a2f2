import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  unsignedVarintSize,
  VarintReader,
  varintSize,
  writeUnsignedVarint,
  writeVarint,
  writeVarlong,
} from '../../src/record/varint.js'

const INT32_EDGES = [0, -1, 1, -64, 63, 64, -65, 8191, 8192, 2 ** 20, 2 ** 27, 2 ** 28, 2 ** 31 - 1, -(2 ** 31)]
const SAFE_EDGES = [2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 34, -(2 ** 34) - 1, 2 ** 48, 2 ** 53 - 1, -(2 ** 53) + 1]

const int32 = fc.oneof(fc.constantFrom(...INT32_EDGES), fc.integer())
const safeInteger = fc.oneof(fc.constantFrom(...INT32_EDGES, ...SAFE_EDGES), fc.maxSafeInteger(), fc.integer())

/** The encoding as Kafka defines it, in arbitrary precision. */
function reference(value: bigint): number[] {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  const bytes: number[] = []
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  return [...bytes, Number(rest)]
}

function written(write: (target: Uint8Array, position: number) => number): number[] {
  const target = new Uint8Array(16)
  return [...target.subarray(0, write(target, 0))]
}

const corruption: unknown = expect.objectContaining({ code: 'OTTLA_CORRUPTION' })

describe('varints', () => {
  it('are written minimally and read back', () => {
    fc.assert(
      fc.property(int32, (value) => {
        const bytes = written((target, at) => writeVarint(target, at, value))
        expect(bytes).toEqual(reference(BigInt(value)))
        expect(varintSize(value)).toBe(bytes.length)
        const reader = new VarintReader(Uint8Array.from(bytes), 0, bytes.length)
        expect(reader.readVarint()).toBe(value)
        expect(reader.position).toBe(bytes.length)
      }),
    )
  })

  it('are written and read unsigned', () => {
    expect(written((target, at) => writeUnsignedVarint(target, at, 300))).toEqual([0xac, 0x02])
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
        const bytes = written((target, at) => writeUnsignedVarint(target, at, value))
        expect(unsignedVarintSize(value)).toBe(bytes.length)
        expect(new VarintReader(Uint8Array.from(bytes), 0, bytes.length).readUnsignedVarint()).toBe(value)
      }),
    )
  })

  it('may be padded, as Kafka reads them', () => {
    const padded = Uint8Array.of(0x82, 0x80, 0x80, 0x80, 0x00)
    expect(new VarintReader(padded, 0, 5).readVarint()).toBe(1)
    expect(new VarintReader(padded, 0, 5).readVarlong()).toBe(1)
  })

  it('are refused where they end early, without reading past the limit', () => {
    const bytes = Uint8Array.of(0x80, 0x80, 0x01)
    for (const limit of [0, 1, 2]) {
      const reader = new VarintReader(bytes, 0, limit)
      expect(() => reader.readVarint()).toThrow(corruption)
      expect(() => reader.readVarlong()).toThrow(corruption)
      expect(reader.position).toBe(0)
    }
  })

  it('are refused where they hold more than 32 bits', () => {
    for (const fifth of [0x10, 0x7f, 0x80, 0xff]) {
      const bytes = Uint8Array.of(0xff, 0xff, 0xff, 0xff, fifth, 0x00)
      expect(() => new VarintReader(bytes, 0, 6).readUnsignedVarint()).toThrow(corruption)
    }
    const largest = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f)
    expect(new VarintReader(largest, 0, 5).readUnsignedVarint()).toBe(2 ** 32 - 1)
  })
})

describe('varlongs', () => {
  it('are written minimally and read back', () => {
    fc.assert(
      fc.property(safeInteger, (value) => {
        const bytes = written((target, at) => writeVarlong(target, at, value))
        expect(bytes).toEqual(reference(BigInt(value)))
        const reader = new VarintReader(Uint8Array.from(bytes), 0, bytes.length)
        expect(reader.readVarlong()).toBe(value)
        expect(reader.position).toBe(bytes.length)
      }),
      { numRuns: 500 },
    )
  })

  it('are read where they are safe integers and refused over all the rest of 64 bits', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = Uint8Array.from(reference(value))
        const reader = new VarintReader(bytes, 0, bytes.length)
        if (Number.isSafeInteger(Number(value))) expect(reader.readVarlong()).toBe(Number(value))
        else expect(() => reader.readVarlong()).toThrow(corruption)
      }),
      { numRuns: 500 },
    )
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
      const bytes = Uint8Array.from(reference(value))
      expect(() => new VarintReader(bytes, 0, bytes.length).readVarlong()).toThrow(corruption)
    }
  })

  it('are refused where they hold more than 64 bits', () => {
    const bytes = new Uint8Array(12).fill(0x80)
    expect(() => new VarintReader(bytes, 0, 12).readVarlong()).toThrow(corruption)
    bytes[9] = 0x02
    expect(() => new VarintReader(bytes, 0, 12).readVarlong()).toThrow(corruption)
  })
})
