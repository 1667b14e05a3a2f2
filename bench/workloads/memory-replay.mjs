import { Broker, bytes, Topic } from '../../dist/index.js'
import { runs, sends } from '../harness/dispatch.mjs'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const MESSAGES = 1_000_000
const BATCH = 1000

export const workload = {
  name: 'memory-replay',
  title: 'Memory: reading 1,000,000 retained messages once more',
  settings: [
    'values of 100 B through `bytes()`, no key, 1 partition',
    'ottla: a new group from the start of the log, `runBatches` with its defaults; its joining is part of the time',
    'plain array: 1,000,000 records, mapped to new objects with the fields of a message, handed over by the 1,000',
  ],
  rows: [
    {
      id: '5',
      label: 'memory, replay of 1e6 by runBatches',
      ours: 'ottla',
      peer: 'plain array',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.15,
      goal: 0.45,
      goalOf: '(by reference)',
    },
  ],
  repetitions: 7,
  warmups: 2,
  async open() {
    const payloads = makePayloads(BATCH, 100)
    const topic = new Topic('messages', { value: bytes() })
    const broker = await Broker.open()
    await broker.topic(topic)
    const producer = broker.producer()
    for (let sent = 0; sent < MESSAGES; sent += payloads.length) await sends.batch(producer, topic, payloads)
    const records = Array.from({ length: MESSAGES }, (_, offset) => ({
      offset,
      timestamp: 1_700_000_000_000 + offset,
      value: payloads[offset % payloads.length],
    }))
    const arrivals = new Arrivals()
    let group
    let groups = 0
    return {
      contenders: {
        ottla: async () => {
          await group?.close()
          group = broker.consumerGroup(`group-${groups++}`, { topics: [topic] })
          const arrived = arrivals.expect(MESSAGES)
          const startedAt = performance.now()
          await runs.batches(group, arrivals)
          await arrived
          const seconds = (performance.now() - startedAt) / 1000
          arrivals.check(payloads)
          return { work: MESSAGES, seconds }
        },
        'plain array': () => {
          void arrivals.expect(MESSAGES)
          const startedAt = performance.now()
          for (let from = 0; from < MESSAGES; from += BATCH) handOver(records, from, arrivals)
          const seconds = (performance.now() - startedAt) / 1000
          arrivals.check(payloads)
          return { work: MESSAGES, seconds }
        },
      },
      close: () => broker.close(),
    }
  },
}

/** What `runBatches` does at its least: the next records become messages, and the handler gets them. */
function handOver(records, from, arrivals) {
  const messages = []
  for (let at = from; at < from + BATCH; at++) messages.push(new PlainMessage(records[at]))
  for (const message of messages) arrivals.add(message.value)
}

const headers = Object.freeze({})

/** A class of its own: an object literal with the properties of ottla's would share its hidden class, and what V8 learns of that from the one would slow the other. */
class PlainMessage {
  constructor(record) {
    this.topic = 'messages'
    this.partition = 0
    this.offset = record.offset
    this.timestamp = record.timestamp
    this.key = null
    this.value = record.value
    this.headers = headers
  }
}
