import type { FetchResult } from '../engine/engine.js'
import { systemClock } from '../time/clock.js'
import {
  batchOf,
  checkBatches,
  type EngineTest,
  type EngineUnderTest,
  type ProducedBatch,
} from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { checkKafkaError, checkNoError } from './kafka-error.js'
import { checkPending, promptly } from './patience.js'

/** Longer than a test waits: a fetch that is not woken is seen. */
const LONG_WAIT_MS = 30_000

const readTests: Record<string, EngineTest> = {
  'a fetch from an empty partition gives nothing': async (subject) => {
    checkAtEnd(await subject.fetch(await subject.topic(), 0), 0)
  },

  'a fetch at the end gives nothing': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 3)
    checkAtEnd(await subject.fetch(topic, 3), 3)
  },

  'a fetch gives what lies at and after its offset': async (subject) => {
    const topic = await subject.topic()
    const produced = await subject.produceMany(topic, 4)
    for (let offset = 0; offset < 4; offset++) {
      const result = await subject.fetch(topic, offset)
      checkBatches(result.batches, produced.slice(offset), `the fetch from offset ${offset}`)
      checkEqual(result.highWatermark, 4, 'The high watermark')
      checkEqual(result.logStartOffset, 0, 'The log start offset')
    }
  },

  'a fetch from within a batch gives the whole batch': async (subject) => {
    const topic = await subject.topic()
    const produced = [await subject.produce(topic, batchOf([{}, {}, {}])), await subject.produce(topic)]
    checkBatches((await subject.fetch(topic, 2)).batches, produced, 'the fetch from offset 2')
  },

  'an offset outside the log is refused, with the valid range or none': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 5)
    await subject.deleteRecords(topic, 2)
    for (const offset of [6, 1000, 1, 0, -1]) {
      const result = await subject.fetch(topic, offset)
      checkKafkaError(result.error, 'OFFSET_OUT_OF_RANGE', `The fetch from offset ${offset} of 2 to 5`)
      checkEqual(result.batches.length, 0, 'The number of batches from outside the log')
      checkOneOf([5, -1], result.highWatermark, 'The high watermark')
      checkOneOf([2, -1], result.logStartOffset, 'The log start offset')
    }
    for (const offset of [2, 5]) checkNoError((await subject.fetch(topic, offset)).error, `The fetch from ${offset}`)
  },

  'an unknown topic or partition is an error, and the others are answered': async (subject) => {
    const [topic, unknown] = [await subject.topic(), subject.newName()]
    const batch = await subject.produce(topic)
    const results = await subject.engine.fetch({
      partitions: [wanted(unknown), wanted(topic, 1), wanted(topic, -1), wanted(topic)],
      maxBytes: 1000,
      minBytes: 1,
      maxWaitMs: 0,
    })
    checkEqual(results.length, 4, 'The number of answers')
    for (const [name, partition] of [
      [unknown, 0],
      [topic, 1],
      [topic, -1],
    ] as const) {
      const { error } = resultFor(results, name, partition)
      checkKafkaError(error, 'UNKNOWN_TOPIC_OR_PARTITION', `The fetch from partition ${partition}`)
    }
    checkBatches(resultFor(results, topic, 0).batches, [batch], 'the partition that is known')
  },

  'one fetch reads several partitions': async (subject) => {
    const [topic, other] = [await subject.topic(3), await subject.topic()]
    const [first, third] = [await subject.produce(topic), await subject.produce(topic, batchOf([{}, {}]), 2)]
    const elsewhere = [await subject.produce(other), await subject.produce(other)]
    const results = await subject.engine.fetch({
      partitions: [wanted(topic), wanted(topic, 1), wanted(topic, 2), wanted(other, 0, 1)],
      maxBytes: 100_000,
      minBytes: 1,
      maxWaitMs: 0,
    })
    checkEqual(results.length, 4, 'The number of answers')
    checkBatches(resultFor(results, topic, 0).batches, [first], 'partition 0')
    checkBatches(resultFor(results, topic, 1).batches, [], 'partition 1')
    checkBatches(resultFor(results, topic, 2).batches, [third], 'partition 2')
    checkBatches(resultFor(results, other, 0).batches, elsewhere.slice(1), 'the other topic, from offset 1,')
  },
}

