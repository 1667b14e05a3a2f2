/** How often something took how long, in milliseconds. */
export interface Histogram {
  /** How often it happened. */
  count: number
  /** Milliseconds in all. */
  sumMs: number
  /** `count` of those that took `upToMs` at most: rising, the last one without a bound (Infinity), as Prometheus has them. */
  buckets: { upToMs: number; count: number }[]
}

const BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000, Number.POSITIVE_INFINITY]

/** Counts durations into fixed buckets. */
export class LatencyHistogram {
  readonly #counts = BOUNDS_MS.map(() => 0)
  #sumMs = 0

  record(durationMs: number): void {
    const bucket = BOUNDS_MS.findIndex((bound) => durationMs <= bound)
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sumMs += durationMs
  }

  snapshot(): Histogram {
    let count = 0
    const buckets = BOUNDS_MS.map((upToMs, index) => {
      count += this.#counts[index] ?? 0
      return { upToMs, count }
    })
    return { count, sumMs: this.#sumMs, buckets }
  }
}
