import type { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordHeader } from '../record/record-batch.js'
import {
  batchOf,
  type EngineTest,
  only,
  type ProducedBatch,
  type RecordShape,
  recently,
  records,
} from './engine-under-test.js'
import { check, checkBytes, checkEqual } from './expect.js'
import { GroupUnderTest, NOBODY } from './group-under-test.js'
import { checkKafkaRefusal } from './kafka-error.js'

const appendTests: Record<string, EngineTest> = {
  'offsets are dense and begin at 0': async (subject) => {
    const topic = await subject.topic()
    const produced: ProducedBatch[] = []
    for (const count of [1, 3, 1, 10]) produced.push(await subject.produce(topic, batchOf(records(count))))
    checkEqual(produced.map(({ baseOffset }) => baseOffset).join(', '), '0, 1, 4, 5', 'The list of base offsets')
    await subject.checkLog(topic, produced)
  },

  'each partition has offsets of its own': async (subject) => {
    const topic = await subject.topic(2)
    const first = await subject.produce(topic, batchOf([{}, {}]), 0)
    const second = await subject.produce(topic, batchOf([{}]), 1)
    await subject.checkLog(topic, [first], 0)
    await subject.checkLog(topic, [second], 1)
  },

  'a compacted topic takes no message without a key, and nothing of its batch': async (subject) => {
    const key = new Uint8Array(3)
    for (const policy of ['compact', 'compact,delete']) {
      const topic = await subject.topic(1, { 'cleanup.policy': policy })
      await checkKafkaRefusal(
        'INVALID_RECORD',
        () => subject.produce(topic, batchOf([{ key }, { key: null }])),
        `A message without a key in a topic with cleanup.policy ${policy}`,
      )
      checkEqual(await subject.latest(topic), 0, 'The high watermark after the refusal')
      // A key of no bytes is a key, and a null value a tombstone.
      await subject.checkLog(topic, [
        await subject.produce(topic, batchOf([{ key }, { key: new Uint8Array(0), value: null }])),
      ])
    }
  },

  'keys, values, headers and timestamps come back': async (subject) => {
    const topic = await subject.topic()
    const text = new TextEncoder()
    const base = recently()
    const sent: Required<RecordShape>[] = [
      { timestamp: base, key: text.encode('key'), value: text.encode('value'), headers: [] },
      { timestamp: base + 5, key: null, value: null, headers: [] },
      { timestamp: base - 5, key: new Uint8Array(0), value: new Uint8Array(0), headers: [] },
      {
        timestamp: base,
        key: null,
        value: new Uint8Array(300),
        headers: [
          ['name', text.encode('first')],
          ['name', null],
        ],
      },
    ]
    await subject.produce(topic, batchOf(sent))
    const batch = only((await subject.fetch(topic, 0)).batches)
    const cursor = batch.records()
    sent.forEach((record, offset) => {
      check(cursor.next(), `The batch ends before offset ${offset}.`)
      checkEqual(cursor.offset, offset, 'The offset of a record')
      checkEqual(cursor.timestamp, record.timestamp, `The timestamp at offset ${offset}`)
      checkSame(cursor.key, record.key, `the key at offset ${offset}`)
      checkSame(cursor.value, record.value, `the value at offset ${offset}`)
      checkHeaders(cursor.headers(), record.headers)
    })
    checkEqual(cursor.next(), false, 'Whether there is a record after the last')
  },

  'the memory of a batch is the caller’s again after it was produced': async (subject) => {
    const topic = await subject.topic()
    const batch = batchOf([{}, {}])
    const produced = await subject.produce(topic, batch)
    batch.buffer.fill(0xee)
    await subject.checkLog(topic, [produced])
  },

  'batches for one partition are appended in the order of the calls': async (subject) => {
    const topic = await subject.topic()
    const produced = await Promise.all(
      Array.from({ length: 20 }, (_, call) => subject.produce(topic, batchOf(records(1 + (call % 3))))),
    )
    await subject.checkLog(topic, produced)
  },

  'an unknown topic or partition takes nothing': async (subject) => {
    const topic = await subject.topic(2)
    for (const [name, partition] of [
      [subject.newName(), 0],
      [topic, 2],
      [topic, -1],
    ] as const) {
      const produce = (): Promise<unknown> => subject.produce(name, batchOf([{}]), partition)
      await checkKafkaRefusal('UNKNOWN_TOPIC_OR_PARTITION', produce, `Producing to partition ${partition}`)
    }
    for (const partition of [0, 1]) await subject.checkLog(topic, [], partition)
  },

  'the topic of committed offsets takes no batches of producers': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const topic = await subject.topic()
    // Its topic is made when it is first needed.
    await group.commit(NOBODY, topic, 1)
    const produce = (): Promise<unknown> => subject.produce('__consumer_offsets')
    await checkKafkaRefusal('INVALID_TOPIC_EXCEPTION', produce, 'Producing to __consumer_offsets')
    checkEqual((await group.committed(topic)).offset, 1, 'The committed offset')
  },

  'a batch over max.message.bytes is refused, one of just that size is taken': async (subject) => {
    const sample = batchOf([{ value: new Uint8Array(1000) }])
    const topic = await subject.topic(1, { 'max.message.bytes': String(sample.sizeInBytes) })
    const large = (): Promise<unknown> => subject.produce(topic, batchOf([{ value: new Uint8Array(1001) }]))
    await checkKafkaRefusal('MESSAGE_TOO_LARGE', large, 'A batch that is a byte too large')
    await subject.checkLog(topic, [await subject.produce(topic, sample)])
  },

  'a topic with LogAppendTime takes the time of the append, not that of the producer': async (subject) => {
    const topic = await subject.topic(1, { 'message.timestamp.type': 'LogAppendTime' })
    const sent = recently()
    const { logAppendTime } = await subject.engine.produce({
      topic,
      partition: 0,
      batch: batchOf([{ timestamp: sent }, { timestamp: sent + 1 }]),
    })
    check(logAppendTime > sent + 60_000, `The time of the append is ${logAppendTime}, not later than ${sent}.`)
    const batch = only((await subject.fetch(topic, 0)).batches)
    checkEqual(batch.isLogAppendTime, true, 'Whether the log set the time')
    checkEqual(batch.maxTimestamp, logAppendTime, 'The largest timestamp of the batch')
    const cursor = batch.records()
    while (cursor.next()) checkEqual(cursor.timestamp, logAppendTime, `The timestamp at offset ${cursor.offset}`)
    checkEqual(await subject.offset(topic, { timestamp: sent + 2 }), 0, 'The first offset after the sent times')
    checkEqual(await subject.offset(topic, { timestamp: logAppendTime + 1 }), -1, 'The first offset after the append')
    const byProducer = await subject.topic()
    const answer = await subject.engine.produce({ topic: byProducer, partition: 0, batch: batchOf([{}]) })
    checkEqual(answer.logAppendTime, -1, 'The time of an append where the producer’s holds')
  },

  'the answer to a produce says where the log starts': async (subject) => {
    const topic = await subject.topic()
    checkEqual((await subject.produceMany(topic, 3))[2]?.logStartOffset, 0, 'The log start offset')
    await subject.deleteRecords(topic, 2)
    checkEqual((await subject.produce(topic)).logStartOffset, 2, 'The log start offset after a deletion')
  },
}

