import { EventEmitter } from 'node:events'
import { bytes, Topic } from '../../dist/index.js'
import { openMemoryTopic } from '../harness/memory-topic.mjs'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const BATCH = 1000

export const workload = {
  name: 'memory-batch',
  title: 'Memory, send of 1,000 to a batch handler, against EventEmitter.emit with one listener',
  settings: [
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; each message is a new object for every contender',
    '`send(topic, messages)` with 1,000 messages, awaited one after the other, 200 times; `runBatches` with its defaults',
    'EventEmitter: one listener, 4,000,000 calls of `emit`',
  ],
  rows: [
    {
      id: '1',
      label: 'memory, send of 1,000 -> runBatches',
      ours: 'ottla',
      peer: 'EventEmitter',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.05,
      goal: 0.55,
      note: 'the goal is that of topics by reference',
    },
  ],
  repetitions: 9,
  warmups: 2,
  async open() {
    const payloads = makePayloads(BATCH, 100)
    const emitter = new EventEmitter()
    const emitted = new Arrivals()
    emitter.on('message', (message) => emitted.add(message.value))
    return {
      contenders: {
        ottla: async () => {
          const arrivals = new Arrivals()
          const { producer, topic, close } = await openMemoryTopic(new Topic('t', { value: bytes() }), (group) =>
            group.runBatches((batch) => {
              for (const message of batch.messages) arrivals.add(message.value)
            }),
          )
          const rounds = 200
          const arrived = arrivals.expect(rounds * BATCH)
          const startedAt = performance.now()
          for (let round = 0; round < rounds; round++) {
            await producer.send(topic, payloads.map(toMessage))
          }
          await arrived
          const seconds = (performance.now() - startedAt) / 1000
          arrivals.check(payloads)
          await close()
          return { work: rounds * BATCH, seconds }
        },
        EventEmitter: async () => {
          const rounds = 4000
          void emitted.expect(rounds * BATCH)
          const startedAt = performance.now()
          for (let round = 0; round < rounds; round++) {
            for (const value of payloads) emitter.emit('message', toMessage(value))
          }
          const seconds = (performance.now() - startedAt) / 1000
          emitted.check(payloads)
          return { work: rounds * BATCH, seconds }
        },
      },
      async close() {},
    }
  },
}

function toMessage(value) {
  return { value }
}
