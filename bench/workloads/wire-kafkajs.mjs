import { createRequire } from 'node:module'
import { makePayloads } from '../harness/payloads.mjs'
import { percentiles } from '../harness/percentiles.mjs'
import { againstKafka, openBrokers, sideBySide } from './peers/wire-brokers.mjs'

// The development's own, so that the bench has none besides.
const { Kafka, logLevel } = createRequire(new URL('../../package.json', import.meta.url))('kafkajs')

const BATCHES = 150
const BATCH = 1000
const SINGLE_SENDS = 500
const IDLE_SENDS = 100
const IDLE_MS = 8
const JOINS = 5

export const workload = {
  name: 'wire-kafkajs',
  title: 'kafkajs, which is in the process that measures',
  settings: [
    'values of 100 B, a topic of one partition, acks 1',
    'batches: 150 sends of 1,000 messages, each awaited',
    'single: 500 sends of one message, each awaited; the p50',
    'eachBatch: the 150,000 messages, from the first batch that is handled to the last, those of the first not counted',
    'idle: 100 sends, each 8 ms after the last was handled, from the call of send to eachMessage; the p50',
    'join: consumer.run() of a new group to the first message of a topic that has one; the median of 5 groups. group.initial.rebalance.delay.ms=0',
    'ottla: `ottla server-start` on files, durability "os" as with Kafka',
    'Apache Kafka: broker and controller in one process, -Xmx1G',
  ],
  rows: [
    againstKafka('batches', {
      id: '101',
      label: 'kafkajs: batches of 1,000',
      better: 'higher',
      unit: 'msg/s',
      goal: 1,
    }),
    againstKafka('single', {
      id: '102',
      label: 'kafkajs: awaited single send, p50',
      better: 'lower',
      unit: 'ms',
      goal: 0.7,
    }),
    againstKafka('eachBatch', { id: '103', label: 'kafkajs: eachBatch', better: 'higher', unit: 'msg/s', goal: 1 }),
    againstKafka('idle', {
      id: '104',
      label: 'kafkajs: send to handler, idle, p50',
      better: 'lower',
      unit: 'ms',
      goal: 0.7,
    }),
    againstKafka('join', { id: '105', label: 'kafkajs: run to first message', better: 'lower', unit: 'ms', goal: 0.5 }),
  ],
  tables: [
    sideBySide('kafkajs with each broker', {
      batches: 'batches of 1,000, msg/s',
      single: 'awaited single send, p50, ms',
      eachBatch: 'eachBatch, msg/s',
      idle: 'send to handler, idle, p50, ms',
      join: 'run to first message, ms',
    }),
  ],
  repetitions: 7,
  warmups: 1,
  async open({ directory }) {
    const values = makePayloads(BATCH, 100)
    const { brokers, close } = await openBrokers(directory)
    let round = 0
    const contenders = Object.fromEntries(
      brokers.map((broker) => [
        broker.name,
        async () => ({ values: await measure(broker.bootstrapServers, `run-${round++}`, values) }),
      ]),
    )
    return { contenders, close }
  },
}

async function measure(bootstrapServers, name, payloads) {
  const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  const topics = [`${name}-many`, `${name}-single`, `${name}-one`].map((topic) => ({
    topic,
    numPartitions: 1,
    replicationFactor: 1,
  }))
  await admin.createTopics({ topics, waitForLeaders: true })
  const [many, single, one] = topics.map(({ topic }) => topic)
  const producer = kafka.producer()
  await producer.connect()
  const messages = payloads.map((value) => ({ value: Buffer.from(value) }))
  for (const topic of [many, one]) await producer.send({ topic, acks: 1, messages: messages.slice(0, 1) })

  const startedAt = performance.now()
  for (let batch = 0; batch < BATCHES; batch++) await producer.send({ topic: many, acks: 1, messages })
  const batches = (BATCHES * BATCH) / ((performance.now() - startedAt) / 1000)

  const times = []
  for (let sent = 0; sent < SINGLE_SENDS; sent++) {
    const sentAt = performance.now()
    await producer.send({ topic: single, acks: 1, messages: messages.slice(0, 1) })
    times.push(performance.now() - sentAt)
  }

  const eachBatch = await consumeBatches(kafka, many, BATCHES * BATCH + 1)
  const idle = await idleLatency(kafka, producer, single, messages)
  const joins = []
  for (let join = 0; join < JOINS; join++) joins.push(await firstMessage(kafka, one))

  await producer.disconnect()
  await admin.deleteTopics({ topics: [many, single, one] })
  await admin.disconnect()
  const [singleP50] = percentiles(times, [0.5])
  const [joinP50] = percentiles(joins, [0.5])
  return { batches, single: singleP50, eachBatch, idle, join: joinP50 }
}

let groups = 0

async function consumerOf(kafka, topic, fromBeginning) {
  const consumer = kafka.consumer({ groupId: `bench-${process.pid}-${groups++}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning })
  return consumer
}

/** Messages a second, from the first batch that is handled on. */
async function consumeBatches(kafka, topic, count) {
  const consumer = await consumerOf(kafka, topic, true)
  let seen = 0
  let first = 0
  let firstAt = 0
  const rate = await new Promise((resolve, reject) => {
    consumer
      .run({
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch }) => {
          if (seen === 0) {
            first = batch.messages.length
            firstAt = performance.now()
          }
          seen += batch.messages.length
          if (seen === count) resolve((count - first) / ((performance.now() - firstAt) / 1000))
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  return rate
}

/** Milliseconds from the call of send to the handler, where nothing else happens. */
async function idleLatency(kafka, producer, topic, messages) {
  const consumer = await consumerOf(kafka, topic, true)
  let heard = () => {}
  let seen = 0
  /** When the next message that is handled was. */
  const next = () =>
    new Promise((resolve) => {
      heard = resolve
    })
  await consumer.run({
    eachMessage: async () => {
      seen += 1
      heard(performance.now())
    },
  })
  while (seen < SINGLE_SENDS) await next()
  const times = []
  for (let sent = 0; sent < IDLE_SENDS; sent++) {
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    const handled = next()
    const sentAt = performance.now()
    const acknowledged = producer.send({ topic, acks: 1, messages: messages.slice(0, 1) })
    times.push((await handled) - sentAt)
    await acknowledged
  }
  await consumer.disconnect()
  return percentiles(times, [0.5])[0]
}

/** Milliseconds from the call of run to the first message, of a group that is new. */
async function firstMessage(kafka, topic) {
  const consumer = await consumerOf(kafka, topic, true)
  const startedAt = performance.now()
  const handledAt = await new Promise((resolve, reject) => {
    consumer.run({ eachBatch: async () => resolve(performance.now()) }).catch(reject)
  })
  await consumer.disconnect()
  return handledAt - startedAt
}
