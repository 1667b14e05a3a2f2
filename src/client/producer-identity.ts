import type { Engine } from '../engine/engine.js'
import type { OttlaError } from '../errors.js'

/** Under what name a partition knows an idempotent producer. A higher epoch of an id fences the lower ones. */
export interface Identity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** An int16 in the header of a batch. */
const LAST_EPOCH = 2 ** 15 - 1

/**
 * The producer ids of one client. An id whose producer has closed is used again in its next epoch, so that a process
 * which makes a producer for each request leaves few of them in the logs.
 */
export class ProducerIds {
  readonly #engine: Engine
  readonly #free: Identity[] = []

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** One that nobody else has. At once where one is free. */
  take(): Identity | Promise<Identity> {
    const free = this.#free.pop()
    return free === undefined ? Promise.resolve(this.#engine.initProducerId()) : nextEpoch(free)
  }

  /** Everything that was sent under it is settled. */
  give(identity: Identity): void {
    if (identity.producerEpoch < LAST_EPOCH) this.#free.push(identity)
  }
}

/** The identity of one producer: taken when the first batch needs it, and the same for all partitions. */
export class ProducerIdentity {
  readonly #ids: ProducerIds
  #current: Identity | undefined
  #taking: Promise<Identity> | undefined
  /** Set when another producer has fenced this one: it sends nothing more. */
  fencedBy: OttlaError | undefined

  constructor(ids: ProducerIds) {
    this.#ids = ids
  }

  get(): Identity | Promise<Identity> {
    return this.#current ?? this.#taking ?? this.#take()
  }

  /** One that is newer than `old`, in which sequences begin anew. Kafka's client bumps the epoch by itself, too. */
  after(old: Identity): Identity | Promise<Identity> {
    if (this.#current === old) this.moveOn()
    return this.get()
  }

  /** From now on `get` gives one that is newer. Partitions that know the old one go on with it. */
  moveOn(): void {
    const current = this.#current
    if (current === undefined) return
    this.#current = current.producerEpoch < LAST_EPOCH ? nextEpoch(current) : undefined
  }

  /** Gives the id to whoever needs one next. */
  release(): void {
    if (this.#current !== undefined && this.fencedBy === undefined) this.#ids.give(this.#current)
    this.#current = undefined
  }

  #take(): Identity | Promise<Identity> {
    const taken = this.#ids.take()
    if (!(taken instanceof Promise)) {
      this.#current = taken
      return taken
    }
    const taking = taken.then((identity) => {
      this.#current = identity
      return identity
    })
    this.#taking = taking.finally(() => {
      this.#taking = undefined
    })
    return this.#taking
  }
}

function nextEpoch({ producerId, producerEpoch }: Identity): Identity {
  return { producerId, producerEpoch: producerEpoch + 1 }
}
