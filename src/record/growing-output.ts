/** Why bytes cannot be decoded; no reason where they hold more than may be made of them. */
export interface DecodeFailure {
  readonly damage: string | undefined
}

/**
 * What a decoder has made so far, in memory that grows as it is written. Never beyond `most`: a decoder that wants more
 * is told so by `reserve`, before anything is made.
 */
export class GrowingOutput {
  bytes: Uint8Array
  length = 0
  readonly #most: number

  constructor(sizeHint: number, most: number) {
    this.bytes = new Uint8Array(Math.min(sizeHint, most))
    this.#most = most
  }

  /** Makes room for `count` more bytes; false where they would be too many. */
  reserve(count: number): boolean {
    const needed = this.length + count
    if (needed > this.#most) return false
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.min(Math.max(2 * this.bytes.length, needed), this.#most))
      grown.set(this.bytes.subarray(0, this.length))
      this.bytes = grown
    }
    return true
  }

  /** Appends source[start, end). There must be room. */
  append(source: Uint8Array, start: number, end: number): void {
    const { bytes } = this
    let at = this.length
    // A call costs more than a few bytes.
    if (end - start > 32) bytes.set(source.subarray(start, end), at)
    else for (let i = start; i < end; i++) bytes[at++] = source[i] ?? 0
    this.length += end - start
  }

  /** Appends `count` bytes that begin `distance` before the end; those that this makes may be among them. */
  repeat(distance: number, count: number): void {
    const { bytes } = this
    const start = this.length
    if (distance >= count && count > 32) {
      bytes.copyWithin(start, start - distance, start - distance + count)
    } else if (distance === 1) {
      bytes.fill(bytes[start - 1] ?? 0, start, start + count)
    } else {
      for (let at = start; at < start + count; at++) bytes[at] = bytes[at - distance] ?? 0
    }
    this.length = start + count
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}