const limitTests: Record<string, EngineTest> = {
  'a fetch gives at most maxBytes of a partition, in whole batches': async (subject) => {
    const topic = await subject.topic()
    const produced = await subject.produceMany(topic, 10, 200)
    const size = sizeOf(produced[0])
    for (const [maxBytes, count] of [
      [2 * size, 2],
      [2 * size + size / 2, 2],
      [4 * size - 1, 3],
      [20 * size, 10],
    ] as const) {
      const results = await subject.engine.fetch({
        partitions: [{ ...wanted(topic), maxBytes }],
        maxBytes: 100 * size,
        minBytes: 1,
        maxWaitMs: 0,
      })
      const batches = resultFor(results, topic, 0).batches
      checkBatches(batches, produced.slice(0, count), `the fetch of ${maxBytes} bytes, with ${size} to a batch,`)
    }
  },

  'a fetch gives at most maxBytes in all': async (subject) => {
    const topic = await subject.topic(3)
    const size = await fill(subject, topic, 3)
    const results = await subject.engine.fetch({
      partitions: [wanted(topic, 0), wanted(topic, 1), wanted(topic, 2)],
      maxBytes: 5 * size,
      minBytes: 1,
      maxWaitMs: 0,
    })
    const counts = [0, 1, 2].map((partition) => resultFor(results, topic, partition).batches.length)
    checkEqual(counts.join(', '), '3, 2, 0', 'The list of batches from each partition, of three, with room for five')
  },

  'the first batch is given, however large it is': async (subject) => {
    const topic = await subject.topic(2)
    const size = await fill(subject, topic, 2)
    for (const [partitionBytes, maxBytes] of [
      [1, 100 * size],
      [100 * size, 1],
      [size - 1, size - 1],
    ] as const) {
      const results = await subject.engine.fetch({
        partitions: [0, 1].map((partition) => ({ ...wanted(topic, partition), maxBytes: partitionBytes })),
        maxBytes,
        minBytes: 1,
        maxWaitMs: 0,
      })
      const counts = [0, 1].map((partition) => resultFor(results, topic, partition).batches.length)
      checkEqual(
        counts.join(', '),
        '1, 0',
        `The list of batches, at ${partitionBytes} bytes each and ${maxBytes} in all`,
      )
    }
  },

  'the first batch that is there is given, wherever it is': async (subject) => {
    const topic = await subject.topic(2)
    const batch = await subject.produce(topic, batchOf([{ value: new Uint8Array(500) }]), 1)
    const results = await subject.engine.fetch({
      partitions: [wanted(topic, 0), wanted(topic, 1)],
      maxBytes: 10,
      minBytes: 1,
      maxWaitMs: 0,
    })
    checkBatches(resultFor(results, topic, 1).batches, [batch], 'partition 1 beside an empty one')
  },
}

