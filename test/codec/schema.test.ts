import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import type { Codec, StandardSchema } from '../../src/codec/codec.js'
import { json } from '../../src/codec/json.js'
import { schema } from '../../src/codec/schema.js'

const Order = z.object({
  id: z.string(),
  at: z.coerce.date<Date | string>(),
  items: z.array(z.object({ price: z.number() })).default([]),
  note: z.string().default('-'),
})

describe('schema', () => {
  it('encodes the input form as it was given', () => {
    const codec = schema(Order, json())
    expect(Buffer.from(codec.encode({ id: 'a', at: '2026-01-01' })).toString()).toBe('{"id":"a","at":"2026-01-01"}')
  })

  it('delivers the output form, coerced and with defaults', () => {
    const codec = schema(Order, json())
    const received = codec.decode(codec.encode({ id: 'a', at: '2026-01-01' }))
    expect(received).toStrictEqual({ id: 'a', at: new Date('2026-01-01'), items: [], note: '-' })
  })

  it('has the types of both forms', () => {
    expectTypeOf(schema(Order, json())).toEqualTypeOf<Codec<z.output<typeof Order>, z.input<typeof Order>>>()
  })

  it('uses msgpack unless told otherwise, and bears the name of its inner codec', () => {
    const codec = schema(z.object({ at: z.date() }))
    expect(codec.name).toBe('msgpack')
    expect(schema(Order, json()).name).toBe('json')
    expect(codec.decode(codec.encode({ at: new Date(0) }))).toStrictEqual({ at: new Date(0) })
  })

  it('refuses to send what does not fit, and lists every issue with its path', () => {
    const codec = schema(Order, json())
    // A caller without types gets here.
    const wrong = { id: 1, at: '2026-01-01', items: [{ price: 1 }, { price: 'x' }] } as never
    expect(() => codec.encode(wrong)).toThrow(
      expect.objectContaining({
        code: 'OTTLA_ENCODE',
        message: expect.stringMatching(/does not fit its schema: id: .*; items\[1\]\.price: .*\.$/),
      }),
    )
  })

  it('refuses to deliver what does not fit', () => {
    const old = json().encode({ id: 'a' })
    expect(() => schema(Order, json()).decode(old)).toThrow(
      expect.objectContaining({ code: 'OTTLA_DECODE', message: expect.stringContaining('at: ') }),
    )
  })

  it('lets the errors of the inner codec through', () => {
    const codec = schema(z.object({ a: z.any() }))
    expect(() => codec.encode({ a: () => 1 })).toThrow('msgpack() cannot encode the value: value.a is a function')
    expect(() => codec.decode(new Uint8Array([0xc1, 0xc1]))).toThrow(expect.objectContaining({ code: 'OTTLA_DECODE' }))
  })

  it('refuses an asynchronous schema, in both directions and without an unhandled rejection', () => {
    const codec = schema(
      z.string().refine(async () => true),
      json(),
    )
    const message = expect.stringContaining('zod schema is asynchronous')
    expect(() => codec.encode('a')).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE', message }))
    expect(() => codec.decode(json().encode('a'))).toThrow(expect.objectContaining({ code: 'OTTLA_DECODE', message }))
    const rejecting = standard(() => Promise.reject(new Error('late')))
    expect(() => schema(rejecting, json()).encode('a')).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE' }))
  })

  it('takes an issue of any library: with paths of keys or of segments, or with none', () => {
    const issues = [
      { message: 'one', path: ['a', { key: 'b' }, 0] },
      { message: 'two' },
      { message: 'three', path: [0] },
    ]
    expect(() =>
      schema(
        standard(() => ({ issues })),
        json(),
      ).encode('a'),
    ).toThrow('The value to be sent does not fit its schema: a.b[0]: one; two; [0]: three.')
  })

  it('delivers an output that is undefined, and refuses an answer that is none', () => {
    expect(
      schema(
        standard(() => ({ value: undefined })),
        json(),
      ).decode(json().encode('a')),
    ).toBe(undefined)
    expect(() =>
      schema(
        standard(() => 'a'),
        json(),
      ).encode('a'),
    ).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE' }))
  })

  it('calls validate on its own object, as a schema of classes needs', () => {
    class Validator {
      readonly version = 1
      readonly vendor = 'test'
      readonly limit = 3
      validate(value: unknown): unknown {
        return String(value).length <= this.limit ? { value } : { issues: [{ message: 'too long' }] }
      }
    }
    const codec = schema<string, string>({ '~standard': new Validator() as never }, json())
    expect(codec.decode(codec.encode('abc'))).toBe('abc')
  })
})

function standard(validate: (value: unknown) => unknown): StandardSchema<string, unknown> {
  return { '~standard': { version: 1, vendor: 'test', validate } }
}
