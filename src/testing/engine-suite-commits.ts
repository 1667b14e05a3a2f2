import { type EngineTest, only } from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { GroupUnderTest, leaderFirst, NOBODY, subscriptionTo } from './group-under-test.js'
import { checkKafkaError, checkKafkaRefusal, checkNoError } from './kafka-error.js'
import { eventually, promptly } from './patience.js'

export const commitTests: Readonly<Record<string, EngineTest>> = {
  'a group that never committed has no offsets': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    for (const name of [topic, subject.newName()]) {
      const { offset, leaderEpoch, metadata } = await group.committed(name)
      checkEqual(`${offset} ${leaderEpoch} ${metadata}`, '-1 -1 ', 'The offset, epoch and metadata')
    }
    const all = await subject.engine.fetchOffsets({ groupId: group.groupId, partitions: null })
    checkEqual(all.length, 0, 'The number of committed offsets')
    checkKafkaError((await group.describe()).error, 'GROUP_ID_NOT_FOUND', 'Describing a group that was only asked for')
  },

  'a group without members commits as it likes': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic(3)
    await group.commit(NOBODY, topic, 7)
    await group.commit(NOBODY, topic, 3, 2)
    await group.commit(NOBODY, topic, 5)
    checkEqual((await group.committed(topic)).offset, 5, 'The offset that was committed last')
    checkEqual((await group.committed(topic, 1)).offset, -1, 'The offset that was never committed')
    const all = await subject.engine.fetchOffsets({ groupId: group.groupId, partitions: null })
    const listed = all.map(({ partition, offset }) => `${partition}: ${offset}`)
    checkEqual(listed.sort().join(', '), '0: 5, 2: 3', 'The list of all that is committed')
    checkEqual((await group.describe()).state, 'Empty', 'The state of the group')
  },

  'metadata and leader epoch are kept with an offset': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const [outcome] = await group.commitAll(NOBODY, [{ topic, offset: 1, metadata: 'a note', leaderEpoch: 4 }])
    checkNoError(outcome?.error ?? null, 'Committing an offset')
    const { metadata, leaderEpoch } = await group.committed(topic)
    checkEqual(metadata, 'a note', 'The metadata')
    checkEqual(leaderEpoch, 4, 'The leader epoch')
  },

  'an offset below 0 is taken as it is, and one beyond the end too': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic(2)
    await group.commit(NOBODY, topic, -2)
    await group.commit(NOBODY, topic, 1_000_000, 1)
    checkEqual((await group.committed(topic)).offset, -2, 'The offset below 0')
    checkEqual((await group.committed(topic, 1)).offset, 1_000_000, 'The offset beyond the end')
  },

  'groups do not see the offsets of others': async (subject) => {
    const [group, other] = [new GroupUnderTest(subject.engine), new GroupUnderTest(subject.engine)]
    const topic = await subject.topic()
    await group.commit(NOBODY, topic, 7)
    await other.commit(NOBODY, topic, 2)
    checkEqual((await group.committed(topic)).offset, 7, 'The offset of one group')
    checkEqual((await other.committed(topic)).offset, 2, 'The offset of the other')
  },

  'metadata that is too large is refused, the other offsets are committed': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic(3)
    const results = await group.commitAll(NOBODY, [
      { topic, partition: 0, offset: 1, metadata: 'x'.repeat(4097) },
      { topic, partition: 1, offset: 1, metadata: 'x'.repeat(4096) },
      { topic, partition: 2, offset: 1 },
    ])
    checkKafkaError(results[0]?.error, 'OFFSET_METADATA_TOO_LARGE', 'Committing 4,097 bytes of metadata')
    checkNoError(results[1]?.error ?? null, 'Committing 4,096 bytes of metadata')
    const offsets = await Promise.all([0, 1, 2].map((partition) => group.committed(topic, partition)))
    checkEqual(offsets.map(({ offset }) => offset).join(', '), '-1, 1, 1', 'The list of offsets')
  },

  'an offset of an unknown topic or partition is refused, the others are committed': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const [topic, unknown] = [await subject.topic(), subject.newName()]
    const results = await group.commitAll(NOBODY, [
      { topic: unknown, offset: 1 },
      { topic, partition: 1, offset: 1 },
      { topic, offset: 1 },
    ])
    const errorFor = (name: string, partition: number): unknown =>
      results.find((result) => result.topic === name && result.partition === partition)?.error
    checkKafkaError(errorFor(unknown, 0), 'UNKNOWN_TOPIC_OR_PARTITION', 'Committing an offset of an unknown topic')
    checkKafkaError(errorFor(topic, 1), 'UNKNOWN_TOPIC_OR_PARTITION', 'Committing an offset of an unknown partition')
    checkEqual(errorFor(topic, 0), null, 'The error of committing an offset beside it')
    checkEqual((await group.committed(topic)).offset, 1, 'The offset')
    checkEqual((await group.committed(unknown)).offset, -1, 'The offset of the unknown topic')
  },

  'a commit of the generation before is fenced': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const before = await group.single()
    await group.commit(before, topic, 3)
    const [leader, follower] = leaderFirst(await group.joinBeside(before))
    await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    const late = (): Promise<unknown> => group.commit(before, topic, 4)
    await checkKafkaRefusal('ILLEGAL_GENERATION', late, 'A commit of the generation before')
    checkEqual((await group.committed(topic)).offset, 3, 'The offset after a fenced commit')
    await group.commit(follower, topic, 5)
    checkEqual((await group.committed(topic)).offset, 5, 'The offset after a commit of this generation')
  },

  'only members commit for a group that has some': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const member = await group.single()
    for (const asker of [NOBODY, { ...member, memberId: 'nobody' }]) {
      const commit = (): Promise<unknown> => group.commit(asker, topic, 1)
      await checkKafkaRefusal('UNKNOWN_MEMBER_ID', commit, `A commit of the member '${asker.memberId}'`)
    }
    checkEqual((await group.committed(topic)).offset, -1, 'The offset after refused commits')
    await group.leave(member)
    const late = (): Promise<unknown> => group.commit(member, topic, 1)
    await checkKafkaRefusal('UNKNOWN_MEMBER_ID', late, 'A commit of a member that left')
    await group.commit(NOBODY, topic, 2)
  },

  'a commit of a member of a group that does not exist is refused': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const commit = (): Promise<unknown> => group.commit({ memberId: 'nobody', generationId: 1 }, topic, 1)
    await checkKafkaRefusal('GROUP_ID_NOT_FOUND', commit, 'A commit to a group that does not exist')
  },

  'a member commits while members are gathered, and not while they wait for assignments': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const member = await group.single()
    const joining = group.joining()
    await group.rebalancing(member)
    await group.commit(member, topic, 4)
    const again = await group.join({ memberId: member.memberId })
    const second = await promptly(joining, 'The join of the second member')
    const early = (): Promise<unknown> => group.commit(again, topic, 5)
    await checkKafkaRefusal('REBALANCE_IN_PROGRESS', early, 'A commit before the assignments')
    await group.sync(again, { [again.memberId]: 'one', [second.memberId]: 'two' })
    checkEqual((await group.committed(topic)).offset, 4, 'The offset after a refused commit')
    await group.commit(again, topic, 6)
    checkEqual((await group.committed(topic)).offset, 6, 'The offset')
  },

  'offsets stay when all members have left': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    const member = await group.single()
    await group.commit(member, topic, 9)
    await group.leave(member)
    checkEqual((await group.committed(topic)).offset, 9, 'The offset')
    const next = await group.single()
    check(next.memberId !== member.memberId, 'A new member has the id of one that left.')
    checkEqual((await group.committed(topic)).offset, 9, 'The offset that the next member finds')
  },

  'the offsets of a deleted topic are forgotten': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const [topic, other] = [await subject.topic(), await subject.topic()]
    await group.commit(NOBODY, topic, 9)
    await group.commit(NOBODY, other, 3)
    await subject.engine.deleteTopics([topic])
    await subject.create(topic)
    const forgotten = async (): Promise<boolean> => (await group.committed(topic)).offset === -1
    await eventually(forgotten, 'The offset of a deleted topic being gone')
    checkEqual((await group.committed(other)).offset, 3, 'The offset of the other topic')
  },

  'committed offsets can be forgotten one by one': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic(3)
    for (const partition of [0, 1]) await group.commit(NOBODY, topic, 7, partition)
    const unknown = subject.newName()
    const outcomes = await group.deleteOffsets([unknown, 0], [topic, 0], [topic, 2], [topic, 3])
    const named = outcomes.map((outcome) => `${outcome.topic === topic}, ${outcome.partition}`)
    checkEqual(named.join('; '), 'false, 0; true, 0; true, 2; true, 3', 'What is answered for, and the order')
    checkKafkaError(outcomes[0]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Forgetting an offset of an unknown topic')
    checkNoError(outcomes[1]?.error ?? null, 'Forgetting an offset')
    checkNoError(outcomes[2]?.error ?? null, 'Forgetting an offset that was never committed')
    checkKafkaError(outcomes[3]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Forgetting an offset of an unknown partition')
    checkEqual((await group.committed(topic)).offset, -1, 'The offset that was forgotten')
    checkEqual((await group.committed(topic, 1)).offset, 7, 'The offset beside it')
    await group.commit(NOBODY, topic, 3)
    checkEqual((await group.committed(topic)).offset, 3, 'The offset that is committed afterwards')
  },

  'the offsets of a topic that members subscribe to cannot be forgotten': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const [read, other] = [await subject.topic(), await subject.topic()]
    await group.commit(NOBODY, read, 5)
    await group.commit(NOBODY, other, 6)
    const member = await group.single({ protocols: subscriptionTo([read]) })
    const [ofRead, ofOther] = await group.deleteOffsets([read, 0], [other, 0])
    checkKafkaError(ofRead?.error, 'GROUP_SUBSCRIBED_TO_TOPIC', 'Forgetting an offset of a topic that is read')
    checkNoError(ofOther?.error ?? null, 'Forgetting an offset of a topic that is not read')
    checkEqual((await group.committed(read)).offset, 5, 'The offset of the topic that is read')
    checkEqual((await group.committed(other)).offset, -1, 'The offset of the topic that is not read')
    await group.leave(member)
    checkNoError(only(await group.deleteOffsets([read, 0])).error, 'Forgetting it when the member has left')
    checkEqual((await group.committed(read)).offset, -1, 'The offset afterwards')
  },

  'offsets of a group that nobody knows what it reads, or that is not there, cannot be forgotten': async (subject) => {
    const topic = await subject.topic()
    const missing = new GroupUnderTest(subject.engine)
    const inMissing = (): Promise<unknown> => missing.deleteOffsets([topic, 0])
    await checkKafkaRefusal('GROUP_ID_NOT_FOUND', inMissing, 'Forgetting an offset of a group that is not there')
    const group = new GroupUnderTest(subject.engine)
    const member = await group.join({ protocolType: 'connect' })
    const inOther = (): Promise<unknown> => group.deleteOffsets([topic, 0])
    await checkKafkaRefusal('NON_EMPTY_GROUP', inOther, 'Forgetting an offset of a group that is not of consumers')
    await group.leave(member)
  },

  'committed offsets are kept in an internal topic': async (subject) => {
    await new GroupUnderTest(subject.engine).commit(NOBODY, await subject.topic(), 1)
    const { topics } = await subject.engine.metadata({ topics: null })
    const offsets = topics.find(({ name }) => name === '__consumer_offsets')
    checkEqual(offsets?.internal, true, 'Whether __consumer_offsets is internal')
    const outcome = await subject.create('__consumer_offsets')
    checkKafkaError(outcome.error, 'TOPIC_ALREADY_EXISTS', 'Creating __consumer_offsets')
  },
}
