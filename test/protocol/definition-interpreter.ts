import { type DefinedField, type Definition, inRange } from './kafka-definitions.js'

/*
 * Reads and writes messages straight from Kafka's definitions, and shares no line with src/protocol: what both agree
 * on is what Kafka says. Slow, and trusts its input.
 */

export type Value = boolean | number | string | null | Uint8Array | Value[] | { [name: string]: Value }

export interface Struct {
  [name: string]: Value
}

/** A message in bytes, without a header. */
export function interpretWrite({ fields, flexible }: Definition, version: number, message: Struct): Buffer {
  const out: number[] = []
  writeStruct(out, fields, { version, flexible: inRange(version, flexible) }, message)
  return Buffer.from(out)
}

/** The fields that the version has, and how many bytes they took. */
export function interpretRead(
  { fields, flexible }: Definition,
  version: number,
  bytes: Uint8Array,
): { message: Struct; end: number } {
  const source = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), at: 0 }
  const message = readStruct(source, fields, { version, flexible: inRange(version, flexible) })
  return { message, end: source.at }
}

/** What a field has in a message that does not carry it. */
export function defaultOf(field: DefinedField, version: number): Value {
  if (field.default === 'null') return null
  if (field.type.startsWith('[]')) return []
  if (field.fields !== undefined) {
    const present = field.fields.filter(({ versions }) => inRange(version, versions))
    return Object.fromEntries(present.map((inner) => [nameOf(inner), defaultOf(inner, version)]))
  }
  switch (field.type) {
    case 'bool':
      return field.default === 'true'
    case 'string':
    case 'uuid':
      return field.default ?? ''
    case 'bytes':
      return new Uint8Array(0)
    case 'records':
      return null
    default:
      return Number(field.default ?? 0)
  }
}

/** Kafka's names are in PascalCase, with two exceptions. */
export function nameOf({ name }: { name: string }): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

interface Mode {
  version: number
  flexible: boolean
}

const isTagged = ({ tagged }: DefinedField, { version }: Mode): boolean => inRange(version, tagged)

function writeStruct(out: number[], fields: DefinedField[], mode: Mode, struct: Struct): void {
  const present = fields.filter(({ versions }) => inRange(mode.version, versions))
  for (const field of present) if (!isTagged(field, mode)) writeField(out, field, mode, valueIn(struct, field))
  if (!mode.flexible) return
  const tags = present
    .filter((field) => isTagged(field, mode) && !same(valueIn(struct, field), defaultOf(field, mode.version)))
    .sort((a, b) => (a.tag ?? 0) - (b.tag ?? 0))
  writeVarint(out, tags.length)
  for (const field of tags) {
    const content: number[] = []
    writeField(content, field, mode, valueIn(struct, field))
    writeVarint(out, field.tag ?? 0)
    writeVarint(out, content.length)
    out.push(...content)
  }
}

function valueIn(struct: Struct, field: DefinedField): Value {
  const value = struct[nameOf(field)]
  if (value === undefined) throw new Error(`no value for ${field.name}`)
  return value
}

function same(a: Value, b: Value): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function writeField(out: number[], field: DefinedField, mode: Mode, value: Value): void {
  if (field.type.startsWith('[]')) {
    const elements = value as Value[] | null
    writeLength(out, mode, 4, elements === null ? -1 : elements.length)
    const element = { ...field, type: field.type.slice(2), nullable: 'none' }
    for (const each of elements ?? []) writeField(out, element, mode, each)
  } else if (field.fields !== undefined) {
    if (inRange(mode.version, field.nullable)) writeInteger(out, 1, value === null ? -1n : 1n)
    if (value !== null) writeStruct(out, field.fields, mode, value as Struct)
  } else {
    writeScalar(out, field.type, mode, value)
  }
}

const INTEGER_BYTES: { readonly [type: string]: number } = { int8: 1, int16: 2, int32: 4, int64: 8 }
const LARGEST_INT64 = 2n ** 63n - 1n

function writeScalar(out: number[], type: string, mode: Mode, value: Value): void {
  switch (type) {
    case 'bool':
      out.push(value === true ? 1 : 0)
      break
    case 'string': {
      const text = value === null ? null : Buffer.from(value as string, 'utf8')
      writeLength(out, mode, 2, text === null ? -1 : text.length)
      out.push(...(text ?? []))
      break
    }
    case 'bytes':
    case 'records': {
      const content = value as Uint8Array | null
      writeLength(out, mode, 4, content === null ? -1 : content.length)
      out.push(...(content ?? []))
      break
    }
    case 'uuid':
      out.push(
        ...Buffer.alloc(16, Buffer.from(value === '' ? 'AAAAAAAAAAAAAAAAAAAAAA' : (value as string), 'base64url')),
      )
      break
    case 'float64': {
      const content = Buffer.alloc(8)
      content.writeDoubleBE(value as number)
      out.push(...content)
      break
    }
    default: {
      const integer = BigInt(value as number)
      writeInteger(out, INTEGER_BYTES[type] ?? 0, integer > LARGEST_INT64 ? LARGEST_INT64 : integer)
    }
  }
}

