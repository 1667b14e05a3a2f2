import { createServer, type Server, type Socket } from 'node:net'
import type { Broker } from '../broker.js'
import { aBoolean, aFunction, checkOptions, countOrInfinity, invalid, wholeNumber } from '../client/options.js'
import { engineOf, type HeldEngine } from '../engine/engine-of.js'
import { Connection, plainAddress } from './connection.js'
import type { Node } from './handler.js'
import { handlersByKey } from './handlers.js'
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
  /** This broker's number. Default 1. Kafka: node.id. */
  nodeId?: number
  /** What one request may weigh, in bytes. Default 104857600. Kafka: socket.request.max.bytes. */
  socketRequestMaxBytes?: number
  /** A connection without requests is closed after this long, in milliseconds. Default 600000. Kafka: connections.max.idle.ms. */
  connectionsMaxIdleMs?: number
  /** More connections than this are closed at once. Default Infinity. Kafka: max.connections. */
  maxConnections?: number
  /** Told in one line of each connection that was closed from here, and why. */
  log?: (line: string) => void
}

/** An open door to a broker. */
export interface Listener extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** What clients take as their bootstrap servers: `127.0.0.1:9092`. */
  readonly bootstrapServers: string
  /** Closes the door and all connections; the broker goes on. May be called more than once. */
  close(): Promise<void>
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? undefined : 'a string')
const PORT = wholeNumber(0, 65_535)
const OPTIONS = {
  host: text,
  port: PORT,
  advertised: (value: unknown) => (typeof value === 'object' && value !== null ? undefined : 'an object'),
  autoCreateTopics: aBoolean,
  nodeId: wholeNumber(0, 2 ** 31 - 1),
  socketRequestMaxBytes: wholeNumber(1024, 2 ** 31 - 1),
  connectionsMaxIdleMs: countOrInfinity(1),
  maxConnections: countOrInfinity(1),
  log: aFunction,
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
  const server = new WireServer(held, options)
  await server.open()
  return server
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
  #port = 0
  #closing: Promise<void> | undefined

  constructor(held: HeldEngine, options: ListenOptions) {
    this.#held = held
    this.#options = options
    this.host = options.host ?? '127.0.0.1'
    this.#topicIds = new TopicIds(held.engine)
    this.#server = createServer((socket) => this.#accept(socket))
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
    await closed
  }

  #accept(socket: Socket): void {
    const { connectionsMaxIdleMs = 600_000, socketRequestMaxBytes = 104_857_600, maxConnections } = this.#options
    const peer = `${plainAddress(socket.remoteAddress ?? '')}:${socket.remotePort}`
    if (this.#closing !== undefined || this.#connections.size >= (maxConnections ?? Number.POSITIVE_INFINITY)) {
      socket.destroy()
      this.#options.log?.(`Connection of ${peer} closed: ${maxConnections} are open`)
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
        apis: [...this.#apis.values()],
      },
      maxRequestBytes: socketRequestMaxBytes,
      maxIdleMs: connectionsMaxIdleMs,
      onClose: (reason) => {
        this.#connections.delete(connection)
        if (reason !== undefined) this.#options.log?.(`Connection of ${peer} closed: ${reason}`)
      },
    })
    this.#connections.add(connection)
  }

  #nodeFor(socket: Socket): Node {
    const { nodeId = 1, advertised } = this.#options
    const reached = WILDCARDS.has(this.host) ? plainAddress(socket.localAddress ?? this.host) : this.host
    return { nodeId, host: advertised?.host ?? reached, port: advertised?.port ?? this.#port }
  }
}
