import { entryOf } from './engine-suite-configs.js'
import { batchOf, type EngineTest, type EngineUnderTest, only } from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { checkKafkaError, checkKafkaRefusal, checkNoError } from './kafka-error.js'
import { checkPending, promptly } from './patience.js'

const metadataTests: Record<string, EngineTest> = {
  'metadata names every topic for null': async (subject) => {
    const names = [await subject.topic(1), await subject.topic(3)]
    const { topics, clusterId } = await subject.engine.metadata({ topics: null })
    check(clusterId !== '', 'The cluster id is empty.')
    const counts = names.map((name) => topics.find((topic) => topic.name === name)?.partitionCount)
    checkEqual(counts.join(', '), '1, 3', 'The list of partition counts')
    check(
      topics.every(({ error }) => error === null),
      'Metadata of all topics has an error.',
    )
  },

  'metadata answers for the topics that were asked for and for no others': async (subject) => {
    const [first, , third] = [await subject.topic(2), await subject.topic(), await subject.topic()]
    const { topics } = await subject.engine.metadata({ topics: [third, first] })
    const names = topics.map(({ name }) => name)
    checkEqual(names.sort().join(', '), [first, third].sort().join(', '), 'The list of topics')
    checkEqual((await subject.engine.metadata({ topics: [] })).topics.length, 0, 'The number of topics for no names')
    const twice = await subject.engine.metadata({ topics: [first, first] })
    checkEqual(twice.topics.length, 1, 'The number of topics for a name given twice')
  },

  'an unknown topic is answered with an error of its own, and is not created': async (subject) => {
    const [known, unknown] = [await subject.topic(), subject.newName()]
    for (const attempt of ['first', 'second']) {
      const { topics } = await subject.engine.metadata({ topics: [unknown, known] })
      const answer = topics.find(({ name }) => name === unknown)
      checkKafkaError(answer?.error, 'UNKNOWN_TOPIC_OR_PARTITION', `The ${attempt} request for an unknown topic`)
      checkEqual(answer?.topicId, '', 'The id of an unknown topic')
      checkNoError(topics.find(({ name }) => name === known)?.error ?? null, 'Metadata of a known topic')
    }
  },

  'metadata of a name that no topic can have is an error': async ({ engine }) => {
    const topic = only((await engine.metadata({ topics: ['two words'] })).topics)
    checkKafkaError(topic.error, 'INVALID_TOPIC_EXCEPTION', 'Metadata of an invalid name')
  },

  'metadata that waits for something newer is answered when a topic changes': async (subject) => {
    const { version } = await subject.engine.metadata({ topics: [] })
    const newer = subject.engine.metadata({ topics: [], newerThan: version })
    await checkPending(newer, 'Metadata newer than the newest')
    const changed = await subject.topic()
    const answer = await promptly(newer, 'Metadata that waited')
    check(answer.version > version, `Version ${answer.version} is not above ${version}, which it should be newer than.`)
    check(
      answer.changed?.includes(changed) !== false,
      `The answer says that ${answer.changed} changed, not ${changed}.`,
    )
    const known = await subject.engine.metadata({ topics: [], newerThan: version })
    check(known.version > version, 'Metadata that is newer already is answered with an older version.')
  },

  'an abort ends the wait for newer metadata': async ({ engine }) => {
    const { version } = await engine.metadata({ topics: [] })
    const abort = new AbortController()
    const newer = engine.metadata({ topics: [], newerThan: version }, { signal: abort.signal })
    const settled = newer.then(
      () => undefined,
      () => undefined,
    )
    abort.abort()
    await promptly(settled, 'Metadata whose wait was aborted')
  },
}

