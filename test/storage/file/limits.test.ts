import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Broker, bytes, FileStorage, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { ProducerState } from '../../../src/log/producer-state.js'
import { crc32c } from '../../../src/record/crc32c.js'
import { decodeMarks, encodeMarks } from '../../../src/storage/file/clean-mark.js'
import { SegmentIndex } from '../../../src/storage/segment-index.js'
import { batchAt, logPath, temporaryDirectories } from './file-rig.js'

const directory = temporaryDirectories()
const INDEX_INTERVAL_BYTES = 100
const orders = new Topic('orders', {
  segmentBytes: 2 ** 31 - 1,
  indexIntervalBytes: INDEX_INTERVAL_BYTES,
  value: string(),
})
const EARLY = 1_000_000_000_000

/**
 * A closed directory with a segment at 0 whose last batch has this offset and position. What would lie before it is a
 * hole in the file, which nobody reads: the mark, the index files and the producers' snapshot say what is there.
 */
async function directoryWithBatchAt(offset: number, position: number): Promise<string> {
  const place = directory()
  const broker = await Broker.open({ storage: new FileStorage(place) })
  await broker.topic(orders)
  await broker.close()
  const batch = batchAt(offset, 1, 10, EARLY)
  const log = openSync(logPath(place, 0), 'r+')
  ftruncateSync(log, position)
  writeSync(log, batch.bytes(), 0, batch.sizeInBytes, position)
  closeSync(log)
  const index = new SegmentIndex(0, INDEX_INTERVAL_BYTES)
  index.add(offset - 1, 0, position, EARLY - 1)
  index.add(offset, position, batch.sizeInBytes, EARLY)
  const [offsets, times] = [index.encodeOffsetIndex(), index.encodeTimeIndex()]
  writeFileSync(logPath(place, 0, '.index'), offsets)
  writeFileSync(logPath(place, 0, '.timeindex'), times)
  writeFileSync(logPath(place, offset + 1, '.snapshot'), new ProducerState().snapshot())
  const path = join(place, 'clean-shutdown.json')
  const marks = decodeMarks(readFileSync(path))
  const both = Buffer.concat([offsets, times])
  const segment = {
    baseOffset: 0,
    endOffset: offset + 1,
    sizeInBytes: position + batch.sizeInBytes,
    maxTimestamp: EARLY,
    firstTimestamp: EARLY - 1,
    indexBytes: offsets.length,
    timeIndexBytes: times.length,
    headersCrc32c: 1,
    indexCrc32c: crc32c(both, 0, both.length),
  }
  marks.set('orders-0', { topicId: marks.get('orders-0')?.topicId, segments: [segment] })
  writeFileSync(path, encodeMarks(marks))
  return place
}

/** Sends five messages behind it. Returns which segments there are then, once each message was found again. */
async function segmentsAfterFive(place: string, first: number): Promise<number[]> {
  const values = Array.from({ length: 5 }, (_, n) => `${n}`.repeat(300))
  const broker = await Broker.open({ storage: new FileStorage(place) })
  const producer = broker.producer()
  for (const [n, value] of values.entries()) {
    const { offset } = await producer.send(orders, { value, timestamp: EARLY + 1 + n })
    expect(offset).toBe(first + n)
  }
  await broker.close()
  const again = await Broker.open({ storage: new FileStorage(place) })
  expect(again.recovery).toEqual([])
  for (const [n, value] of values.entries()) {
    for (const from of [{ offset: first + n }, { timestamp: EARLY + 1 + n }]) {
      const { value: found } = await again.reader(orders, { from, until: 'end' }).next()
      expect([found?.offset, found?.value]).toEqual([first + n, value])
    }
  }
  await again.close()
  const logs = readdirSync(join(place, 'orders-0')).filter((name) => name.endsWith('.log'))
  for (const name of logs) expect(statSync(join(place, 'orders-0', name)).size).toBeLessThan(2 ** 31)
  return logs.map((name) => Number(name.slice(0, 20))).sort((a, b) => a - b)
}

describe('a segment', () => {
  it('rolls before it has 2^31 bytes, which no index could say', async () => {
    // The last batch has 80 bytes, each message about 370: two of them fit.
    const place = await directoryWithBatchAt(1000, 2 ** 31 - 1 - 900)
    expect(await segmentsAfterFive(place, 1001)).toEqual([0, 1003])
  })

  it('rolls before an offset is 2^31 beyond its first, which no index could say', async () => {
    const place = await directoryWithBatchAt(2 ** 31 - 3, 4096)
    expect(await segmentsAfterFive(place, 2 ** 31 - 2)).toEqual([0, 2 ** 31])
  })
})

describe('a message', () => {
  it('of the largest size that a topic takes by default is kept in a file, and one byte more is refused', async () => {
    const place = directory()
    const blobs = new Topic('blobs', { value: bytes() })
    const broker = await Broker.open({ storage: new FileStorage(place) })
    await broker.topic(blobs)
    const producer = broker.producer()
    // Of 1,048,588 bytes the batch's header takes 61 and the record's own fields 11.
    const largest = new Uint8Array(1_048_588 - 61 - 11).map((_, at) => at % 251)
    await producer.send(blobs, { value: largest })
    await expect(producer.send(blobs, { value: new Uint8Array(largest.length + 1) })).rejects.toMatchObject({
      code: 'OTTLA_MESSAGE_TOO_LARGE',
    })
    await producer.send(blobs, { value: new Uint8Array(1) })
    await broker.close()
    expect(statSync(join(place, 'blobs-0', '00000000000000000000.log')).size).toBe(1_048_588 + 69)
    const again = await Broker.open({ storage: new FileStorage(place) })
    const found: Uint8Array[] = []
    for await (const { value } of again.reader(blobs, { until: 'end' })) found.push(value)
    expect(found.map(({ length }) => length)).toEqual([largest.length, 1])
    expect(Buffer.compare(found[0] ?? new Uint8Array(), largest)).toBe(0)
    await again.close()
  })
})
