import { describe, expect, it } from 'vitest'
import { bytes } from '../../src/codec/bytes.js'

describe('bytes', () => {
  it('delivers a view of the record, without a copy', () => {
    const record = new Uint8Array([0, 1, 2, 3]).subarray(1, 3)
    expect(bytes().decode(record)).toBe(record)
  })

  it('delivers a plain Uint8Array where a Buffer was sent', () => {
    const sent = Buffer.from('abc')
    const received = bytes().decode(bytes().encode(sent))
    expect(received).toStrictEqual(new Uint8Array([97, 98, 99]))
    expect(received.buffer).toBe(sent.buffer)
  })

  it('encodes no bytes as no bytes', () => {
    expect(bytes().encode(new Uint8Array())).toStrictEqual(new Uint8Array())
  })

  it.each([
    ['a string', 'abc'],
    ['an array', [1, 2]],
    ['an ArrayBuffer', new ArrayBuffer(2)],
    ['an Int8Array', new Int8Array(2)],
  ])('refuses %s', (_, value) => {
    // A caller without types gets here.
    expect(() => bytes().encode(value as never)).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE' }))
  })
})
