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
    'a turn includes what V8 collects and compiles meanwhile, so it has no floor: between two looks at the clock compaction goes through 64 records or copies 64 KiB, and it yields after 2 ms (test: log-cleaner)',
  ],
  rows: Object.keys(LOADS).map((load) => ({
    id: '29',
    label: `a turn of compaction, p99 of the time: ${load}`,
    ours: `${load} p99`,
    better: 'lower',
    unit: 'ms',
  })),
  tables: [
    {
      title: 'How long a turn of the event loop is while a topic is compacted, ms',
      corner: 'load',
      columns: ['p50 of the time', 'p99 of the time', 'longest'],
      lines: ['a loop that works for 2 ms a turn', ...Object.keys(LOADS)].map((load) => ({
        label: load,
        contenders: ['p50', 'p99', 'longest'].map((part) => `${load} ${part}`),
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
  const turns = []
  let isOver = false
  let last = performance.now()
  const next = () => {
    const now = performance.now()
    turns.push(now - last)
    last = now
    if (!isOver) setImmediate(next)
  }
  setImmediate(next)
  await act()
  isOver = true
  await new Promise(setImmediate)
  turns.sort((a, b) => a - b)
  const total = turns.reduce((sum, turn) => sum + turn, 0)
  const longestIn = (share) => {
    let passed = 0
    for (const turn of turns) {
      passed += turn
      if (passed >= share * total) return turn
    }
    return turns.at(-1)
  }
  return { values: { p50: longestIn(0.5), p99: longestIn(0.99), longest: turns.at(-1) } }
}
