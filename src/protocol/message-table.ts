/*
 * How the messages of Kafka's protocol are written down: one table per API, which is data and nothing else, in the order
 * of the wire. A field is described as Kafka's own definitions do it:
 *
 *   TYPE[ VERSIONS][ null[ VERSIONS]][ tag NUMBER][ = DEFAULT]
 *
 *   TYPE      bool int8 int16 int32 int64 float64 string bytes records uuid, or an array of one of them: []int32
 *   VERSIONS  those of the API that have the field, `3+` or `0-7`; left out: all that are offered
 *   null      the field may be null, in all versions that have it or in those named
 *   tag       it stands among the tagged fields at the end, and only where it is not its default
 *   DEFAULT   what a reader gets where the field is missing; left out: 0, false, '', no bytes, no elements, null records
 *
 * `{ array: {...} }` and `{ struct: {...} }` hold fields of their own; the rest of the grammar stands in their `is`.
 * The types below are inferred from a table, and src/protocol/message-codec.ts makes readers and writers from it.
 */

/** One API of Kafka's protocol: a request and its response, in every version that is offered. */
export interface Api {
  /** Kafka's number for it. */
  readonly key: number
  readonly name: string
  readonly versions: readonly [lowest: number, highest: number]
  /** The first version with compact lengths and tagged fields. */
  readonly flexible: number | 'never'
  readonly request: Fields
  readonly response: Fields
}

export interface Fields {
  readonly [name: string]: Field
}

export type Field =
  | ScalarField
  | { readonly is?: string; readonly array: Fields }
  | { readonly is?: string; readonly struct: Fields }

type ScalarField = ScalarType | `${ScalarType} ${string}`
type ScalarType = ScalarName | `[]${ScalarName}`
export type ScalarName = keyof Scalars

/** What each type is in JavaScript. */
export interface Scalars {
  bool: boolean
  int8: number
  int16: number
  int32: number
  /** Exact up to 2^53. What lies beyond stays beyond when it is read, and the two ends of int64 are written as they were. */
  int64: number
  float64: number
  string: string
  /** When read, a view of the frame. */
  bytes: Uint8Array
  /** Record batches. When read, a view of the frame; given to a writer, one piece or several that follow each other. */
  records: Uint8Array
  /** 22 characters of base64url, or '' for Kafka's zero id, which stands for none. */
  uuid: string
}

/** A message as it was read: every field of every version is there, and has its default where its version lacks it. */
export type Decoded<F extends Fields> = { readonly [Name in keyof F]: DecodedField<F[Name]> }

/**
 * A message as it is given to a writer. What not every version has, what is tagged and what has a default may be left
 * out, and what the version lacks is not written.
 */
export type Encodable<F extends Fields> = {
  readonly [Name in RequiredNames<F>]: EncodableField<F[Name]>
} & { readonly [Name in Exclude<keyof F, RequiredNames<F>>]?: EncodableField<F[Name]> | undefined }

export type RequestOf<A extends Api> = Decoded<A['request']>
export type ResponseOf<A extends Api> = Decoded<A['response']>
export type EncodableRequest<A extends Api> = Encodable<A['request']>
export type EncodableResponse<A extends Api> = Encodable<A['response']>

type DecodedField<F> = F extends { readonly array: infer E extends Fields }
  ? readonly Decoded<E>[] | NullOf<F>
  : F extends { readonly struct: infer S extends Fields }
    ? Decoded<S> | NullOf<F>
    : Scalar<FirstWord<F>, Scalars> | NullOf<F>

type EncodableField<F> = F extends { readonly array: infer E extends Fields }
  ? readonly Encodable<E>[] | NullOf<F>
  : F extends { readonly struct: infer S extends Fields }
    ? Encodable<S> | NullOf<F>
    : Scalar<FirstWord<F>, EncodableScalars> | NullOf<F>

interface EncodableScalars extends Omit<Scalars, 'records'> {
  records: Uint8Array | readonly Uint8Array[]
}

type Scalar<Type, Types> = Type extends keyof Types
  ? Types[Type]
  : Type extends `[]${infer Element extends keyof Types & string}`
    ? readonly Types[Element][]
    : never

type FirstWord<F> = F extends `${infer First} ${string}` ? First : F
type SpecOf<F> = F extends string ? F : F extends { readonly is: infer Is extends string } ? `field ${Is}` : 'field'
type NullOf<F> = SpecOf<F> extends `${string} null${string}` ? null : never

type RequiredNames<F extends Fields> = {
  [Name in keyof F]: SpecOf<F[Name]> extends
    | `${string} = ${string}`
    | `${string} tag ${string}`
    | `${FirstWord<SpecOf<F[Name]>>} ${bigint}${'+' | '-'}${string}`
    ? never
    : Name
}[keyof F]

/** A field of a table in one version, as its description says it. */
export interface FieldShape {
  readonly name: string
  /** False where the version lacks it. */
  readonly isPresent: boolean
  /** The fields of a struct or of each element; otherwise the scalar. */
  readonly type: ScalarName | Fields
  readonly isArray: boolean
  readonly isNullable: boolean
  readonly tag: number | undefined
  /** As it is written in the table. */
  readonly defaultText: string | undefined
}

/** All fields of a table, in the order of the wire, as they are in `version`. */
export function fieldsIn(fields: Fields, version: number): FieldShape[] {
  return Object.entries(fields).map(([name, field]) => shapeOf(name, field, version))
}

const RANGE = String.raw`\d+(?:\+|-\d+)?`
const DESCRIPTION = new RegExp(
  `^(?<array>\\[\\])?(?<type>\\w+)(?: (?<versions>${RANGE}))?(?<nullable> null(?: (?<nullVersions>${RANGE}))?)?` +
    '(?: tag (?<tag>\\d+))?(?: = ?(?<fallback>.*))?$',
)

function shapeOf(name: string, field: Field, version: number): FieldShape {
  const spec = typeof field === 'string' ? field : field.is === undefined ? 'fields' : `fields ${field.is}`
  const found = DESCRIPTION.exec(spec)?.groups
  // A slip in a table of ours: the tests read every one of them.
  if (found === undefined) throw new TypeError(`The field ${name} is described as '${spec}', which is not the grammar`)
  return {
    name,
    isPresent: includes(found.versions, version),
    type: typeof field === 'string' ? (found.type as ScalarName) : 'array' in field ? field.array : field.struct,
    isArray: typeof field === 'string' ? found.array !== undefined : 'array' in field,
    isNullable: found.nullable !== undefined && includes(found.nullVersions, version),
    tag: found.tag === undefined ? undefined : Number(found.tag),
    defaultText: found.fallback,
  }
}

/** Whether `3+`, `0-7` or `5` holds the version. */
function includes(range: string | undefined, version: number): boolean {
  if (range === undefined) return true
  const [first, last] = range.split(/[-+]/)
  return version >= Number(first) && (last === '' || version <= Number(last ?? first))
}
