import { isAnyArrayBuffer } from 'node:util/types'
import { C1 } from './msgpack-format.js'
import { beginsWithMark } from './utf8.js'

/**
 * What MessagePack would not give back stands in a record as an array that begins with C1, a mark no value can hold:
 *
 *   [C1, MAP, key, value, key, value, ...]      it has one format for maps and objects
 *   [C1, NEGATIVE_ZERO]                         it is written as 0
 *   [C1, MARKED_STRING, '.' + string]           a reader may drop a byte order mark at the beginning
 *   [C1, ENTRIES, key, value, ...]              an object with a key that a reader may change
 *   [C1, BARE, key, value, ...]                 an object without a prototype
 */
const MAP = 0
const NEGATIVE_ZERO = 1
const MARKED_STRING = 2
const ENTRIES = 3
const BARE = 4

/** Keys that a reader may change: it puts another in the place of the first, or drops the mark of the others. */
export function isEscapedKey(key: string): boolean {
  return key === '__proto__' || beginsWithMark(key)
}

/** A copy of a surveyed value with escapes in the place of what needs them. */
export function withEscapes(value: unknown): unknown {
  if (typeof value === 'number') return Object.is(value, -0) ? [C1, NEGATIVE_ZERO] : value
  if (typeof value === 'string') return beginsWithMark(value) ? [C1, MARKED_STRING, `.${value}`] : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withEscapes)
  if (value instanceof Map) return [C1, MAP, ...[...value].flat().map(withEscapes)]
  if (value instanceof Set) return new Set([...value].map(withEscapes))
  if (value instanceof Date || ArrayBuffer.isView(value) || isAnyArrayBuffer(value)) return value
  const entries = Object.entries(value)
  const isBare = Object.getPrototypeOf(value) === null
  if (isBare || entries.some(([key]) => isEscapedKey(key))) {
    return [C1, isBare ? BARE : ENTRIES, ...entries.flat().map(withEscapes)]
  }
  return Object.fromEntries(entries.map(([key, member]) => [key, withEscapes(member)]))
}

/** The value that was surveyed. Arrays and objects are changed where they stand. */
export function withoutEscapes(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    if (value[0] === C1) return unescaped(value[1], value.slice(2).map(withoutEscapes))
    for (const [at, element] of value.entries()) value[at] = withoutEscapes(element)
    return value
  }
  if (value instanceof Set) return new Set([...value].map(withoutEscapes))
  if (value instanceof Date || ArrayBuffer.isView(value) || isAnyArrayBuffer(value)) return value
  for (const [key, member] of Object.entries(value)) Reflect.set(value, key, withoutEscapes(member))
  return value
}

function unescaped(kind: unknown, content: readonly unknown[]): unknown {
  switch (kind) {
    case MAP:
      return new Map(pairs(content))
    case NEGATIVE_ZERO:
      return -0
    case MARKED_STRING:
      return String(content[0]).slice(1)
    case ENTRIES:
      return Object.fromEntries(pairs(content))
    case BARE:
      return Object.assign(Object.create(null), Object.fromEntries(pairs(content)))
    default:
      throw new RangeError(`The record holds an escape of kind ${String(kind)}, which this version does not know.`)
  }
}

function pairs(content: readonly unknown[]): [key: unknown, value: unknown][] {
  const pairs: [unknown, unknown][] = []
  for (let at = 0; at < content.length; at += 2) pairs.push([content[at], content[at + 1]])
  return pairs
}
