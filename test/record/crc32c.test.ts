import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/record/crc32c.js'

/** One bit at a time, from the definition. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}

/** Bytes without a pattern that a wrong table could hide behind. */
function noise(size: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 24
  })
}

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
})
