import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { Broker, bytes, FileStorage, MemoryStorage, Topic } from '../../dist/index.js'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'
import { percentiles } from '../harness/percentiles.mjs'

const RATES = { 'at 10k/s': 10_000, 'at 100k/s': 100_000 }
const SECONDS = 0.3
/** As long as it takes until the processor and its caches have turned to other things. */
const IDLE_MS = 10
const IDLE_SENDS = 40

const row = { id: '22', better: 'lower', unit: 'us' }

export const workload = {
  name: 'latency',
  title: 'From `send` to the handler',
  settings: [
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group with `run`; from before `send` to the first line of the handler',
    'idle: 40 sends, 10 ms of sleep before each; of so few, p99 and p99.9 are the latest',
    'at a rate: 0.3 s; each turn of the event loop sends what is due, so that loop never sleeps',
    'bare consumer: a loop that awaits a promise, which the sender resolves with the message',
    'files: `durability` as named; the handler gets a message when it is durable to that degree',
  ],
  rows: [
    {
      ...row,
      label: 'memory, idle, p50',
      ours: 'memory idle p50',
      peer: 'bare consumer idle p50',
      goal: 1.25,
    },
    { ...row, label: 'memory, at 100k/s, p50', ours: 'memory at 100k/s p50', peer: 'bare consumer at 100k/s p50' },
  ],
  tables: ['idle', ...Object.keys(RATES)].map((load) => ({
    title: `Latency ${load}, us`,
    corner: 'storage',
    columns: ['p50', 'p99', 'p99.9'],
    lines: ['bare consumer', 'memory', 'files os', 'files fsync'].map((what) => ({
      label: what,
      contenders: ['p50', 'p99', 'p99.9'].map((part) => `${what} ${load} ${part}`),
    })),
  })),
  repetitions: 5,
  warmups: 2,
  async open({ directory }) {
    const payloads = makePayloads(1000, 100)
    const storages = {
      memory: new MemoryStorage(),
      'files os': new FileStorage(join(directory, 'os'), { durability: 'os' }),
      'files fsync': new FileStorage(join(directory, 'fsync'), { durability: 'fsync' }),
    }
    const brokers = []
    const contenders = {}
    const add = (name, start) => {
      const meter = new LatencyMeter(payloads)
      contenders[`${name} idle`] = async () => meter.idle(await start(meter))
      for (const [load, rate] of Object.entries(RATES)) {
        contenders[`${name} ${load}`] = async () => meter.atRate(await start(meter), rate)
      }
    }
    add('bare consumer', once(startBareConsumer))
    for (const [name, storage] of Object.entries(storages)) {
      const broker = await Broker.open({ storage })
      brokers.push(broker)
      add(
        name,
        once((meter) => startOttla(broker, meter)),
      )
    }
    return {
      contenders,
      async close() {
        for (const broker of brokers) await broker.close()
      },
    }
  },
}

/** Sends messages and learns from their handler when they arrived: the first that is sent is the first to arrive. */
class LatencyMeter {
  #payloads
  #arrivals = new Arrivals()
  #sentAt = new Float64Array(RATES['at 100k/s'] * SECONDS)
  #latencies = new Float64Array(this.#sentAt.length)

  constructor(payloads) {
    this.#payloads = payloads
  }

  /** What the handler calls first of all. */
  arrived(value) {
    const { count } = this.#arrivals
    this.#latencies[count] = performance.now() - this.#sentAt[count]
    this.#arrivals.add(value)
  }

  /** @param {(value: Uint8Array) => unknown} send */
  async idle(send) {
    const arrived = this.#arrivals.expect(IDLE_SENDS)
    for (let index = 0; index < IDLE_SENDS; index++) {
      await wait(IDLE_MS)
      await this.#send(send, index)
    }
    await arrived
    return this.#measured(IDLE_SENDS)
  }

  async atRate(send, rate) {
    const count = rate * SECONDS
    const arrived = this.#arrivals.expect(count)
    const startedAt = performance.now()
    let last
    for (let sent = 0; sent < count; ) {
      const due = Math.min(count, Math.floor(((performance.now() - startedAt) * rate) / 1000))
      while (sent < due) last = this.#send(send, sent++)
      await nextTurn()
    }
    await last
    await arrived
    return this.#measured(count)
  }

  #send(send, index) {
    const value = this.#payloads[index % this.#payloads.length]
    this.#sentAt[index] = performance.now()
    return send(value)
  }

  #measured(count) {
    this.#arrivals.check(this.#payloads)
    const [p50, p99, p999] = percentiles(this.#latencies.subarray(0, count), [0.5, 0.99, 0.999])
    return { values: { p50: p50 * 1000, p99: p99 * 1000, 'p99.9': p999 * 1000 } }
  }
}

function startBareConsumer(meter) {
  const waiting = []
  let wake
  const consume = async () => {
    for (;;) {
      while (waiting.length > 0) meter.arrived(waiting.shift().value)
      await new Promise((resolve) => {
        wake = resolve
      })
    }
  }
  void consume()
  return (value) => {
    waiting.push({ value })
    wake()
  }
}

async function startOttla(broker, meter) {
  const topic = new Topic('messages', { value: bytes() })
  await broker.topic(topic)
  await broker.consumerGroup('group', { topics: [topic] }).run((message) => meter.arrived(message.value))
  const producer = broker.producer()
  return (value) => producer.send(topic, { value })
}

function once(start) {
  let started
  return (argument) => {
    started ??= start(argument)
    return started
  }
}