const createTests: Record<string, EngineTest> = {
  'a created topic has an id, its partitions, and nothing in them': async (subject) => {
    const name = subject.newName()
    const created = await subject.create(name, 3)
    checkNoError(created.error, 'Creating a topic')
    checkEqual(created.partitionCount, 3, 'The partition count of the answer')
    check(/^[\w-]{22}$/.test(created.topicId), `The topic id is '${created.topicId}', not 22 characters of base64url.`)
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    checkEqual(topic.topicId, created.topicId, 'The topic id in the metadata')
    checkEqual(topic.partitionCount, 3, 'The partition count in the metadata')
    checkEqual(topic.internal, false, 'Whether a topic of a user is internal')
    for (let partition = 0; partition < 3; partition++) await subject.checkLog(name, [], partition)
  },

  'a topic that is created with -1 partitions gets the number of the broker': async (subject) => {
    const broker = only(await subject.engine.describeConfigs([{ type: 'broker', name: '' }]))
    const created = await subject.create(subject.newName(), -1)
    checkNoError(created.error, 'Creating a topic')
    checkEqual(String(created.partitionCount), entryOf(broker.entries, 'num.partitions').value, 'The partition count')
  },

  'a creation that only validates creates nothing': async (subject) => {
    const [name, taken] = [subject.newName(), await subject.topic()]
    const validate = (topic: string, partitionCount: number): ReturnType<typeof subject.engine.createTopics> =>
      subject.engine.createTopics({ topics: [{ name: topic, partitionCount }], validateOnly: true })
    checkNoError(only(await validate(name, 1)).error, 'Validating a topic')
    checkKafkaError(only(await validate(name, 0)).error, 'INVALID_PARTITIONS', 'Validating a topic of 0 partitions')
    checkKafkaError(only(await validate(taken, 1)).error, 'TOPIC_ALREADY_EXISTS', 'Validating a name that is taken')
    await checkUnknown(subject, name)
  },

  'a topic that exists is refused and left as it was': async (subject) => {
    const name = await subject.topic(2, { 'max.message.bytes': '2000' })
    const id = await subject.topicId(name)
    const batch = await subject.produce(name)
    checkKafkaError((await subject.create(name, 5)).error, 'TOPIC_ALREADY_EXISTS', 'Creating a topic again')
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    checkEqual(topic.topicId, id, 'The topic id after a refused creation')
    checkEqual(topic.partitionCount, 2, 'The partition count after a refused creation')
    await subject.checkLog(name, [batch])
  },

  'one name twice in a request is refused, and nothing is created': async (subject) => {
    const [name, other] = [subject.newName(), subject.newName()]
    const outcomes = await subject.engine.createTopics({
      topics: [name, other, name].map((each) => ({ name: each, partitionCount: 1 })),
    })
    for (const outcome of outcomes) {
      if (outcome.name === name) checkKafkaError(outcome.error, 'INVALID_REQUEST', 'A name given twice')
      else checkNoError(outcome.error, 'The other name of the request')
    }
    await checkUnknown(subject, name)
  },

  'of two creations of one name at the same time one succeeds': async (subject) => {
    const name = subject.newName()
    const outcomes = await Promise.all([subject.create(name, 1), subject.create(name, 2)])
    const [created, refused] = outcomes[0]?.error === null ? outcomes : outcomes.reverse()
    checkNoError(created?.error ?? null, 'The creation that came first')
    checkKafkaError(refused?.error, 'TOPIC_ALREADY_EXISTS', 'The creation that came second')
    checkEqual(await subject.topicId(name), created?.topicId, 'The topic id')
  },

  'partition counts below 1 are refused': async (subject) => {
    for (const partitionCount of [0, -2]) {
      const name = subject.newName()
      const outcome = await subject.create(name, partitionCount)
      checkKafkaError(outcome.error, 'INVALID_PARTITIONS', `Creating ${partitionCount} partitions`)
      await checkUnknown(subject, name)
    }
  },

  'a config that is unknown, out of range or null is refused, and the topic not created': async (subject) => {
    const refused: Record<string, string | null>[] = [
      { 'no.such.config': '1' },
      { 'max.message.bytes': 'many' },
      { 'max.message.bytes': '-1' },
      { 'cleanup.policy': 'forget' },
      { 'retention.ms': null },
    ]
    for (const configs of refused) {
      const name = subject.newName()
      const outcome = await subject.create(name, 1, configs)
      checkKafkaError(outcome.error, 'INVALID_CONFIG', `Creating a topic with ${JSON.stringify(configs)}`)
      await checkUnknown(subject, name)
    }
  },

  'names that Kafka refuses are refused': async (subject) => {
    for (const name of ['', '.', '..', 'a b', 'a/b', 'a,b', 'a\\b', 'a:b', 'ünder', 'a\n', 'a'.repeat(250)]) {
      const outcome = await subject.create(name)
      checkKafkaError(outcome.error, 'INVALID_TOPIC_EXCEPTION', `Creating the topic ${JSON.stringify(name)}`)
    }
  },

  'a name of 249 characters of every kind that is allowed is taken': async (subject) => {
    const name = `${subject.newName()}-AZaz09._`.padEnd(249, 'x')
    checkNoError((await subject.create(name)).error, 'Creating a topic with the longest name')
    await subject.checkLog(name, [await subject.produce(name)])
  },

  "a name that differs from another only in '.' and '_' is refused": async (subject) => {
    const name = subject.newName()
    checkNoError((await subject.create(`${name}.a_b`)).error, 'Creating a topic')
    for (const colliding of [`${name}.a.b`, `${name}_a_b`, `${name}_a.b`]) {
      const outcome = await subject.create(colliding)
      checkKafkaError(outcome.error, 'INVALID_TOPIC_EXCEPTION', `Creating ${colliding} beside ${name}.a_b`)
    }
    checkNoError((await subject.create(`${name}.a-b`)).error, "Creating a topic that differs in a '-'")
  },

  'a topic that is refused does not keep the others from being created': async (subject) => {
    const [first, last] = [subject.newName(), subject.newName()]
    const outcomes = await subject.engine.createTopics({
      topics: [first, 'two words', last].map((name) => ({ name, partitionCount: 1 })),
    })
    checkEqual(outcomes.map(({ name }) => name).join(', '), `${first}, two words, ${last}`, 'The list of answers')
    checkKafkaError(outcomes[1]?.error, 'INVALID_TOPIC_EXCEPTION', 'Creating a topic with an invalid name')
    for (const name of [first, last]) await subject.checkLog(name, [])
  },
}

