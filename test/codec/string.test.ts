import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { string } from '../../src/codec/string.js'
import { codePoint } from '../code-point.js'

const codec = string()

describe('string', () => {
  it('writes UTF-8', () => {
    expect(Buffer.from(codec.encode('kůň 🐎')).toString('hex')).toBe('6bc5afc58820f09f908e')
    expect(codec.encode('')).toHaveLength(0)
  })

  it('gives back any well-formed string, a byte order mark included', () => {
    expect(codec.decode(codec.encode('\uFEFFa'))).toBe('\uFEFFa')
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), (text) => {
        expect(codec.decode(Uint8Array.from(codec.encode(text)))).toBe(text)
      }),
    )
  })

  it('refuses half a surrogate pair, which would arrive as another string', () => {
    for (const text of ['\uD83D', 'a\uDE00b', '\uDE00\uD83D']) {
      expect(() => codec.encode(text)).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE' }))
    }
  })

  it('refuses what is not a string', () => {
    for (const value of [1, {}, Buffer.from('a'), Object('a')]) {
      // A caller without types gets here.
      expect(() => codec.encode(value as string)).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE' }))
    }
  })

  it('refuses bytes that are not UTF-8', () => {
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0x61, 0x80]]) {
      expect(() => codec.decode(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 'OTTLA_DECODE' }))
    }
  })
})
