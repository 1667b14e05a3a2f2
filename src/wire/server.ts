import { createServer, type Server, type Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import type { Broker } from '../broker.js'
import { aBoolean, aFunction, checkOptions, countOrInfinity, invalid, wholeNumber } from '../client/options.js'
import { engineOf, type HeldEngine } from '../engine/engine-of.js'
import { Connection, plainAddress } from './connection.js'
import type { Node } from './handler.js'
import { handlersByKey } from './handlers.js'
import type { SaslMechanism, SaslSession } from './sasl/sasl-session.js'
import { TopicIds } from './topic-ids.js'

/** What `listen` takes beside the broker. */
export interface ListenOptions {
  /** The interface to listen on. Default `127.0.0.1`: nobody from another machine. */
  host?: string
  /** Default 0: any that is free, see `Listener.port`. */
  port?: number
  /**
   * Where clients are told to connect to, if that differs from where they are listened to, such as behind a proxy.
   * Default: the port, and the host or, where that stands for all interfaces, the address a client came in by. Kafka:
   * advertised.listeners.
   */
  advertised?: { host?: string; port?: number }
  /** Whether asking for a topic creates it. Default true. Kafka: auto.create.topics.enable. */
  autoCreateTopics?: boolean
  /** Whether clients may delete topics. Default true. Kafka: delete.topic.enable. */
  deleteTopics?: boolean
  /** This broker's number. Default 1. Kafka: node.id. */
  nodeId?: number
  /** What one request may weigh, in bytes. Default 104857600. Kafka: socket.request.max.bytes. */
  socketRequestMaxBytes?: number
  /**
   * A connection without requests is closed after this long, in milliseconds, and so is one whose peer takes longer to
   * read an answer. Default 600000. Kafka: connections.max.idle.ms.
   */
  connectionsMaxIdleMs?: number
  /** More connections than this are closed at once. Default Infinity. Kafka: max.connections. */
  maxConnections?: number
  /** Talks TLS, with these options of Node's `tls.createServer`, such as `key` and `cert`. Default: plain text. */
  tls?: TlsOptions
  /** Asks clients who they are, and serves nobody else. Default: nobody is asked. */
  sasl?: SaslOptions
  /** Told in one line of each connection that was closed from here, and why. */
  log?: (line: string) => void
}

/** Who may come in, and how they prove it. */
export interface SaslOptions {
  /** Default: all that there are. Kafka: sasl.enabled.mechanisms. */
  mechanisms?: readonly ('PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512')[]
  /** Passwords by user, or what finds the password of a user: undefined for one that is not known. */
  users: Readonly<Record<string, string>> | ((username: string) => string | undefined | Promise<string | undefined>)
}

/** An open door to a broker. */
export interface Listener extends AsyncDisposable {
  /** The interface that is listened on. */
  readonly host: string
  /** The port that was given, or the free one that was found. */
  readonly port: number
  /** What clients take as their bootstrap servers: `127.0.0.1:9092`. */
  readonly bootstrapServers: string
  /** Closes the door and all connections; the broker goes on. May be called more than once. */
  close(): Promise<void>
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? undefined : 'a string')
const anObject = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null ? undefined : 'an object'
const PORT = wholeNumber(0, 65_535)
const MECHANISMS: readonly SaslMechanism[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']
const OPTIONS = {
  host: text,
  port: PORT,
  advertised: anObject,
  autoCreateTopics: aBoolean,
  deleteTopics: aBoolean,
  nodeId: wholeNumber(0, 2 ** 31 - 1),
  socketRequestMaxBytes: wholeNumber(1024, 2 ** 31 - 1),
  connectionsMaxIdleMs: countOrInfinity(1),
  maxConnections: countOrInfinity(1),
  tls: anObject,
  sasl: anObject,
  log: aFunction,
}
const SASL = {
  mechanisms: (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every((each) => MECHANISMS.some((known) => known === each))
      ? undefined
      : `an array of ${MECHANISMS.join(', ')}`,
  users: (value: unknown) => (typeof value === 'function' ? undefined : anObject(value) && 'an object or a function'),
}
const ADVERTISED = { host: text, port: PORT }

/**
 * Lets Kafka clients of any language use the broker of this process. Resolves when the port is open; rejects with
 * OTTLA_INVALID_ARGUMENT, or with Node's error where it cannot be opened.
 *
 * A listener holds the process, as any server does.
 *
 * @example
 * const listener = await listen(broker, { port: 9092 })
 * console.log(listener.bootstrapServers)
 * await listener.close()
 */
export async function listen(broker: Broker, options: ListenOptions = {}): Promise<Listener> {
  checkOptions('listen', options, OPTIONS)
  checkOptions('advertised', options.advertised, ADVERTISED)
  const held = engineOf(broker)
  if (held === undefined) throw invalid('listen takes a broker: listen(await Broker.open())')
  if (options.sasl !== undefined) {
    checkOptions('sasl', options.sasl, SASL)
    if (options.sasl.users === undefined) throw invalid('The option sasl takes users: { alice: password }')
  }
  const { tls, sasl } = options
  // TLS and cryptography are loaded for those who want them.
  const newServer = tls === undefined ? createServer : (await import('node:tls')).createServer.bind(undefined, tls)
  const server = new WireServer(held, options, newServer(), sasl && (await sessionsOf(sasl)))
  await server.open()
  return server
}

/** Makes what asks each connection who it is. */
async function sessionsOf({ users, mechanisms = MECHANISMS }: SaslOptions): Promise<() => SaslSession> {
  const { SaslSession } = await import('./sasl/sasl-session.js')
  const passwordOf = async (username: string): Promise<string | undefined> => {
    if (typeof users === 'function') return users(username)
    return Object.hasOwn(users, username) ? users[username] : undefined
  }
  return () => new SaslSession({ mechanisms, passwordOf })
}

const WILDCARDS: ReadonlySet<string> = new Set(['', '0.0.0.0', '::'])

class WireServer implements Listener {
  readonly host: string
  readonly #held: HeldEngine
  readonly #options: ListenOptions
  readonly #server: Server
  readonly #topicIds: TopicIds
  readonly #connections = new Set<Connection>()
  readonly #handlers = handlersByKey()
  readonly #apis = new Map([...this.#handlers].map(([key, { api }]) => [key, api]))
  readonly #newSession: (() => SaslSession) | undefined
  /** Sockets by the address of their peer whose TLS is not agreed upon yet. */
  readonly #handshaking = new Map<string, Socket>()
  #port = 0
  #closing: Promise<void> | undefined

  constructor(held: HeldEngine, options: ListenOptions, server: Server, newSession: (() => SaslSession) | undefined) {
    this.#held = held
    this.#options = options
    this.host = options.host ?? '127.0.0.1'
    this.#topicIds = new TopicIds(held.engine)
    this.#newSession = newSession
    this.#server = server
    const { maxConnections = Number.POSITIVE_INFINITY, tls } = options
    if (maxConnections < Number.POSITIVE_INFINITY) server.maxConnections = maxConnections
    server.on('drop', (peer) => this.#log(`${peer?.remoteAddress}:${peer?.remotePort}`, `${maxConnections} are open`))
    if (tls === undefined) {
      server.on('connection', (socket: Socket) => this.#accept(socket))
    } else {
      server.on('connection', (socket: Socket) => this.#handshake(socket))
      server.on('secureConnection', (socket: Socket) => this.#accept(socket))
      server.on('tlsClientError', (error: Error, socket: Socket) => this.#log(peerOf(socket), error.message))
    }
  }

  get port(): number {
    return this.#port
  }

  get bootstrapServers(): string {
    const host = WILDCARDS.has(this.host) ? '127.0.0.1' : this.host
    return `${host.includes(':') ? `[${host}]` : host}:${this.#port}`
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: this.host, port: this.#options.port ?? 0 }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    const address = this.#server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
    // Of a socket that could not be accepted, such as with too many files open; those that are open go on.
    this.#server.on('error', (error) => this.#options.log?.(`A connection was not accepted: ${error.message}`))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    // The server is closed when the last connection is.
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const connection of this.#connections) connection.close()
    for (const socket of this.#handshaking.values()) socket.destroy()
    await closed
  }

  #handshake(socket: Socket): void {
    const peer = peerOf(socket)
    this.#handshaking.set(peer, socket)
    socket.on('close', () => this.#handshaking.delete(peer))
  }

  #accept(socket: Socket): void {
    const { connectionsMaxIdleMs = 600_000, socketRequestMaxBytes = 104_857_600 } = this.#options
    const peer = peerOf(socket)
    this.#handshaking.delete(peer)
    if (this.#closing !== undefined) {
      socket.destroy()
      return
    }
    const connection: Connection = new Connection({
      socket,
      clock: this.#held.clock,
      handlers: this.#handlers,
      apis: this.#apis,
      context: {
        engine: this.#held.engine,
        topicIds: this.#topicIds,
        node: this.#nodeFor(socket),
        autoCreateTopics: this.#options.autoCreateTopics ?? true,
        deleteTopics: this.#options.deleteTopics ?? true,
        apis: [...this.#apis.values()],
      },
      maxRequestBytes: socketRequestMaxBytes,
      maxIdleMs: connectionsMaxIdleMs,
      sasl: this.#newSession?.(),
      log: (reason) => this.#log(peer, reason),
      onClose: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }

  #log(peer: string, reason: string): void {
    this.#options.log?.(`Connection of ${peer} closed: ${reason}`)
  }

  #nodeFor(socket: Socket): Node {
    const { nodeId = 1, advertised } = this.#options
    const reached = WILDCARDS.has(this.host) ? plainAddress(socket.localAddress ?? this.host) : this.host
    return { nodeId, host: advertised?.host ?? reached, port: advertised?.port ?? this.#port }
  }
}

function peerOf({ remoteAddress = '', remotePort }: Socket): string {
  return `${plainAddress(remoteAddress)}:${remotePort}`
}
