/**
 * Which messages of one partition are being handled, so that only the contiguous prefix of delivered ones is ever
 * committed:
 *
 *     delivered:   10  11  12  13  14
 *     done:         x   x       x          the next offset to commit is 12
 *
 * Messages enter in the order of their offsets and may be done in any.
 */
export class OffsetTracker {
  /** Offsets that were delivered and are not all done, oldest first from `#head` on. */
  #offsets: number[] = []
  #head = 0
  readonly #done = new Set<number>()

  /** Messages from the oldest that is not done to the newest that was delivered. */
  get span(): number {
    return this.#offsets.length - this.#head
  }

  deliver(offset: number): void {
    this.#offsets.push(offset)
  }

  done(offset: number): void {
    if (this.#offsets[this.#head] !== offset) {
      this.#done.add(offset)
      return
    }
    this.#head++
    while (this.#done.size > 0 && this.#done.delete(this.#offsets[this.#head] as number)) this.#head++
    if (this.#head === this.#offsets.length) {
      this.#offsets = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#offsets.length) {
      this.#offsets = this.#offsets.slice(this.#head)
      this.#head = 0
    }
  }

  /** The offset to commit when everything below `position` was delivered. */
  committable(position: number): number {
    return this.#offsets[this.#head] ?? position
  }
}