const waitTests: Record<string, EngineTest> = {
  'a fetch that finds nothing waits for maxWaitMs and gives nothing': async (subject) => {
    const topic = await subject.topic()
    const startedAt = systemClock.monotonic()
    const fetching = subject.fetch(topic, 0, { maxWaitMs: 150 })
    checkAtEnd(await promptly(fetching, 'A fetch that waits for 150 ms'), 0)
    const waitedMs = systemClock.monotonic() - startedAt
    check(waitedMs > 140, `A fetch with a maxWaitMs of 150 was answered after ${Math.round(waitedMs)} ms.`)
  },

  'a fetch that waits is woken by a produce': async (subject) => {
    const topic = await subject.topic()
    await subject.produceMany(topic, 2)
    const fetching = subject.fetch(topic, 2, { maxWaitMs: LONG_WAIT_MS })
    await checkPending(fetching, 'A fetch at the end')
    const batch = await subject.produce(topic)
    const result = await promptly(fetching, 'A fetch after a produce')
    checkBatches(result.batches, [batch], 'the fetch that waited')
    checkEqual(result.highWatermark, 3, 'The high watermark')
  },

  'a fetch that waits for several partitions is woken by any of them': async (subject) => {
    const topic = await subject.topic(3)
    const partitions = [wanted(topic, 0), wanted(topic, 1), wanted(topic, 2)]
    const request = { partitions, maxBytes: 1000, minBytes: 1, maxWaitMs: LONG_WAIT_MS }
    const fetching = subject.engine.fetch(request)
    await checkPending(fetching, 'A fetch from empty partitions')
    const batch = await subject.produce(topic, batchOf([{}]), 1)
    const results = await promptly(fetching, 'A fetch after a produce')
    checkBatches(resultFor(results, topic, 1).batches, [batch], 'the fetch that waited')
  },

  'all fetches that wait are woken': async (subject) => {
    const topic = await subject.topic()
    const fetching = Array.from({ length: 5 }, () => subject.fetch(topic, 0, { maxWaitMs: LONG_WAIT_MS }))
    await checkPending(Promise.race(fetching), 'Fetches from an empty partition')
    const batch = await subject.produce(topic)
    for (const result of await promptly(Promise.all(fetching), 'Fetches after a produce')) {
      checkBatches(result.batches, [batch], 'a fetch that waited')
    }
  },

  'a fetch waits until minBytes are there': async (subject) => {
    const topic = await subject.topic()
    const first = await subject.produce(topic, batchOf([{ value: new Uint8Array(100) }]))
    const fetching = subject.fetch(topic, 0, { minBytes: sizeOf(first) + 1, maxWaitMs: LONG_WAIT_MS })
    await checkPending(fetching, 'A fetch with one byte less than minBytes there')
    const second = await subject.produce(topic)
    const result = await promptly(fetching, 'A fetch with enough bytes there')
    checkBatches(result.batches, [first, second], 'the fetch that waited')
  },

  'minBytes counts all partitions, and what is there is given when the time is over': async (subject) => {
    const topic = await subject.topic(2)
    const size = await fill(subject, topic, 1)
    const partitions = [wanted(topic, 0), wanted(topic, 1)]
    const enough = { partitions, maxBytes: 100 * size, minBytes: 2 * size, maxWaitMs: LONG_WAIT_MS }
    const both = await promptly(subject.engine.fetch(enough), 'A fetch that finds minBytes in two partitions')
    checkEqual(batchCount(both), 2, 'The number of batches')
    const short = subject.engine.fetch({ ...enough, minBytes: 3 * size, maxWaitMs: 100 })
    await checkPending(short, 'A fetch that does not find minBytes')
    checkEqual(batchCount(await promptly(short, 'A fetch that waits for 100 ms')), 2, 'The number of batches')
  },

  'a fetch does not wait for bytes that its limits keep it from giving': async (subject) => {
    const topic = await subject.topic()
    const size = await fill(subject, topic, 3)
    for (const [partitionBytes, maxBytes, minBytes] of [
      [100 * size, size, 2 * size],
      [100 * size, size + 10, size + 10],
      [size + 10, 100 * size, size + 10],
      [100 * size, 1, 100 * size],
    ] as const) {
      const fetching = subject.engine.fetch({
        partitions: [{ ...wanted(topic), maxBytes: partitionBytes }],
        maxBytes,
        minBytes,
        maxWaitMs: LONG_WAIT_MS,
      })
      const what = `A fetch of ${partitionBytes} and ${maxBytes} bytes at most, ${minBytes} at least,`
      checkEqual(batchCount(await promptly(fetching, what)), 1, 'The number of batches')
    }
  },

  'a fetch with a minBytes of 0 does not wait': async (subject) => {
    const fetching = subject.fetch(await subject.topic(), 0, { minBytes: 0, maxWaitMs: LONG_WAIT_MS })
    checkAtEnd(await promptly(fetching, 'A fetch with a minBytes of 0'), 0)
  },

  'an offset outside the log ends the wait of the whole fetch': async (subject) => {
    const topic = await subject.topic(2)
    const partitions = [wanted(topic, 0), wanted(topic, 1, 7)]
    const request = { partitions, maxBytes: 1000, minBytes: 1, maxWaitMs: LONG_WAIT_MS }
    const results = await promptly(subject.engine.fetch(request), 'A fetch with an offset outside the log')
    checkKafkaError(
      resultFor(results, topic, 1).error,
      'OFFSET_OUT_OF_RANGE',
      'The fetch from offset 7 of an empty log',
    )
    checkAtEnd(resultFor(results, topic, 0), 0)
  },

  'an abort ends the wait of a fetch': async (subject) => {
    const topic = await subject.topic()
    const abort = new AbortController()
    const fetching = subject.fetch(topic, 0, { maxWaitMs: LONG_WAIT_MS, signal: abort.signal })
    await checkPending(fetching, 'A fetch from an empty partition')
    abort.abort()
    checkAtEnd(await promptly(fetching, 'A fetch that was aborted'), 0)
  },

  'a fetch that waits is answered when its topic is deleted': async (subject) => {
    const topic = await subject.topic()
    const fetching = subject.fetch(topic, 0, { maxWaitMs: LONG_WAIT_MS })
    await checkPending(fetching, 'A fetch from an empty partition')
    await subject.engine.deleteTopics([topic])
    const { error } = await promptly(fetching, 'A fetch whose topic was deleted')
    checkKafkaError(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'A fetch whose topic was deleted')
  },
}

