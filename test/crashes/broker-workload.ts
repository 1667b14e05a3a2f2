import { Broker, FileStorage, json, Topic } from 'ottla'
import { Random } from '../../src/testing/random.js'
import type { SimulatedFileSystem } from '../../src/testing/simulated-file-system.js'

/*
 * What an app does with a broker, and what it may rely on after a crash: every message that was acknowledged is there,
 * in order and as it was, up to what it asked to be removed; committed offsets are not behind, and not beyond the end;
 * topics are there from their creation to their deletion.
 */

interface Body {
  readonly number: number
  readonly padding: string
}

type Name = 'orders' | 'keys' | 'visits'

/** `orders` loses its oldest segments, `keys` is compacted, `visits` comes and goes. */
const TOPICS: Readonly<Record<Name, Topic<Body, string>>> = {
  orders: new Topic('orders', { retentionBytes: 1500, value: json<Body>() }),
  keys: new Topic('keys', { cleanupPolicy: 'compact', value: json<Body>() }),
  visits: new Topic('visits', { value: json<Body>() }),
}
const NAMES: readonly Name[] = ['orders', 'keys', 'visits']

interface Sent {
  readonly key: string
  readonly number: number
}

/** What there is of a topic, where a change may be under way. */
interface TopicModel {
  /** In the order of their offsets, of which the first `acknowledged` are known to be there. */
  sent: readonly Sent[]
  acknowledged: number
  /** The log may begin from the first on, and must not begin behind the second. */
  start: readonly [from: number, to: number]
  /** Committed by the group: at least the first, or what was attempted since. */
  committed: readonly [acknowledged: number, attempted: number]
  exists: 'yes' | 'no' | 'perhaps'
}

export type BrokerModel = Readonly<Record<Name, Readonly<TopicModel>>>

const NOTHING: TopicModel = { sent: [], acknowledged: 0, start: [0, 0], committed: [0, 0], exists: 'no' }

export class BrokerWorkload {
  disk: SimulatedFileSystem
  readonly #random: Random
  readonly #onMoment: (workload: BrokerWorkload) => void
  readonly #models: Record<Name, TopicModel> = { orders: NOTHING, keys: NOTHING, visits: NOTHING }
  #broker: Broker | undefined
  #count = 0

  constructor(disk: SimulatedFileSystem, seed: number, onMoment: (workload: BrokerWorkload) => void) {
    this.disk = disk
    this.#random = new Random(seed)
    this.#onMoment = onMoment
    disk.afterCall = () => onMoment(this)
  }

  /** What a crash may leave now. */
  get model(): BrokerModel {
    return { ...this.#models }
  }

  async run(steps: number): Promise<void> {
    await this.#open()
    for (let left = steps; left > 0; left--) await this.#step()
    await this.#broker?.close()
  }

  get #opened(): Broker {
    if (this.#broker === undefined) throw new Error('no broker is open')
    return this.#broker
  }

  async #open(): Promise<void> {
    this.#broker = await Broker.open({
      storage: new FileStorage('/data', { fileSystem: this.disk, segmentBytes: 600 }),
    })
    for (const name of NAMES) await this.#create(name)
  }

  async #create(name: Name): Promise<void> {
    if (this.#models[name].exists === 'no') this.#models[name] = { ...NOTHING, exists: 'perhaps' }
    await this.#opened.topic(TOPICS[name])
    this.#models[name] = { ...this.#models[name], exists: 'yes' }
  }

  async #step(): Promise<void> {
    const dice = this.#random.below(16)
    const name = NAMES[this.#random.below(NAMES.length)] ?? 'orders'
    if (dice < 7) await this.#send(name)
    else if (dice < 10) await this.#commit(name)
    else if (dice === 10) await this.#retain()
    else if (dice === 11) await this.#opened.compact(TOPICS.keys)
    else if (dice === 12) await this.#deleteRecords(name === 'keys' ? 'orders' : name)
    else if (dice === 13) await this.#deleteAndMake()
    else if (dice === 14) {
      await this.#opened.close()
      await this.#open()
    } else await this.#kill()
  }

  async #send(name: Name): Promise<void> {
    const producer = this.#opened.producer()
    const messages = Array.from({ length: 1 + this.#random.below(4) }, () => {
      const number = this.#count++
      const padding = 'x'.repeat(this.#random.below(200))
      return { key: `key-${this.#random.below(5)}`, value: { number, padding } }
    })
    const model = this.#models[name]
    const sent = [...model.sent, ...messages.map(({ key, value }) => ({ key, number: value.number }))]
    this.#models[name] = { ...model, sent }
    await producer.send(TOPICS[name], messages)
    this.#models[name] = { ...this.#models[name], acknowledged: sent.length }
    await producer.close()
  }

  async #commit(name: Name): Promise<void> {
    const model = this.#models[name]
    // An offset before the start of the log would be set to that.
    const least = Math.max(model.committed[0], model.start[1])
    const offset = least + this.#random.below(model.acknowledged - least + 1)
    if (offset <= model.committed[0]) return
    this.#models[name] = { ...model, committed: [model.committed[0], offset] }
    await this.#opened.resetOffsets('billing', { offset }, { topics: [TOPICS[name]] })
    this.#models[name] = { ...this.#models[name], committed: [offset, offset] }
  }

  async #retain(): Promise<void> {
    const model = this.#models.orders
    this.#models.orders = { ...model, start: [model.start[0], model.acknowledged] }
    await this.#opened.applyRetention(TOPICS.orders)
    await this.#startsNow('orders')
  }

  async #deleteRecords(name: Name): Promise<void> {
    const model = this.#models[name]
    const beforeOffset = model.start[0] + this.#random.below(model.acknowledged - model.start[0] + 1)
    // Retention of what lies below it is made by the way.
    this.#models[name] = { ...model, start: [model.start[0], model.acknowledged] }
    await this.#opened.deleteRecords([{ topic: name, partition: 0, beforeOffset }])
    await this.#startsNow(name)
  }

  async #startsNow(name: Name): Promise<void> {
    const { topics } = await this.#opened.metrics()
    const start = topics[name]?.[0]?.logStartOffset ?? 0
    this.#models[name] = { ...this.#models[name], start: [start, start] }
  }

  async #deleteAndMake(): Promise<void> {
    this.#models.visits = { ...this.#models.visits, exists: 'perhaps' }
    await this.#opened.deleteTopic(TOPICS.visits)
    this.#models.visits = NOTHING
    this.#onMoment(this)
    await this.#create('visits')
  }

  async #kill(): Promise<void> {
    this.disk.afterCall = () => undefined
    const { plan } = this.disk
    this.disk = this.disk.killProcess()
    this.disk.plan = plan
    this.disk.afterCall = () => this.#onMoment(this)
    await this.#open()
  }
}

