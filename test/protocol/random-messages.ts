import fc from 'fast-check'
import { defaultOf, nameOf, type Struct, type Value } from './definition-interpreter.js'
import { type DefinedField, type Definition, inRange } from './kafka-definitions.js'

/** Any message that the definition allows in this version, with the edges of each type and now and then a default. */
export function messagesOf({ fields }: Definition, version: number): fc.Arbitrary<Struct> {
  return struct(fields, version)
}

function struct(fields: readonly DefinedField[], version: number): fc.Arbitrary<Struct> {
  const present = fields.filter(({ versions }) => inRange(version, versions))
  return fc.record(Object.fromEntries(present.map((field) => [nameOf(field), valuesOf(field, version)])))
}

function valuesOf(field: DefinedField, version: number): fc.Arbitrary<Value> {
  const isArray = field.type.startsWith('[]')
  const one: fc.Arbitrary<Value> =
    field.fields === undefined ? scalar(isArray ? field.type.slice(2) : field.type) : struct(field.fields, version)
  const value = isArray ? fc.array(one, { maxLength: 3 }) : one
  const usual: fc.Arbitrary<Value> = inRange(version, field.nullable) ? fc.option(value, { freq: 4 }) : value
  const fallback = defaultOf(field, version)
  return fallback === null && !inRange(version, field.nullable)
    ? usual
    : fc.oneof({ weight: 4, arbitrary: usual }, { weight: 1, arbitrary: fc.constant(fallback) })
}

const INT64: fc.Arbitrary<number> = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(-1, 0, 2 ** 32, -(2 ** 32) - 1, 2 ** 63, -(2 ** 63)),
)

function integer(bits: number): fc.Arbitrary<number> {
  return fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
}

function scalar(type: string): fc.Arbitrary<Value> {
  switch (type) {
    case 'bool':
      return fc.boolean()
    case 'int8':
      return integer(8)
    case 'int16':
      return integer(16)
    case 'int32':
      return integer(32)
    case 'int64':
      return INT64
    case 'float64':
      return fc.double({ noNaN: true })
    case 'string':
      // Longer ones than a length of one byte can say.
      return fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.integer({ max: 400, min: 100 }).map((n) => 'x'.repeat(n)),
      )
    case 'uuid':
      return fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map((bytes) => (bytes.every((byte) => byte === 0) ? '' : Buffer.from(bytes).toString('base64url')))
    case 'bytes':
    case 'records':
      return fc.oneof(
        fc.uint8Array(),
        fc.integer({ min: 120, max: 3000 }).map((n) => new Uint8Array(n).fill(n)),
      )
    default:
      throw new Error(`no values for ${type}`)
  }
}
