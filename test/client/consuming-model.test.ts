import fc from 'fast-check'
import { type ConsumerGroup, MemoryStorage, type Message, OttlaError, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { EngineClient } from '../../src/client/client.js'
import { IdleWatch } from '../../src/client/idle.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { systemClock } from '../../src/time/clock.js'

/** What happens, in order. Indexes are taken modulo what there is. */
type Step =
  | { readonly kind: 'produce'; readonly keys: readonly number[] }
  | { readonly kind: 'join'; readonly group: number; readonly way: Way; readonly isAwaited: boolean }
  | { readonly kind: 'leave'; readonly member: number; readonly isAwaited: boolean }
  | { readonly kind: 'pause' | 'resume'; readonly member: number }
  | { readonly kind: 'fail'; readonly member: number }
  | { readonly kind: 'seek'; readonly member: number; readonly back: number }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'idle' | 'restart' | 'crash' }

interface Way {
  readonly ordering: 'partition' | 'key' | 'none' | 'batches'
  readonly assignor: 'cooperativeSticky' | 'range'
  /** Turns of the event loop that a handler takes. */
  readonly turns: number
  readonly concurrency: number
  readonly autoCommitIntervalMs: number
}

const way: fc.Arbitrary<Way> = fc.record({
  ordering: fc.constantFrom('partition', 'key', 'none', 'batches'),
  assignor: fc.constantFrom('cooperativeSticky', 'range'),
  turns: fc.nat(2),
  concurrency: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
  autoCommitIntervalMs: fc.constantFrom(1, 1000),
})
const member = fc.nat(5)
const produce = fc.record({ kind: fc.constant('produce'), keys: fc.array(fc.nat(5), { minLength: 1, maxLength: 12 }) })
const orderly: fc.Arbitrary<Step>[] = [
  produce as fc.Arbitrary<Step>,
  produce as fc.Arbitrary<Step>,
  fc.record({ kind: fc.constant('join'), group: fc.nat(1), way, isAwaited: fc.boolean() }),
  fc.record({ kind: fc.constant('leave'), member, isAwaited: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('pause', 'resume'), member }),
  fc.record({ kind: fc.constant('turns'), count: fc.nat(4) }),
  fc.record({ kind: fc.constantFrom('idle', 'restart') }),
]
const disorderly: fc.Arbitrary<Step>[] = [
  ...orderly,
  fc.record({ kind: fc.constant('fail'), member }),
  fc.record({ kind: fc.constant('seek'), member, back: fc.nat(10) }),
  fc.record({ kind: fc.constant('crash') }),
]

const RUNS = Number(process.env.OTTLA_MODEL_RUNS ?? 150)
const PARTITIONS = 3
const topic: Topic<number> = new Topic<number>('numbers', { partitions: PARTITIONS })

/** What one group was given, for as long as the storage lives. */
class Handled {
  readonly times = new Map<string, number>()
  /** By partition: the offset below which all is done. */
  readonly prefix: number[] = Array.from({ length: PARTITIONS }, () => 0)
  readonly #running = new Set<string>()

  begin(message: Message<number>, way: Way, isOrderly: boolean): () => void {
    const { partition, offset, key } = message
    const turnOf = way.ordering === 'key' ? `${partition}:${key}` : way.ordering === 'none' ? undefined : `${partition}`
    if (turnOf !== undefined && isOrderly) {
      if (this.#running.has(turnOf)) throw new Error(`two handlers at once for ${turnOf}`)
      this.#running.add(turnOf)
    }
    return () => {
      if (turnOf !== undefined) this.#running.delete(turnOf)
      const place = `${partition}:${offset}`
      this.times.set(place, (this.times.get(place) ?? 0) + 1)
      while (this.times.has(`${partition}:${this.prefix[partition]}`)) {
        this.prefix[partition] = (this.prefix[partition] as number) + 1
      }
    }
  }
}

interface Member {
  readonly group: ConsumerGroup<Message<number>>
  failsNext: boolean
  mayBePaused: boolean
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Runs a script against a broker and against what is promised of it. */
class World {
  readonly #storage = new MemoryStorage()
  readonly #handled = new Map<string, Handled>()
  /** Places of acknowledged messages, by key in their order. */
  readonly #sent = new Map<number, string[]>()
  readonly #keyOf = new Map<string, number>()
  readonly #background: Promise<unknown>[] = []
  readonly #isOrderly: boolean
  #violations: unknown[] = []
  #members: Member[] = []
  #engine!: EmbeddedEngine
  #client!: EngineClient
  #watch!: IdleWatch
  #next = 0

