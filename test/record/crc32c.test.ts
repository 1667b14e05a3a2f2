import { afterEach, describe, expect, it, vi } from 'vitest'
import { crc32c } from '../../src/record/crc32c.js'
import { foldByVectors, foldByWords, LEAST_FOLDED_BYTES } from '../../src/record/crc32c-fold.js'

function slowCrc32c(bytes: Uint8Array): number {
  return ~register(~0, bytes) >>> 0
}

/** One bit at a time, from the definition. */
function register(before: number, bytes: Uint8Array): number {
  let crc = before
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return crc
}

/** Bytes without a pattern that a wrong table could hide behind. */
function noise(size: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 24
  })
}

afterEach(() => void vi.unstubAllGlobals())

describe('crc32c', () => {
  it('gives the known answers of RFC 3720 and of the check string', () => {
    const check = Uint8Array.from(Buffer.from('123456789'))
    expect(crc32c(check, 0, 9)).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).toBe(0x62a8ab43)
    expect(crc32c(check, 4, 4)).toBe(0)
  })

  it('is the same at every alignment and length', () => {
    const memory = noise(400)
    for (let offset = 0; offset < 17; offset++) {
      const view = new Uint8Array(memory.buffer, offset)
      for (let length = 0; length <= 300; length++) {
        const expected = slowCrc32c(view.subarray(5, 5 + length))
        if (crc32c(view, 5, 5 + length) !== expected) {
          expect({ offset, length, crc: crc32c(view, 5, 5 + length) }).toEqual({ offset, length, crc: expected })
        }
      }
    }
  })

  it('is the same for much, from the first to the last that a process asks for', () => {
    const memory = noise(150_000)
    for (let round = 0; round < 2; round++) {
      for (const [start, length] of [
        [0, 4095],
        [1, 4096],
        [3, 4097],
        [0, 12_289],
        [5, 65_536],
        [7, 149_993],
      ] as const) {
        expect(crc32c(memory, start, start + length)).toBe(slowCrc32c(memory.subarray(start, start + length)))
      }
      // Many times what vectors are made for.
      for (let more = 0; more < 100; more++) crc32c(memory, 0, memory.length)
    }
  })
})

describe.each([
  ['vectors', foldByVectors],
  ['words', foldByWords],
])('the fold by %s', (_, makeFold) => {
  it('leaves a short message with the same checksum, from any register, of any length and at any place', () => {
    const fold = makeFold()
    const memory = noise(80_000)
    for (const [start, length] of [
      ...Array.from({ length: 70 }, (_, more) => [more % 5, LEAST_FOLDED_BYTES + more] as const),
      [1, 24_575],
      [0, 24_576],
      [3, 26_623],
      [4, 26_624],
      [7, 26_625],
      [2, 51_199],
      [0, 79_999],
    ] as const) {
      const before = memory[length % 1000] ?? 0
      const rest = fold?.(before, memory, start, start + length) ?? new Uint8Array()
      const expected = register(before, memory.subarray(start, start + length))
      expect({ start, length, register: register(0, rest) }).toEqual({ start, length, register: expected })
      expect(rest.length).toBeLessThan(1000)
    }
  })
})

describe('the fold by vectors', () => {
  it.each([
    ['without WebAssembly', undefined],
    ['without its vectors', { validate: (): boolean => false }],
    [
      'where its memory is refused',
      {
        Module: class {},
        validate: (): boolean => true,
        Instance: class {
          constructor() {
            throw new RangeError('WebAssembly.Instance(): Out of memory')
          }
        },
      },
    ],
  ])('is not to be had %s', (_, webAssembly) => {
    vi.stubGlobal('WebAssembly', webAssembly)
    expect(foldByVectors()).toBeUndefined()
  })
})
