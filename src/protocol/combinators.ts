import { OttlaError } from '../errors.js'
import type { FrameReader } from './frame-reader.js'
import type { FrameWriter } from './frame-writer.js'
import { type FieldShape, type Fields, fieldsIn, type ScalarName } from './message-table.js'

/**
 * Reads and writes one thing of a message in one version. Made when that version is first used, from parts that know
 * their version: nothing asks for a version while it reads or writes.
 */
export interface Part<Value> {
  read(reader: FrameReader): Value
  write(writer: FrameWriter, value: Value): void
  /** The least bytes it takes, which bounds the length of an array before it is read. */
  readonly leastBytes: number
}

/** What a struct is while it is read or written: the types of a table say what is in it. */
export interface Values {
  readonly [name: string]: unknown
}

/** A struct of a table in one version: its fields, and behind them in flexible versions its tags. */
export function struct(fields: Fields, version: number, flexible: boolean): Part<Values> & { readonly blank: Values } {
  const shapes = fieldsIn(fields, version)
  const present = shapes.filter(({ isPresent }) => isPresent).map((shape) => bind(shape, version, flexible))
  const plain = present.filter(({ tag }) => tag === -1)
  const tagged = present.filter(({ tag }) => tag !== -1).sort((a, b) => a.tag - b.tag)
  // Every field of every version, so that a message has one shape in all of them.
  const blank = Object.fromEntries(shapes.map((shape) => [shape.name, fallbackOf(shape, version, flexible)]))
  return {
    blank,
    leastBytes: plain.reduce((sum, { part }) => sum + part.leastBytes, flexible ? 1 : 0),
    read(reader) {
      const values: Record<string, unknown> = { ...blank }
      for (const { name, part } of plain) values[name] = part.read(reader)
      if (flexible) readTags(reader, tagged, values)
      return values
    },
    write(writer, values) {
      for (const field of plain) writeField(writer, field, values[field.name])
      if (flexible) writeTags(writer, tagged, values)
    },
  }
}

interface BoundField {
  readonly name: string
  readonly part: Part<unknown>
  readonly isNullable: boolean
  /** -1 for a field that is not tagged. */
  readonly tag: number
  readonly fallback: unknown
}

function bind(shape: FieldShape, version: number, flexible: boolean): BoundField {
  const { name, isNullable, tag = -1 } = shape
  return {
    name,
    isNullable,
    tag,
    part: partOf(shape, version, flexible),
    fallback: fallbackOf(shape, version, flexible),
  }
}

function writeField(writer: FrameWriter, { name, part, isNullable, fallback }: BoundField, value: unknown): void {
  const written = value === undefined ? fallback : value
  if (written === null && !isNullable) {
    throw new OttlaError('OTTLA_INVALID_ARGUMENT', `The field ${name} cannot be null in this version of the protocol.`)
  }
  part.write(writer, written)
}

/** Tags that are not known are passed over, as the protocol wants it. */
function readTags(reader: FrameReader, tagged: readonly BoundField[], values: Record<string, unknown>): void {
  for (let left = reader.uvarint(); left > 0; left--) {
    const tag = reader.uvarint()
    const size = reader.uvarint()
    const end = reader.position + size
    const field = tagged.find((candidate) => candidate.tag === tag)
    if (field === undefined) {
      reader.skip(size)
      continue
    }
    values[field.name] = field.part.read(reader)
    if (reader.position !== end) throw reader.malformed(`the tagged field ${tag} is not of the size it announces`)
  }
}

function writeTags(writer: FrameWriter, tagged: readonly BoundField[], values: Values): void {
  const written = tagged.filter(({ name, fallback }) => !equals(values[name], fallback))
  writer.uvarint(written.length)
  for (const field of written) writer.tagged(field.tag, (inner) => writeField(inner, field, values[field.name]))
}

/** Whether a reader that finds nothing gets the same from the default. */
function equals(value: unknown, fallback: unknown): boolean {
  if (value === undefined || value === fallback) return true
  if (isSequence(value) && isSequence(fallback)) return value.length === 0 && fallback.length === 0
  if (!isStruct(value) || !isStruct(fallback)) return false
  return Object.keys(fallback).every((name) => equals(value[name], fallback[name]))
}

function isSequence(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || value instanceof Uint8Array
}

function isStruct(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !isSequence(value)
}

