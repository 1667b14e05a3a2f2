import type { EncodedBatch } from '../record/encoded-batch.js'
import { batchOf, checkBatches, type EngineTest, type EngineUnderTest, only, recently } from './engine-under-test.js'
import { checkEqual } from './expect.js'
import { checkKafkaError, checkNoError } from './kafka-error.js'

const listTests: Record<string, EngineTest> = {
  'earliest and latest are the ends of the log': async (subject) => {
    const topic = await subject.topic(2)
    await checkEnds(subject, topic, 0, 0)
    await subject.produceMany(topic, 4)
    await checkEnds(subject, topic, 0, 4)
    await subject.deleteRecords(topic, 3)
    await checkEnds(subject, topic, 3, 4)
    checkEqual(await subject.latest(topic, 1), 0, 'The end of the other partition')
  },

  'earliest and latest have no timestamp': async (subject) => {
    const topic = await subject.topic()
    await subject.produce(topic)
    for (const at of ['earliest', 'latest'] as const) {
      const outcome = only(await subject.engine.listOffsets([{ topic, partition: 0, at }]))
      checkEqual(outcome.timestamp, -1, `The timestamp of '${at}'`)
    }
  },

  'a time gives the first record at or after it': async (subject) => {
    const { topic, base } = await withTimes(subject, [0, 10], [20, 30, 40], [50])
    for (const [at, offset, found] of [
      [-100, 0, 0],
      [0, 0, 0],
      [1, 1, 10],
      [10, 1, 10],
      [11, 2, 20],
      [35, 4, 40],
      [50, 5, 50],
    ] as const) {
      await checkTime(subject, topic, base + at, offset, base + found)
    }
    await checkTime(subject, topic, 0, 0, base)
  },

  'a time after all records finds none': async (subject) => {
    const { topic, base } = await withTimes(subject, [0, 10], [20])
    await checkTime(subject, topic, base + 21, -1, -1)
    await checkTime(subject, await subject.topic(), base, -1, -1)
  },

  'a time finds the record within a batch whose times go backwards': async (subject) => {
    const { topic, base } = await withTimes(subject, [5], [10, 40, 30, 20], [50])
    await checkTime(subject, topic, base + 11, 2, base + 40)
    await checkTime(subject, topic, base + 35, 2, base + 40)
    await checkTime(subject, topic, base + 41, 5, base + 50)
  },

  'a time finds the first record in the log, where times go backwards from batch to batch': async (subject) => {
    const { topic, base } = await withTimes(subject, [50, 60], [10, 20], [70], [30])
    await checkTime(subject, topic, base + 15, 0, base + 50)
    await checkTime(subject, topic, base + 55, 1, base + 60)
    await checkTime(subject, topic, base + 61, 4, base + 70)
  },

  'a time does not find what was deleted': async (subject) => {
    const { topic, base } = await withTimes(subject, [0, 10, 20], [5, 30])
    await subject.deleteRecords(topic, 1)
    await checkTime(subject, topic, base, 1, base + 10)
    await subject.deleteRecords(topic, 3)
    await checkTime(subject, topic, base, 3, base + 5)
    await checkTime(subject, topic, base + 15, 4, base + 30)
    await subject.deleteRecords(topic, 5)
    await checkTime(subject, topic, base, -1, -1)
  },

  'maxTimestamp gives the record with the latest time, the first of equals': async (subject) => {
    const empty = only(
      await subject.engine.listOffsets([{ topic: await subject.topic(), partition: 0, at: 'maxTimestamp' }]),
    )
    checkEqual(empty.offset, -1, 'The offset of the latest time in an empty log')
    checkEqual(empty.timestamp, -1, 'The latest time in an empty log')
    const { topic, base } = await withTimes(subject, [10], [20, 50, 30, 50], [50, 40])
    const outcome = only(await subject.engine.listOffsets([{ topic, partition: 0, at: 'maxTimestamp' }]))
    checkEqual(outcome.offset, 2, 'The offset of the latest time')
    checkEqual(outcome.timestamp, base + 50, 'The latest time')
  },

  'offsets of an unknown topic or partition are an error': async (subject) => {
    const [topic, unknown] = [await subject.topic(), subject.newName()]
    for (const at of ['earliest', 'latest', 'maxTimestamp', { timestamp: 0 }] as const) {
      const outcomes = await subject.engine.listOffsets([
        { topic: unknown, partition: 0, at },
        { topic, partition: 1, at },
        { topic, partition: 0, at },
      ])
      const what = `Listing ${JSON.stringify(at)}`
      checkKafkaError(outcomes[0]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', `${what} of an unknown topic`)
      checkKafkaError(outcomes[1]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', `${what} of an unknown partition`)
      checkEqual(outcomes[0]?.offset, -1, 'The offset of an unknown topic')
      checkNoError(outcomes[2]?.error ?? null, `${what} of a partition that exists`)
    }
  },
}

const deleteTests: Record<string, EngineTest> = {
  'records below an offset are deleted, and the others stay': async (subject) => {
    const topic = await subject.topic()
    const produced = await subject.produceMany(topic, 5)
    await subject.deleteRecords(topic, 2)
    const result = await subject.fetch(topic, 2)
    checkBatches(result.batches, produced.slice(2), 'the fetch from the new log start')
    checkEqual(result.logStartOffset, 2, 'The log start offset')
    checkKafkaError((await subject.fetch(topic, 1)).error, 'OFFSET_OUT_OF_RANGE', 'The fetch of a deleted record')
  },

  'records are deleted up to within a batch': async (subject) => {
    const topic = await subject.topic()
    const batch = await subject.produce(topic, batchOf([{}, {}, {}]))
    await subject.deleteRecords(topic, 2)
    checkKafkaError((await subject.fetch(topic, 1)).error, 'OFFSET_OUT_OF_RANGE', 'The fetch of a deleted record')
    checkBatches((await subject.fetch(topic, 2)).batches, [batch], 'the fetch from the new log start')
  },

  'all records are deleted by -1, and offsets go on': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 3)
    const outcome = only(await subject.engine.deleteRecords([{ topic, partition: 0, beforeOffset: -1 }]))
    checkNoError(outcome.error, 'Deleting all records')
    checkEqual(outcome.lowWatermark, 3, 'The log start offset')
    await checkEnds(subject, topic, 3, 3)
    checkEqual((await subject.produce(topic)).baseOffset, 3, 'The next offset')
    await checkEnds(subject, topic, 3, 4)
  },

  'the log start never moves down': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 5)
    await subject.deleteRecords(topic, 3)
    const outcome = only(await subject.engine.deleteRecords([{ topic, partition: 0, beforeOffset: 1 }]))
    checkNoError(outcome.error, 'Deleting what was deleted')
    checkEqual(outcome.lowWatermark, 3, 'The log start offset')
    await checkEnds(subject, topic, 3, 5)
  },

  'records beyond the end cannot be deleted': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 3)
    for (const beforeOffset of [4, -2]) {
      const outcome = only(await subject.engine.deleteRecords([{ topic, partition: 0, beforeOffset }]))
      checkKafkaError(outcome.error, 'OFFSET_OUT_OF_RANGE', `Deleting the records before ${beforeOffset} of 3`)
      checkEqual(outcome.lowWatermark, -1, 'The log start offset beside an error')
    }
    await checkEnds(subject, topic, 0, 3)
  },

  'records of a topic that is compacted alone cannot be deleted by offset': async (subject) => {
    const keyed = (): EncodedBatch => batchOf([{ key: new Uint8Array(1) }])
    for (const [policy, isRefused] of [
      ['compact', true],
      ['compact,delete', false],
    ] as const) {
      const topic = await subject.topic(1, { 'cleanup.policy': policy })
      for (let batch = 0; batch < 2; batch++) await subject.produce(topic, keyed())
      const outcome = only(await subject.engine.deleteRecords([{ topic, partition: 0, beforeOffset: 1 }]))
      const what = `Deleting records of a topic with cleanup.policy ${policy}`
      if (isRefused) checkKafkaError(outcome.error, 'POLICY_VIOLATION', what)
      else checkNoError(outcome.error, what)
      await checkEnds(subject, topic, isRefused ? 0 : 1, 2)
    }
  },

  'records of an unknown topic or partition cannot be deleted, those of others can': async (subject) => {
    const [topic, unknown] = [await subject.topic(), subject.newName()]
    await subject.produce(topic)
    const outcomes = await subject.engine.deleteRecords([
      { topic: unknown, partition: 0, beforeOffset: 0 },
      { topic, partition: 1, beforeOffset: 0 },
      { topic, partition: 0, beforeOffset: 1 },
    ])
    checkKafkaError(outcomes[0]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Deleting records of an unknown topic')
    checkKafkaError(outcomes[1]?.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'Deleting records of an unknown partition')
    checkNoError(outcomes[2]?.error ?? null, 'Deleting records of a topic')
    await checkEnds(subject, topic, 1, 1)
  },
}

