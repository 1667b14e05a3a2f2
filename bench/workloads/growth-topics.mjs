import { Broker, bytes, Topic } from '../../dist/index.js'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'
import { processor } from '../harness/processor.mjs'

/** By the number of topics: how many brokers have so many, since a single topic takes next to no time. */
const BROKERS = { 1: 200, 100: 20, 10000: 1 }
/** Three messages and more for each topic: what the first ones left to the garbage collector is collected during the first of these. */
const TURNS = 36
/** So many that each topic has had a message. */
const LEAD_TURNS = 10
const PER_TURN = 1000
/** So many topics have a group at most. */
const GROUPS = 100

const counts = Object.keys(BROKERS).map(Number)

const row = { id: '26', peer: undefined }

export const workload = {
  name: 'growth-topics',
  title: 'What more topics cost, in memory',
  settings: [
    'each topic has 1 partition and `bytes()`; all are new for each repetition',
    'create: `broker.topic`, awaited one after the other; 200 brokers with 1 topic, 20 with 100, 1 with 10,000',
    'start a group: for each topic, of 10,000 for 100, a group of its own with one member, `run` awaited one after the other',
    'memory: heap and off the heap, after full GCs, of the same topics and groups',
    'round-robin: 36,000 sends of 100 B, each to the next topic, 1,000 a turn, all awaited, each turn timed by itself, after 10,000 that are timed apart, of which 10,000 topics get their first; without a consumer; read back and compared, not timed',
  ],
  rows: [
    {
      ...row,
      label: '10,000 topics, sends to one after the other',
      ours: '10000 topics send',
      peer: '1 topics send',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.08,
      goal: 0.39,
    },
    {
      ...row,
      label: '10,000 topics, create one',
      ours: '10000 topics create',
      peer: '100 topics create',
      better: 'lower',
      unit: 'us',
    },
    {
      ...row,
      label: '10,000 topics, start a group',
      ours: '10000 topics start',
      peer: '100 topics start',
      better: 'lower',
      unit: 'us',
    },
    {
      ...row,
      label: '10,000 topics, memory of one',
      ours: '10000 topics topic',
      peer: '100 topics topic',
      better: 'lower',
      unit: 'B',
    },
  ],
  tables: [
    {
      title: 'Topics, in memory',
      corner: 'topics',
      columns: [
        'create, us each',
        'start a group, us each',
        'memory of one, B',
        'and of its group, B',
        'first 10,000 sends, us each',
        'sends, msg/s',
      ],
      lines: counts.map((count) => ({
        label: `${count}`,
        contenders: ['create', 'start', 'topic', 'group', 'first', 'send'].map((what) => `${count} topics ${what}`),
      })),
    },
  ],
  repetitions: 5,
  warmups: 1,
  async open({ gc }) {
    const contenders = {}
    for (const count of counts) {
      const topics = Array.from({ length: count }, (_, index) => new Topic(`topic-${index}`, { value: bytes() }))
      let before = []
      contenders[`${count} topics`] = async () => {
        const brokers = await Promise.all(Array.from({ length: BROKERS[count] }, () => Broker.open()))
        for (const broker of before) await broker.close()
        before = brokers
        const values = await createAndConsume(brokers, topics, gc)
        return { values: { ...values, ...(await sendInTurn(brokers[0], topics)) } }
      }
    }
    return { contenders, async close() {} }
  },
}

const payloads = makePayloads(PER_TURN, 100)

/** Microseconds and bytes for each topic, and for each group that consumes one. The groups leave again. */
async function createAndConsume(brokers, topics, gc) {
  const consumed = topics.slice(0, GROUPS)
  const topicCount = brokers.length * topics.length
  const groupCount = brokers.length * consumed.length
  const members = []
  const memoryAtFirst = usedMemory(gc)
  const createsAt = performance.now()
  for (const broker of brokers) for (const topic of topics) await broker.topic(topic)
  const create = ((performance.now() - createsAt) * 1000) / topicCount
  const memoryWithTopics = usedMemory(gc)
  const startsAt = performance.now()
  for (const broker of brokers) {
    for (const topic of consumed) {
      const member = broker.consumerGroup(topic.name, { topics: [topic] })
      members.push(member)
      await member.run(() => {})
    }
  }
  const start = ((performance.now() - startsAt) * 1000) / groupCount
  const memoryWithGroups = usedMemory(gc)
  for (const member of members) await member.close()
  const topic = (memoryWithTopics - memoryAtFirst) / topicCount
  return { create, start, topic, group: (memoryWithGroups - memoryWithTopics) / groupCount }
}

function usedMemory(gc) {
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Microseconds of the first messages of topics, messages a second of what follows. */
async function sendInTurn(broker, topics) {
  const producer = broker.producer()
  let sent = 0
  const sendOneTurn = () => {
    const from = sent
    sent += PER_TURN
    return Promise.all(payloads.map((value, index) => producer.send(topics[(from + index) % topics.length], { value })))
  }
  const startedAt = performance.now()
  for (let turn = 0; turn < LEAD_TURNS; turn++) await sendOneTurn()
  const first = ((performance.now() - startedAt) * 1000) / sent
  const seconds = await processor.timeStretches(TURNS, sendOneTurn)
  const arrivals = new Arrivals({ anyOrder: true })
  const arrived = arrivals.expect(sent)
  const check = broker.consumerGroup('check', { topics })
  await check.run((message) => arrivals.add(message.value))
  await arrived
  arrivals.check(payloads)
  await check.close()
  return { first, send: (TURNS * PER_TURN) / seconds }
}
