import { OttlaError } from '../errors.js'

/** What one option may be: undefined where the value is fine, else what it should be. */
export type OptionRule = (value: unknown) => string | undefined

/** Throws OTTLA_INVALID_ARGUMENT for options that are no object, an unknown name or a value that its rule refuses. */
export function checkOptions(of: string, options: unknown, rules: Readonly<Record<string, OptionRule>>): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`The options of ${of} are an object, not ${describe(options)}`)
  }
  // It has no properties of its own, so it would pass for options of which none is given.
  if (isSignal(options)) throw invalid(`The options of ${of} are an object: give { signal }`)
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) {
      throw invalid(`${of} has no option ${name}: it takes ${Object.keys(rules).join(', ')}`)
    }
    const expected = value === undefined ? undefined : rule(value)
    if (expected !== undefined) throw invalid(`The option ${name} of ${of} is ${expected}, not ${describe(value)}`)
  }
}

export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): OptionRule {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  return (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
      ? undefined
      : `a whole number ${range}`
}

/** True for a whole number from 0 up. */
export function isWholeNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** A whole number or Infinity. */
export function countOrInfinity(least: number): OptionRule {
  const whole = wholeNumber(least)
  return (value) => (value === Number.POSITIVE_INFINITY ? undefined : whole(value) && `${whole(value)}, or Infinity`)
}

export function oneOf(...values: readonly string[]): OptionRule {
  return (value) => (values.some((known) => known === value) ? undefined : `one of '${values.join("', '")}'`)
}

export const aFunction: OptionRule = (value) => (typeof value === 'function' ? undefined : 'a function')

export const aBoolean: OptionRule = (value) => (typeof value === 'boolean' ? undefined : 'true or false')

export const aSignal: OptionRule = (value) => (isSignal(value) ? undefined : 'an AbortSignal')

function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value
}

export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

export function invalid(message: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', message)
}
