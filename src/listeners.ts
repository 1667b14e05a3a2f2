/**
 * Callbacks without arguments, each once, in the order in which they came. One alone needs no Set, which makes a new
 * table each time its last member goes: what waits for one log, or for one end of a wait, comes and goes with each batch
 * (benchmark: growth-partitions).
 */
export class Listeners {
  #only: (() => void) | undefined
  #several: Set<() => void> | undefined

  add(listener: () => void): void {
    if (this.#several !== undefined) this.#several.add(listener)
    else if (this.#only === undefined) this.#only = listener
    else if (this.#only !== listener) {
      this.#several = new Set([this.#only, listener])
      this.#only = undefined
    }
  }

  delete(listener: () => void): void {
    if (this.#only === listener) this.#only = undefined
    else this.#several?.delete(listener)
  }

  /** Those that go meanwhile are not called; of those that come, nothing is promised. */
  call(): void {
    if (this.#several === undefined) this.#only?.()
    else for (const listener of this.#several) listener()
  }

  /** Calls all that are there now, whatever goes meanwhile. None is left. */
  callAndClear(): void {
    const only = this.#only
    const several = this.#several
    this.#only = undefined
    this.#several = undefined
    only?.()
    if (several !== undefined) for (const listener of several) listener()
  }
}
