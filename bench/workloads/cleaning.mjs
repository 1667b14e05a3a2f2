import { PerformanceObserver } from 'node:perf_hooks'
import { bytes, Topic } from '../../dist/index.js'
import { makePayloads } from '../harness/payloads.mjs'
import { Brokers } from './peers/brokers.mjs'

const BATCH = 1000

const LOADS = {
  'memory, 100 B': { storage: 'memory', size: 100, written: 48e6 },
  'memory, 10 KiB': { storage: 'memory', size: 10_240, written: 192e6 },
  'files, 100 B': { storage: 'os', size: 100, written: 48e6 },
  'files, 10 KiB': { storage: 'os', size: 10_240, written: 192e6 },
}

export const workload = {
  name: 'cleaning',
  title: 'How long compaction holds a turn of the event loop',
  settings: [
    '48 MB of values of 100 B, or 192 MB of 10 KiB, each key written twice at places far apart, segments of 4 MiB, `broker.compact`',
    'a chain of `setImmediate` measures each turn of the event loop while it compacts; 99 % of the time passed in turns no longer than what is shown, or in shorter ones',
    'a loop that works for 2 ms a turn: `while` does nothing else, so what it adds is the machine',
    'what is left is compared by count of keys and checksum with what was written last, not timed',
    'a step of compaction is the longest turn in which V8 collected no garbage, by the time that the processor worked for the process, and no more than passed. It has no floor, since a machine that somebody else uses too adds to it, as the loop of 2 ms shows; compaction yields after 2 ms, and between two looks at the clock it goes through 64 records or copies 64 KiB (test: log-cleaner)',
  ],
  rows: Object.keys(LOADS).flatMap((load) => [
    {
      id: '29',
      label: `longest turn of compaction, processor time: ${load}`,
      ours: `${load} processed`,
      better: 'lower',
      unit: 'ms',
    },
    {
      id: '29',
      label: `a turn of compaction, p99 of the time: ${load}`,
      ours: `${load} p99`,
      better: 'lower',
      unit: 'ms',
    },
  ]),
  tables: [
    {
      title: 'How long a turn of the event loop is while a topic is compacted, ms',
      corner: 'load',
      columns: ['p50 of the time', 'p99 of the time', 'longest', 'longest without a collection, processor time'],
      lines: ['a loop that works for 2 ms a turn', ...Object.keys(LOADS)].map((load) => ({
        label: load,
        contenders: ['p50', 'p99', 'longest', 'processed'].map((part) => `${load} ${part}`),
      })),
    },
  ],
  repetitions: 5,
  warmups: 2,
  async open({ directory }) {
    const contenders = {
      'a loop that works for 2 ms a turn': () =>
        turnsOf(async () => {
          for (let turn = 0; turn < 300; turn++) {
            const endsAt = performance.now() + 2
            while (performance.now() < endsAt);
            await new Promise(setImmediate)
          }
        }),
    }
    const brokers = new Brokers(directory)
    let topics = 0
    for (const [load, { storage, size, written }] of Object.entries(LOADS)) {
      const broker = await brokers.open(storage)
      const values = makePayloads(BATCH, size)
      const keyCount = Math.round(written / size / 2 / BATCH) * BATCH
      contenders[load] = async () => {
        const topic = new Topic(`state-${topics++}`, {
          value: bytes(),
          cleanupPolicy: 'compact',
          segmentBytes: 4 * 2 ** 20,
          minCleanableDirtyRatio: 1,
        })
        await broker.topic(topic)
        const producer = broker.producer()
        for (let first = 0; first < 2 * keyCount; first += BATCH) {
          const messages = values.map((value, index) => ({ key: `key-${(first + index) % keyCount}`, value }))
          await producer.send(topic, messages)
        }
        const measured = await turnsOf(() => broker.compact(topic))
        const left = new Map()
        for await (const { key, value } of broker.reader(topic, { until: 'end' })) left.set(key, value)
        if (left.size !== keyCount) throw new Error(`${left.size} of ${keyCount} keys are left`)
        for (const [key, value] of left) {
          const last = values[Number(key.slice('key-'.length)) % BATCH]
          if (Buffer.compare(value, last) !== 0) throw new Error(`${key} is not what was written last`)
        }
        await broker.deleteTopic(topic)
        return measured
      }
    }
    return { contenders, close: () => brokers.close() }
  },
}

/** How long the turns of the event loop are while something is done. */
async function turnsOf(act) {
  const collections = []
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  const turns = []
  let isOver = false
  let last = performance.now()
  let lastProcessed = processorTime()
  const next = () => {
    const now = performance.now()
    const processed = processorTime()
    const milliseconds = now - last
    // Other threads of the process work too.
    turns.push({
      startedAt: last,
      endedAt: now,
      milliseconds,
      processed: Math.min(processed - lastProcessed, milliseconds),
    })
    last = performance.now()
    lastProcessed = processorTime()
    if (!isOver) setImmediate(next)
  }
  setImmediate(next)
  await act()
  isOver = true
  // Until the observer was told of the last collection.
  await nextTurns(3)
  observer.disconnect()
  turns.sort((a, b) => a.milliseconds - b.milliseconds)
  const total = turns.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  const longestIn = (share) => {
    let passed = 0
    for (const { milliseconds } of turns) {
      passed += milliseconds
      if (passed >= share * total) return milliseconds
    }
    return turns.at(-1).milliseconds
  }
  const isWithout = ({ startedAt, endedAt }) =>
    !collections.some(({ startTime, duration }) => startTime < endedAt && startTime + duration > startedAt)
  const processed = Math.max(
    ...turns
      .filter(isLong)
      .filter(isWithout)
      .map(({ processed }) => processed),
    0,
  )
  return { values: { p50: longestIn(0.5), p99: longestIn(0.99), longest: turns.at(-1).milliseconds, processed } }
}

/** The rest is not worth a look at what V8 did meanwhile. */
function isLong({ processed }) {
  return processed > 0.5
}

async function nextTurns(count) {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

/** Milliseconds that the processor worked for this process. */
function processorTime() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
