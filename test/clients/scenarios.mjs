// What every client is put through. A scenario that needs what the client has not (`needs`) is left out for it.
//
// `helper` is the kafkajs agent: it makes topics, sends what is to be read, and tells facts about groups, so that a scenario
// shows one ability of the client under test at a time.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { until } from './processes.mjs'

const MANY = 100_000
const LARGE = 900_000

export const scenarios = [
  {
    name: 'create a topic',
    needs: ['createTopic'],
    run: async ({ client, topic, helper }) => {
      await client.createTopic({ topic, partitions: 3, config: { 'cleanup.policy': 'compact' } })
      const { partitions, config } = await until('the topic is there', () => helper.describeTopic({ topic }))
      assert.equal(partitions, 3)
      assert.equal(config['cleanup.policy'], 'compact')
    },
  },
  {
    name: 'list topics',
    needs: ['listTopics'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 1 })
      assert((await client.listTopics()).includes(topic))
    },
  },
  {
    name: 'describe a topic',
    needs: ['describeTopic'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 3, config: { 'retention.ms': '123456789' } })
      const { partitions, config } = await client.describeTopic({ topic })
      assert.equal(partitions, 3)
      if (config !== undefined) assert.equal(config['retention.ms'], '123456789')
    },
  },
  {
    name: 'alter a topic: partitions and a config',
    needs: ['alterTopic', 'describeTopic'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 1 })
      await client.alterTopic({ topic, partitions: 4 })
      await client.alterTopic({ topic, config: { 'retention.ms': '7654321' } })
      await until('the partitions are there', async () => (await client.describeTopic({ topic })).partitions === 4)
      await until('the config is altered', async () => {
        const { config } = await helper.describeTopic({ topic })
        return config['retention.ms'] === '7654321'
      })
    },
  },
  {
    name: 'delete a topic',
    needs: ['deleteTopic'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 2 })
      await client.deleteTopic({ topic })
      await until('the topic is gone', async () => !(await helper.listTopics()).includes(topic))
    },
  },
  {
    name: 'produce with each codec, keyed and not, with headers',
    needs: ['produce', 'consume'],
    run: async ({ client, topic, helper }) => {
      // The helper reads the first two codecs, which is enough to see that what one client writes another reads.
      for (const codecs of [client.codecs.slice(0, 2), client.codecs.slice(2)]) {
        const codecTopic = `${topic}-${codecs[0]}`
        await helper.createTopic({ topic: codecTopic, partitions: 1 })
        const sent = []
        for (const codec of codecs) {
          const records = recordsFor(codec, client)
          await client.produce({ topic: codecTopic, codec, records })
          sent.push(...records)
        }
        const all = { topic: codecTopic, partition: 0, from: 'beginning', count: sent.length }
        if (sent.length > 0) sameRecords(await client.consume(all), sent)
        if (codecs[0] === 'none') sameRecords(await helper.consume(all), sent)
      }
    },
  },
  {
    name: 'consume from the beginning',
    needs: ['consume'],
    run: async ({ client, topic, helper }) => {
      const records = await filled(helper, topic, 50)
      sameRecords(await client.consume({ topic, partition: 0, from: 'beginning', count: 50 }), records)
    },
  },
  {
    name: 'consume from the end',
    needs: ['consume'],
    run: async ({ client, topic, helper }) => {
      await filled(helper, topic, 50)
      let isDone = false
      const consumed = client.consume({ topic, partition: 0, from: 'end', count: 1 }).finally(() => {
        isDone = true
      })
      // It cannot be known from outside when the client has asked for the end: new messages come until it has one.
      const sending = until('the client saw a new message', async () => {
        if (!isDone) await helper.produce({ topic, records: [{ value: 'new', partition: 0 }] })
        return isDone
      })
      const [[record]] = await Promise.all([consumed, sending])
      assert.equal(record.value, 'new')
    },
  },
  {
    name: 'consume from an offset',
    needs: ['consume'],
    run: async ({ client, topic, helper }) => {
      const records = await filled(helper, topic, 50)
      sameRecords(await client.consume({ topic, partition: 0, from: 37, count: 13 }), records.slice(37))
    },
  },
  {
    name: 'consume from a time',
    needs: ['consume', 'consumeFromTime'],
    run: async ({ client, topic, helper }) => {
      const records = await filled(helper, topic, 50)
      const from = { timestamp: records[21].timestamp - 500 }
      sameRecords(await client.consume({ topic, partition: 0, from, count: 29 }), records.slice(21))
    },
  },
  {
    name: 'a balanced group of two loses a member',
    needs: ['join'],
    run: async ({ client, topic, helper, group }) => {
      await helper.createTopic({ topic, partitions: 4 })
      const stays = await client.join({ group, topic })
      const goes = await client.join({ group, topic })
      await settled(helper, group, 2)
      // The clients may balance once more: what each holds is seen by what reaches it.
      await until('both members get messages', async () => {
        await spread(helper, topic, 'two')
        return stays.records.length > 0 && goes.records.length > 0
      })
      const sent = await helper.endOffset({ topic })
      await until(
        () => `all ${sent} messages reach a member: ${distinct(stays.records, goes.records)}`,
        () => distinct(stays.records, goes.records) === sent,
      )
      await goes.kill()
      await until('the group noticed', async () => (await helper.describeGroup({ group })).members === 1)
      await spread(helper, topic, 'one')
      await until('the other has them all', () => stays.records.filter(({ value }) => value === 'one').length >= 8)
      assert.equal(new Set(stays.records.filter(({ value }) => value === 'one').map(placeOf)).size, 8)
      await stays.leave()
    },
  },
  {
    name: 'follow a leader in the process of the broker',
    needs: ['produce', 'join', 'inProcess'],
    run: (context) => sharedGroup(context, { clientLeads: false }),
  },
  {
    name: 'lead a follower in the process of the broker',
    needs: ['produce', 'join', 'inProcess'],
    run: (context) => sharedGroup(context, { clientLeads: true }),
  },
  {
    name: 'commit, restart, resume',
    needs: ['join'],
    run: async ({ client, topic, helper, group }) => {
      await filled(helper, topic, 20)
      const before = await client.join({ group, topic })
      await until(
        () => `20 messages: ${before.records.length}`,
        () => before.records.length >= 20,
      )
      await before.leave()
      const records = numberedRecords(20, 20)
      await helper.produce({ topic, records })
      const after = await client.join({ group, topic })
      await until(
        () => `20 messages: ${after.records.length}`,
        () => after.records.length >= 20,
      )
      sameRecords(after.records, records)
      await after.leave()
      assert.equal(await helper.lag({ group, topic }), 0)
    },
  },
  {
    name: 'consumer lag',
    needs: ['lag'],
    run: async ({ client, topic, helper, helperMember, group }) => {
      await filled(helper, topic, 20)
      const member = await helperMember({ group, topic })
      await until('the 20 are committed', async () => (await helper.lag({ group, topic })) === 0)
      await member.leave()
      await helper.produce({ topic, records: numberedRecords(20, 7) })
      assert.equal(await client.lag({ group, topic }), 7)
    },
  },
  {
    name: 'forget committed offsets',
    needs: ['deleteOffsets'],
    run: async ({ client, topic, helper, helperMember, group }) => {
      await filled(helper, topic, 20)
      const member = await helperMember({ group, topic })
      await until('the 20 are committed', async () => (await helper.lag({ group, topic })) === 0)
      await member.leave()
      await client.deleteOffsets({ group, topic })
      await until('all 20 are to be read again', async () => (await helper.lag({ group, topic })) === 20)
    },
  },
  {
    name: 'delete records',
    needs: ['deleteRecords', 'consume'],
    run: async ({ client, topic, helper }) => {
      const records = await filled(helper, topic, 20)
      await client.deleteRecords({ topic, partition: 0, offset: 8 })
      sameRecords(await client.consume({ topic, partition: 0, from: 'beginning', count: 12 }), records.slice(8))
    },
  },
  {
    name: 'large messages, and one too large',
    needs: ['produce', 'consume'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 1 })
      const records = ['a', 'b', 'c'].map((letter) => ({ value: letter.repeat(LARGE) }))
      for (const record of records) await client.produce({ topic, records: [record] })
      const seen = await client.consume({ topic, partition: 0, from: 'beginning', count: 3 })
      assert.deepEqual(
        seen.map(({ value }) => digest(value)),
        records.map(({ value }) => digest(value)),
      )
      const narrow = `${topic}-narrow`
      await helper.createTopic({ topic: narrow, partitions: 1, config: { 'max.message.bytes': '100000' } })
      await assert.rejects(client.produce({ topic: narrow, records: records.slice(0, 1) }))
      assert.equal(await helper.endOffset({ topic: narrow }), 0)
    },
  },
  {
    name: `100,000 messages, compared by checksum`,
    needs: ['produceMany', 'checksum'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 1 })
      await client.produceMany({ topic, count: MANY })
      assert.equal(await helper.endOffset({ topic }), MANY)
      const expected = createHash('sha256')
      for (let index = 0; index < MANY; index += 1) expected.update(`${index}:${'x'.repeat(index % 100)}\n`)
      assert.equal(await client.checksum({ topic, count: MANY }), expected.digest('hex'))
    },
  },
  {
    name: 'a restart of the broker in the middle',
    needs: ['produce', 'join', 'restart'],
    run: async ({ client, broker, topic, helper, group }) => {
      await helper.createTopic({ topic, partitions: 1 })
      const member = await client.join({ group, topic })
      await client.produce({ topic, records: numberedRecords(0, 10) })
      await until('10 messages', () => new Set(member.records.map(placeOf)).size === 10)
      await broker.restart()
      await client.produce({ topic, records: numberedRecords(10, 10) })
      await until(
        () => `20 messages: ${member.records.map(({ value }) => value)}`,
        () => new Set(member.records.map(placeOf)).size === 20,
      )
      // At least once: what was not committed before the restart may come again, in order.
      const offsets = [...new Set(member.records.map(({ value }) => value))]
      assert.deepEqual(
        offsets,
        numberedRecords(0, 20).map(({ value }) => value),
      )
      await member.leave()
    },
  },
  {
    name: 'the performance tools',
    needs: ['performance'],
    run: async ({ client, topic, helper }) => {
      await helper.createTopic({ topic, partitions: 1 })
      await client.performance({ topic, count: 50_000 })
      assert.equal(await helper.endOffset({ topic }), 50_000)
    },
  },
  {
    name: 'the walk of an introduction to Kafka',
    needs: ['walk'],
    run: ({ client, startBroker }) => client.walk({ startBroker }),
  },
]