function writeInteger(out: number[], bytes: number, value: bigint): void {
  for (let i = bytes - 1; i >= 0; i--) out.push(Number((value >> BigInt(8 * i)) & 0xffn))
}

function writeVarint(out: number[], value: number): void {
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 128n) {
      out.push(Number(left))
      return
    }
    out.push(Number(left & 127n) + 128)
  }
}

function writeLength(out: number[], { flexible }: Mode, bytes: number, length: number): void {
  if (flexible) writeVarint(out, length + 1)
  else writeInteger(out, bytes, BigInt(length))
}

interface Source {
  view: DataView
  at: number
}

function readStruct(source: Source, fields: DefinedField[], mode: Mode): Struct {
  const present = fields.filter(({ versions }) => inRange(mode.version, versions))
  const struct: Struct = {}
  for (const field of present) {
    struct[nameOf(field)] = isTagged(field, mode) ? defaultOf(field, mode.version) : readField(source, field, mode)
  }
  if (!mode.flexible) return struct
  for (let left = readVarint(source); left > 0; left--) {
    const tag = readVarint(source)
    const size = readVarint(source)
    const field = present.find((candidate) => isTagged(candidate, mode) && candidate.tag === tag)
    if (field === undefined) source.at += size
    else struct[nameOf(field)] = readField(source, field, mode)
  }
  return struct
}

function readField(source: Source, field: DefinedField, mode: Mode): Value {
  if (field.type.startsWith('[]')) {
    const count = readLength(source, mode, 4)
    const element = { ...field, type: field.type.slice(2), nullable: 'none' }
    return count < 0 ? null : Array.from({ length: count }, () => readField(source, element, mode))
  }
  if (field.fields !== undefined) {
    const isNull = inRange(mode.version, field.nullable) && readInteger(source, 1) < 0n
    return isNull ? null : readStruct(source, field.fields, mode)
  }
  switch (field.type) {
    case 'bool':
      return readInteger(source, 1) !== 0n
    case 'string': {
      const text = take(source, readLength(source, mode, 2))
      return text === null ? null : text.toString('utf8')
    }
    case 'bytes':
    case 'records': {
      const content = take(source, readLength(source, mode, 4))
      return content === null ? null : Uint8Array.from(content)
    }
    case 'uuid': {
      const id = take(source, 16)?.toString('base64url') ?? ''
      return /^A+$/.test(id) ? '' : id
    }
    case 'float64':
      source.at += 8
      return source.view.getFloat64(source.at - 8)
    default:
      return Number(readInteger(source, INTEGER_BYTES[field.type] ?? 0))
  }
}

function readInteger(source: Source, bytes: number): bigint {
  let value = 0n
  for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(source.view.getUint8(source.at++))
  return BigInt.asIntN(8 * bytes, value)
}

function readVarint(source: Source): number {
  let value = 0n
  for (let shift = 0n; ; shift += 7n) {
    const byte = BigInt(source.view.getUint8(source.at++))
    value |= (byte & 127n) << shift
    if (byte < 128n) return Number(value)
  }
}

function readLength(source: Source, { flexible }: Mode, bytes: number): number {
  return flexible ? readVarint(source) - 1 : Number(readInteger(source, bytes))
}

function take(source: Source, length: number): Buffer | null {
  if (length < 0) return null
  const { buffer, byteOffset } = source.view
  source.at += length
  return Buffer.from(buffer, byteOffset + source.at - length, length)
}

/** A message of src/protocol as this interpreter would have read it: without the fields of other versions. */
export function present(message: object, fields: readonly DefinedField[], version: number): Struct {
  const entries = fields
    .filter(({ versions }) => inRange(version, versions))
    .map((field) => [nameOf(field), presentValue(Reflect.get(message, nameOf(field)), field, version)])
  return Object.fromEntries(entries)
}

function presentValue(value: unknown, field: DefinedField, version: number): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (field.fields === undefined || typeof value !== 'object' || value === null) return value
  const { fields } = field
  return Array.isArray(value)
    ? value.map((element) => present(element, fields, version))
    : present(value, fields, version)
}
