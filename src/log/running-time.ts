import type { Clock } from '../time/clock.js'

/** Time in which nothing aged: `ms` of it, behind the moment `after`, both by the wall clock. */
export interface Pause {
  readonly after: number
  readonly ms: number
}

/** What is kept from one opening to the next: when the broker was last known to run, and its pauses. */
export interface KeptTime {
  readonly at: number
  readonly pauses: readonly Pause[]
}

/** Clocks are corrected by less than this all the time, and a restart takes no longer. */
const SHORTEST_PAUSE_MS = 60_000
/** Beyond it the two oldest are taken for one. */
const MOST_PAUSES = 500

/**
 * How old messages are, in time that the broker ran. The time for which it was closed, the machine slept, or by which
 * the clock was set forward, ages nothing: nobody could have read a message in it.
 *
 *     wall clock   |---- runs ----|      closed, asleep, set forward       |---- runs ----|
 *     age          |--------------><--------------- 0 ---------------------><--------------
 *
 * A clock that is set back makes messages younger than they are, which keeps them longer.
 */
export class RunningTime {
  readonly #clock: Clock
  /** Rising. */
  #pauses: Pause[]
  #wall: number
  #monotonic: number

  /** Goes on from what was kept. Without it nothing is known of the time before. */
  constructor(clock: Clock, kept?: KeptTime) {
    this.#clock = clock
    this.#wall = clock.now()
    this.#monotonic = clock.monotonic()
    this.#pauses = [...(kept?.pauses ?? [])]
    if (kept !== undefined) this.#pause(kept.at, this.#wall - kept.at)
  }

  /** Notices what the wall clock has skipped since the last look: the monotonic one says how far it should be. */
  look(): void {
    const [wall, monotonic] = [this.#clock.now(), this.#clock.monotonic()]
    const expected = this.#wall + (monotonic - this.#monotonic)
    this.#pause(expected, wall - expected)
    this.#wall = wall
    this.#monotonic = monotonic
  }

  /** Milliseconds since `timestamp` in which the broker ran; negative for a time to come. */
  ageOf(timestamp: number): number {
    let age = this.#clock.now() - timestamp
    for (const { after, ms } of this.#pauses) age -= Math.min(Math.max(after + ms - timestamp, 0), ms)
    return age
  }

  /** To be kept when the broker closes. */
  kept(): KeptTime {
    this.look()
    return { at: this.#wall, pauses: this.#pauses }
  }

  #pause(after: number, ms: number): void {
    if (ms < SHORTEST_PAUSE_MS) return
    this.#pauses.push({ after, ms })
    const [oldest, second, ...rest] = this.#pauses
    if (oldest === undefined || second === undefined || rest.length + 2 <= MOST_PAUSES) return
    // What lies between the two is taken for younger than it is, so that nothing goes too early.
    this.#pauses = [{ after: second.after, ms: oldest.ms + second.ms }, ...rest]
  }
}