export const fetchTests: Readonly<Record<string, EngineTest>> = { ...readTests, ...limitTests, ...waitTests }

function wanted(
  topic: string,
  partition: number = 0,
  fetchOffset: number = 0,
): { topic: string; partition: number; fetchOffset: number; maxBytes: number } {
  return { topic, partition, fetchOffset, maxBytes: 1 << 20 }
}

function resultFor(results: readonly FetchResult[], topic: string, partition: number): FetchResult {
  const result = results.find((each) => each.topic === topic && each.partition === partition)
  check(result !== undefined, `The fetch does not answer for partition ${partition} of ${topic}.`)
  return result
}

/** Produces as many batches of one size to each of a topic's partitions, and returns that size. */
async function fill(subject: EngineUnderTest, topic: string, batches: number): Promise<number> {
  const { partitionCount } = (await subject.engine.metadata({ topics: [topic] })).topics[0] ?? { partitionCount: 0 }
  let size = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    for (let batch = 0; batch < batches; batch++) {
      size = sizeOf(await subject.produce(topic, batchOf([{ value: new Uint8Array(200) }]), partition))
    }
  }
  return size
}

function checkAtEnd(result: FetchResult, endOffset: number): void {
  checkNoError(result.error, 'A fetch at the end of the log')
  checkEqual(result.batches.length, 0, 'The number of batches at the end of the log')
  checkEqual(result.highWatermark, endOffset, 'The high watermark')
  checkEqual(result.logStartOffset, 0, 'The log start offset')
}

function checkOneOf(allowed: readonly number[], actual: number, what: string): void {
  check(allowed.includes(actual), `${what} is ${actual}, but should be one of ${allowed.join(', ')}.`)
}

function batchCount(results: readonly FetchResult[]): number {
  return results.reduce((count, { batches }) => count + batches.length, 0)
}

function sizeOf(batch: ProducedBatch | undefined): number {
  return batch?.bytes.length ?? 0
}