/** Opens what a crash left and throws where it is not what it may be. */
export async function checkBroker(disk: SimulatedFileSystem, expected: BrokerModel): Promise<void> {
  const broker = await Broker.open({ storage: new FileStorage('/data', { fileSystem: disk }) })
  try {
    const there = await broker.topics()
    for (const name of NAMES) {
      const model = expected[name]
      if (there.includes(name) ? model.exists === 'no' : model.exists === 'yes') {
        throw new Error(`${name} is ${there.includes(name) ? '' : 'not '}there`)
      }
      if (there.includes(name)) await checkTopic(broker, name, model)
    }
    // It must be fit for use, whatever it was made of.
    const { offset } = await broker.producer().send(await broker.topic(TOPICS.orders), {
      value: { number: -1, padding: '' },
    })
    if (offset < expected.orders.acknowledged) throw new Error(`orders goes on at ${offset}`)
  } finally {
    await broker.close()
  }
}

async function checkTopic(broker: Broker, name: Name, model: TopicModel): Promise<void> {
  // Where it was perhaps made anew, what it held before may be gone.
  const isOld = model.exists === 'yes'
  const extent = (await broker.metrics()).topics[name]?.[0]
  const [start, end] = [extent?.logStartOffset ?? 0, extent?.logEndOffset ?? 0]
  const found = new Map<number, Sent>()
  for await (const { offset, key, value } of broker.reader(TOPICS[name], { until: 'end' })) {
    found.set(offset, { key: key ?? '', number: value.number })
  }
  const fail = (what: string): never => {
    const offsets = [...found.keys()].join(' ')
    throw new Error(
      `${name}, from ${start} to ${end}, holds ${offsets}: ${what}; ${JSON.stringify({ ...model, sent: model.sent.length })}`,
    )
  }
  if (end > model.sent.length || (isOld && end < model.acknowledged)) fail('it ends elsewhere')
  if (start < model.start[0] || start > Math.max(model.start[1], 0)) fail('it begins elsewhere')
  const newest = new Map(model.sent.slice(0, end).map(({ key }, offset) => [key, offset]))
  for (const [offset, { key, number }] of model.sent.slice(0, end).entries()) {
    const mustBeThere = name === 'keys' ? newest.get(key) === offset : offset >= start
    const message = found.get(offset)
    if (message === undefined ? mustBeThere : message.number !== number || message.key !== key) {
      fail(`at ${offset} there is ${JSON.stringify(message)} and not ${number}`)
    }
  }
  const offset = await committedOffset(broker, name)
  const [acknowledged, attempted] = model.committed
  const allowed = [acknowledged, attempted].map((each) => (each === 0 ? -1 : Math.min(each, end)))
  if (isOld && !allowed.includes(offset)) fail(`${offset} is committed`)
  if (offset > end) fail(`${offset} is committed`)
}

/** -1 for none. */
async function committedOffset(broker: Broker, name: Name): Promise<number> {
  if (!(await broker.groups()).includes('billing')) return -1
  const { lag } = await broker.describeGroup('billing')
  return lag.find(({ topic }) => topic === name)?.committedOffset ?? -1
}
