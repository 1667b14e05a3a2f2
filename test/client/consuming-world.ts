import fc from 'fast-check'
import {
  bytes,
  type Codec,
  type ConsumerGroup,
  deadLetterOf,
  type FailureOptions,
  json,
  MemoryStorage,
  type Message,
  OttlaError,
  Topic,
} from 'ottla'
import { ManualClock } from 'ottla/testing'
import { EngineClient } from '../../src/client/client.js'
import { IdleWatch } from '../../src/client/idle.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'

/** What happens, in order. Indexes are taken modulo what there is. */
export type Step =
  | { readonly kind: 'produce'; readonly messages: readonly Produced[] }
  | { readonly kind: 'join'; readonly group: number; readonly way: Way; readonly isAwaited: boolean }
  | { readonly kind: 'leave'; readonly member: number; readonly isAwaited: boolean }
  | { readonly kind: 'pause' | 'resume'; readonly member: number }
  | { readonly kind: 'fail' | 'hang'; readonly member: number }
  | { readonly kind: 'seek'; readonly member: number; readonly back: number }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'idle' | 'restart' | 'crash' }

/** A message fails at so many tries of each group: at none, at some, at each, or it cannot even be decoded. */
export interface Produced {
  readonly key: number
  readonly nature: 'good' | 'flaky' | 'poison' | 'garbage'
}

export interface Way {
  readonly ordering: 'partition' | 'key' | 'none' | 'batches' | 'for await'
  readonly assignor: 'cooperativeSticky' | 'sticky' | 'range'
  readonly exhausted: 'deadLetter' | 'skip' | 'stop'
  /** Turns of the event loop that a handler takes. */
  readonly turns: number
  readonly concurrency: number
  readonly autoCommitIntervalMs: number
  readonly isStatic: boolean
  readonly backoffMs: number
}

const PARTITIONS = 3
/** A flaky message fails so often, one try less than it gets. */
const FLAKY_FAILURES = 2
const ATTEMPTS = 3
const MAX_POLL_INTERVAL_MS = 10_000

const wayWith = (exhausted: readonly Way['exhausted'][]): fc.Arbitrary<Way> =>
  fc.record({
    ordering: fc.constantFrom('partition', 'key', 'none', 'batches', 'for await'),
    assignor: fc.constantFrom('cooperativeSticky', 'sticky', 'range'),
    exhausted: fc.constantFrom(...exhausted),
    turns: fc.nat(2),
    concurrency: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
    autoCommitIntervalMs: fc.constantFrom(1, 1000),
    isStatic: fc.boolean(),
    backoffMs: fc.constantFrom(0, 10, 1500),
  })
const nature: fc.Arbitrary<Produced['nature']> = fc.oneof(
  { weight: 6, arbitrary: fc.constant('good' as const) },
  { weight: 2, arbitrary: fc.constant('flaky' as const) },
  { weight: 1, arbitrary: fc.constantFrom('poison' as const, 'garbage' as const) },
)
const member = fc.nat(5)
const produce: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('produce' as const),
  messages: fc.array(fc.record({ key: fc.nat(5), nature }), { minLength: 1, maxLength: 12 }),
})
const join = (exhausted: readonly Way['exhausted'][]): fc.Arbitrary<Step> =>
  fc.record({
    kind: fc.constant('join' as const),
    group: fc.nat(1),
    way: wayWith(exhausted),
    isAwaited: fc.boolean(),
  })
const common: fc.Arbitrary<Step>[] = [
  produce,
  produce,
  fc.record({ kind: fc.constant('leave' as const), member, isAwaited: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('pause' as const, 'resume' as const), member }),
  fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(0, 5, 10, 1000, 2000, 60_000) }),
  fc.record({ kind: fc.constantFrom('idle' as const, 'restart' as const) }),
]

const scriptOf = (steps: fc.Arbitrary<Step>[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...steps), { minLength: 3, maxLength: 25 })

/** Members leave in order, and what fails is tried again, parked or skipped. */
export const orderlyScripts: fc.Arbitrary<Step[]> = scriptOf([...common, join(['deadLetter', 'skip'])])

/** Members also fail, hang until they lose their partitions, seek, and go down with their broker. */
export const disorderlyScripts: fc.Arbitrary<Step[]> = scriptOf([
  ...common,
  join(['deadLetter', 'skip', 'stop']),
  fc.record({ kind: fc.constantFrom('fail' as const, 'hang' as const), member }),
  fc.record({ kind: fc.constant('seek' as const), member, back: fc.nat(10) }),
  fc.record({ kind: fc.constant('crash' as const) }),
])

