import { bytes, type Codec, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { fetch } from '../../src/protocol/messages/fetch.js'
import { listOffsets } from '../../src/protocol/messages/list-offsets.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { produce } from '../../src/protocol/messages/produce.js'
import { decodeBatches } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { compressedBatch } from '../record/compressed-batch.js'
import { walk } from '../record/walk.js'
import { doors } from './listeners.js'
import type { WireClient } from './wire-client.js'

const open = doors()
const notes = new Topic('notes', { key: string(), value: bytes() as Codec<Uint8Array | null> })
const NO_PRODUCER = { producerId: -1, producerEpoch: -1, baseSequence: -1 }

function batchOf(...values: string[]) {
  const builder = new RecordBatchBuilder()
  for (const [i, value] of values.entries()) builder.append(1_000 + i, Buffer.from(`k${i}`), Buffer.from(value))
  return builder.close(NO_PRODUCER)
}

async function send(wire: WireClient, records: Uint8Array | null, options: { acks?: number; version?: number } = {}) {
  const { acks = -1, version = 9 } = options
  const partitionData = [{ index: 0, records }]
  const answer = await wire.request(produce, version, {
    acks,
    timeoutMs: 1,
    topicData: [{ name: 'notes', partitionData }],
  })
  return answer.responses[0]?.partitionResponses[0]
}

async function read(wire: WireClient, fetchOffset: number, options: { maxWaitMs?: number; maxBytes?: number } = {}) {
  const { maxWaitMs = 0, maxBytes = 1e6 } = options
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: maxBytes }]
  const answer = await wire.request(fetch, 12, {
    maxWaitMs,
    minBytes: 1,
    maxBytes,
    topics: [{ topic: 'notes', partitions }],
  })
  const partition = answer.responses[0]?.partitions[0]
  const batches = decodeBatches(partition?.records ?? new Uint8Array(), 0, partition?.records?.length ?? 0, {
    verify: true,
  })
  return {
    ...partition,
    values: batches.flatMap(walk).map(({ value }) => value && Buffer.from(value).toString()),
    batches,
  }
}