const digest = (text) => createHash('sha256').update(text).digest('hex')

const placeOf = ({ partition, offset, value }) => (offset === undefined ? value : `${partition}:${offset}`)

const distinct = (...lists) => new Set(lists.flat().map(placeOf)).size

/** Records one second apart. */
function numberedRecords(from, count, timestamp = 1_700_000_000_000) {
  return Array.from({ length: count }, (_, index) => ({
    key: `key ${from + index}`,
    value: `value ${from + index}`,
    headers: {},
    timestamp: timestamp + (from + index) * 1000,
    partition: 0,
  }))
}

async function filled(helper, topic, count) {
  const records = numberedRecords(0, count, Date.now() - 3_600_000)
  await helper.createTopic({ topic, partitions: 1 })
  await helper.produce({ topic, records })
  return records
}

/**
 * One member of the client under test and one of the broker's own process share four partitions, and what each side sends
 * reaches both. Whoever joins first leads, and goes on leading when it joins again.
 */
async function sharedGroup({ makeDriver, startInProcess, topic, group }, { clientLeads }) {
  const broker = await startInProcess()
  const client = makeDriver(broker)
  try {
    await broker.createTopic({ topic, partitions: 4 })
    const first = clientLeads ? await client.join({ group, topic }) : await broker.join({ group, topic })
    await held(broker, group, [4])
    // A member of the process waits for its partitions, which the client has to give up or to assign first.
    const [outside, inside] = clientLeads
      ? [first, await broker.join({ group, topic })]
      : [await client.join({ group, topic }), first]
    await held(broker, group, [2, 2])

    const fromOutside = recordsOf('outside', client.setsTimestamps === true)
    await client.produce({ topic, records: fromOutside })
    const fromInside = recordsOf('inside', true)
    await broker.produce({ topic, records: fromInside })
    const sent = [...fromOutside, ...fromInside]
    const seen = () => [...outside.records, ...inside.records]
    await until(
      () => `${sent.length} messages reach a member: ${seen().length}`,
      () => new Set(seen().map(nameOf)).size === sent.length,
    )
    for (const member of [outside, inside]) assert(member.records.length > 0, 'both get messages')
    const byName = new Map(seen().map((record) => [nameOf(record), record]))
    const inOrder = sent.map((record) => byName.get(nameOf(record)))
    sameRecords(inOrder, sent)

    await outside.leave()
    await held(broker, group, [4])
    await broker.produce({ topic, records: recordsOf('last', true) })
    await until('the one that stays gets all', () => inside.records.filter(isOf('last')).length === 12)
    await inside.leave()
  } finally {
    await client.close()
    await broker.close()
  }
}

