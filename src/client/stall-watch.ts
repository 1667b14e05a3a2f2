import type { Clock } from '../time/clock.js'
import type { DeliveryLoop } from './delivery-loop.js'
import type { Handling } from './in-flight.js'

/** How often it looks in the time that a handler may take. */
const LOOKS_PER_INTERVAL = 10

export interface StallWatchOptions {
  readonly clock: Clock
  /** How long a handler may take; Infinity for as long as it wants. */
  readonly maxPollIntervalMs: number
  /** The loops of the partitions that the member holds. */
  readonly loops: ReadonlyMap<string, DeliveryLoop>
  readonly onStalled: (loops: readonly DeliveryLoop[]) => void
}

/**
 * Finds partitions in which a handler has worked on the same message for too long. While handlers outlast their turn of
 * the event loop it looks now and then, so that no message costs a look at the clock: a handler is found out after its
 * time, and at most a fifth later.
 */
export class StallWatch {
  readonly #options: StallWatchOptions
  /** What was being handled at the last look, and since when. */
  #seen = new Map<DeliveryLoop, Handling & { sinceMs: number }>()
  #cancelLook: (() => void) | undefined
  #hasEnded = false

  constructor(options: StallWatchOptions) {
    this.#options = options
  }

  /** A handler may have begun that takes long. */
  readonly start = (): void => {
    const isFree = this.#options.maxPollIntervalMs === Number.POSITIVE_INFINITY
    if (isFree || this.#hasEnded || this.#cancelLook !== undefined) return
    this.#look()
  }

  /** Looks no more. */
  end(): void {
    this.#hasEnded = true
    this.#cancelLook?.()
  }

  /** The loop goes elsewhere: the same offset, handled again, is not the same work. */
  forget(loop: DeliveryLoop): void {
    this.#seen.delete(loop)
  }

  #look(): void {
    const { clock, loops, maxPollIntervalMs, onStalled } = this.#options
    const now = clock.monotonic()
    const seenNow = new Map<DeliveryLoop, Handling & { sinceMs: number }>()
    const stalled: DeliveryLoop[] = []
    for (const loop of loops.values()) {
      const { handling } = loop
      if (handling === undefined) continue
      const before = this.#seen.get(loop)
      const isSame = before?.offset === handling.offset && before.attempt === handling.attempt
      const sinceMs = isSame ? before.sinceMs : now
      const isStalled = now - sinceMs >= maxPollIntervalMs
      if (isStalled) stalled.push(loop)
      // What was told of is not told of again at the next look.
      seenNow.set(loop, { ...handling, sinceMs: isStalled ? now : sinceMs })
    }
    this.#seen = seenNow
    this.#cancelLook =
      seenNow.size === 0 ? undefined : clock.schedule(() => this.#look(), maxPollIntervalMs / LOOKS_PER_INTERVAL)
    if (stalled.length > 0) onStalled(stalled)
  }
}