  constructor(isOrderly: boolean) {
    this.#isOrderly = isOrderly
  }

  async open(): Promise<void> {
    const settings = brokerSettings(undefined, this.#storage)
    this.#engine = await EmbeddedEngine.open({ storage: this.#storage, clock: systemClock, settings })
    this.#watch = new IdleWatch(systemClock, this.#engine)
    this.#client = new EngineClient(this.#engine, systemClock, 'model', this.#watch)
    await this.#client.topic(topic)
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'produce':
        await this.#produce(step.keys)
        break
      case 'join':
        await this.#join(`g${step.group}`, step.way, step.isAwaited)
        break
      case 'turns':
        await turns(step.count)
        break
      case 'idle':
        await this.#idle()
        break
      case 'restart':
        await this.#client.close()
        this.#members = []
        await this.open()
        break
      case 'crash':
        // The members find the engine gone: nothing more is committed.
        await this.#engine.close()
        await this.#client.close()
        this.#members = []
        await this.open()
        break
      default:
        await this.#toMember(step)
    }
    await this.#checkCommitted()
  }

  /** Everything reaches every group, if it is but left to. */
  async finish(): Promise<void> {
    for (const member of this.#members) {
      unlessClosed(() => member.group.resume())
      member.mayBePaused = false
    }
    await this.#idle()
    await Promise.all(this.#background)
    await this.#checkCommitted()
    for (const [id, { times }] of this.#handled) {
      for (const places of this.#sent.values()) {
        for (const place of places) {
          if (!times.has(place)) throw new Error(`${id} never got ${place}`)
          if (this.#isOrderly && times.get(place) !== 1) throw new Error(`${id} got ${place} ${times.get(place)} times`)
        }
      }
    }
    await this.#client.close()
    expect(this.#violations).toEqual([])
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #produce(keys: readonly number[]): Promise<void> {
    const messages = keys.map((key) => ({ key: `${key}`, value: this.#next++ }))
    const results = await this.#client.producer().send(topic, messages)
    for (const [index, { partition, offset }] of results.entries()) {
      const key = keys[index] as number
      this.#sent.set(key, [...(this.#sent.get(key) ?? []), `${partition}:${offset}`])
      this.#keyOf.set(`${partition}:${offset}`, key)
    }
  }

  async #join(id: string, way: Way, isAwaited: boolean): Promise<void> {
    const { assignor, autoCommitIntervalMs, concurrency, ordering } = way
    const group = this.#client.consumerGroup(id, { topics: [topic], assignor, autoCommitIntervalMs })
    const member: Member = { group, failsNext: false, mayBePaused: false }
    const handled = this.#handled.get(id) ?? new Handled()
    this.#handled.set(id, handled)
    group.on('error', (error) => {
      this.#members = this.#members.filter((other) => other !== member)
      if (this.#isOrderly) this.#violations.push(error)
    })
    const handle = async (messages: readonly Message<number>[]): Promise<void> => {
      const ends = messages.map((message, index) =>
        index === 0 ? handled.begin(message, way, this.#isOrderly) : undefined,
      )
      if (way.turns > 0) await turns(way.turns - 1)
      if (member.failsNext) throw new Error('told to fail')
      for (const [index, message] of messages.entries()) {
        if (ordering !== 'none') this.#checkOrder(id, handled, message)
        const end = ends[index] ?? handled.begin(message, way, false)
        end()
      }
    }
    const running =
      ordering === 'batches'
        ? group.runBatches(({ messages }) => handle(messages), { maxMessages: 4, concurrency })
        : group.run((message) => handle([message]), { ordering, concurrency: Math.min(concurrency, 50) })
    this.#members.push(member)
    // A member may be closed before it was ready.
    const settled = running.catch((error) => {
      if (!OttlaError.is(error) || error.code !== 'OTTLA_CLOSED') throw error
    })
    this.#background.push(settled)
    if (isAwaited) await settled
  }

  /** A message comes for the first time only when all of its key before it have come. */
  #checkOrder(id: string, handled: Handled, { partition, offset }: Message<number>): void {
    const place = `${partition}:${offset}`
    const places = this.#sent.get(this.#keyOf.get(place) ?? -1) ?? []
    for (const earlier of places) {
      if (earlier === place) return
      if (!handled.times.has(earlier)) this.#violations.push(`${id} got ${place} before ${earlier}`)
    }
  }

  async #toMember(step: Extract<Step, { member: number }>): Promise<void> {
    const member = this.#members[step.member % this.#members.length]
    if (member === undefined) return
    const { group } = member
    switch (step.kind) {
      case 'leave': {
        this.#members = this.#members.filter((other) => other !== member)
        const closing = group.close()
        this.#background.push(closing)
        if (step.isAwaited) await closing
        break
      }
      case 'fail':
        member.failsNext = true
        break
      case 'pause':
      case 'resume':
        unlessClosed(() => group[step.kind]())
        member.mayBePaused ||= step.kind === 'pause'
        break
      case 'seek': {
        const least = Math.min(...(this.#handled.get(group.id)?.prefix ?? [0]))
        // Members that leave for another reason at the same time refuse it.
        await group.seek({ offset: Math.max(least - step.back, 0) }).catch(() => undefined)
      }
    }
  }

  async #idle(): Promise<void> {
    for (const id of this.#handled.keys()) {
      const isHeld = this.#members.some(({ group, failsNext }) => group.id === id && !failsNext)
      if (!isHeld) await this.#join(id, calm, true)
    }
    // Members that were told to fail may do so only now, with messages left; others take over.
    for (;;) {
      try {
        await this.#watch.wait([...this.#handled.keys()], undefined)
        break
      } catch (error) {
        if (this.#isOrderly || !OttlaError.is(error) || error.code !== 'OTTLA_GROUP_STOPPED') throw error
        for (const id of this.#handled.keys()) await this.#join(id, calm, true)
      }
    }
    for (const [id, { times }] of this.#handled) {
      if (this.#members.some(({ group, mayBePaused }) => group.id === id && mayBePaused)) continue
      const { lag } = await this.#client.describeGroup(id)
      if (lag.some((at) => at.lag > 0)) throw new Error(`idle, but ${id} has a lag`)
      for (const place of this.#keyOf.keys()) if (!times.has(place)) throw new Error(`idle, but ${id} has no ${place}`)
    }
  }

  /** The committed offset is a contiguous prefix of what is done. */
  async #checkCommitted(): Promise<void> {
    for (const [id, { prefix }] of this.#handled) {
      const description = await this.#client.describeGroup(id).catch(() => undefined)
      for (const { partition, committedOffset } of description?.lag ?? []) {
        const done = prefix[partition] as number
        if ((committedOffset ?? 0) > done) {
          throw new Error(`${id} committed ${committedOffset} of ${partition}, done is ${done}`)
        }
      }
    }
  }
}

const calm: Way = {
  ordering: 'partition',
  assignor: 'cooperativeSticky',
  turns: 0,
  concurrency: Number.POSITIVE_INFINITY,
  autoCommitIntervalMs: 1000,
}

/** A member that failed a moment ago takes no calls. */
function unlessClosed(act: () => void): void {
  try {
    act()
  } catch (error) {
    if (!OttlaError.is(error) || error.code !== 'OTTLA_CLOSED') throw error
  }
}

async function play(steps: readonly Step[], isOrderly: boolean): Promise<void> {
  const world = new World(isOrderly)
  await world.open()
  try {
    for (const step of steps) await world.step(step)
    await world.finish()
  } finally {
    await world.close()
  }
}

describe('any script of produce, join, leave, pause, resume and restart', () => {
  it('gives each group every message exactly once, in the order of its key', async () => {
    const scripts = fc.array(fc.oneof(...orderly), { minLength: 3, maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(scripts, (steps) => play(steps, true)),
      { numRuns: RUNS, timeout: 5_000 },
    )
  })

  it('gives each group every message at least once when members also fail, crash and seek', async () => {
    const scripts = fc.array(fc.oneof(...disorderly), { minLength: 3, maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(scripts, (steps) => play(steps, false)),
      { numRuns: RUNS, timeout: 5_000 },
    )
  })
})