/** To each of four partitions one with all that a message can have, one without a key, and a tombstone. */
function recordsOf(origin, hasTimestamp) {
  return [0, 1, 2, 3].flatMap((partition) => {
    const common = { partition, ...(hasTimestamp && { timestamp: 1_700_000_000_000 + partition }) }
    return [
      {
        ...common,
        key: `${origin} key ${partition}`,
        value: `${origin} ä€😀 ${partition}`,
        headers: { trace: 'abc', n: '1' },
      },
      { ...common, key: null, value: `${origin} without a key ${partition}`, headers: {} },
      { ...common, key: `${origin} tombstone ${partition}`, value: null, headers: { trace: 'none' } },
    ]
  })
}

const nameOf = ({ key, value }) => `${key} ${value}`

const isOf = (origin) => (record) => nameOf(record).includes(`${origin} `)

function held(broker, group, counts) {
  let seen
  return until(
    () => `members hold ${counts} partitions: ${seen}`,
    async () => {
      seen = await broker.held({ group })
      return String(seen) === String(counts)
    },
  )
}

/** Two messages to each of four partitions. */
function spread(helper, topic, value) {
  const records = [0, 1, 2, 3].flatMap((partition) => [
    { value, partition },
    { value, partition },
  ])
  return helper.produce({ topic, records })
}

