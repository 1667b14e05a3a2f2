/** A send that waits in a queue. */
export interface QueuedSend {
  /** What it takes of the bytes that may be under way. */
  readonly bytes: number
  readonly signal: AbortSignal | undefined
}

interface Place<Send> {
  readonly send: Send
  previous: Place<Send> | undefined
  next: Place<Send> | undefined
  /** Told when this one and all before it have left. */
  onPassed: (() => void)[]
}

/**
 * Sends that wait for their topic to be known or for room: first in, first out, but for those that are aborted. Every
 * step takes the same time however many there are, and a signal that many of them share has one listener.
 */
export class SendQueue<Send extends QueuedSend> {
  readonly #onAbort: (send: Send, reason: unknown) => void
  readonly #bySignal = new Map<AbortSignal, { readonly places: Set<Place<Send>>; readonly listener: () => void }>()
  #first: Place<Send> | undefined
  #last: Place<Send> | undefined
  #size = 0
  #bytes = 0

  /** `onAbort` is told of each send that has left because of its signal. */
  constructor(onAbort: (send: Send, reason: unknown) => void) {
    this.#onAbort = onAbort
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  get first(): Send | undefined {
    return this.#first?.send
  }

  push(send: Send): void {
    const place: Place<Send> = { send, previous: this.#last, next: undefined, onPassed: [] }
    if (this.#last === undefined) this.#first = place
    else this.#last.next = place
    this.#last = place
    this.#size++
    this.#bytes += send.bytes
    if (send.signal !== undefined) this.#listen(send.signal, place)
  }

  shift(): void {
    if (this.#first === undefined) return
    for (const callback of this.#take(this.#first)) callback()
  }

  /** Calls back when all that wait now have left; at once where none do. */
  whenPassed(callback: () => void): void {
    if (this.#last === undefined) callback()
    else this.#last.onPassed.push(callback)
  }

  /** Takes a send out, and returns whom to tell that all up to it have left. */
  #take(place: Place<Send>): readonly (() => void)[] {
    const { send, previous, next, onPassed } = place
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    this.#size--
    this.#bytes -= send.bytes
    if (send.signal !== undefined) this.#unlisten(send.signal, place)
    if (previous === undefined) return onPassed
    // Those before it are still to be waited for.
    previous.onPassed = previous.onPassed.concat(onPassed)
    return []
  }

  #listen(signal: AbortSignal, place: Place<Send>): void {
    const known = this.#bySignal.get(signal)
    if (known !== undefined) {
      known.places.add(place)
      return
    }
    const places = new Set([place])
    const listener = (): void => {
      const aborted = [...places]
      // All leave before anybody is told, who might let the next one go on although its signal has aborted.
      const passed = aborted.flatMap((place) => this.#take(place))
      for (const { send } of aborted) this.#onAbort(send, signal.reason)
      for (const callback of passed) callback()
    }
    this.#bySignal.set(signal, { places, listener })
    signal.addEventListener('abort', listener)
  }

  #unlisten(signal: AbortSignal, place: Place<Send>): void {
    const known = this.#bySignal.get(signal)
    if (known === undefined) return
    known.places.delete(place)
    if (known.places.size > 0) return
    signal.removeEventListener('abort', known.listener)
    this.#bySignal.delete(signal)
  }
}
