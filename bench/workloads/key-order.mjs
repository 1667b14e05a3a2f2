import { Broker, bytes, Topic } from '../../dist/index.js'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const CONCURRENCIES = [4, 16, 64]
const KEYS = 1000
const MESSAGES_EACH = 150

export const workload = {
  name: 'key-order',
  title: 'Handlers beside each other in the order of keys, each of which waits for 1 ms',
  settings: [
    'a handler that returns `new Promise((resolve) => setTimeout(resolve, 1))`: in truth 1.06 to 1.1 ms, of which 64 handlers that end in one turn of the event loop take a part each',
    'values of 100 B through `bytes()`, 1,000 keys in turn, 1 partition in memory; from `seek` to the earliest until all is handled and committed, once before without being timed',
    'one at a time: `run` with its defaults, 150 messages; by key, N at a time: `ordering` key, `concurrency` N, 150 x N messages, and the messages of one of the N are counted',
    '64 loops: the same promise, awaited in 64 loops beside each other, and nothing else: what Node and its timers leave',
  ],
  rows: [
    ...CONCURRENCIES.map((concurrency) => ({
      id: '30',
      label: `handlers of 1 ms, by key, ${concurrency} at a time, for each`,
      ours: `by key, ${concurrency} at a time`,
      peer: 'one at a time',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.9,
    })),
    {
      id: '30',
      label: 'handlers of 1 ms, by key, 64 at a time, for each',
      ours: 'by key, 64 at a time',
      peer: '64 loops',
      better: 'higher',
      unit: 'msg/s',
    },
  ],
  repetitions: 15,
  warmups: 5,
  async open() {
    const payloads = makePayloads(MESSAGES_EACH, 100)
    const broker = await Broker.open()
    const producer = broker.producer()

    const contender = async (concurrency, options) => {
      const topic = await broker.topic(new Topic(`for-${concurrency}`, { value: bytes() }))
      for (let round = 0; round < concurrency; round++) {
        const first = round * MESSAGES_EACH
        await producer.send(
          topic,
          payloads.map((value, index) => ({ key: `key-${(first + index) % KEYS}`, value })),
        )
      }
      const arrivals = new Arrivals({ anyOrder: true })
      const group = broker.consumerGroup(topic.name, { topics: [topic] })
      const run = async () => {
        arrivals.expectAny()
        await group.seek('earliest')
        await broker.idle()
        arrivals.check(payloads, concurrency * MESSAGES_EACH)
      }
      const handler = (message) => {
        arrivals.add(message.value)
        return oneMillisecond()
      }
      await group.run(handler, options)
      await broker.idle()
      return measure(run)
    }

    const contenders = { 'one at a time': await contender(1, {}) }
    for (const concurrency of CONCURRENCIES) {
      contenders[`by key, ${concurrency} at a time`] = await contender(concurrency, { ordering: 'key', concurrency })
    }
    contenders['64 loops'] = measure(async () => {
      await Promise.all(
        Array.from({ length: 64 }, async () => {
          for (let count = 0; count < MESSAGES_EACH; count++) await oneMillisecond()
        }),
      )
    })
    return { contenders, close: () => broker.close() }
  },
}

/** After a lead that is not timed: the harness has just collected all garbage, and everybody is slow for a moment after that. */
function measure(run) {
  return async () => {
    await run()
    const startedAt = performance.now()
    await run()
    return { work: MESSAGES_EACH, seconds: (performance.now() - startedAt) / 1000 }
  }
}

function oneMillisecond() {
  return new Promise((resolve) => {
    setTimeout(resolve, 1)
  })
}
