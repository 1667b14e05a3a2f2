import type { CancelSignal } from '../cancellation.js'
import type { Engine } from '../engine/engine.js'
import { answerVersion, encodeResponse, type IncomingRequest, isVersionProbe, readRequest } from '../protocol/frames.js'
import type { Api, EncodableResponse, RequestOf } from '../protocol/message-table.js'
import type { SaslSession } from './sasl/sasl-session.js'
import type { TopicIds } from './topic-ids.js'

/** What a handler knows beside its request. */
export interface RequestContext {
  readonly engine: Engine
  readonly topicIds: TopicIds
  readonly version: number
  /** '' where the client gives none. */
  readonly clientId: string
  /** As Kafka shows it: `/127.0.0.1`. */
  readonly clientHost: string
  /** This broker, as the client of this connection can reach it. */
  readonly node: Node
  readonly autoCreateTopics: boolean
  readonly deleteTopics: boolean
  /** Aborted when the connection ends, so that nothing waits for a client that is gone. */
  readonly signal: CancelSignal
  /** Undefined where this listener asks nobody who they are. */
  readonly sasl: SaslSession | undefined
  /** What this listener speaks. */
  readonly apis: readonly Api[]
}

export interface Node {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

/**
 * Answers one API in all its versions. An error of the request stands in the response; what is thrown ends the
 * connection. Undefined is no answer at all, which only Produce knows.
 */
export type Handle<A extends Api> = (
  request: RequestOf<A>,
  context: RequestContext,
) => EncodableResponse<A> | undefined | Promise<EncodableResponse<A> | undefined>

/** A handler that has forgotten the types of its API. */
export interface Handler {
  readonly api: Api
  /** The response in pieces, with its length; undefined where there is none. */
  respond(incoming: IncomingRequest, context: RequestContext): Promise<Uint8Array[] | undefined>
}

export function handler<A extends Api>(api: A, handle: Handle<A>): Handler {
  return {
    api,
    async respond(incoming, context) {
      const { apiVersion, correlationId } = incoming.header
      // A probe of a version that is not spoken has no body that anybody could read.
      const request = isVersionProbe(incoming) ? NO_BODY : readRequest(api, incoming)
      const response = await handle(request as RequestOf<A>, context)
      return response && encodeResponse(api, answerVersion(api, apiVersion), correlationId, response)
    },
  }
}

const NO_BODY = {}
