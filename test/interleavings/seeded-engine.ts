import type { Engine } from '../../src/engine/engine.js'

/** Which of so many that are ready continues next. */
export type Choose = (count: number) => number

/** Whoever asked first continues first, as on one wire that never stalls. */
export const firstInFirstOut: Choose = () => 0

/** Verbs whose requests may overtake each other on the way. A produce may not: its partition keeps the order of the calls. */
const MAY_BE_OVERTAKEN: ReadonlySet<string> = new Set([
  'commitOffsets',
  'fetchOffsets',
  'heartbeat',
  'joinGroup',
  'leaveGroup',
  'listOffsets',
  'metadata',
  'syncGroup',
])

/**
 * Holds back requests on their way to an engine and answers on their way back. In each turn of the event loop one of
 * those that are ready goes on, and `choose` says which. Nothing else is random, so the same choices give the same run.
 */
export class Interleaving {
  readonly #choose: Choose
  readonly #ready: { readonly name: string; readonly goOn: () => void }[] = []
  /** What went on, in order. */
  readonly trace: string[] = []
  #isPumping = false

  constructor(choose: Choose) {
    this.#choose = choose
  }

  /** The same engine, some of whose answers come late. */
  around(engine: Engine): Engine {
    return new Proxy(engine, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        const verb = String(name)
        return (...parameters: unknown[]): unknown => {
          if (verb === 'close') return Reflect.apply(member, target, parameters)
          return this.#delayed(verb, () => Reflect.apply(member, target, parameters))
        }
      },
    })
  }

  async #delayed(verb: string, call: () => unknown): Promise<unknown> {
    if (MAY_BE_OVERTAKEN.has(verb)) await this.#turn(`${verb} goes`)
    try {
      return await call()
    } finally {
      await this.#turn(`${verb} answers`)
    }
  }

  #turn(name: string): Promise<void> {
    return new Promise((goOn) => {
      this.#ready.push({ name, goOn })
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    setImmediate(() => {
      this.#isPumping = false
      const [next] = this.#ready.splice(this.#choose(this.#ready.length), 1)
      if (next === undefined) return
      this.trace.push(next.name)
      next.goOn()
      if (this.#ready.length > 0) this.#pump()
    })
  }
}
