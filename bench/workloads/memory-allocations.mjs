import { EventEmitter } from 'node:events'
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Broker, bytes, Topic } from '../../dist/index.js'
import { runs, sends } from '../harness/dispatch.mjs'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const MESSAGES = 50_000
const BATCH = 1000
const SEMI_SPACE_MIB = 256

const PRODUCE = { 'send of 1,000': sends.batch, 'single sends': sends.each }
const CONSUME = { runBatches: runs.batches, 'run, returns nothing': runs.sync, 'run, async handler': runs.async }

export const workload = {
  name: 'memory-allocations',
  title: 'What a message allocates on the heap on its way, garbage included',
  settings: [
    '50,000 messages of 100 B, `bytes()`, no key, 1 partition, in memory; what `heapUsed` grows by while no GC runs, in a young generation of 256 MiB',
    'produce: sends by the 1,000, or 1,000 single sends and then the last promise, without a consumer',
    'consume: the same messages read by a new group',
    'EventEmitter, await handler(message): a new `{ value }` for each message',
  ],
  rows: [],
  tables: [
    {
      title: 'Heap that a message allocates, in bytes',
      corner: 'path',
      columns: ['per message'],
      lines: [
        ...Object.keys(PRODUCE).map((name) => `produce, ${name}`),
        ...Object.keys(CONSUME).map((name) => `consume, ${name}`),
        'EventEmitter',
        'await handler(message)',
      ].map((label) => ({ label, contenders: [label] })),
    },
  ],
  repetitions: 7,
  warmups: 3,
  nodeOptions: [`--min-semi-space-size=${SEMI_SPACE_MIB}`, `--max-semi-space-size=${SEMI_SPACE_MIB}`],
  async open() {
    const payloads = makePayloads(BATCH, 100)
    const topic = new Topic('messages', { value: bytes() })
    const contenders = {}

    const filled = await Broker.open()
    await filled.topic(topic)
    await send(sends.batch, filled.producer(), topic, payloads)
    let before
    for (const [name, sendRound] of Object.entries(PRODUCE)) {
      contenders[`produce, ${name}`] = async () => {
        const broker = await Broker.open()
        await before?.close()
        before = broker
        await broker.topic(topic)
        const producer = broker.producer()
        return allocated(() => send(sendRound, producer, topic, payloads))
      }
    }
    let groups = 0
    for (const [name, run] of Object.entries(CONSUME)) {
      const arrivals = new Arrivals()
      contenders[`consume, ${name}`] = async () => {
        const group = filled.consumerGroup(`group-${groups++}`, { topics: [topic] })
        const arrived = arrivals.expect(MESSAGES)
        const measured = await allocated(async () => {
          await run(group, arrivals)
          await arrived
        })
        arrivals.check(payloads)
        await group.close()
        return measured
      }
    }
    const emitter = new EventEmitter()
    const emitted = new Arrivals()
    emitter.on('message', (message) => emitted.add(message.value))
    contenders.EventEmitter = async () => {
      void emitted.expect(MESSAGES)
      const measured = await allocated(async () => {
        for (let at = 0; at < MESSAGES; at += BATCH) for (const value of payloads) emitter.emit('message', { value })
      })
      emitted.check(payloads)
      return measured
    }
    const handled = new Arrivals()
    const handler = async (message) => handled.add(message.value)
    contenders['await handler(message)'] = async () => {
      void handled.expect(MESSAGES)
      const measured = await allocated(async () => {
        for (let at = 0; at < MESSAGES; at += BATCH) for (const value of payloads) await handler({ value })
      })
      handled.check(payloads)
      return measured
    }
    return {
      contenders,
      async close() {
        await before.close()
        await filled.close()
      },
    }
  },
}

async function send(sendRound, producer, topic, payloads) {
  for (let at = 0; at < MESSAGES; at += BATCH) await sendRound(producer, topic, payloads)
}

/** What the heap grew by for each message. Throws where a GC came in between. */
async function allocated(act) {
  const collections = new PerformanceObserver(() => {})
  collections.observe({ entryTypes: ['gc'] })
  const before = process.memoryUsage().heapUsed
  await act()
  const after = process.memoryUsage().heapUsed
  // They are told in a later turn.
  await nextTurn()
  const count = collections.takeRecords().length
  collections.disconnect()
  if (count > 0) throw new Error(`${count} garbage collections ran meanwhile`)
  return { value: (after - before) / MESSAGES }
}
