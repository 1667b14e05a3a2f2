import { OttlaError } from '../errors.js'
import type { Codec, StandardSchema } from './codec.js'
import { msgpack } from './msgpack.js'

/**
 * Checks values against a schema (zod, valibot, arktype and all that follow Standard Schema) on both sides. `send`
 * takes the schema's *input* form, validates it and encodes it as it was given; the consumer's side decodes, validates
 * and delivers the *output* form, with defaults filled in and values coerced. So the record holds the input form, and
 * reads like any other of the `inner` codec, whose name it bears. `inner` defaults to `msgpack()`.
 *
 * OTTLA_ENCODE and OTTLA_DECODE list each issue with its path. An asynchronous schema is refused with the same codes.
 *
 * @example
 * const Order = z.object({ id: z.string(), at: z.coerce.date(), note: z.string().default('-') })
 * const orders = new Topic('orders', { value: schema(Order, json()) })
 */
export function schema<Input, Output>(
  schema: StandardSchema<Input, Output>,
  inner: Codec<NoInfer<Input>> = msgpack(),
): Codec<Output, Input> {
  return {
    name: inner.name,
    encode: (value) => {
      validate(schema, value, 'OTTLA_ENCODE')
      return inner.encode(value)
    },
    // The schema's own types say that what it lets through is its Output.
    decode: (bytes) => validate(schema, inner.decode(bytes), 'OTTLA_DECODE') as Output,
  }
}

/** The schema's output form of `value`. */
function validate(
  schema: StandardSchema<unknown, unknown>,
  value: unknown,
  code: 'OTTLA_ENCODE' | 'OTTLA_DECODE',
): unknown {
  const standard = schema['~standard']
  const { vendor } = standard
  const outcome = standard.validate(value)
  if (isObject(outcome)) {
    if (typeof outcome.then === 'function') {
      // Its answer would come too late; the refusal below says all there is to say about it.
      Promise.resolve(outcome).catch(() => undefined)
      throw new OttlaError(
        code,
        `The ${vendor} schema is asynchronous, and a codec has to answer at once. Move what waits (an async refine or transform) into the code that sends or handles the message.`,
      )
    }
    if (Array.isArray(outcome.issues)) {
      const verb = code === 'OTTLA_ENCODE' ? 'to be sent' : 'in the record'
      throw new OttlaError(
        code,
        `The value ${verb} does not fit its schema: ${outcome.issues.map(describe).join('; ')}.`,
      )
    }
    if ('value' in outcome) return outcome.value
  }
  throw new OttlaError(
    code,
    `The ${vendor} schema answered with neither a value nor issues. Give schema() one that follows Standard Schema, version 1.`,
  )
}

/** `items[2].price: expected a number` */
function describe(issue: unknown): string {
  if (!isObject(issue)) return String(issue)
  const path = Array.isArray(issue.path) ? issue.path.map(segment).join('').replace(/^\./, '') : ''
  return path === '' ? String(issue.message) : `${path}: ${String(issue.message)}`
}

function segment(step: unknown): string {
  const key = isObject(step) ? step.key : step
  return typeof key === 'number' ? `[${key}]` : `.${String(key)}`
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