interface Numbered {
  readonly number: number
  readonly nature: Produced['nature']
}

const readable: Codec<Numbered> = json<Numbered>()
/** Refuses to decode what is garbage. */
const picky: Codec<Numbered> = {
  ...readable,
  decode: (encoded) => {
    const value = readable.decode(encoded)
    if (value.nature === 'garbage') throw new Error('garbage')
    return value
  },
}
const topic: Topic<Numbered> = new Topic<Numbered>('numbers', { partitions: PARTITIONS, value: picky })
const dead: Topic<Uint8Array, Uint8Array> = new Topic('numbers.dlq', { key: bytes(), value: bytes() })

type Outcome = 'handled' | 'parked' | 'skipped'

/** What became of the messages in one group, for as long as the storage lives. */
class Handled {
  readonly outcomes = new Map<string, Outcome[]>()
  /** By partition: the offset below which all is dealt with. */
  readonly prefix: number[] = Array.from({ length: PARTITIONS }, () => 0)
  readonly tries = new Map<string, number>()
  /** By partition: the first offset that failed where later ones may be done before it. */
  readonly failedBeside: number[] = Array.from({ length: PARTITIONS }, () => Number.POSITIVE_INFINITY)
  readonly #running = new Set<string>()

  /** Messages that may not be handled at once have the same turn. Returns what ends it. */
  begin({ partition, offset, key }: Message<Numbered>, { ordering }: Way, isOrderly: boolean): () => void {
    const turn =
      ordering === 'key' ? `${partition}:${key}` : ordering === 'none' ? `${partition}:#${offset}` : `${partition}`
    if (!isOrderly) return () => {}
    if (this.#running.has(turn)) throw new Violation(`two handlers at once for ${turn}`)
    this.#running.add(turn)
    return () => this.#running.delete(turn)
  }

  failBeside({ partition, offset }: Message<Numbered>): void {
    this.failedBeside[partition] = Math.min(this.failedBeside[partition] as number, offset)
  }

  end(outcome: Outcome, { partition, offset }: { readonly partition: number; readonly offset: number }): void {
    const place = `${partition}:${offset}`
    this.outcomes.set(place, [...(this.outcomes.get(place) ?? []), outcome])
    while (this.outcomes.has(`${partition}:${this.prefix[partition]}`)) {
      this.prefix[partition] = (this.prefix[partition] as number) + 1
    }
  }
}

class Violation extends Error {}

interface Member {
  readonly group: ConsumerGroup<Message<Numbered>>
  readonly instanceId: string | undefined
  /** Closes it, in order. */
  readonly leave: () => Promise<unknown>
  failsNext: boolean
  hangsNext: boolean
  mayBePaused: boolean
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Runs a script against a broker and against what is promised of it. */
export async function play(steps: readonly Step[], isOrderly: boolean): Promise<void> {
  const world = new World(isOrderly)
  await world.open()
  try {
    for (const step of steps) await world.step(step)
    await world.finish()
  } finally {
    await world.close()
  }
}

class World {
  readonly #storage = new MemoryStorage()
  readonly #clock = new ManualClock({ now: 0 })
  readonly #handled = new Map<string, Handled>()
  /** Places of acknowledged messages, by key in their order. */
  readonly #sent = new Map<number, string[]>()
  readonly #keyOf = new Map<string, number>()
  readonly #background: Promise<unknown>[] = []
  readonly #isOrderly: boolean
  #hanging: (() => void)[] = []
  #violations: unknown[] = []
  #members: Member[] = []
  readonly #leaving = new Set<Member>()
  #engine!: EmbeddedEngine
  #client!: EngineClient
  #watch!: IdleWatch
  #next = 0

  constructor(isOrderly: boolean) {
    this.#isOrderly = isOrderly
  }

