import { createHash } from 'node:crypto'
import { bootstrapServers, numbered, requireClient, serve, tell } from './agent.mjs'

const { AdminClient, KafkaConsumer, Producer } = requireClient('node-rdkafka')

const LIMIT_MS = 60_000
const common = { 'metadata.broker.list': bootstrapServers, log_level: 0 }
const admin = AdminClient.create(common)
const producers = new Map()
let member

/** Calls a method that takes a callback last. */
function called(object, method, ...args) {
  return new Promise((resolve, reject) => {
    object[method](...args, (error, value) => (error ? reject(new Error(error.message)) : resolve(value)))
  })
}

async function connected(client) {
  client.on('event.error', () => {})
  await called(client, 'connect', {})
  return client
}

async function producerOf(codec) {
  const present = producers.get(codec)
  if (present !== undefined) return present
  const producer = new Producer({ ...common, 'compression.codec': codec, dr_cb: true, 'linger.ms': 5 })
  producer.setPollInterval(10)
  producers.set(codec, producer)
  return connected(producer)
}

/** Resolves when each message that `send` produces is delivered. */
async function delivered(codec, count, send) {
  const producer = await producerOf(codec)
  let left = count
  let failure
  const done = new Promise((resolve) => {
    const onReport = (error) => {
      failure ??= error
      left -= 1
      if (left > 0) return
      producer.off('delivery-report', onReport)
      resolve()
    }
    producer.on('delivery-report', onReport)
  })
  await send(producer)
  await done
  if (failure) throw new Error(failure.message)
}

const textOf = (bytes) => bytes?.toString() ?? null

const recordOf = ({ partition, offset, timestamp, key, value, headers = [] }) => ({
  partition,
  offset,
  timestamp,
  key: textOf(key),
  value: textOf(value),
  headers: Object.fromEntries(
    headers.flatMap((header) => Object.entries(header)).map(([name, bytes]) => [name, textOf(bytes)]),
  ),
})

async function partitionsOf(topic) {
  const producer = await producerOf('none')
  const { topics } = await called(producer, 'getMetadata', { topic, timeout: LIMIT_MS })
  return topics.find(({ name }) => name === topic).partitions.length
}

async function consumerOf(options) {
  return connected(new KafkaConsumer({ ...common, 'enable.auto.commit': false, ...options }, {}))
}

async function read({ topic, partition = 0, from, count }, onRecord) {
  const consumer = await consumerOf({ 'group.id': 'none' })
  let offset = { beginning: -2, end: -1 }[from] ?? from
  if (from.timestamp !== undefined) {
    const [found] = await called(consumer, 'offsetsForTimes', [{ topic, partition, offset: from.timestamp }], LIMIT_MS)
    offset = found.offset
  }
  consumer.assign([{ topic, partition, offset }])
  consumer.setDefaultConsumeTimeout(500)
  for (let seen = 0; seen < count; ) {
    const messages = await called(consumer, 'consume', Math.min(count - seen, 10_000))
    for (const message of messages) onRecord(recordOf(message))
    seen += messages.length
  }
  await called(consumer, 'disconnect')
}

serve({
  createTopic: ({ topic, partitions, config = {} }) =>
    called(admin, 'createTopic', { topic, num_partitions: partitions, replication_factor: 1, config }, LIMIT_MS),
  describeTopic: async ({ topic }) => ({ partitions: await partitionsOf(topic) }),
  listTopics: async () => {
    const { topics } = await called(await producerOf('none'), 'getMetadata', { timeout: LIMIT_MS })
    return topics.map(({ name }) => name)
  },
  deleteTopic: ({ topic }) => called(admin, 'deleteTopic', topic, LIMIT_MS),
  produce: ({ topic, codec = 'none', records }) =>
    delivered(codec, records.length, (producer) => {
      for (const { key, value, headers = {}, partition, timestamp } of records) {
        const named = Object.entries(headers).map(([name, text]) => ({ [name]: text }))
        const bytes = value === null ? null : Buffer.from(value)
        producer.produce(topic, partition ?? null, bytes, key ?? null, timestamp, undefined, named)
      }
    }),
  consume: async (request) => {
    const records = []
    await read(request, (record) => records.push(record))
    return records
  },
  produceMany: ({ topic, count }) =>
    delivered('none', count, async (producer) => {
      for (let index = 0; index < count; index++) {
        producer.produce(topic, 0, Buffer.from(numbered(index)))
        // Its queue takes a hundred thousand, and empties while others run.
        if (index % 1000 === 999) await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }),
  checksum: async ({ topic, count }) => {
    const hash = createHash('sha256')
    await read({ topic, from: 'beginning', count }, ({ value }) => hash.update(`${value}\n`))
    return hash.digest('hex')
  },
  join: async ({ group, topic }) => {
    member = await connected(
      new KafkaConsumer(
        {
          ...common,
          'group.id': group,
          'session.timeout.ms': 6000,
          'heartbeat.interval.ms': 500,
          'auto.commit.interval.ms': 200,
        },
        { 'auto.offset.reset': 'earliest' },
      ),
    )
    member.on('data', (message) => tell({ record: recordOf(message) }))
    member.subscribe([topic])
    member.consume()
  },
  leave: () => called(member, 'disconnect'),
  lag: async ({ group, topic }) => {
    const consumer = await consumerOf({ 'group.id': group })
    const count = await partitionsOf(topic)
    const places = Array.from({ length: count }, (_, partition) => ({ topic, partition }))
    let lag = 0
    for (const { partition, offset } of await called(consumer, 'committed', places, LIMIT_MS)) {
      const { highOffset, lowOffset } = await called(consumer, 'queryWatermarkOffsets', topic, partition, LIMIT_MS)
      lag += highOffset - (offset ?? lowOffset)
    }
    await called(consumer, 'disconnect')
    return lag
  },
})
