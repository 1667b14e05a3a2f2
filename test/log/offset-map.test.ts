import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyHash } from '../../src/log/key-hash.js'
import { OffsetMap } from '../../src/log/offset-map.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('KeyHash', () => {
  // Of the reference implementation of HalfSipHash-2-4 with 64 bits, key 00 01 .. 07, message 00 01 02 ..
  it.each([
    [0, '218d1f59b9b83cc8'],
    [1, 'be552412f8387315'],
    [2, '064f39ef7c50eb57'],
    [3, 'ce0f1a45f7060679'],
    [4, 'd5e78a175be52ea1'],
    [8, 'edfee820bce4858c'],
  ])('of %i bytes is that of the reference', (length, expected) => {
    const hash = new KeyHash([0x03020100, 0x07060504, 0x03020100, 0x07060504])
    hash.hash(Uint8Array.from({ length }, (_, index) => index))
    expect(Buffer.from(hash.words.buffer).toString('hex')).toBe(expected + expected)
  })

  it('is another one in another process, so that nobody can choose keys that collide', () => {
    const [one, other] = [new KeyHash(), new KeyHash()]
    for (const hash of [one, other]) hash.hash(bytes('key'))
    expect(one.words).not.toEqual(other.words)
  })
})

describe('OffsetMap', () => {
  it('knows the latest offset of each key, as a Map does', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 9 }), { maxLength: 200 }), (keys) => {
        const [map, expected] = [new OffsetMap(keys.length, 1 << 20), new Map<string, number>()]
        for (const [offset, key] of keys.entries()) {
          expect(map.put(bytes(key), offset)).toBe(true)
          expected.set(key, offset)
        }
        expect(map.size).toBe(expected.size)
        for (const [key, offset] of expected) expect(map.get(bytes(key))).toBe(offset)
        expect(map.get(bytes('longer than any'))).toBe(-1)
        expect(map.latestOffset).toBe(keys.length - 1)
      }),
    )
  })

  it('is full at nine tenths of the bytes it was given, then takes known keys alone and says how far it came', () => {
    const map = new OffsetMap(1e9, 24 * 100)
    let offset = 0
    while (map.put(bytes(`key-${offset}`), offset)) offset++
    expect([map.size, map.latestOffset]).toEqual([90, 89])
    expect(map.put(bytes('key-7'), 200)).toBe(true)
    expect([map.get(bytes('key-7')), map.get(bytes('key-90'))]).toEqual([200, -1])
  })
})
