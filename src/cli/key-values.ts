/** What a key of server.properties takes. Kafka trims a value before it looks at it. */
export interface KeyValues {
  /** By Kafka's name. */
  readonly type: 'INT' | 'LONG' | 'SHORT' | 'DOUBLE' | 'BOOLEAN' | 'STRING' | 'LIST' | 'CLASS' | 'PASSWORD'
  /** In words, to stand behind "it takes". */
  readonly allowed: string
  readonly accepts: (value: string) => boolean
}

const LARGEST = { SHORT: 2n ** 15n - 1n, INT: 2n ** 31n - 1n, LONG: 2n ** 63n - 1n }

export function short(least?: number, most?: number): KeyValues {
  return integer('SHORT', least, most)
}

export function int(least?: number, most?: number): KeyValues {
  return integer('INT', least, most)
}

export function long(least?: number, most?: number): KeyValues {
  return integer('LONG', least, most)
}

function integer(type: keyof typeof LARGEST, least?: number, most?: number): KeyValues {
  const min = least === undefined ? -LARGEST[type] - 1n : BigInt(least)
  const max = most === undefined ? LARGEST[type] : BigInt(most)
  return {
    type,
    allowed: `an integer from ${min} to ${max}`,
    accepts: (value) =>
      /^[+-]?\d+$/.test(value) && BigInt(withoutPlus(value)) >= min && BigInt(withoutPlus(value)) <= max,
  }
}

/** The largest number at or below a LONG that `accepts` took: 9223372036854775807, Kafka's "no limit", is none. */
export function numberOf(value: string): number {
  return Math.min(Number(value), Number.MAX_SAFE_INTEGER)
}

function withoutPlus(value: string): string {
  return value.replace('+', '')
}

export function double(least?: number, most?: number): KeyValues {
  return {
    type: 'DOUBLE',
    allowed:
      least === undefined
        ? 'a number'
        : most === undefined
          ? `a number from ${least}`
          : `a number from ${least} to ${most}`,
    accepts: (value) =>
      /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) &&
      Number(value) >= (least ?? Number.NEGATIVE_INFINITY) &&
      Number(value) <= (most ?? Number.POSITIVE_INFINITY),
  }
}

export const BOOLEAN: KeyValues = {
  type: 'BOOLEAN',
  allowed: 'true or false',
  accepts: (value) => /^(true|false)$/i.test(value),
}

export function oneOf(...values: readonly string[]): KeyValues {
  return { type: 'STRING', allowed: `one of ${values.join(', ')}`, accepts: (value) => values.includes(value) }
}

export function oneOfAnyCase(...values: readonly string[]): KeyValues {
  return { ...oneOf(...values), accepts: (value) => values.includes(value.toUpperCase()) }
}

export const STRING: KeyValues = { type: 'STRING', allowed: 'a text', accepts: () => true }
export const CLASS: KeyValues = { type: 'CLASS', allowed: 'the name of a class', accepts: () => true }
export const LIST: KeyValues = { type: 'LIST', allowed: 'a comma-separated list', accepts: () => true }
/** Never printed. */
export const PASSWORD: KeyValues = { type: 'PASSWORD', allowed: 'a text', accepts: () => true }

/** A list without empty items. */
export const FILLED_LIST: KeyValues = {
  type: 'LIST',
  allowed: 'a comma-separated list without empty items',
  accepts: (value) => itemsOf(value).every((item) => item !== ''),
}

/** The items of a list, as Kafka cuts it. */
export function itemsOf(value: string): string[] {
  return value.trim().split(/\s*,\s*/)
}