function recordsFor(codec, { emptyValues }) {
  const text = `${codec} ${'compressible '.repeat(40)}`
  return [
    { key: 'key', value: `${text}ä€😀`, headers: {} },
    { key: null, value: `${text}no key`, headers: {} },
    { key: 'with headers', value: text, headers: { trace: 'abc', 'content-type': 'text/plain' } },
    { key: 'tombstone', value: null, headers: {} },
    ...(emptyValues ? [{ key: 'empty', value: '', headers: {} }] : []),
  ]
}

/** Compares what the client tells of each record with what was sent. Not each can tell all. */
function sameRecords(seen, sent) {
  assert.equal(seen.length, sent.length)
  for (const [index, expected] of sent.entries()) {
    const record = seen[index]
    assert.equal(record.value, expected.value)
    if (record.key !== undefined) assert.equal(record.key, expected.key)
    if (record.headers !== undefined) assert.deepEqual(record.headers, expected.headers)
    if (record.timestamp !== undefined && expected.timestamp !== undefined) {
      assert.equal(record.timestamp, expected.timestamp)
    }
  }
}

function settled(helper, group, members) {
  let seen
  return until(
    () => `${members} members are assigned: ${JSON.stringify(seen)}`,
    async () => {
      seen = await helper.describeGroup({ group })
      return seen.state === 'Stable' && seen.assigned === members
    },
  )
}