const partitionTests: Record<string, EngineTest> = {
  'partitions can be added, and what is there stays': async (subject) => {
    const name = await subject.topic(1)
    const batch = await subject.produce(name)
    const outcome = only(await subject.engine.createPartitions([{ name, totalCount: 4 }]))
    checkNoError(outcome.error, 'Adding partitions')
    checkEqual(outcome.partitionCount, 4, 'The partition count of the answer')
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    checkEqual(topic.partitionCount, 4, 'The partition count in the metadata')
    await subject.checkLog(name, [batch])
    await subject.checkLog(name, [await subject.produce(name, batchOf([{}, {}]), 3)], 3)
  },

  'a partition count that does not rise is refused': async (subject) => {
    const name = await subject.topic(2)
    for (const totalCount of [2, 1, 0, -1]) {
      const outcome = only(await subject.engine.createPartitions([{ name, totalCount }]))
      checkKafkaError(outcome.error, 'INVALID_PARTITIONS', `Going from 2 partitions to ${totalCount}`)
    }
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    checkEqual(topic.partitionCount, 2, 'The partition count after refusals')
  },

  'one name twice in a request for partitions is refused': async (subject) => {
    const name = await subject.topic(1)
    const request = [2, 3].map((totalCount) => ({ name, totalCount }))
    for (const { error } of await subject.engine.createPartitions(request)) {
      checkKafkaError(error, 'INVALID_REQUEST', 'A name given twice')
    }
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    checkEqual(topic.partitionCount, 1, 'The partition count after a refusal')
  },

  'partitions of an unknown topic cannot be added': async (subject) => {
    const outcome = only(await subject.engine.createPartitions([{ name: subject.newName(), totalCount: 2 }]))
    checkKafkaError(outcome.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Adding partitions to an unknown topic')
  },
}

const deleteTests: Record<string, EngineTest> = {
  'a deleted topic is gone': async (subject) => {
    const [name, other] = [await subject.topic(), await subject.topic()]
    const kept = await subject.produce(other)
    await subject.produce(name)
    checkNoError(only(await subject.engine.deleteTopics([name])).error, 'Deleting a topic')
    await checkUnknown(subject, name)
    const { topics } = await subject.engine.metadata({ topics: null })
    check(!topics.some((topic) => topic.name === name), 'The metadata of all topics still names the deleted one.')
    await checkKafkaRefusal('UNKNOWN_TOPIC_OR_PARTITION', () => subject.produce(name), 'Producing to a deleted topic')
    const fetched = await subject.fetch(name, 0)
    checkKafkaError(fetched.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Fetching from a deleted topic')
    await subject.checkLog(other, [kept])
  },

  'a topic that is created again is another topic, and empty': async (subject) => {
    const name = await subject.topic(2, { 'max.message.bytes': '2000' })
    const id = await subject.topicId(name)
    await subject.produceMany(name, 3)
    await subject.deleteRecords(name, 2)
    await subject.engine.deleteTopics([name])
    checkNoError((await subject.create(name, 1)).error, 'Creating a topic again')
    const topic = only((await subject.engine.metadata({ topics: [name] })).topics)
    check(topic.topicId !== id, 'A topic that was deleted and created again has the same id.')
    checkEqual(topic.partitionCount, 1, 'The partition count of the new topic')
    await subject.checkLog(name, [])
    checkEqual(await subject.offset(name, 'earliest'), 0, 'The log start offset of the new topic')
    await subject.checkLog(name, [await subject.produce(name, batchOf([{ value: new Uint8Array(3000) }]))])
  },

  'one name twice in a request is refused, and the topic not deleted': async (subject) => {
    const [name, other] = [await subject.topic(), await subject.topic()]
    for (const outcome of await subject.engine.deleteTopics([name, other, name])) {
      if (outcome.name === name) checkKafkaError(outcome.error, 'INVALID_REQUEST', 'A name given twice')
      else checkNoError(outcome.error, 'Deleting the other topic of the request')
    }
    await subject.checkLog(name, [])
    await checkUnknown(subject, other)
  },

  'a topic that is created again knows no producer of the one before': async (subject) => {
    const name = await subject.topic()
    const producer = await subject.engine.initProducerId()
    const batch = (baseSequence: number): ReturnType<typeof batchOf> => batchOf([{}], { ...producer, baseSequence })
    await subject.produce(name, batch(0))
    await subject.engine.deleteTopics([name])
    checkNoError((await subject.create(name)).error, 'Creating a topic again')
    await subject.checkLog(name, [await subject.produce(name, batch(0))])
  },

  'unknown topics cannot be deleted, the others of the request can': async (subject) => {
    const [name, unknown] = [await subject.topic(), subject.newName()]
    const outcomes = await subject.engine.deleteTopics([unknown, name])
    checkEqual(outcomes.map((outcome) => outcome.name).join(', '), `${unknown}, ${name}`, 'The list of answers')
    checkKafkaError(outcomes[0]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Deleting an unknown topic')
    checkNoError(outcomes[1]?.error ?? null, 'Deleting a topic')
    await checkUnknown(subject, name)
  },
}

export const topicTests: Readonly<Record<string, EngineTest>> = {
  ...metadataTests,
  ...createTests,
  ...partitionTests,
  ...deleteTests,
}

async function checkUnknown(subject: EngineUnderTest, name: string): Promise<void> {
  const { error } = only((await subject.engine.metadata({ topics: [name] })).topics)
  checkKafkaError(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Metadata of a topic that should not exist')
}
