import type { Engine, FetchResult, OffsetSpec, TopicOutcome } from '../engine/engine.js'
import { randomId } from '../random-id.js'
import { BATCH_HEADER_BYTES, EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch, RecordHeader } from '../record/record-batch.js'
import { type BatchProducer, RecordBatchBuilder } from '../record/record-batch-builder.js'
import { systemClock } from '../time/clock.js'
import { check, checkBytes, checkEqual } from './expect.js'
import { checkNoError } from './kafka-error.js'

/** One test of the engine suite. */
export type EngineTest = (subject: EngineUnderTest) => Promise<void>

/** What a record holds; the rest is chosen so that it does not matter. */
export interface RecordShape {
  readonly timestamp?: number
  readonly key?: Uint8Array | null
  readonly value?: Uint8Array | null
  readonly headers?: readonly RecordHeader[]
}

/** A batch as it must come back. */
export interface ProducedBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly logStartOffset: number
  readonly bytes: Uint8Array
}

export interface FetchShape {
  readonly partition?: number
  readonly maxBytes?: number
  readonly minBytes?: number
  readonly maxWaitMs?: number
  readonly signal?: AbortSignal
}

/** One engine, which other tests may use at the same time: every name is a new one. */
export class EngineUnderTest {
  readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
  }

  /** A name that no topic and no group has. */
  newName(): string {
    return `suite-${randomId()}`
  }

  /** Creates a topic and returns its name. */
  async topic(partitionCount: number = 1, configs: Readonly<Record<string, string>> = {}): Promise<string> {
    const name = this.newName()
    checkNoError((await this.create(name, partitionCount, configs)).error, 'Creating a topic')
    return name
  }

  async create(
    name: string,
    partitionCount: number = 1,
    configs: Readonly<Record<string, string | null>> = {},
  ): Promise<TopicOutcome> {
    return only(await this.engine.createTopics({ topics: [{ name, partitionCount, configs }] }))
  }

  async topicId(name: string): Promise<string> {
    return only((await this.engine.metadata({ topics: [name] })).topics).topicId
  }

  /** Produces one batch. */
  async produce(topic: string, batch: EncodedBatch = batchOf([{}]), partition: number = 0): Promise<ProducedBatch> {
    const bytes = batch.bytes().slice()
    const { recordCount } = batch
    const { baseOffset, logStartOffset } = await this.engine.produce({ topic, partition, batch })
    return { baseOffset, lastOffset: baseOffset + recordCount - 1, logStartOffset, bytes }
  }

  async produceMany(topic: string, count: number, valueBytes: number = 20): Promise<ProducedBatch[]> {
    const produced: ProducedBatch[] = []
    for (let batch = 0; batch < count; batch++) {
      produced.push(await this.produce(topic, batchOf([{ value: new Uint8Array(valueBytes) }])))
    }
    return produced
  }

  /** Fetches from one partition; without a wait unless there is one in `shape`. */
  async fetch(topic: string, fetchOffset: number, shape: FetchShape = {}): Promise<FetchResult> {
    const { partition = 0, maxBytes = 1 << 20, minBytes = 1, maxWaitMs = 0, signal } = shape
    const partitions = [{ topic, partition, fetchOffset, maxBytes }]
    return only(await this.engine.fetch({ partitions, maxBytes, minBytes, maxWaitMs }, { signal }))
  }

  /** The high watermark of a partition. */
  latest(topic: string, partition: number = 0): Promise<number> {
    return this.offset(topic, 'latest', partition)
  }

  async offset(topic: string, at: OffsetSpec, partition: number = 0): Promise<number> {
    const outcome = only(await this.engine.listOffsets([{ topic, partition, at }]))
    checkNoError(outcome.error, 'Listing an offset')
    return outcome.offset
  }

  /** Moves the log start up. */
  async deleteRecords(topic: string, beforeOffset: number): Promise<void> {
    const outcome = only(await this.engine.deleteRecords([{ topic, partition: 0, beforeOffset }]))
    checkNoError(outcome.error, `Deleting the records before ${beforeOffset}`)
    checkEqual(outcome.lowWatermark, beforeOffset, 'The log start offset after a deletion of records')
  }

  /** Reads a partition to its end and compares it with all that must be in it. */
  async checkLog(topic: string, expected: readonly ProducedBatch[], partition: number = 0): Promise<void> {
    const batches: RecordBatch[] = []
    const endOffset = await this.latest(topic, partition)
    for (let offset = expected[0]?.baseOffset ?? 0; offset < endOffset; ) {
      const result = await this.fetch(topic, offset, { partition })
      checkNoError(result.error, `The fetch from offset ${offset}`)
      const last = result.batches.at(-1)
      check(last !== undefined, `The fetch from offset ${offset} gave nothing, although the log ends at ${endOffset}.`)
      batches.push(...result.batches)
      offset = last.lastOffset + 1
    }
    checkEqual(endOffset, (expected.at(-1)?.lastOffset ?? -1) + 1, 'The high watermark')
    checkBatches(batches, expected, 'the log')
  }
}

/** A closed batch in memory of its own. Its records are of a recent time, which no retention drops, and the same one. */
export function batchOf(records: readonly RecordShape[], producer?: BatchProducer): EncodedBatch {
  const builder = new RecordBatchBuilder()
  const recent = recently()
  for (const { timestamp = recent, key = null, value = new Uint8Array(20), headers = [] } of records) {
    builder.append(timestamp, key, value, headers)
  }
  const bytes = builder.close(producer).bytes().slice()
  return new EncodedBatch(bytes, 0, bytes.length)
}

/** As many records as it takes. */
export function records(count: number): RecordShape[] {
  return Array.from({ length: count }, () => ({}))
}

/** A quarter of an hour ago: Kafka drops what is much older, and refuses what is an hour ahead. */
export function recently(): number {
  return systemClock.now() - 15 * 60_000
}

/** Checks batches against those that were produced: each whole and the same but for its place in the log. */
export function checkBatches(batches: readonly RecordBatch[], expected: readonly ProducedBatch[], what: string): void {
  const offsetsOf = (each: readonly { baseOffset: number; lastOffset: number }[]): string =>
    each.map(({ baseOffset, lastOffset }) => `${baseOffset}-${lastOffset}`).join(', ')
  checkEqual(offsetsOf(batches), offsetsOf(expected), `The list of offsets of ${what}`)
  batches.forEach((batch, index) => {
    const sent = expected[index]?.bytes
    if (sent !== undefined) checkSameBatch(batch, sent)
  })
}

/** Base offset and partition leader epoch are the log's to set; the length, and all from the magic on, is the producer's. */
const BATCH_LENGTH_AT = 8
const LEADER_EPOCH_AT = 12
const MAGIC_AT = 16

function checkSameBatch(batch: RecordBatch, sent: Uint8Array): void {
  const what = `the batch at offset ${batch.baseOffset}`
  const bytes = batch.bytes()
  check(bytes.length >= BATCH_HEADER_BYTES, `${what} has ${bytes.length} bytes, fewer than a header.`)
  const length = [BATCH_LENGTH_AT, LEADER_EPOCH_AT] as const
  checkBytes(bytes.subarray(...length), sent.subarray(...length), `the length field of ${what}`)
  checkBytes(bytes.subarray(MAGIC_AT), sent.subarray(MAGIC_AT), `${what}, from its magic on,`)
}

/** What a verb about many answers for the one it was asked about. */
export function only<T>(answers: readonly T[]): T {
  const [answer] = answers
  check(
    answer !== undefined && answers.length === 1,
    `A verb that was asked about one thing answered for ${answers.length}.`,
  )
  return answer
}