const idempotenceTests: Record<string, EngineTest> = {
  'producer ids are unique': async ({ engine }) => {
    const producers = await Promise.all(Array.from({ length: 40 }, () => engine.initProducerId()))
    producers.push(await engine.initProducerId())
    checkEqual(new Set(producers.map(({ producerId }) => producerId)).size, 41, 'The number of different producer ids')
    check(
      producers.every(({ producerId, producerEpoch }) => producerId >= 0 && producerEpoch === 0),
      'A new producer does not begin at epoch 0.',
    )
  },

  'a repeated batch is answered with its first offset and not appended again': async (subject) => {
    const [topic, numbered] = [await subject.topic(), sequences(await subject.engine.initProducerId())]
    const produced: ProducedBatch[] = []
    for (let sequence = 0; sequence < 10; sequence += 2) {
      produced.push(await subject.produce(topic, numbered(sequence, 2)))
    }
    await subject.produce(topic, batchOf([{}]))
    for (const sequence of [8, 0, 4, 8]) {
      const again = await subject.produce(topic, numbered(sequence, 2))
      checkEqual(again.baseOffset, sequence, `The base offset of sequence ${sequence}, sent again`)
    }
    checkEqual(await subject.latest(topic), 11, 'The high watermark')
    produced.push(await subject.produce(topic, numbered(10, 1)))
    checkEqual(produced.at(-1)?.baseOffset, 11, 'The base offset of the next sequence')
  },

  'batches of one producer under way at the same time keep their order': async (subject) => {
    const [topic, numbered] = [await subject.topic(), sequences(await subject.engine.initProducerId())]
    const batches = [0, 1, 2, 3, 4].map((sequence) => numbered(sequence, 1))
    const produced = await Promise.all([...batches, numbered(3, 1)].map((batch) => subject.produce(topic, batch)))
    checkEqual(produced.map(({ baseOffset }) => baseOffset).join(), '0,1,2,3,4,3', 'The list of base offsets')
    await subject.checkLog(topic, produced.slice(0, 5))
  },

  'a sequence that leaves a gap is refused, and the next one is still taken': async (subject) => {
    const [topic, numbered] = [await subject.topic(), sequences(await subject.engine.initProducerId())]
    const first = await subject.produce(topic, numbered(0, 2))
    for (const sequence of [3, 1]) {
      const produce = (): Promise<unknown> => subject.produce(topic, numbered(sequence, 2))
      await checkKafkaRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER', produce, `Sequence ${sequence} where 2 is next`)
    }
    await subject.checkLog(topic, [first, await subject.produce(topic, numbered(2, 1))])
  },

  'a batch that is repeated after five others is refused': async (subject) => {
    const [topic, numbered] = [await subject.topic(), sequences(await subject.engine.initProducerId())]
    for (let sequence = 0; sequence < 6; sequence++) await subject.produce(topic, numbered(sequence, 1))
    const repeat = (): Promise<unknown> => subject.produce(topic, numbered(0, 1))
    await checkKafkaRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER', repeat, 'A batch repeated after five others')
    checkEqual(await subject.latest(topic), 6, 'The high watermark')
  },

  'a new epoch begins at sequence 0 and fences the one before': async (subject) => {
    const topic = await subject.topic()
    const producer = await subject.engine.initProducerId()
    const [before, after] = [sequences(producer), sequences({ ...producer, producerEpoch: 1 })]
    await subject.produce(topic, before(0, 3))
    const skip = (): Promise<unknown> => subject.produce(topic, after(3, 1))
    await checkKafkaRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER', skip, 'A new epoch that does not begin at 0')
    await subject.produce(topic, after(0, 1))
    const late = (): Promise<unknown> => subject.produce(topic, before(3, 1))
    await checkKafkaRefusal('INVALID_PRODUCER_EPOCH', late, 'A batch of the epoch before')
    checkEqual(await subject.latest(topic), 4, 'The high watermark')
  },

  'each partition counts the sequences of a producer for itself': async (subject) => {
    const [topic, numbered] = [await subject.topic(2), sequences(await subject.engine.initProducerId())]
    await subject.produce(topic, numbered(0, 2), 0)
    await subject.produce(topic, numbered(0, 1), 1)
    checkEqual((await subject.produce(topic, numbered(2, 1), 0)).baseOffset, 2, 'The base offset in one partition')
    checkEqual((await subject.produce(topic, numbered(1, 1), 1)).baseOffset, 1, 'The base offset in the other')
  },

  'a producer that a partition does not know may begin at any sequence, and sequences wrap': async (subject) => {
    const [topic, numbered] = [await subject.topic(), sequences(await subject.engine.initProducerId())]
    const last = 2 ** 31 - 1
    const wrapping = await subject.produce(topic, numbered(last - 1, 4))
    checkEqual((await subject.produce(topic, numbered(last - 1, 4))).baseOffset, 0, 'The base offset of the repetition')
    const zero = (): Promise<unknown> => subject.produce(topic, numbered(0, 1))
    await checkKafkaRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER', zero, 'Sequence 0 where 2 is next')
    await subject.checkLog(topic, [wrapping, await subject.produce(topic, numbered(2, 1))])
  },
}

export const produceTests: Readonly<Record<string, EngineTest>> = { ...appendTests, ...idempotenceTests }

/** Makes batches of one producer. */
function sequences(producer: {
  producerId: number
  producerEpoch: number
}): (baseSequence: number, count: number) => EncodedBatch {
  return (baseSequence, count) => batchOf(records(count), { ...producer, baseSequence })
}

function checkSame(actual: Uint8Array | null, expected: Uint8Array | null, what: string): void {
  if (actual !== null && expected !== null) checkBytes(actual, expected, what)
  else checkEqual(actual, expected, what)
}

function checkHeaders(actual: readonly RecordHeader[], expected: readonly RecordHeader[]): void {
  checkEqual(actual.length, expected.length, 'The number of headers')
  expected.forEach(([name, value], index) => {
    checkEqual(actual[index]?.[0], name, 'The name of a header')
    checkSame(actual[index]?.[1] ?? null, value, `the header ${name}`)
  })
}
