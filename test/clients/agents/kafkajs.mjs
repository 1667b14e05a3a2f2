import { createHash, randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import { bootstrapServers, numbered, serve, tell } from './agent.mjs'

const { CompressionTypes, Kafka, logLevel } = kafkajs
const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING, retry: { retries: 20 } })
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }

const admin = await connected(kafka.admin())
const producer = await connected(kafka.producer({ allowAutoTopicCreation: false }))
let member

async function connected(client) {
  await client.connect()
  return client
}

async function describe(topic) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  return topics[0].partitions.length
}

const recordOf = (partition, { key, value, headers, offset, timestamp }) => ({
  partition,
  offset: Number(offset),
  timestamp: Number(timestamp),
  key: key?.toString() ?? null,
  value: value?.toString() ?? null,
  headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, bytes]) => [name, bytes.toString()])),
})

/** Its consumers read by group alone, so each read has one of its own. */
async function read({ topic, partition = 0, from, count }, onRecord) {
  const groupId = `read-${randomUUID()}`
  const consumer = await connected(kafka.consumer({ groupId, maxWaitTimeInMs: 500 }))
  await consumer.subscribe({ topic, fromBeginning: from !== 'end' })
  let seen = 0
  let isPlaced = typeof from === 'string'
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async (message) => {
          if (!isPlaced || message.partition !== partition || seen >= count) return
          seen += 1
          onRecord(recordOf(partition, message.message))
          if (seen === count) resolve()
        },
      })
      .then(async () => {
        if (typeof from === 'number') consumer.seek({ topic, partition, offset: String(from) })
        if (from.timestamp !== undefined) {
          const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, from.timestamp)
          consumer.seek({ topic, partition, offset: offsets.find((entry) => entry.partition === partition).offset })
        }
        isPlaced = true
      }, reject)
  })
  await consumer.disconnect()
  await admin.deleteGroups([groupId])
}

serve({
  createTopic: ({ topic, partitions, config = {} }) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          numPartitions: partitions,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  describeTopic: async ({ topic }) => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: topic }] })
    const config = Object.fromEntries(
      resources[0].configEntries.map(({ configName, configValue }) => [configName, configValue]),
    )
    return { partitions: await describe(topic), config }
  },
  listTopics: () => admin.listTopics(),
  alterTopic: async ({ topic, partitions, config }) => {
    if (partitions !== undefined) await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
    if (config === undefined) return
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] })
  },
  deleteTopic: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
  produce: ({ topic, codec = 'none', records }) =>
    producer.send({
      topic,
      compression: codecs[codec],
      messages: records.map(({ timestamp, ...rest }) => ({
        ...rest,
        ...(timestamp !== undefined && { timestamp: String(timestamp) }),
      })),
    }),
  consume: async (request) => {
    const records = []
    await read(request, (record) => records.push(record))
    return records
  },
  produceMany: async ({ topic, count }) => {
    for (let from = 0; from < count; from += 1000) {
      const messages = Array.from({ length: Math.min(1000, count - from) }, (_, index) => ({
        value: numbered(from + index),
        partition: 0,
      }))
      await producer.send({ topic, messages })
    }
  },
  checksum: async ({ topic, count }) => {
    const hash = createHash('sha256')
    await read({ topic, from: 'beginning', count }, ({ value }) => hash.update(`${value}\n`))
    return hash.digest('hex')
  },
  join: async ({ group, topic }) => {
    member = await connected(
      kafka.consumer({ groupId: group, sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 500 }),
    )
    await member.subscribe({ topic, fromBeginning: true })
    await member.run({
      autoCommitThreshold: 1,
      eachMessage: async ({ partition, message }) => tell({ record: recordOf(partition, message) }),
    })
  },
  leave: () => member.disconnect(),
  lag: async ({ group, topic }) => {
    const ends = await admin.fetchTopicOffsets(topic)
    const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    return ends.reduce((lag, { partition, high, low }) => {
      const { offset } = committed.partitions.find((entry) => entry.partition === partition)
      return lag + Number(high) - (Number(offset) < 0 ? Number(low) : Number(offset))
    }, 0)
  },
  deleteRecords: async ({ topic, partition, offset }) => {
    // It finds the leaders of those topics alone which it has looked at before.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
  },
  // Facts about groups, which the scenarios wait for.
  describeGroup: async ({ group }) => {
    const { groups } = await admin.describeGroups([group])
    return {
      state: groups[0].state,
      members: groups[0].members.length,
      assigned: groups[0].members.filter(({ memberAssignment }) => memberAssignment.length > 0).length,
    }
  },
  // An admin asks for each topic again that it ever looked at, and fails when one is gone: hence one of its own.
  endOffset: async ({ topic }) => {
    const own = await connected(kafka.admin())
    try {
      const ends = await own.fetchTopicOffsets(topic)
      return ends.reduce((sum, { high }) => sum + Number(high), 0)
    } finally {
      await own.disconnect()
    }
  },
})
