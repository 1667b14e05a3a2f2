import { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { check, checkBytes, checkEqual, checkRefused } from './expect.js'
import { checkBatches, makeBatch, type StorageTest } from './storage-under-test.js'

export const appendTests: Record<string, StorageTest> = {
  'a new partition is empty and begins at offset 0': async (log) => {
    checkEqual(log.storage.segments.length, 1, 'The number of segments of a new partition')
    checkEqual(log.endOffset, 0, 'The log end offset of a new partition')
    checkEqual(log.storage.durableEndOffset, 0, 'The durable end offset of a new partition')
    await log.check()
    await log.checkFindOffset(0)
  },

  'appended batches come back whole and in order': async (log) => {
    await log.append({})
    await log.append({ records: 3 }, { records: 1 }, { records: 10 })
    await log.append({ valueBytes: 5000 }, { valueBytes: 0 })
    await log.check()
  },

  'an append of no batches changes nothing': async (log) => {
    await log.append({})
    await log.append()
    await log.check()
  },

  'the memory of a batch belongs to the caller again after the append': async (log) => {
    const batch = makeBatch({ records: 2 }, 0)
    const bytes = batch.bytes().slice()
    await log.storage.append([batch])
    batch.buffer.fill(0)
    const [stored] = await log.storage.read(0, 1024, 2)
    check(stored !== undefined, 'The appended batch cannot be read.')
    checkBytes(stored.bytes(), bytes, 'a batch whose memory was written over after the append')
  },

  'every header field of a batch is kept': async (log) => {
    const producer = { producerId: 2 ** 40 + 7, producerEpoch: 3, baseSequence: 99 }
    await log.append({ producer }, { control: true }, { producer: { ...producer, isTransactional: true } })
    await log.append({ records: 2, compactedAway: 5 }, { timestamp: -1 })
    await log.check()
    const stored = await log.storage.read(0, 1024 * 1024, log.endOffset)
    stored.forEach((batch, index) => {
      const bytes = log.kept[index]?.bytes
      if (bytes !== undefined) checkFields(batch, new EncodedBatch(bytes, 0, bytes.length))
    })
  },

  'an append that fails adds nothing, and a later one may succeed': async (log) => {
    await log.append({ records: 2 })
    const good = makeBatch({}, 2)
    let failed = false
    try {
      await log.storage.append([good, uncopyable(makeBatch({}, 3))])
    } catch {
      failed = true
    }
    check(failed, 'An append of a batch that cannot be copied did not fail.')
    await log.check()
    await log.append({ records: 2 })
    await log.check()
  },

  'an append that steps back is refused, and adds nothing': async (log) => {
    await log.append({ records: 5 })
    for (const offsets of [[4], [0], [5, 5], [7, 6]]) {
      const batches = offsets.map((offset) => makeBatch({}, offset))
      const what = `Appending batches at ${offsets.join(' and ')} to a log that ends at 5`
      await checkRefused('OTTLA_INVALID_ARGUMENT', () => log.storage.append(batches), what)
      await log.check()
    }
    await log.roll(10)
    await checkRefused(
      'OTTLA_INVALID_ARGUMENT',
      () => log.storage.append([makeBatch({}, 9)]),
      'Appending a batch at 9 to a segment that begins at 10',
    )
    await log.append({})
    await log.check()
  },

  'large batches beside small ones are kept': async (log) => {
    await log.append({}, { valueBytes: 3 * 1024 * 1024 }, {})
    await log.append({ valueBytes: 3 * 1024 * 1024 })
    await log.append({})
    await log.check()
    await log.check(8 * 1024 * 1024)
  },

  'two thousand small batches are kept': async (log) => {
    for (let call = 0; call < 100; call++) await log.append(...Array.from({ length: 20 }, () => ({})))
    await log.check()
    for (let offset = 0; offset < 2000; offset += 37) await log.checkRead(offset, 500)
    for (const timestamp of [0, 1_700_000_000_000, 1_700_000_001_234, 1_700_000_002_000]) {
      await log.checkFindOffset(timestamp)
    }
  },

  'a sync moves the durable end to the log end, and no append does': async (log, { storage }) => {
    await log.append({ records: 3 })
    if (storage.acknowledgeAfter === 'sync') {
      checkEqual(log.storage.durableEndOffset, 0, 'The durable end offset before the first sync')
    }
    await log.sync()
    await log.append({})
    await log.sync()
    await log.sync()
    await log.check()
  },
}

export const readTests: Record<string, StorageTest> = {
  'a read gives at most maxBytes, but at least one batch': async (log) => {
    await log.append({}, {}, { valueBytes: 3000 }, {}, { records: 5 })
    for (const maxBytes of [0, 1, 100, 200, 300, 2999, 3100, 3300, 10_000]) {
      for (let offset = 0; offset < log.endOffset; offset++) await log.checkRead(offset, maxBytes)
    }
  },

  'a read begins with the batch that holds the offset, or the first after it': async (log) => {
    await log.append({ gap: 5, records: 10 }, { records: 10 }, { gap: 20, records: 10 }, { gap: 1 })
    await log.roll(log.endOffset + 10)
    await log.append({ gap: 3, records: 3 })
    for (let offset = 0; offset < log.endOffset; offset++) await log.checkRead(offset, 1)
  },

  'a read stops before endOffset': async (log) => {
    await log.append({ records: 2 }, { records: 3 }, { gap: 4, records: 2 })
    await log.roll()
    await log.append({ records: 2 })
    for (let endOffset = 0; endOffset <= log.endOffset + 1; endOffset++) {
      for (let offset = 0; offset <= log.endOffset; offset++) await log.checkRead(offset, 1024 * 1024, endOffset)
    }
  },

  'a read at the end or beyond it gives nothing': async (log) => {
    await log.append({ records: 2 })
    for (const offset of [2, 3, 1000]) {
      checkEqual((await log.storage.read(offset, 1024, 1001)).length, 0, `The number of batches at offset ${offset}`)
    }
  },

  'bytes that were handed out are never written again': async (log, place) => {
    for (let call = 0; call < 20; call++) await log.append({ records: 5 }, {})
    await log.sync()
    const held: { view: Uint8Array; before: Uint8Array }[] = []
    const hold = async (): Promise<void> => {
      for (const { baseOffset } of log.kept) {
        const batches = await log.storage.read(baseOffset, 2048, log.endOffset)
        for (const batch of batches) held.push({ view: batch.bytes(), before: batch.bytes().slice() })
      }
    }
    // What was cut differs in length from what follows, so that it cannot be written over with the same.
    for (const offset of [119, 118, 108, 90, 60, 30, 6]) {
      await hold()
      await log.truncate(offset)
      await log.append({ records: 2, valueBytes: 33 }, {}, { records: 3, valueBytes: 11 })
    }
    await hold()
    await log.roll()
    await log.append({ valueBytes: 4000 })
    await log.replace(0, 1, ({ baseOffset }) => baseOffset % 2 === 0, 'iterable')
    await log.roll()
    await log.drop(1)
    await log.truncate(0)
    for (let call = 0; call < 50; call++) await log.append({ records: 3, valueBytes: 500 })
    await hold()
    await place.delete(log)
    const next = await place.log('orders', 0)
    for (let call = 0; call < 50; call++) await next.append({ records: 3, valueBytes: 500 })
    for (const { view, before } of held) checkBytes(view, before, 'A batch that was read before the log changed')
  },

  'reads run beside appends and drops': async (log) => {
    for (let call = 0; call < 10; call++) {
      await log.append({ records: 2 }, {})
      if (call % 3 === 2) await log.roll()
    }
    const expected = log.kept.slice()
    const endOffset = log.endOffset
    const reading = Array.from({ length: 10 }, (_, read) => settled(log.storage.read(read * 3, 4096, endOffset)))
    const finding = settled(log.storage.findOffset(1_700_000_000_010))
    await log.append({ records: 4 })
    await log.drop(2)
    for (const [read, reads] of (await Promise.all(reading)).entries()) {
      // A read that began before the drop may fail or find the rest; it may not give other bytes.
      if (reads === undefined) continue
      const first = reads[0]?.baseOffset ?? 0
      const from = expected.filter(({ lastOffset }) => lastOffset >= Math.max(read * 3, first))
      checkBatches(reads, reads.length === 0 ? [] : from, 4096, `A read at ${read * 3} beside a drop`)
    }
    await finding
    await log.check()
  },

  'findOffset gives the first batch at or after a timestamp': async (log) => {
    const timestamps = [50, 10, 70, 70, 20, 90, 30, 30, 120, 5, 110, 200, 150]
    for (const [index, timestamp] of timestamps.entries()) {
      await log.append({ timestamp, records: 1 + (index % 3), valueBytes: 300, gap: index % 4 === 3 ? 2 : 0 })
      if (index % 5 === 4) await log.roll()
    }
    for (let timestamp = 0; timestamp < 205; timestamp++) await log.checkFindOffset(timestamp)
  },
}
function checkFields(actual: RecordBatch, expected: RecordBatch): void {
  const what = `of the batch at offset ${expected.baseOffset}`
  checkEqual(actual.recordCount, expected.recordCount, `recordCount ${what}`)
  checkEqual(actual.sizeInBytes, expected.sizeInBytes, `sizeInBytes ${what}`)
  checkEqual(actual.baseTimestamp, expected.baseTimestamp, `baseTimestamp ${what}`)
  checkEqual(actual.maxTimestamp, expected.maxTimestamp, `maxTimestamp ${what}`)
  checkEqual(actual.producerId, expected.producerId, `producerId ${what}`)
  checkEqual(actual.producerEpoch, expected.producerEpoch, `producerEpoch ${what}`)
  checkEqual(actual.baseSequence, expected.baseSequence, `baseSequence ${what}`)
  checkEqual(actual.isControl, expected.isControl, `isControl ${what}`)
  checkEqual(actual.isTransactional, expected.isTransactional, `isTransactional ${what}`)
}

/** A batch that fails when its bytes are asked for. */
function uncopyable(batch: EncodedBatch): RecordBatch {
  const refuse = (): never => {
    throw new Error('This batch cannot be copied.')
  }
  return new Proxy(batch, {
    get: (target, name) => (name === 'bytes' || name === 'copyTo' ? refuse : Reflect.get(target, name, target)),
  })
}

/** What it gives, or undefined where it fails. */
async function settled<T>(value: T | Promise<T>): Promise<T | undefined> {
  try {
    return await value
  } catch {
    return undefined
  }
}
