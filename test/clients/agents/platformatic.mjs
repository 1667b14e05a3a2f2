import { createHash, randomUUID } from 'node:crypto'
import { bootstrapServers, numbered, requireClient, serve, tell } from './agent.mjs'

const {
  Admin,
  Consumer,
  ListOffsetTimestamps,
  MessagesStreamFallbackModes,
  MessagesStreamModes,
  Producer,
  ProduceAcks,
} = requireClient('@platformatic/kafka')

const connection = { clientId: 'agent', bootstrapBrokers: [bootstrapServers], retries: 20 }
const text = {
  serializers: { key: bytesOf, value: bytesOf, headerKey: bytesOf, headerValue: bytesOf },
  deserializers: { key: textOf, value: textOf, headerKey: textOf, headerValue: textOf },
}
const admin = new Admin(connection)
const producer = new Producer({ ...connection, serializers: text.serializers })
let member
let committed

function bytesOf(value) {
  return value === null || value === undefined ? value : Buffer.from(value)
}

function textOf(bytes) {
  return bytes === null || bytes === undefined ? null : bytes.toString()
}

const recordOf = ({ partition, offset, timestamp, key, value, headers }) => ({
  partition,
  offset: Number(offset),
  timestamp: Number(timestamp),
  key: key ?? null,
  value: value ?? null,
  headers: Object.fromEntries(headers),
})

async function partitionsOf(topic) {
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
  return metadata.topics.get(topic).partitionsCount
}

async function offsetsOf(topic, timestamp) {
  const count = await partitionsOf(topic)
  const partitions = Array.from({ length: count }, (_, partitionIndex) => ({ partitionIndex, timestamp }))
  const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
  return new Map(listed.partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]))
}

async function startOf(topic, partition, from) {
  if (from === 'beginning') return { mode: MessagesStreamModes.EARLIEST }
  if (from === 'end') return { mode: MessagesStreamModes.LATEST }
  const offset = typeof from === 'number' ? from : (await offsetsOf(topic, BigInt(from.timestamp))).get(partition)
  return { mode: MessagesStreamModes.MANUAL, offsets: [{ topic, partition, offset: BigInt(offset) }] }
}

/** Its consumers read by group alone, so each read has one of its own. */
async function read({ topic, partition = 0, from, count }, onRecord) {
  const groupId = `read-${randomUUID()}`
  const consumer = new Consumer({ ...connection, groupId, deserializers: text.deserializers, autocommit: false })
  const stream = await consumer.consume({
    topics: [topic],
    maxWaitTime: 500,
    ...(await startOf(topic, partition, from)),
  })
  let seen = 0
  for await (const message of stream) {
    onRecord(recordOf(message))
    seen += 1
    if (seen === count) break
  }
  await consumer.close(true)
}

serve({
  createTopic: ({ topic, partitions, config = {} }) =>
    admin.createTopics({
      topics: [topic],
      partitions,
      replicas: 1,
      configs: Object.entries(config).map(([name, value]) => ({ name, value })),
    }),
  describeTopic: async ({ topic }) => {
    const [{ configs }] = await admin.describeConfigs({
      resources: [{ resourceType: 2, resourceName: topic }],
      includeSynonyms: false,
      includeDocumentation: false,
    })
    return {
      partitions: await partitionsOf(topic),
      config: Object.fromEntries(configs.map(({ name, value }) => [name, value])),
    }
  },
  listTopics: () => admin.listTopics(),
  alterTopic: async ({ topic, partitions, config }) => {
    if (partitions !== undefined) {
      await admin.createPartitions({ topics: [{ name: topic, count: partitions }] })
    }
    if (config === undefined) return
    const configs = Object.entries(config).map(([name, value]) => ({ name, value, configOperation: 0 }))
    await admin.incrementalAlterConfigs({
      resources: [{ resourceType: 2, resourceName: topic, configs }],
      validateOnly: false,
    })
  },
  deleteTopic: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
  produce: async ({ topic, codec = 'none', records }) => {
    await producer.send({
      compression: codec,
      acks: ProduceAcks.ALL,
      messages: records.map(({ timestamp, ...record }) => ({
        ...record,
        topic,
        ...(timestamp !== undefined && { timestamp: BigInt(timestamp) }),
      })),
    })
  },
  consume: async (request) => {
    const records = []
    await read(request, (record) => records.push(record))
    return records
  },
  produceMany: async ({ topic, count }) => {
    for (let from = 0; from < count; from += 1000) {
      const messages = Array.from({ length: Math.min(1000, count - from) }, (_, index) => ({
        topic,
        partition: 0,
        value: numbered(from + index),
      }))
      await producer.send({ messages })
    }
  },
  checksum: async ({ topic, count }) => {
    const hash = createHash('sha256')
    await read({ topic, from: 'beginning', count }, ({ value }) => hash.update(`${value}\n`))
    return hash.digest('hex')
  },
  join: async ({ group, topic }) => {
    member = new Consumer({
      ...connection,
      groupId: group,
      deserializers: text.deserializers,
      sessionTimeout: 6000,
      heartbeatInterval: 500,
      rebalanceTimeout: 30_000,
      autocommit: false,
      maxWaitTime: 500,
    })
    const stream = await member.consume({
      topics: [topic],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
    })
    stream.on('data', (message) => {
      tell({ record: recordOf(message) })
      // A commit may fail while the broker is away: the next one holds all that came before.
      committed = message.commit().catch((error) => console.error(error))
    })
    // It goes on after the broker was away, and tells of it.
    stream.on('error', (error) => console.error(error))
  },
  leave: async () => {
    await committed
    await member.close(true)
  },
  lag: async ({ group, topic }) => {
    const ends = await offsetsOf(topic, ListOffsetTimestamps.LATEST)
    const partitionIndexes = [...ends.keys()]
    const [{ topics }] = await admin.listConsumerGroupOffsets({
      groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes }] }],
    })
    const { partitions } = topics.find(({ name }) => name === topic)
    return partitions.reduce(
      (lag, { partitionIndex, committedOffset }) =>
        lag + ends.get(partitionIndex) - Math.max(0, Number(committedOffset)),
      0,
    )
  },
  deleteOffsets: async ({ group, topic }) => {
    const partitionIndexes = Array.from({ length: await partitionsOf(topic) }, (_, index) => index)
    await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionIndexes }] })
  },
  deleteRecords: async ({ topic, partition, offset }) => {
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offset) }] }] })
  },
})