function partOf({ type, isArray, isNullable }: FieldShape, version: number, flexible: boolean): Part<unknown> {
  if (typeof type === 'string') {
    return isArray ? array(SCALARS[type](flexible, false), flexible, isNullable) : SCALARS[type](flexible, isNullable)
  }
  const part = struct(type, version, flexible)
  if (isArray) return array(part, flexible, isNullable)
  return isNullable ? nullableStruct(part) : part
}

function array<Element>(
  element: Part<Element>,
  flexible: boolean,
  isNullable: boolean,
): Part<readonly Element[] | null> {
  return {
    leastBytes: flexible ? 1 : 4,
    read(reader) {
      const count = reader.count(flexible, element.leastBytes)
      if (count === -1) {
        if (isNullable) return null
        throw reader.malformed('an array must not be null')
      }
      const elements: Element[] = []
      for (let i = 0; i < count; i++) elements.push(element.read(reader))
      return elements
    },
    write(writer, elements) {
      writer.count(elements === null ? -1 : elements.length, flexible)
      if (elements !== null) for (const each of elements) element.write(writer, each)
    },
  }
}

/** One byte says whether it is there: 1, or -1 for null. */
function nullableStruct(part: Part<Values>): Part<Values | null> {
  return {
    leastBytes: 1,
    read: (reader) => (reader.int8() < 0 ? null : part.read(reader)),
    write(writer, values) {
      writer.int8(values === null ? -1 : 1)
      if (values !== null) part.write(writer, values)
    },
  }
}

const NOTHING: readonly unknown[] = Object.freeze([])
const NO_BYTES = new Uint8Array(0)

const SCALARS: { readonly [Name in ScalarName]: (flexible: boolean, isNullable: boolean) => Part<unknown> } = {
  bool: () =>
    fixed(
      1,
      (reader) => reader.bool(),
      (writer, value: boolean) => writer.bool(value),
    ),
  int8: () =>
    fixed(
      1,
      (reader) => reader.int8(),
      (writer, value: number) => writer.int8(value),
    ),
  int16: () =>
    fixed(
      2,
      (reader) => reader.int16(),
      (writer, value: number) => writer.int16(value),
    ),
  int32: () =>
    fixed(
      4,
      (reader) => reader.int32(),
      (writer, value: number) => writer.int32(value),
    ),
  int64: () =>
    fixed(
      8,
      (reader) => reader.int64(),
      (writer, value: number) => writer.int64(value),
    ),
  float64: () =>
    fixed(
      8,
      (reader) => reader.float64(),
      (writer, value: number) => writer.float64(value),
    ),
  uuid: () =>
    fixed(
      16,
      (reader) => reader.uuid(),
      (writer, value: string) => writer.uuid(value),
    ),
  string: (flexible, isNullable) => ({
    leastBytes: flexible ? 1 : 2,
    read: isNullable ? (reader) => reader.nullableString(flexible) : (reader) => reader.string(flexible),
    write: (writer, value: string | null) => writer.string(value, flexible),
  }),
  bytes: (flexible, isNullable) => ({
    leastBytes: flexible ? 1 : 4,
    read: isNullable ? (reader) => reader.nullableBytes(flexible) : (reader) => reader.bytes(flexible),
    write: (writer, value: Uint8Array | null) => writer.bytes(value, flexible),
  }),
  records: (flexible, isNullable) => ({
    leastBytes: flexible ? 1 : 4,
    read: isNullable ? (reader) => reader.nullableBytes(flexible) : (reader) => reader.bytes(flexible),
    write: (writer, value: Uint8Array | readonly Uint8Array[] | null) => writer.records(value, flexible),
  }),
}

function fixed<Value>(
  leastBytes: number,
  read: (reader: FrameReader) => Value,
  write: (writer: FrameWriter, value: Value) => void,
): Part<Value> {
  return { leastBytes, read, write }
}

function fallbackOf({ type, isArray, defaultText }: FieldShape, version: number, flexible: boolean): unknown {
  if (defaultText === 'null') return null
  if (isArray) return NOTHING
  if (typeof type !== 'string') return struct(type, version, flexible).blank
  switch (type) {
    case 'bool':
      return defaultText === 'true'
    case 'string':
    case 'uuid':
      return defaultText ?? ''
    case 'bytes':
      return NO_BYTES
    case 'records':
      return null
    default:
      return Number(defaultText ?? 0)
  }
}
