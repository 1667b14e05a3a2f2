import type { Clock } from '../time/clock.js'

/** Kept, since test runners put one in its place that stands still. */
const { nextTick } = process

/** What is told that a turn has ended. */
export interface TurnListener {
  endTurn(): void
}

/**
 * The end of a turn, for all partitions to which one producer sends in it: when the microtasks are done, in which
 * senders that were just acknowledged send again. A tick, and a look at the clock, for each partition would take as long
 * as the rest of a send to it (benchmark: growth-topics).
 */
export class TurnEnd {
  readonly #clock: Clock
  #listeners: TurnListener[] = []
  #now = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The time of this turn; exact where nobody waits for its end. */
  now(): number {
    if (this.#listeners.length === 0) this.#now = this.#clock.now()
    return this.#now
  }

  /** Tells it once, in the order of the calls. */
  tell(listener: TurnListener): void {
    if (this.#listeners.push(listener) === 1) nextTick(this.#end)
  }

  readonly #end = (): void => {
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener.endTurn()
  }
}
