import { OttlaError } from '../errors.js'

const LENGTH_BYTES = 4
/** The first memory for a frame that comes in parts. It grows as they come, so an announced length costs nothing. */
const FIRST_BYTES = 4 * 1024

/**
 * Cuts what a socket delivers into frames. Holds at most one frame, in 4 KiB or four times what has arrived of it.
 * Whoever announces more than `maxBytes` (Kafka's `socket.request.max.bytes`), or a negative length, gets
 * OTTLA_MALFORMED_FRAME before anything is kept: a TLS hello or an HTTP request on this port looks like that.
 */
export class FrameSplitter {
  /** May be changed between two frames. */
  maxBytes: number
  /** The part of a length that came so far. */
  #length = 0
  #lengthBytes = 0
  /** The part of a frame that came so far. */
  #frame: Buffer | undefined
  #filled = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** True while a frame, or its length, has come in part. */
  get isWaiting(): boolean {
    return this.#lengthBytes > 0
  }

  /** The frames that `chunk` completes, without their lengths. A frame that lies in it whole is a view of it. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let position = 0
    while (position < chunk.length) {
      if (this.#lengthBytes < LENGTH_BYTES) {
        this.#length = (this.#length << 8) | (chunk[position] ?? 0)
        position++
        this.#lengthBytes++
        if (this.#lengthBytes < LENGTH_BYTES) continue
        this.#checkLength()
        if (this.#length === 0) {
          this.#lengthBytes = 0
          yield chunk.subarray(position, position)
        }
        // A chunk may end here, and memory is taken for what has come, not for nothing.
        continue
      }
      const missing = this.#length - this.#filled
      if (this.#filled === 0 && chunk.length - position >= missing) {
        this.#lengthBytes = 0
        this.#length = 0
        position += missing
        yield chunk.subarray(position - missing, position)
        continue
      }
      const part = chunk.subarray(position, position + missing)
      position += part.length
      const frame = this.#append(part)
      if (frame !== undefined) yield frame
    }
  }

  #checkLength(): void {
    if (this.#length >= 0 && this.#length <= this.maxBytes) return
    throw new OttlaError(
      'OTTLA_MALFORMED_FRAME',
      `A frame of ${this.#length} bytes is announced where at most ${this.maxBytes} are taken. ` +
        "Check that the peer speaks Kafka's protocol, and TLS only where it is expected.",
    )
  }

  /** The frame, once it is whole. */
  #append(part: Uint8Array): Buffer | undefined {
    const filled = this.#filled + part.length
    let frame = this.#frame
    if (frame === undefined || frame.length < filled) {
      const grown = Buffer.allocUnsafe(Math.min(this.#length, Math.max(FIRST_BYTES, 4 * filled)))
      if (frame !== undefined) grown.set(frame.subarray(0, this.#filled))
      frame = grown
    }
    frame.set(part, this.#filled)
    if (filled < this.#length) {
      this.#frame = frame
      this.#filled = filled
      return undefined
    }
    this.#frame = undefined
    this.#filled = 0
    this.#length = 0
    this.#lengthBytes = 0
    return frame
  }
}
