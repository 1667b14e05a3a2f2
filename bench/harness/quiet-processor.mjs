import { setTimeout as wait } from 'node:timers/promises'

/** Of the best that was seen. A neighbour on the other half of a core leaves about half of it. */
const QUIET_SHARE = 0.85
const PAUSE_MS = 20

/**
 * Waits until the processor is as fast as it has been. A virtual machine may have half a core: while whoever has the
 * other half computes, code that keeps the core's units busy takes up to twice as long, and code that waits for memory
 * or for the kernel takes as long as ever. So a ratio of the two would say how busy the neighbour was.
 */
export class QuietProcessor {
  #speed
  #now
  #pause
  #mostMs
  #mostTries
  #leftMs
  #best = 0

  /**
   * @param {{ mostMs: number, budgetMs: number, mostTries?: number }} limits of one wait, of all waits and repeated
   *   work together, and how often `time` does its work
   * @param {{ speed?: () => number, now?: () => number, pause?: (ms: number) => Promise<unknown> }} [machine]
   */
  constructor(
    { mostMs, budgetMs, mostTries = 1 },
    { speed = processorSpeed, now = () => performance.now(), pause = wait } = {},
  ) {
    this.#mostMs = mostMs
    this.#leftMs = budgetMs
    this.#mostTries = mostTries
    this.#speed = speed
    this.#now = now
    this.#pause = pause
  }

  /** Resolves with how long it waited, in ms. */
  async wait() {
    const startedAt = this.#now()
    const endsAt = startedAt + Math.min(this.#mostMs, this.#leftMs)
    while (!this.#isQuiet() && this.#now() < endsAt) await this.#pause(PAUSE_MS)
    const waited = this.#now() - startedAt
    this.#leftMs = Math.max(this.#leftMs - waited, 0)
    return waited
  }

  /**
   * Does work of some milliseconds while the processor is quiet: where it is not when the work ends, the work is done again.
   * Resolves with the seconds that the last time took.
   *
   * @param {() => unknown} work
   */
  async time(work) {
    for (let tries = 1; ; tries++) {
      await this.wait()
      const startedAt = this.#now()
      await work()
      const tookMs = this.#now() - startedAt
      if (this.#isQuiet() || tries >= this.#mostTries || this.#leftMs === 0) return tookMs / 1000
      this.#leftMs = Math.max(this.#leftMs - (this.#now() - startedAt), 0)
    }
  }

  /** Times so many stretches of work, each by itself. Resolves with the seconds of all. @param {number} stretches @param {() => unknown} work */
  async timeStretches(stretches, work) {
    let seconds = 0
    for (let done = 0; done < stretches; done++) seconds += await this.time(work)
    return seconds
  }

  #isQuiet() {
    const speed = this.#speed()
    this.#best = Math.max(this.#best, speed)
    return speed >= QUIET_SHARE * this.#best
  }
}

const TABLES = Array.from({ length: 8 }, (_, table) =>
  Int32Array.from({ length: 256 }, (_, index) => Math.imul(index, 0x9e3779b1 + table)),
)
const SINK = new Int32Array(1)

/** Rounds a millisecond of a loop whose look-ups wait for nothing but a free unit of the core; the better of two. */
function processorSpeed() {
  return Math.max(lookUps(), lookUps())
}

function lookUps() {
  const [a, b, c, d, e, f, g, h] = TABLES
  const rounds = 50_000
  const startedAt = performance.now()
  let sum = 0
  for (let i = 0; i < rounds; i++) {
    sum ^= a[i & 255] ^ b[(i >> 1) & 255] ^ c[(i >> 2) & 255] ^ d[(i >> 3) & 255]
    sum ^= e[(i >> 4) & 255] ^ f[(i >> 5) & 255] ^ g[(i >> 6) & 255] ^ h[(i >> 7) & 255]
  }
  const speed = rounds / (performance.now() - startedAt)
  SINK[0] ^= sum
  return speed
}
