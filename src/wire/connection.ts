import type { Socket } from 'node:net'
import { Cancellation } from '../cancellation.js'
import { OttlaError } from '../errors.js'
import { FrameSplitter } from '../protocol/frame-splitter.js'
import { type IncomingRequest, openRequest } from '../protocol/frames.js'
import type { Api } from '../protocol/message-table.js'
import { apiVersions } from '../protocol/messages/api-versions.js'
import { saslAuthenticate } from '../protocol/messages/sasl-authenticate.js'
import { saslHandshake } from '../protocol/messages/sasl-handshake.js'
import { reasonOf } from '../reason-of.js'
import type { Clock } from '../time/clock.js'
import type { Handler, RequestContext } from './handler.js'
import type { SaslSession } from './sasl/sasl-session.js'

export interface ConnectionOptions {
  readonly socket: Socket
  readonly clock: Clock
  readonly handlers: ReadonlyMap<number, Handler>
  readonly apis: ReadonlyMap<number, Api>
  /** What every request of this connection finds, whatever it asks for. */
  readonly context: Omit<RequestContext, 'version' | 'clientId' | 'clientHost' | 'signal' | 'sasl'>
  /** Undefined where nobody is asked who they are. */
  readonly sasl: SaslSession | undefined
  readonly maxRequestBytes: number
  readonly maxIdleMs: number
  /** Told why the connection is ended from here. */
  readonly log: (reason: string) => void
  /** Told once when the connection is over. */
  readonly onClose: () => void
}

/** Requests that wait beyond this many bytes keep the socket from being read. */
const MOST_WAITING_BYTES = 1024 * 1024
/** What a client may send before it has proved who it is. Kafka: sasl.server.max.receive.size. */
const STRANGER_BYTES = 512 * 1024
/** How long a peer may take to read the last response when the listener closes. */
const LAST_RESPONSE_MS = 1000

