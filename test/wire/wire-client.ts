import { connect, type Socket } from 'node:net'
import { FrameSplitter } from '../../src/protocol/frame-splitter.js'
import { correlationIdOf, decodeResponse, encodeRequest } from '../../src/protocol/frames.js'
import type { Api, EncodableRequest, ResponseOf } from '../../src/protocol/message-table.js'

/** A Kafka client of the fewest parts: it sends what it is told, and reads what comes. */
export class WireClient implements AsyncDisposable {
  readonly socket: Socket
  /** Frames in the order in which they came, without their lengths. */
  readonly received: Uint8Array[] = []
  /** Resolves when the connection is over, from whichever side. */
  readonly closed: Promise<void>
  #nextId = 1
  #isClosed = false
  #waiting: (() => void)[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    const splitter = new FrameSplitter(2 ** 30)
    socket.on('data', (chunk) => {
      this.received.push(...splitter.push(chunk))
      this.#wake()
    })
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true
        this.#wake()
        resolve()
      })
    })
  }

  static to(port: number): Promise<WireClient> {
    return WireClient.over(connect(port, '127.0.0.1'), 'connect')
  }

  /** `ready` is the event by which the socket says that it can be used. */
  static async over(socket: Socket, ready: string): Promise<WireClient> {
    await new Promise<void>((resolve, reject) => {
      socket.once(ready, resolve)
      socket.once('error', reject)
    })
    return new WireClient(socket)
  }

  /** Sends a request and returns its correlation id, without waiting. */
  send<A extends Api>(api: A, version: number, body: EncodableRequest<A>): number {
    const correlationId = this.#nextId++
    const pieces = encodeRequest(api, version, { correlationId, clientId: 'wire-test' }, body)
    this.socket.write(Buffer.concat(pieces))
    return correlationId
  }

  async answer<A extends Api>(api: A, version: number, correlationId: number): Promise<ResponseOf<A>> {
    for (;;) {
      const frame = this.received.find((each) => each.length >= 4 && correlationIdOf(each) === correlationId)
      if (frame !== undefined) return decodeResponse(api, version, frame)
      if (this.#isClosed) throw new Error(`the connection was closed instead of an answer to ${api.name} ${version}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  request<A extends Api>(api: A, version: number, body: EncodableRequest<A>): Promise<ResponseOf<A>> {
    return this.answer(api, version, this.send(api, version, body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
