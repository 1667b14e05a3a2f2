import type { CleanupPolicy, MessageTimestampType } from './config-tables.js'

/** What a config takes: its type by Kafka's name, how a value is read (undefined: not allowed), and that in words. */
export interface ConfigValues<Value> {
  readonly type: 'INT' | 'LONG' | 'DOUBLE' | 'STRING' | 'LIST'
  readonly parse: (value: unknown) => Value | undefined
  readonly allowed: string
}

const LARGEST_INT = 2 ** 31 - 1
const LARGEST_LONG_TEXT = '9223372036854775807'

/** Kafka's Long.MAX_VALUE, which stands for no limit. A number comes no nearer to it. */
export const LARGEST_LONG: number = 2 ** 63

/** How a value is written in a record, an answer or a message. */
export function textOf(value: number | string): string {
  return value === LARGEST_LONG ? LARGEST_LONG_TEXT : String(value)
}

export function int(min: number): ConfigValues<number> {
  return { type: 'INT', allowed: `an integer from ${min} to ${LARGEST_INT}`, parse: integer(min, LARGEST_INT) }
}

/** Kafka's long, as far as a number reaches, and its largest. */
export function long(min: number): ConfigValues<number> {
  const most = Number.MAX_SAFE_INTEGER
  const parse = integer(min, most)
  const isLargest = (value: unknown): boolean =>
    value === LARGEST_LONG || (typeof value === 'string' && value.trim() === LARGEST_LONG_TEXT)
  return {
    type: 'LONG',
    allowed: `an integer from ${min} to ${most}, or ${LARGEST_LONG_TEXT}`,
    parse: (value) => (isLargest(value) ? LARGEST_LONG : parse(value)),
  }
}

export const RATIO: ConfigValues<number> = {
  type: 'DOUBLE',
  allowed: 'a number from 0 to 1',
  parse: (value) => {
    const number = typeof value === 'string' && DECIMAL.test(value) ? Number(value) : value
    return typeof number === 'number' && number >= 0 && number <= 1 ? number : undefined
  },
}

const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i

/** A list in any order, as Kafka takes it; the empty one is not taken. */
export const CLEANUP_POLICY: ConfigValues<CleanupPolicy> = {
  type: 'LIST',
  allowed: "'delete', 'compact' or 'compact,delete'",
  parse: (value) => {
    switch (typeof value === 'string' ? value.replace(/\s/g, '') : value) {
      case 'delete':
        return 'delete'
      case 'compact':
        return 'compact'
      case 'compact,delete':
      case 'delete,compact':
        return 'compact,delete'
      default:
        return undefined
    }
  },
}

export const TIMESTAMP_TYPE: ConfigValues<MessageTimestampType> = {
  type: 'STRING',
  allowed: "'CreateTime' or 'LogAppendTime'",
  parse: (value) => (value === 'CreateTime' || value === 'LogAppendTime' ? value : undefined),
}

function integer(min: number, max: number): (value: unknown) => number | undefined {
  return (value) => {
    const number = typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) return undefined
    return number >= min && number <= max ? number : undefined
  }
}
