import { OttlaError } from '../errors.js'
import { isEscapedKey } from './msgpack-escapes.js'
import { TYPED_ARRAYS } from './msgpack-format.js'
import { beginsWithMark, isWellFormed } from './utf8.js'

/** Far above any data, and far below where a recursion would run out of stack. */
const MAX_DEPTH = 500

/** Ancestors are remembered from here on only, which spares shallow values the cost; a cycle gets there soon. */
const DEPTH_OF_SUSPICION = 16

/** These are given back as they were. */
const CARRIED: ReadonlySet<object> = new Set<object>(
  [Date, Buffer, ArrayBuffer, DataView, ...TYPED_ARRAYS].map((builtIn) => builtIn.prototype),
)

/**
 * Looks through a value before it is packed, since most of what cannot be given back would be packed without a word.
 * True where something in it needs an escape (see msgpack-escapes.ts); throws OTTLA_ENCODE, naming the place, where
 * something cannot be carried at all.
 */
export function survey(value: unknown): boolean {
  try {
    return needsEscape(value, 0, undefined)
  } catch (error) {
    if (error instanceof Refusal) throw error.asOttlaError()
    throw new OttlaError('OTTLA_ENCODE', 'msgpack() cannot encode this value: reading it throws. See the cause.', {
      cause: error,
    })
  }
}

function needsEscape(value: unknown, depth: number, ancestors: Set<object> | undefined): boolean {
  switch (typeof value) {
    case 'string':
      if (!isWellFormed(value)) throw new Refusal('holds half of a surrogate pair, which UTF-8 cannot carry')
      return beginsWithMark(value)
    case 'number':
      return Object.is(value, -0)
    case 'object':
      return value !== null && objectNeedsEscape(value, depth, ancestors)
    case 'function':
      throw new Refusal('is a function')
    case 'symbol':
      throw new Refusal('is a symbol')
    default:
      return false
  }
}

function objectNeedsEscape(value: object, depth: number, ancestors: Set<object> | undefined): boolean {
  if (depth < DEPTH_OF_SUSPICION) return contentNeedsEscape(value, depth, ancestors)
  if (depth > MAX_DEPTH) throw new Refusal(`is more than ${MAX_DEPTH} levels deep`)
  const path = ancestors ?? new Set()
  if (path.has(value)) throw new Refusal('refers to itself')
  path.add(value)
  const answer = contentNeedsEscape(value, depth, path)
  path.delete(value)
  return answer
}

function contentNeedsEscape(value: object, depth: number, ancestors: Set<object> | undefined): boolean {
  if (Array.isArray(value)) return arrayNeedsEscape(value, depth, ancestors)
  const prototype: object | null = Object.getPrototypeOf(value)
  if (isPlainObject(value, prototype)) return plainObjectNeedsEscape(value, depth, ancestors) || prototype === null
  if (prototype === Map.prototype && value instanceof Map) {
    refuseProperties(value)
    surveyEach(value.keys(), 'keys', depth, ancestors)
    surveyEach(value.values(), 'values', depth, ancestors)
    return true
  }
  if (prototype === Set.prototype && value instanceof Set) {
    refuseProperties(value)
    return surveyEach(value.values(), 'values', depth, ancestors)
  }
  if (prototype === null || !CARRIED.has(prototype)) {
    throw new Refusal(`is an instance of ${className(value)}, not plain data`)
  }
  if (value instanceof Date) refuseProperties(value)
  return false
}

function plainObjectNeedsEscape(
  value: Record<string, unknown>,
  depth: number,
  ancestors: Set<object> | undefined,
): boolean {
  let found = false
  let at = ''
  try {
    for (const key of Object.keys(value)) {
      at = key
      if (keyNeedsEscape(key)) found = true
      if (needsEscape(value[key], depth + 1, ancestors)) found = true
    }
  } catch (error) {
    throw within(error, propertyPath(at))
  }
  refuseSymbols(value)
  return found
}

function arrayNeedsEscape(value: readonly unknown[], depth: number, ancestors: Set<object> | undefined): boolean {
  // Array.prototype is itself an array, in every realm; the prototype of a subclass is not.
  if (!Array.isArray(Object.getPrototypeOf(value))) {
    throw new Refusal(`is an instance of ${className(value)}, not an array`)
  }
  // Indices come first among the keys, so these two show both a hole and a named property.
  const keys = Object.keys(value)
  const { length } = value
  if (keys.length !== length || (length > 0 && keys[length - 1] !== String(length - 1))) {
    throw new Refusal('is an array with holes or with named properties')
  }
  let found = false
  let at = 0
  try {
    for (const element of value) {
      if (needsEscape(element, depth + 1, ancestors)) found = true
      at += 1
    }
  } catch (error) {
    throw within(error, `[${at}]`)
  }
  refuseSymbols(value)
  return found
}

function surveyEach(
  values: Iterable<unknown>,
  name: string,
  depth: number,
  ancestors: Set<object> | undefined,
): boolean {
  let found = false
  let at = 0
  try {
    for (const value of values) {
      if (needsEscape(value, depth + 1, ancestors)) found = true
      at += 1
    }
  } catch (error) {
    throw within(error, `.${name}()[${at}]`)
  }
  return found
}

function keyNeedsEscape(key: string): boolean {
  if (!isWellFormed(key)) throw new Refusal('has half of a surrogate pair in its key, which UTF-8 cannot carry')
  return isEscapedKey(key)
}

function refuseSymbols(value: object): void {
  if (Object.getOwnPropertySymbols(value).length > 0) throw new Refusal('has a symbol for a key')
}

function refuseProperties(value: object): void {
  const [key] = Reflect.ownKeys(value)
  if (key !== undefined) throw new Refusal(`is a ${className(value)} with a property of its own, ${String(key)}`)
}

function isPlainObject(value: object, prototype: object | null): value is Record<string, unknown> {
  if (prototype === Object.prototype || prototype === null) return true
  // Object.prototype of another realm, such as a vm context: an object from there is plain data as well.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

function className(value: object): string {
  const made: unknown = value.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : 'a class without a name'
}

function propertyPath(key: string): string {
  // biome-ignore lint/complexity/useRegexLiterals: V8 checks a literal when the file is loaded, which takes it long for these classes (benchmark: cold-start)
  const identifier = new RegExp('^[\\p{ID_Start}$_][\\p{ID_Continue}$]*$', 'u')
  return identifier.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

function within(error: unknown, step: string): unknown {
  if (error instanceof Refusal) error.path.push(step)
  return error
}

/** Thrown where the trouble is; each level on the way up adds its step, so that looking costs no paths. */
class Refusal extends Error {
  /** From the inside out. */
  readonly path: string[] = []

  asOttlaError(): OttlaError {
    const steps = this.path.reverse()
    const place = steps.length > LONGEST_PATH ? `${steps.slice(0, LONGEST_PATH).join('')}...` : steps.join('')
    return new OttlaError(
      'OTTLA_ENCODE',
      `msgpack() cannot encode the value: value${place} ${this.message}. Send plain data in its place, or give the topic a codec of its own.`,
    )
  }
}

const LONGEST_PATH = 20
