import { join } from 'node:path'
import { Broker, bytes, FileStorage, MemoryStorage, Topic } from '../../dist/index.js'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const SIZES = { '10 B': 10, '100 B': 100, '1 KiB': 1024, '10 KiB': 10_240, '100 KiB': 102_400, '1 MiB': 1_048_576 }
const LARGEST_ROUND_BYTES = 4 * 2 ** 20
/** What a contender sends in all: bytes, but messages at most. */
const TOTAL_BYTES = 32 * 2 ** 20
const TOTAL_MESSAGES = 30_000

export const workload = {
  name: 'growth-message-size',
  title: 'What larger messages cost',
  settings: [
    'values of 10 B to 1 MiB through `bytes()`, no key, 1 partition, `maxMessageBytes` of 2 MiB, 1 group with `runBatches`',
    '`send` of arrays of 1,000 messages, or of as many as make 4 MiB, awaited one after the other: 32 MiB in all, or 30,000 messages',
    'files: `durability: "os"`; a new directory for each repetition',
  ],
  rows: [],
  tables: ['memory', 'files'].map((where) => ({
    title: `Message size, ${where === 'memory' ? 'in memory' : 'on files, not synced'}, live`,
    corner: 'value',
    columns: ['msg/s', 'bytes of values/s'],
    lines: Object.keys(SIZES).map((size) => ({
      label: size,
      contenders: [`${where} ${size} messages`, `${where} ${size} bytes`],
    })),
  })),
  repetitions: 5,
  warmups: 1,
  async open({ directory }) {
    const contenders = {}
    let directories = 0
    for (const [size, valueBytes] of Object.entries(SIZES)) {
      const payloads = makePayloads(Math.min(1000, LARGEST_ROUND_BYTES / valueBytes), valueBytes)
      const count = Math.min(TOTAL_MESSAGES, TOTAL_BYTES / valueBytes)
      const rounds = Math.ceil(count / payloads.length)
      contenders[`memory ${size}`] = contender(payloads, rounds, () => new MemoryStorage())
      contenders[`files ${size}`] = contender(
        payloads,
        rounds,
        () => new FileStorage(join(directory, `${directories++}`), { durability: 'os' }),
      )
    }
    return { contenders, async close() {} }
  },
}

function contender(payloads, rounds, makeStorage) {
  const topic = new Topic('messages', { value: bytes(), maxMessageBytes: 2 ** 21 })
  const arrivals = new Arrivals()
  const messages = rounds * payloads.length
  let before
  return async () => {
    const broker = await Broker.open({ storage: makeStorage() })
    await before?.close()
    before = broker
    await broker.topic(topic)
    await broker.consumerGroup('group', { topics: [topic] }).runBatches((batch) => {
      for (const message of batch.messages) arrivals.add(message.value)
    })
    const producer = broker.producer()
    const arrived = arrivals.expect(messages)
    const startedAt = performance.now()
    for (let round = 0; round < rounds; round++) {
      await producer.send(
        topic,
        payloads.map((value) => ({ value })),
      )
    }
    await arrived
    const seconds = (performance.now() - startedAt) / 1000
    arrivals.check(payloads)
    return { values: { messages: messages / seconds, bytes: (messages * payloads[0].length) / seconds } }
  }
}
