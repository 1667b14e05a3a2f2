import type { Message } from 'ottla'
import { type Deferred, deferred } from './consuming.js'

/** Handlers that end when they are told to, by the value of their message. */
export class Gates {
  readonly started: number[] = []
  readonly #gates = new Map<number, Deferred>()
  #onStart: () => void = () => {}

  readonly handler = async ({ value }: Message<number>): Promise<void> => {
    this.started.push(value)
    const gate = deferred()
    this.#gates.set(value, gate)
    this.#onStart()
    await gate.promise
  }

  open(value: number): void {
    this.#gates.get(value)?.resolve()
  }

  fail(value: number): void {
    this.#gates.get(value)?.reject(new Error(`no ${value}`))
  }

  async until(count: number): Promise<number[]> {
    while (this.started.length < count) {
      await new Promise<void>((resolve) => {
        this.#onStart = resolve
      })
    }
    return this.started
  }
}

/** Some turns of the event loop. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
