import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Broker, bytes, Topic } from 'ottla'
import { engineOf } from '../../src/engine/engine-of.js'
import { FrameSplitter } from '../../src/protocol/frame-splitter.js'
import { correlationIdOf } from '../../src/protocol/frames.js'
import { Connection } from '../../src/wire/connection.js'
import { handlersByKey } from '../../src/wire/handlers.js'
import { TopicIds } from '../../src/wire/topic-ids.js'
import { capturedExchanges } from '../protocol/captured-frames.js'
import { mutate } from '../protocol/frame-mutations.js'
import { randomFrom } from '../record/mutations.js'

export interface ConnectionSurvival {
  answered: number
  /** Connections that were closed on a frame. */
  closed: number
  /** Connections that were left since they wait, as a fetch may. */
  left: number
  /** Why, with the numbers left out. */
  reasons: Set<string>
  /** Bytes that live after each tenth, with all that was garbage gone. */
  curve: number[]
}

/** How long an answer is waited for, in turns of the event loop. */
const PATIENCE_TURNS = 300
const BROKERS = 10
const PROBE = 0x7eadbeef

/**
 * Sends damaged requests of real clients, which `seed` fixes, to a broker over connections of its own kind, each in a
 * frame whose length is right. A connection that is closed gives way to the next; a broker takes a tenth of them. Throws
 * where a connection is closed with anything but one sentence of the protocol's, or the broker no longer serves.
 *
 * The sockets are local ones: of a port the machine would run out.
 */
export async function surviveOverConnections(rounds: number, seed: number): Promise<ConnectionSurvival> {
  const random = randomFrom(seed)
  const requests = capturedExchanges().map(({ request }) => request)
  const survival: ConnectionSurvival = { answered: 0, closed: 0, left: 0, reasons: new Set(), curve: [] }
  for (let tenth = 0; tenth < BROKERS; tenth++) {
    const door = await openDoor((reason) => survival.reasons.add(reason.replaceAll(/-?\d+/g, 'N')))
    let peer = await door.connect()
    for (let round = 0; round < rounds / BROKERS; round++) {
      const request = requests[random(requests.length)] ?? new Uint8Array()
      // It has been dealt with when what is asked behind it is answered.
      peer.socket.write(Buffer.concat([framed(mutate(request, requests, 8, random)), framed(probe())]))
      await peer.settled()
      survival.answered += peer.answered
      peer.answered = 0
      if (peer.isClosed) survival.closed++
      else if (!peer.isProbed) survival.left++
      if (!peer.isProbed || peer.isClosed) {
        peer.socket.destroy()
        peer = await door.connect()
      }
      peer.isProbed = false
    }
    peer.socket.write(framed(probe()))
    await peer.settled()
    if (!peer.isProbed) throw new Error(`seed ${seed}: the broker does not answer after ${rounds / BROKERS} frames`)
    await door.close()
    survival.curve.push(livingBytes())
  }
  return survival
}

async function openDoor(log: (reason: string) => void) {
  const broker = await Broker.open({ config: { groupMinSessionTimeoutMs: 1 } })
  await broker.topic(new Topic('t', { value: bytes() }))
  const held = engineOf(broker)
  if (held === undefined) throw new Error('no engine')
  const handlers = handlersByKey()
  const apis = new Map([...handlers].map(([key, { api }]) => [key, api]))
  const { engine, clock } = held
  const connections = new Set<Connection>()
  const server = createServer((socket) => {
    const connection: Connection = new Connection({
      socket,
      clock,
      handlers,
      apis,
      context: {
        engine,
        topicIds: new TopicIds(engine),
        node: { nodeId: 1, host: '127.0.0.1', port: 9092 },
        autoCreateTopics: false,
        deleteTopics: true,
        apis: [...apis.values()],
      },
      sasl: undefined,
      maxRequestBytes: 104_857_600,
      maxIdleMs: 600_000,
      log,
      onClose: () => connections.delete(connection),
    })
    connections.add(connection)
  })
  const path = join(tmpdir(), `ottla-${process.pid}-${Math.random().toString(36).slice(2)}.sock`)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    connect: () => Peer.to(path),
    close: async () => {
      for (const connection of connections) connection.close()
      await new Promise((resolve) => server.close(resolve))
      await broker.close()
    },
  }
}

class Peer {
  readonly socket: Socket
  answered = 0
  isProbed = false
  isClosed = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    const splitter = new FrameSplitter(2 ** 30)
    socket.on('data', (chunk) => {
      for (const frame of splitter.push(chunk)) {
        this.answered++
        if (frame.length >= 4 && correlationIdOf(frame) === PROBE) this.isProbed = true
      }
      if (this.isProbed) this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
  }

  static async to(path: string): Promise<Peer> {
    const socket = new Socket()
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(path, resolve)
    })
    return new Peer(socket)
  }

  /** Resolves when all is answered, or the connection is closed, or nothing comes for long. */
  async settled(): Promise<void> {
    let isSettled = false
    const settled = new Promise<void>((resolve) => {
      this.#wake = () => {
        isSettled = true
        resolve()
      }
    })
    if (this.isProbed || this.isClosed) return
    const patience = async (): Promise<void> => {
      for (let turn = 0; turn < PATIENCE_TURNS && !isSettled; turn++) await new Promise(setImmediate)
    }
    await Promise.race([settled, patience()])
  }
}

function framed(frame: Uint8Array): Buffer {
  const bytesOfFrame = Buffer.alloc(4 + frame.length)
  bytesOfFrame.writeInt32BE(frame.length)
  bytesOfFrame.set(frame, 4)
  return bytesOfFrame
}

/** ApiVersions, version 0. */
function probe(): Buffer {
  const frame = Buffer.alloc(10)
  frame.writeInt16BE(18, 0)
  frame.writeInt32BE(PROBE, 4)
  frame.writeInt16BE(-1, 8)
  return frame
}

/** What lives once the garbage is gone. */
function livingBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
