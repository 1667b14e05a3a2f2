/**
 * How values (or keys) of a topic become bytes and values again. A codec is called where a message is sent and where
 * it is delivered, in memory too, so a consumer sees what a file or a wire would give it.
 *
 * What ottla promises a codec: `null` never reaches it (it is a tombstone) and neither does `undefined`; the
 * bytes given to `decode` are never written again, so a value may be a view of them.
 *
 * What a codec promises: `decode(encode(value))` equals `value`, or one of the two throws; each record decodes alone,
 * whatever was encoded before it; both are synchronous; the bytes that `encode` returned
 * stay as they are, so a codec that uses one piece of memory again returns a copy. Whatever they throw reaches the caller of `send` as
 * OTTLA_ENCODE, and the consumer as OTTLA_DECODE, with the topic named.
 *
 * @example
 * const int32: Codec<number> = {
 *   name: 'int32',
 *   encode: (value) => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(value); return bytes },
 *   decode: (bytes) => new DataView(bytes.buffer, bytes.byteOffset, 4).getInt32(0),
 * }
 */
export interface Codec<Output, Input = Output> {
  /** Recorded with the topic: opening it with a codec of another name is OTTLA_CODEC_MISMATCH. */
  readonly name: string
  /** Called during `send`, with neither null nor undefined. */
  readonly encode: (value: Input) => Uint8Array
  /** Called when the message is delivered. */
  readonly decode: (bytes: Uint8Array) => Output
}

/** What zod, valibot, arktype and others offer alike: https://standardschema.dev, version 1. */
export interface StandardSchema<Input, Output> {
  /** The specification's one property. `validate` must answer at once: a promise is refused. */
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => unknown
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}