export const offsetTests: Readonly<Record<string, EngineTest>> = { ...listTests, ...deleteTests }

/** A topic with one batch for each list of times, in milliseconds after `base`. */
async function withTimes(
  subject: EngineUnderTest,
  ...batches: readonly number[][]
): Promise<{ topic: string; base: number }> {
  const topic = await subject.topic()
  const base = recently()
  for (const times of batches) await subject.produce(topic, batchOf(times.map((time) => ({ timestamp: base + time }))))
  return { topic, base }
}

async function checkTime(
  subject: EngineUnderTest,
  topic: string,
  timestamp: number,
  offset: number,
  found: number,
): Promise<void> {
  const outcome = only(await subject.engine.listOffsets([{ topic, partition: 0, at: { timestamp } }]))
  checkNoError(outcome.error, `Listing the offset of ${timestamp}`)
  checkEqual(outcome.offset, offset, `The offset of the time ${timestamp}`)
  checkEqual(outcome.timestamp, found, `The timestamp found for the time ${timestamp}`)
}

async function checkEnds(subject: EngineUnderTest, topic: string, earliest: number, latest: number): Promise<void> {
  checkEqual(await subject.offset(topic, 'earliest'), earliest, "The offset of 'earliest'")
  checkEqual(await subject.offset(topic, 'latest'), latest, "The offset of 'latest'")
}