  async open(): Promise<void> {
    const settings = brokerSettings(undefined, this.#storage)
    this.#engine = await EmbeddedEngine.open({ storage: this.#storage, clock: this.#clock, settings })
    this.#watch = new IdleWatch(this.#clock, this.#engine)
    this.#client = new EngineClient(this.#engine, this.#clock, 'model', this.#watch)
    await this.#client.topic(topic)
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'produce':
        await this.#produce(step.messages)
        break
      case 'join':
        await this.#join(`g${step.group}`, step.way, step.isAwaited)
        break
      case 'turns':
        await turns(step.count)
        break
      case 'advance':
        await this.#clock.advance(step.ms)
        break
      case 'idle':
        await this.#idle()
        break
      case 'restart':
        await this.#end('the restart')
        this.#members = []
        await this.open()
        break
      case 'crash':
        this.#release()
        // The members find the engine gone: nothing more is committed.
        await this.#engine.close()
        await this.#passTimeUntil(this.#client.close(), 'the crash')
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
    await this.#passTimeUntil(Promise.all(this.#background), 'what goes on beside')
    await this.#checkCommitted()
    await this.#checkOutcomes()
    await this.#end('the end')
    if (this.#violations.length > 0) throw this.#violations[0]
  }

  async close(): Promise<void> {
    await this.#end('the end')
  }

  async #produce(produced: readonly Produced[]): Promise<void> {
    const messages = produced.map(({ key, nature }) => ({ key: `${key}`, value: { number: this.#next++, nature } }))
    const results = await this.#client.producer().send(topic, messages)
    for (const [index, { partition, offset }] of results.entries()) {
      const { key } = produced[index] as Produced
      this.#sent.set(key, [...(this.#sent.get(key) ?? []), `${partition}:${offset}`])
      this.#keyOf.set(`${partition}:${offset}`, key)
    }
  }

  async #join(id: string, way: Way, isAwaited: boolean): Promise<void> {
    const { assignor, autoCommitIntervalMs } = way
    // One that takes the place of another which is still on its way out would fence it: no order in that.
    const inPlace = [...this.#members, ...this.#leaving].filter(({ group }) => group.id === id)
    const taken = new Set(inPlace.map(({ instanceId }) => instanceId))
    const instanceId = way.isStatic ? ['a', 'b'].find((free) => !taken.has(free)) : undefined
    const group = this.#client.consumerGroup(id, {
      topics: [topic],
      assignor,
      autoCommitIntervalMs,
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(this.#isOrderly ? {} : { maxPollIntervalMs: MAX_POLL_INTERVAL_MS }),
    })
    const ended = new AbortController()
    // To `close` the body of a for await is nobody's concern; the signal lets it finish.
    const leave = (): Promise<unknown> => {
      if (way.ordering !== 'for await') return group.close()
      ended.abort()
      return group.closed.catch(() => {})
    }
    const member: Member = { group, instanceId, leave, failsNext: false, hangsNext: false, mayBePaused: false }
    const handled = this.#handled.get(id) ?? new Handled()
    this.#handled.set(id, handled)
    group.on('deadLetter', (message) => handled.end('parked', message))
    group.on('skipped', (message) => handled.end('skipped', message))
    group.on('error', (error) => {
      this.#members = this.#members.filter((other) => other !== member)
      if (this.#isOrderly) this.#violations.push(error)
    })
    const running = this.#run(member, handled, way, ended.signal)
    this.#members.push(member)
    // A member may be closed before it was ready; one that fails has told so.
    const settled = running.catch((error) => {
      if (!OttlaError.is(error)) throw error
    })
    this.#background.push(settled)
    if (isAwaited) await this.#passTimeUntil(settled, `the join of ${id}`)
  }

  #run(member: Member, handled: Handled, way: Way, signal: AbortSignal): Promise<void> {
    const { group } = member
    const { backoffMs, exhausted, ordering } = way
    const retry = { attempts: ATTEMPTS, backoff: (attempt: number) => attempt * backoffMs }
    const failure: FailureOptions =
      exhausted === 'deadLetter' ? { retry, deadLetter: dead.name } : { retry, onExhausted: exhausted }
    const handle = (messages: readonly Message<Numbered>[], resolve?: (message: Message<Numbered>) => void) =>
      this.#handle(member, handled, way, messages, resolve)
    const concurrency = Math.min(way.concurrency, 50)
    if (ordering === 'batches') {
      return group.runBatches((batch) => handle(batch.messages, (message) => batch.resolve(message)), {
        maxMessages: 4,
        concurrency: way.concurrency,
        ...failure,
      })
    }
    if (ordering !== 'for await')
      return group.run((message) => handle([message]), { ordering, concurrency, ...failure })
    const messages = group.messages({ signal, ...failure })
    const looped = (async () => {
      for await (const message of messages) await handle([message]).catch((error) => messages.fail(error))
    })()
    // What ended the loop is told by the event too.
    looped.catch(() => {})
    return group.ready
  }

  async #handle(
    member: Member,
    handled: Handled,
    way: Way,
    messages: readonly Message<Numbered>[],
    resolve: ((message: Message<Numbered>) => void) | undefined,
  ): Promise<void> {
    const end = this.#noting(() => handled.begin(messages[0] as Message<Numbered>, way, this.#isOrderly))
    try {
      if (way.turns > 0) await turns(way.turns - 1)
      if (member.hangsNext) {
        member.hangsNext = false
        await new Promise<void>((release) => this.#hanging.push(release))
      }
      for (const message of messages) {
        const place = `${message.partition}:${message.offset}`
        const tries = (handled.tries.get(place) ?? 0) + 1
        handled.tries.set(place, tries)
        if (member.failsNext) throw new Error('told to fail')
        const { nature } = message.value
        if (nature === 'poison' || (nature === 'flaky' && tries <= FLAKY_FAILURES))
          throw new Error(`${nature}, ${tries}`)
        if (way.ordering !== 'none') this.#checkOrder(member.group.id, handled, message)
        handled.end('handled', message)
        resolve?.(message)
      }
    } catch (error) {
      const [first] = messages
      if (first !== undefined && (way.ordering === 'key' || way.ordering === 'none')) handled.failBeside(first)
      throw error
    } finally {
      end?.()
    }
  }

  #noting<T>(act: () => T): T | undefined {
    try {
      return act()
    } catch (error) {
      this.#violations.push(error)
      return undefined
    }
  }

  /** A message comes for the first time only when all of its key before it have been dealt with. */
  #checkOrder(id: string, handled: Handled, { partition, offset }: Message<Numbered>): void {
    const place = `${partition}:${offset}`
    const places = this.#sent.get(this.#keyOf.get(place) ?? -1) ?? []
    for (const earlier of places) {
      if (earlier === place) return
      if (!handled.outcomes.has(earlier)) this.#violations.push(new Violation(`${id} got ${place} before ${earlier}`))
    }
  }

  async #toMember(step: Extract<Step, { member: number }>): Promise<void> {
    const member = this.#members[step.member % this.#members.length]
    if (member === undefined) return
    const { group } = member
    switch (step.kind) {
      case 'leave': {
        this.#members = this.#members.filter((other) => other !== member)
        this.#release()
        this.#leaving.add(member)
        const closing = member.leave().finally(() => this.#leaving.delete(member))
        this.#background.push(closing)
        if (step.isAwaited) await this.#passTimeUntil(closing, `the end of a member of ${group.id}`)
        break
      }
      case 'fail':
        member.failsNext = true
        break
      case 'hang':
        member.hangsNext = true
        break
      case 'pause':
      case 'resume':
        unlessClosed(() => group[step.kind]())
        member.mayBePaused ||= step.kind === 'pause'
        break
      case 'seek': {
        const least = Math.min(...(this.#handled.get(group.id)?.prefix ?? [0]))
        // Members that leave for another reason at the same time refuse it.
        const seeking = group.seek({ offset: Math.max(least - step.back, 0) }).catch(() => undefined)
        await this.#passTimeUntil(seeking, 'a seek')
      }
    }
  }

  async #end(name: string): Promise<void> {
    this.#release()
    await this.#passTimeUntil(Promise.all(this.#members.map((member) => member.leave())), name)
    await this.#passTimeUntil(this.#client.close(), name)
  }

  /** Some of what is waited for may need time to pass: the session of a static member that is gone, say. */
  async #passTimeUntil(work: Promise<unknown>, name: string): Promise<void> {
    let isSettled = false
    const settled = work.finally(() => {
      isSettled = true
    })
    // Whoever awaits it below hears of it.
    settled.catch(() => {})
    for (let rounds = 0; !isSettled; rounds++) {
      await turns(20)
      if (rounds > 400) throw new Violation(`${name} does not come to an end`)
      if (!isSettled) await this.#clock.advance(1000)
    }
    await settled
  }

  #release(): void {
    for (const release of this.#hanging.splice(0)) release()
    for (const member of this.#members) member.hangsNext = false
  }

  async #idle(): Promise<void> {
    this.#release()
    for (const id of this.#handled.keys()) {
      const isHeld = this.#members.some(({ group, failsNext }) => group.id === id && !failsNext)
      if (!isHeld) await this.#join(id, calm, true)
    }
    await this.#untilIdle()
    // The partitions of static members that are gone are others' when their session is over.
    for (const id of this.#handled.keys()) {
      for (let rounds = 0; rounds < 5 && (await this.#isAwaitingMembers(id)); rounds++) {
        await this.#clock.advance(50_000)
        await this.#untilIdle()
      }
    }
    for (const [id, { outcomes }] of this.#handled) {
      if (this.#members.some(({ group, mayBePaused }) => group.id === id && mayBePaused)) continue
      const { lag } = await this.#client.describeGroup(id)
      if (lag.some((at) => at.lag > 0)) throw new Violation(`idle, but ${id} has a lag`)
      for (const place of this.#keyOf.keys()) {
        if (!outcomes.has(place)) throw new Violation(`idle, but ${id} has no ${place}`)
      }
    }
  }

  async #isAwaitingMembers(id: string): Promise<boolean> {
    const { members } = await this.#client.describeGroup(id)
    return members.length > this.#members.filter(({ group }) => group.id === id).length
  }

  async #untilIdle(): Promise<void> {
    for (let rounds = 0; ; rounds++) {
      try {
        await this.#passTimeUntil(this.#watch.wait([...this.#handled.keys()], undefined), 'idle')
        return
      } catch (error) {
        if (!OttlaError.is(error) || rounds > 500) throw error
        // What is to be tried again waits for its time.
        if (error.code === 'OTTLA_NEVER_IDLE') await this.#clock.advance(1000)
        // Members that were told to fail may do so only now, with messages left; others take over.
        else if (this.#isOrderly || error.code !== 'OTTLA_GROUP_STOPPED') throw error
        else for (const id of this.#handled.keys()) await this.#join(id, calm, true)
      }
    }
  }

  /** The committed offset is a contiguous prefix of what is dealt with. */
  async #checkCommitted(): Promise<void> {
    for (const [id, { prefix }] of this.#handled) {
      const description = await this.#client.describeGroup(id).catch(() => undefined)
      for (const { topic: name, partition, committedOffset } of description?.lag ?? []) {
        const done = prefix[partition] as number
        if (name === topic.name && (committedOffset ?? 0) > done) {
          throw new Violation(`${id} committed ${committedOffset} of ${partition}, done is ${done}`)
        }
      }
    }
  }

  /** Each message has come to one end in each group, and what was parked is there. */
  async #checkOutcomes(): Promise<void> {
    const letters = new Map<string, number>()
    if ((await this.#client.topics()).includes(dead.name)) {
      for await (const message of this.#client.reader(dead, { until: 'end' })) {
        const letter = deadLetterOf(message)
        if (letter === undefined) throw new Violation('a dead letter without its headers')
        const place = `${letter.partition}:${letter.offset}`
        letters.set(`${letter.group} ${place}`, (letters.get(`${letter.group} ${place}`) ?? 0) + 1)
        const key = new TextDecoder().decode(message.key as Uint8Array)
        if (key !== `${this.#keyOf.get(place)}`) throw new Violation(`the letter of ${place} has the key ${key}`)
      }
    }
    for (const [id, { failedBeside, outcomes }] of this.#handled) {
      for (const place of this.#keyOf.keys()) {
        const ends = outcomes.get(place) ?? []
        if (ends.length === 0) throw new Violation(`${id} never got ${place}`)
        // What was done while an earlier one waited for its next try comes again when the member leaves.
        const [partition, offset] = place.split(':').map(Number) as [number, number]
        const isOnce = this.#isOrderly && offset <= (failedBeside[partition] as number)
        if (isOnce && ends.length > 1) throw new Violation(`${id} dealt with ${place} by ${ends.join(', ')}`)
        const parked = ends.filter((end) => end === 'parked').length
        const found = letters.get(`${id} ${place}`) ?? 0
        if (found < parked) throw new Violation(`${id} parked ${place} ${parked} times, of which ${found} are there`)
        if (isOnce && found > parked) throw new Violation(`${id} has a letter of ${place} that it did not park`)
      }
    }
  }
}

const calm: Way = {
  ordering: 'partition',
  assignor: 'cooperativeSticky',
  exhausted: 'deadLetter',
  turns: 0,
  concurrency: Number.POSITIVE_INFINITY,
  autoCommitIntervalMs: 1000,
  isStatic: false,
  backoffMs: 0,
}

/** A member that failed a moment ago takes no calls. */
function unlessClosed(act: () => void): void {
  try {
    act()
  } catch (error) {
    if (!OttlaError.is(error) || error.code !== 'OTTLA_CLOSED') throw error
  }
}