/**
 * One client. Its requests are answered one after the other, in order: one that waits (a fetch, a join) keeps back only
 * those behind it on this connection. The next is looked at when the client has read enough of the last response, so a
 * slow reader makes nobody wait but itself, and is idle while it reads nothing. While a request waits the socket is read
 * on, up to a bound, since a client that goes away is noticed only so.
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #splitter: FrameSplitter
  readonly #cancellation = new Cancellation()
  readonly #clientHost: string
  readonly #sasl: SaslSession | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #isServing = false
  /** The client has not read all of the last response yet. */
  #isUnread = false
  #lastActivity: number
  #cancelIdle: (() => void) | undefined
  #status: 'open' | 'closing' | 'closed' = 'open'

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { socket, clock } = options
    this.#socket = socket
    const { sasl, maxRequestBytes } = options
    this.#splitter = new FrameSplitter(sasl === undefined ? maxRequestBytes : Math.min(maxRequestBytes, STRANGER_BYTES))
    this.#clientHost = `/${plainAddress(socket.remoteAddress ?? '')}`
    this.#sasl = options.sasl
    this.#lastActivity = clock.monotonic()
    socket.setNoDelay(true)
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    // The reason of a reset is the client's own affair; 'close' follows.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#closed())
    this.#watchIdle()
  }

  /** Ends what waits, lets the answer that is under way go out, and closes. */
  close(): void {
    if (this.#status !== 'open') return
    this.#status = 'closing'
    this.#waiting = []
    this.#cancellation.abort()
    if (!this.#isServing) this.#finish()
  }

  #receive(chunk: Uint8Array): void {
    if (this.#status !== 'open') return
    this.#lastActivity = this.#options.clock.monotonic()
    try {
      for (const frame of this.#splitter.push(chunk)) {
        this.#waiting.push(frame)
        this.#waitingBytes += frame.length
      }
    } catch (error) {
      this.#end(reasonOf(error))
      return
    }
    if (this.#waitingBytes > MOST_WAITING_BYTES) this.#socket.pause()
    if (!this.#isServing) void this.#serve()
  }

  /** Never rejects. */
  async #serve(): Promise<void> {
    this.#isServing = true
    try {
      for (;;) {
        const frame = this.#waiting.shift()
        if (frame === undefined || this.#status === 'closed') break
        this.#waitingBytes -= frame.length
        if (this.#socket.isPaused() && this.#waitingBytes <= MOST_WAITING_BYTES) this.#socket.resume()
        const pieces = await this.#respond(frame)
        if (pieces !== undefined && !this.#write(pieces)) await this.#drained()
        if (this.#sasl?.isFailed === true) this.#refuse()
        if (this.#sasl?.isAuthenticated === true) this.#splitter.maxBytes = this.#options.maxRequestBytes
      }
    } catch (error) {
      this.#end(reasonOf(error))
    } finally {
      this.#isServing = false
    }
    if (this.#status === 'closing') this.#finish()
  }

  async #respond(frame: Uint8Array): Promise<Uint8Array[] | undefined> {
    const { handlers, apis, context } = this.#options
    const sasl = this.#sasl
    if (sasl?.expectsBareToken === true) return answerBareToken(sasl, frame)
    const incoming = openRequest(frame, apis)
    const found = incoming.api && handlers.get(incoming.api.key)
    if (found === undefined) throw unknownApi(incoming)
    const { apiVersion, clientId } = incoming.header
    if (sasl?.isAuthenticated === false && !BEFORE_AUTHENTICATION.has(found.api.key)) throw notAuthenticated(found.api)
    return found.respond(incoming, {
      ...context,
      version: apiVersion,
      clientId: clientId ?? '',
      clientHost: this.#clientHost,
      signal: this.#cancellation,
      sasl,
    })
  }

  /** The client has been told, and what else it sent is not looked at. */
  #refuse(): void {
    this.#status = 'closing'
    this.#waiting = []
    this.#options.log('the client did not prove who it is')
  }

  /** False where the client has not read enough yet. */
  #write(pieces: readonly Uint8Array[]): boolean {
    const socket = this.#socket
    let isRead = true
    if (pieces.length > 1) socket.cork()
    for (const piece of pieces) isRead = socket.write(piece)
    if (pieces.length > 1) socket.uncork()
    return isRead
  }

  #drained(): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed) return Promise.resolve()
    this.#isUnread = true
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#isUnread = false
        this.#lastActivity = this.#options.clock.monotonic()
        socket.off('drain', settle)
        socket.off('close', settle)
        resolve()
      }
      socket.on('drain', settle)
      socket.on('close', settle)
    })
  }

  #watchIdle(): void {
    const { clock, maxIdleMs } = this.#options
    const leftMs = this.#lastActivity + maxIdleMs - clock.monotonic()
    if (leftMs <= 0 && (!this.#isServing || this.#isUnread)) {
      this.#end(this.#isUnread ? `its answer was not read for ${maxIdleMs} ms` : `it was idle for ${maxIdleMs} ms`)
      return
    }
    this.#cancelIdle = clock.schedule(() => this.#watchIdle(), leftMs > 0 ? leftMs : maxIdleMs)
  }

  /** Lets the last response go out, but waits for no peer that does not read. */
  #finish(): void {
    this.#socket.end()
    const cancel = this.#options.clock.schedule(() => this.#socket.destroy(), LAST_RESPONSE_MS)
    this.#socket.on('close', cancel)
  }

  #end(reason: string): void {
    if (this.#status === 'closed') return
    this.#options.log(reason)
    this.#closed()
    this.#socket.destroy()
  }

  #closed(): void {
    if (this.#status === 'closed') return
    this.#status = 'closed'
    this.#waiting = []
    this.#cancelIdle?.()
    this.#cancellation.abort()
    this.#options.onClose()
  }
}

/** What a client may ask before it has proved who it is. */
const BEFORE_AUTHENTICATION: ReadonlySet<number> = new Set([apiVersions.key, saslHandshake.key, saslAuthenticate.key])

function notAuthenticated({ name }: Api): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', `${name} was asked before the client proved who it is.`)
}

/** A token of the client's that comes without a header is answered without one; a failure has no words there. */
async function answerBareToken(sasl: SaslSession, frame: Uint8Array): Promise<Uint8Array[] | undefined> {
  const answer = await sasl.authenticate(frame)
  if (!(answer instanceof Uint8Array)) return undefined
  const length = Buffer.alloc(4)
  length.writeInt32BE(answer.length)
  return [length, answer]
}

function unknownApi({ header }: IncomingRequest): OttlaError {
  return new OttlaError('OTTLA_UNSUPPORTED_VERSION', `API ${header.apiKey} of Kafka's protocol is not spoken here.`)
}

/** An IPv4 client of a socket that takes both is written as IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}
