import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { json } from '../../src/codec/json.js'

const codec = json()

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text))
}

describe('json', () => {
  it('writes JSON as UTF-8', () => {
    expect(Buffer.from(codec.encode({ a: [1, 'ž', null] })).toString()).toBe('{"a":[1,"ž",null]}')
  })

  it('gives back any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(value !== null)
        expect(codec.decode(Uint8Array.from(codec.encode(value)))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('gives back half a surrogate pair, which JSON escapes', () => {
    expect(codec.decode(codec.encode('\uD83D'))).toBe('\uD83D')
  })

  it('follows JSON inside: a Date becomes text, undefined is left out', () => {
    expect(codec.decode(codec.encode({ at: new Date(0), none: undefined, nan: Number.NaN }))).toStrictEqual({
      at: '1970-01-01T00:00:00.000Z',
      nan: null,
    })
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['an invalid Date', new Date(Number.NaN)],
    ['a BigInt', { a: 1n }],
    ['a cycle', cycle],
    ['an object whose toJSON returns nothing', { toJSON: () => undefined }],
  ])('refuses %s', (_, value) => {
    expect(() => codec.encode(value)).toThrow(
      expect.objectContaining({
        code: 'OTTLA_ENCODE',
        message: expect.stringMatching(/^json\(\) cannot encode .*\.$/),
      }),
    )
  })

  it.each(['', '{', '{"a":1}x', 'nul', '\uFEFF1'])('refuses %j to decode', (text) => {
    expect(() => codec.decode(bytesOf(text))).toThrow(
      expect.objectContaining({ code: 'OTTLA_DECODE', cause: expect.any(SyntaxError) }),
    )
  })

  it('refuses bytes that are not UTF-8', () => {
    const bytes = new Uint8Array([0x22, 0xff, 0x22])
    expect(() => codec.decode(bytes)).toThrow(expect.objectContaining({ code: 'OTTLA_DECODE' }))
  })
})
