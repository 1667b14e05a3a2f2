import { OttlaError } from '../errors.js'
import { struct } from './combinators.js'
import type { FrameReader } from './frame-reader.js'
import type { FrameWriter } from './frame-writer.js'
import type { Api, Decoded, Encodable, Fields } from './message-table.js'

/** Reads and writes one message of Kafka's protocol in one version. */
export interface MessageCodec<F extends Fields> {
  /** Bytes behind the message are left: some clients append what does not belong there. */
  read(reader: FrameReader): Decoded<F>
  write(writer: FrameWriter, message: Encodable<F>): void
}

/** Throws OTTLA_UNSUPPORTED_VERSION for a version that the table does not have. */
export function requestCodec<A extends Api>(api: A, version: number): MessageCodec<A['request']> {
  return codecOf(api, 'request', version)
}

/** Throws OTTLA_UNSUPPORTED_VERSION for a version that the table does not have. */
export function responseCodec<A extends Api>(api: A, version: number): MessageCodec<A['response']> {
  return codecOf(api, 'response', version)
}

export function isFlexible(api: Api, version: number): boolean {
  return api.flexible !== 'never' && version >= api.flexible
}

export function isOffered(api: Api, version: number): boolean {
  const [lowest, highest] = api.versions
  return version >= lowest && version <= highest
}

/** A codec whose message is only known to its table. */
interface StoredCodec {
  read(reader: FrameReader): unknown
  write(writer: FrameWriter, message: never): void
}

/** By version, each made when it is first used. */
const CODECS = new WeakMap<Fields, Map<number, StoredCodec>>()

function codecOf<F extends Fields>(api: Api, direction: 'request' | 'response', version: number): MessageCodec<F> {
  const fields = api[direction]
  let byVersion = CODECS.get(fields)
  if (byVersion === undefined) {
    byVersion = new Map()
    CODECS.set(fields, byVersion)
  }
  let codec = byVersion.get(version)
  if (codec === undefined) {
    if (!isOffered(api, version)) throw unsupportedVersion(api, version)
    codec = struct(fields, version, isFlexible(api, version))
    byVersion.set(version, codec)
  }
  // The types of a message are inferred from the very table that the codec was made from.
  return codec as MessageCodec<F>
}

export function unsupportedVersion(api: Api, version: number): OttlaError {
  const [lowest, highest] = api.versions
  return new OttlaError(
    'OTTLA_UNSUPPORTED_VERSION',
    `Version ${version} of ${api.name} is not spoken here, only ${lowest} to ${highest}: ask for the versions with ApiVersions first.`,
  )
}