describe('records', () => {
  it('that were sent in process are read over the wire, with keys, headers, times and nulls', async () => {
    const { broker, client } = await open()
    await broker.topic(notes)
    const producer = broker.producer()
    await producer.send(notes, { key: 'a', value: Buffer.from('1'), headers: { trace: 'x' }, timestamp: 5 })
    await producer.send(notes, { key: 'b', value: null, timestamp: 6 })
    const { batches, highWatermark, logStartOffset, errorCode } = await read(await client(), 0)
    expect({ highWatermark, logStartOffset, errorCode }).toEqual({ highWatermark: 2, logStartOffset: 0, errorCode: 0 })
    const records = batches.flatMap(walk).map(({ key, value, headers, ...rest }) => ({
      ...rest,
      key: key && Buffer.from(key).toString(),
      value: value && Buffer.from(value).toString(),
      headers: headers.map(([name, content]) => [name, content && Buffer.from(content).toString()]),
    }))
    expect(records).toEqual([
      { offset: 0, timestamp: 5, key: 'a', value: '1', headers: [['trace', 'x']] },
      { offset: 1, timestamp: 6, key: 'b', value: null, headers: [] },
    ])
  })

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'that were sent over the wire are read in process: %s',
    async (codec) => {
      const { broker, client } = await open()
      await broker.topic(notes)
      const wire = await client()
      const outcome = await send(wire, compressedBatch(batchOf('1', '2'), codec).bytes())
      expect(outcome).toMatchObject({ errorCode: 0, baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 })
      const messages = []
      for await (const message of broker.reader(notes, { until: 'end' })) messages.push(message)
      expect(
        messages.map(({ key, value, timestamp }) => [key, Buffer.from(value ?? []).toString(), +timestamp]),
      ).toEqual([
        ['k0', '1', 1000],
        ['k1', '2', 1001],
      ])
      // The log keeps the batch as it came.
      const { batches, values } = await read(wire, 1)
      expect(batches.map((batch) => batch.compression)).toEqual([codec])
      expect(values).toEqual(['1', '2'])
    },
  )

  it('are waited for, and are there at once when somebody sends', async () => {
    const { broker, client } = await open()
    await broker.topic(notes)
    const waiting = read(await client(), 0, { maxWaitMs: 2 ** 31 - 1 })
    await send(await client(), batchOf('now').bytes())
    expect((await waiting).values).toEqual(['now'])
  })

  it('are appended without an answer where none is asked for, and the next request is answered', async () => {
    const { broker, client, lines } = await open()
    await broker.topic(notes)
    const wire = await client()
    const partitionData = [{ index: 0, records: batchOf('quiet').bytes() }]
    wire.send(produce, 9, { acks: 0, timeoutMs: 1, topicData: [{ name: 'notes', partitionData }] })
    expect((await read(wire, 0)).values).toEqual(['quiet'])
    expect(wire.received).toHaveLength(1)
    wire.send(produce, 9, { acks: 0, timeoutMs: 1, topicData: [{ name: 'nowhere', partitionData }] })
    await wire.closed
    expect(lines).toEqual([expect.stringMatching(/Produce without acknowledgement failed/)])
  })

  const patched = (change: (batch: Buffer) => void): Uint8Array => {
    const batch = Buffer.from(batchOf('1', '2').bytes())
    change(batch)
    return batch
  }
  it.each([
    ['a wrong checksum', patched((batch) => batch.writeInt32BE(1, 17)), 9, 2],
    ['a batch that is cut', batchOf('1').bytes().subarray(0, 50), 9, 2],
    ['two batches', Buffer.concat([batchOf('1').bytes(), batchOf('2').bytes()]), 9, 87],
    ['no batch', null, 9, 87],
    ['a message of format v1', patched((batch) => batch.writeInt8(1, 16)), 2, 43],
    ['zstd before it was known', compressedBatch(batchOf('1'), 'zstd').bytes(), 3, 76],
  ])('with %s are refused, and nothing is appended', async (_, records, version, errorCode) => {
    const { broker, client } = await open()
    await broker.topic(notes)
    const wire = await client()
    expect(await send(wire, records, { version })).toMatchObject({ errorCode, baseOffset: -1 })
    expect((await read(wire, 0)).highWatermark).toBe(0)
    expect(await send(wire, batchOf('1').bytes(), { acks: 2 })).toMatchObject({ errorCode: 21 })
  })

  it('are found by id, and an id that is none is told from a name that is none', async () => {
    const { broker, client } = await open({ autoCreateTopics: false })
    await broker.topic(notes)
    const wire = await client()
    const { topics } = await wire.request(metadata, 13, { topics: [{ name: 'notes' }, { name: 'none' }] })
    expect(topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['notes', 0],
      ['none', 3],
    ])
    const topicId = topics[0]?.topicId ?? ''
    const partitionData = [{ index: 0, records: batchOf('1').bytes() }]
    const unknownId = 'AAECAwQFBgcICQoLDA0ODw'
    const sent = await wire.request(produce, 13, {
      acks: 1,
      timeoutMs: 1,
      topicData: [
        { topicId, partitionData },
        { topicId: unknownId, partitionData },
      ],
    })
    expect(sent.responses.map((topic) => topic.partitionResponses[0]?.errorCode)).toEqual([0, 100])
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
    const request = {
      maxWaitMs: 60_000,
      minBytes: 1,
      topics: [
        { topicId: unknownId, partitions },
        { topicId, partitions },
      ],
    }
    const found = await wire.request(fetch, 18, request)
    expect(found.responses.map((topic) => topic.partitions[0]?.errorCode)).toEqual([100, 0])
    const named = await wire.request(metadata, 12, {
      topics: [
        { name: null, topicId },
        { name: null, topicId: unknownId },
      ],
    })
    expect(named.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['notes', 0],
      [null, 100],
    ])
  })

  it('are found by time, by their place, and in the oldest version', async () => {
    const { broker, client } = await open()
    await broker.topic(notes)
    const wire = await client()
    await send(wire, compressedBatch(batchOf('a', 'b', 'c'), 'gzip').bytes())
    const at = async (timestamp: number, version: number) => {
      const topics = [{ name: 'notes', partitions: [{ partitionIndex: 0, timestamp }] }]
      return (await wire.request(listOffsets, version, { replicaId: -1, topics })).topics[0]?.partitions[0]
    }
    expect(await at(-1, 11)).toMatchObject({ offset: 3, timestamp: -1, errorCode: 0 })
    expect(await at(-2, 11)).toMatchObject({ offset: 0, timestamp: -1 })
    expect(await at(-3, 11)).toMatchObject({ offset: 2, timestamp: 1002 })
    expect(await at(-5, 11)).toMatchObject({ offset: -1, timestamp: -1 })
    expect(await at(1001, 11)).toMatchObject({ offset: 1, timestamp: 1001 })
    expect(await at(2000, 11)).toMatchObject({ offset: -1, timestamp: -1 })
    expect(await at(-1, 0)).toMatchObject({ oldStyleOffsets: [3] })
  })

  it('beyond the end, and of a session that was never given, are refused', async () => {
    const { broker, client } = await open()
    await broker.topic(notes)
    const wire = await client()
    expect(await read(wire, 5)).toMatchObject({ errorCode: 1, values: [] })
    const answer = await wire.request(fetch, 12, { maxWaitMs: 0, minBytes: 1, sessionId: 4, topics: [] })
    expect(answer).toMatchObject({ errorCode: 70, sessionId: 0 })
  })
})

describe('a topic that is asked for', () => {
  it('is made where client and listener allow it', async () => {
    const { broker, client } = await open({}, { config: { numPartitions: 3 } })
    const wire = await client()
    const ask = async (name: string, allowAutoTopicCreation = true) =>
      (await wire.request(metadata, 8, { topics: [{ name }], allowAutoTopicCreation })).topics[0]
    expect(await ask('made', false)).toMatchObject({ errorCode: 3 })
    const made = await ask('made')
    expect(made?.errorCode).toBe(0)
    expect(
      made?.partitions.map(({ partitionIndex, leaderId, isrNodes }) => [partitionIndex, leaderId, isrNodes]),
    ).toEqual([
      [0, 1, [1]],
      [1, 1, [1]],
      [2, 1, [1]],
    ])
    expect(await ask('a b')).toMatchObject({ errorCode: 17 })
    expect(await broker.topic('made')).toBeInstanceOf(Topic)
    // Nothing in version 0 is everything, and in version 1 nothing.
    expect((await wire.request(metadata, 0, { topics: [] })).topics.map(({ name }) => name)).toEqual(['made'])
    expect((await wire.request(metadata, 1, { topics: [] })).topics).toEqual([])
    expect((await wire.request(metadata, 1, { topics: null })).topics).toHaveLength(1)
  })
})
