import { setImmediate as nextTurn } from 'node:timers/promises'
import { bytes, Topic } from '../../dist/index.js'
import { runs, sends } from '../harness/dispatch.mjs'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'
import { percentiles } from '../harness/percentiles.mjs'
import { Brokers } from './peers/brokers.mjs'

const MILLISECONDS = 400
const LIMIT_MS = 10

const LOADS = {
  'memory, send of 1,000 -> runBatches': { storage: 'memory', send: sends.batch, run: runs.batches },
  'memory, single sends -> async handler': { storage: 'memory', send: sends.each, run: runs.async },
  'files os, send of 1,000 -> runBatches': { storage: 'os', send: sends.batch, run: runs.batches },
  'files fsync, send of 1,000 -> runBatches': { storage: 'fsync', send: sends.batch, run: runs.batches },
}

export const workload = {
  name: 'event-loop',
  title: 'How late a timer of the application is while a log in the same process runs flat out',
  settings: [
    'a chain of `setTimeout` of 1 ms: what it is late by, for 0.4 s',
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; 1,000 messages, awaited, and again at once',
    "a loop that yields every 2 ms: `while` does nothing else, so what it adds is the machine's",
    'the one floor that is no ratio: what an application is promised is a time',
  ],
  rows: Object.keys(LOADS).map((load) => ({
    id: '22',
    label: `app timer, p99 late: ${load}`,
    ours: `${load} p99`,
    better: 'lower',
    unit: 'ms',
    floor: LIMIT_MS,
  })),
  tables: [
    {
      title: 'How late a timer of 1 ms is, ms',
      corner: 'load',
      columns: ['p50', 'p99', 'latest'],
      lines: ['none', 'a loop that yields every 2 ms', ...Object.keys(LOADS)].map((load) => ({
        label: load,
        contenders: ['p50', 'p99', 'latest'].map((part) => `${load} ${part}`),
      })),
    },
  ],
  repetitions: 5,
  warmups: 1,
  async open({ directory }) {
    const payloads = makePayloads(1000, 100)
    const contenders = {
      none: async () => late(measureTimer()),
      'a loop that yields every 2 ms': async () => {
        const timer = measureTimer()
        while (!timer.isOver) {
          const turnEndsAt = performance.now() + 2
          while (performance.now() < turnEndsAt);
          await nextTurn()
        }
        return late(timer)
      },
    }
    const brokers = new Brokers(directory)
    let topics = 0
    for (const [load, { storage, send, run }] of Object.entries(LOADS)) {
      const broker = await brokers.open(storage)
      const producer = broker.producer()
      const arrivals = new Arrivals()
      contenders[load] = async () => {
        const topic = new Topic(`messages-${topics++}`, { value: bytes() })
        await broker.topic(topic)
        const group = broker.consumerGroup(topic.name, { topics: [topic] })
        arrivals.expectAny()
        await run(group, arrivals)
        let rounds = 0
        const timer = measureTimer()
        while (!timer.isOver) {
          await send(producer, topic, payloads)
          rounds++
        }
        const measured = await late(timer)
        await broker.idle()
        arrivals.check(payloads, rounds * payloads.length)
        await group.close()
        await broker.deleteTopic(topic)
        return measured
      }
    }
    return { contenders, close: () => brokers.close() }
  },
}

/** A chain of timers as an application may have it. */
function measureTimer() {
  const lateMs = []
  const timer = { isOver: false, lateMs, ended: undefined }
  const endsAt = performance.now() + MILLISECONDS
  timer.ended = new Promise((resolve) => {
    const next = () => {
      const dueAt = performance.now() + 1
      setTimeout(() => {
        const now = performance.now()
        lateMs.push(now - dueAt)
        timer.isOver = now >= endsAt
        if (timer.isOver) resolve()
        else next()
      }, 1)
    }
    next()
  })
  return timer
}

async function late(timer) {
  await timer.ended
  const [p50, p99, latest] = percentiles(timer.lateMs, [0.5, 0.99, 1])
  return { values: { p50, p99, latest } }
}
