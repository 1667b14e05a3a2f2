import { FrameReader } from './frame-reader.js'
import { FrameWriter } from './frame-writer.js'
import { isFlexible, isOffered, requestCodec, responseCodec, unsupportedVersion } from './message-codec.js'
import type { Api, EncodableRequest, EncodableResponse, RequestOf, ResponseOf } from './message-table.js'
import { apiVersions } from './messages/api-versions.js'

/*
 * A frame is a length (int32) and that many bytes: a header and a message.
 *
 *   request v0    apiKey int16, apiVersion int16, correlationId int32     only of an API that Kafka has left behind
 *   request v1    and clientId string?                                    versions that are not flexible
 *   request v2    and tags; the clientId keeps its int16 length           flexible versions
 *   response v0   correlationId int32                                     versions that are not flexible, all of ApiVersions
 *   response v1   and tags                                                flexible versions
 *
 * Responses come in the order of the requests, and each has the correlation id of its request. No tag of a header is
 * known: what a peer sends is passed over.
 *
 * A client cannot know what a broker speaks before it has asked, so a broker answers ApiVersions of a version that it
 * does not know in version 0, with error 35 and its list, and a client reads such an answer as version 0.
 */

const UNSUPPORTED_VERSION = 35

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** What a frame from a client asks for; `body` is read when it is known who answers. */
export interface IncomingRequest {
  readonly header: RequestHeader
  /** Undefined where the key is none of ours. Only for ApiVersions may the version be one that is not spoken. */
  readonly api: Api | undefined
  readonly reader: FrameReader
}

/**
 * Reads the header of a request; `frame` is what follows the length. Throws OTTLA_MALFORMED_FRAME for bytes that are no
 * request, and OTTLA_UNSUPPORTED_VERSION for a version that the API is not spoken in, save for ApiVersions: see
 * `isVersionProbe`.
 */
export function openRequest(frame: Uint8Array, apis: ReadonlyMap<number, Api>): IncomingRequest {
  const reader = new FrameReader(frame)
  reader.what = 'header of a request'
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const api = apis.get(apiKey)
  const unsupported = api !== undefined && !isOffered(api, apiVersion)
  if (unsupported && api.key !== apiVersions.key) throw unsupportedVersion(api, apiVersion)
  const clientId = reader.nullableString(false)
  // Where the version is not spoken nobody knows what follows, and nobody needs it.
  if (api !== undefined && !unsupported) {
    if (isFlexible(api, apiVersion)) skipTags(reader)
    reader.what = `${api.name} request, version ${apiVersion}`
  }
  return { header: { apiKey, apiVersion, correlationId, clientId }, api, reader }
}

/** Whether it is ApiVersions in a version that is not spoken here, so that there is no body to read. */
export function isVersionProbe({ header }: IncomingRequest): boolean {
  return header.apiKey === apiVersions.key && !isOffered(apiVersions, header.apiVersion)
}

/** The version in which a request of `version` is answered: the same, but 0 where that is not spoken (ApiVersions). */
export function answerVersion(api: Api, version: number): number {
  return isOffered(api, version) ? version : 0
}

/** The body of a request that `openRequest` found to be one of this API. */
export function readRequest<A extends Api>(api: A, { header, reader }: IncomingRequest): RequestOf<A> {
  return requestCodec(api, header.apiVersion).read(reader)
}

/** A request with its length, in pieces to be sent one after the other. */
export function encodeRequest<A extends Api>(
  api: A,
  apiVersion: number,
  { correlationId, clientId }: Pick<RequestHeader, 'correlationId' | 'clientId'>,
  body: EncodableRequest<A>,
): Uint8Array[] {
  const codec = requestCodec(api, apiVersion)
  const writer = begin()
  writer.int16(api.key)
  writer.int16(apiVersion)
  writer.int32(correlationId)
  writer.string(clientId, false)
  if (isFlexible(api, apiVersion)) writer.uvarint(0)
  codec.write(writer, body)
  return end(writer)
}

/** A response with its length, in pieces to be sent one after the other. */
export function encodeResponse<A extends Api>(
  api: A,
  version: number,
  correlationId: number,
  body: EncodableResponse<A>,
): Uint8Array[] {
  const codec = responseCodec(api, version)
  const writer = begin()
  writer.int32(correlationId)
  if (hasTaggedHeader(api, version)) writer.uvarint(0)
  codec.write(writer, body)
  return end(writer)
}

/** By what a client finds the request that a frame answers. */
export function correlationIdOf(frame: Uint8Array): number {
  const reader = new FrameReader(frame)
  reader.what = 'header of a response'
  return reader.int32()
}

/** Reads a response of the version that was asked for; `frame` is what follows the length. */
export function decodeResponse<A extends Api>(api: A, version: number, frame: Uint8Array): ResponseOf<A> {
  const reader = new FrameReader(frame)
  reader.what = `${api.name} response, version ${version}`
  reader.int32()
  if (hasTaggedHeader(api, version)) skipTags(reader)
  return responseCodec(api, isRefusedProbe(api, frame) ? 0 : version).read(reader)
}

/** All versions of the answer begin with the error. */
function isRefusedProbe(api: Api, frame: Uint8Array): boolean {
  return api.key === apiVersions.key && frame[4] === 0 && frame[5] === UNSUPPORTED_VERSION
}

function hasTaggedHeader(api: Api, version: number): boolean {
  return isFlexible(api, version) && api.key !== apiVersions.key
}

function skipTags(reader: FrameReader): void {
  for (let left = reader.uvarint(); left > 0; left--) {
    reader.uvarint()
    reader.skip(reader.uvarint())
  }
}

function begin(): FrameWriter {
  const writer = new FrameWriter()
  writer.int32(0)
  return writer
}

function end(writer: FrameWriter): Uint8Array[] {
  const length = writer.size - 4
  const pieces = writer.pieces()
  // The length is at the start of the first piece, which is always memory of the writer's own.
  const [first] = pieces
  if (first !== undefined) Buffer.from(first.buffer, first.byteOffset, 4).writeInt32BE(length)
  return pieces
}
