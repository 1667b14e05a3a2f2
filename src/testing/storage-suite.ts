import { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { Storage } from '../storage/storage.js'
import { check, checkBytes, checkEqual, checkRefused } from './expect.js'
import { promptly } from './patience.js'
import { registerTests } from './register-tests.js'
import { runRandomOperations } from './storage-random-operations.js'
import { checkBatches, type LogUnderTest, makeBatch, StorageUnderTest } from './storage-under-test.js'

/** What `storageSuite` takes. */
export interface StorageSuiteOptions {
  /** Registers a test: `test` of vitest, of node:test, or a function of yours. With a `skip`, skips are told to it. */
  test: SuiteTest
  /** A fresh, empty storage, not yet open. */
  factory: () => Storage | Promise<Storage>
  /**
   * A second storage over the place of one that was closed, or the same one if it can be opened again. What was synced
   * must be there again. Without it the tests of reopening are left out.
   */
  reopen?: ((storage: Storage) => Storage | Promise<Storage>) | undefined
  /** The names of tests to leave out, each with the reason. */
  skip?: Readonly<Record<string, string>>
  /** Of the test with random operations; a failure names it. */
  seed?: number
}

/** A function that registers a test: that of vitest, of node:test or of your own. */
export interface SuiteTest {
  (name: string, body: () => Promise<void>): unknown
  /** Registers a test that is left out; without it, nobody is told. */
  skip?: (name: string, body: () => Promise<void>) => unknown
}

/**
 * Registers the tests that every storage must pass: the sentences of `Storage` and `PartitionStorage`, one by one, and
 * a comparison with a model under random operations. Throws for a name in `skip` that no test has.
 *
 * @example
 * storageSuite({ test, factory: () => new MemoryStorage() })
 */
export function storageSuite(options: StorageSuiteOptions): void {
  const { test, factory, reopen, skip = {}, seed = 1 } = options
  const bodies = Object.entries(suiteTests(seed, reopen)).map(([name, run]): [string, () => Promise<void>] => [
    name,
    async () => {
      const place = await StorageUnderTest.open(await factory())
      try {
        await run(await place.log('orders', 0, { topicId: 'b3R0bGEtc3RvcmFnZS1zdQ', indexIntervalBytes: 512 }), place)
      } finally {
        await place.close()
      }
    },
  ])
  registerTests('storage suite', Object.fromEntries(bodies), test, skip)
}

type RunTest = (log: LogUnderTest, place: StorageUnderTest) => Promise<void>

function suiteTests(seed: number, reopen: StorageSuiteOptions['reopen']): Record<string, RunTest> {
  return {
    ...appendTests,
    ...readTests,
    ...segmentTests,
    ...truncateTests,
    ...replaceTests,
    ...placeTests,
    'random operations leave what the model says': (log, place) => runRandomOperations(log, place, seed),
    ...(reopen === undefined ? {} : reopenTests(reopen)),
  }
}

const appendTests: Record<string, RunTest> = {
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

const readTests: Record<string, RunTest> = {
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

const segmentTests: Record<string, RunTest> = {
  'segments say what they hold': async (log) => {
    await log.append({ timestamp: 500, records: 2 }, { timestamp: 900 }, { timestamp: 100 })
    await log.roll()
    await log.check()
    await log.append({ timestamp: 300 })
    await log.roll()
    await log.append({ gap: 5, timestamp: 400 })
    await log.check()
  },

  'a roll begins a segment at its base, and does nothing to an empty one there': async (log) => {
    await log.roll(0)
    await log.append({ records: 3 })
    await log.roll()
    await log.roll()
    await log.check()
    await log.append({})
    await log.roll(100)
    checkEqual(log.endOffset, 100, 'The log end offset after a roll beyond the end')
    await log.append({})
    await log.check()
  },

  'a roll before the end is refused': async (log) => {
    await log.append({ records: 3 })
    for (const baseOffset of [0, 2]) {
      const what = `Rolling at ${baseOffset} a log that ends at 3`
      await checkRefused('OTTLA_INVALID_ARGUMENT', () => log.storage.roll(baseOffset), what)
      await log.check()
    }
    await log.roll(10)
    await checkRefused('OTTLA_INVALID_ARGUMENT', () => log.storage.roll(9), 'Rolling at 9 an empty segment at 10')
    await log.append({})
    await log.check()
  },

  'a drop of the active segment is refused': async (log) => {
    for (const segments of [1, 2]) {
      await log.append({ records: 3 })
      for (const count of [segments, segments + 1]) {
        const what = `Dropping ${count} of ${segments} segments`
        await checkRefused('OTTLA_INVALID_ARGUMENT', () => log.storage.drop(count), what)
        checkEqual(log.storage.segments.length, segments, 'The number of segments after a drop that was refused')
        await log.check()
      }
      await log.roll()
    }
  },

  'drop removes the oldest segments': async (log) => {
    for (let segment = 0; segment < 5; segment++) {
      await log.append({ records: 2 }, {})
      await log.roll()
    }
    await log.drop(0)
    await log.drop(1)
    await log.check()
    await log.drop(4)
    await log.check()
    await log.append({})
    await log.check()
    await log.checkFindOffset(0)
  },
}

/** Two segments: offsets 0-9 (batches at 0, 4, 8) and 10-19 (batches at 10, 14, 18). */
async function fillTwoSegments(log: LogUnderTest): Promise<void> {
  await log.append({ records: 4 }, { records: 4 }, { records: 2 })
  await log.roll()
  await log.append({ records: 4 }, { records: 4 }, { records: 2 })
}

function truncatesTo(offset: number, endOffset: number): RunTest {
  return async (log) => {
    await fillTwoSegments(log)
    await log.sync()
    await log.truncate(offset)
    checkEqual(log.endOffset, endOffset, `The log end offset after truncating to ${offset}`)
    await log.check()
    await log.append({ records: 3, timestamp: 77 }, { valueBytes: 700 })
    await log.check()
    for (const timestamp of [0, 77, 78, 1_700_000_000_008, 1_700_000_000_015]) await log.checkFindOffset(timestamp)
    await log.sync()
  }
}

const truncateTests: Record<string, RunTest> = {
  'truncate at the start of a batch keeps what is before it': truncatesTo(14, 14),
  'truncate inside a batch removes that batch': truncatesTo(16, 14),
  'truncate at the base of a segment empties it': truncatesTo(10, 10),
  'truncate in an earlier segment removes the later ones': truncatesTo(8, 8),
  'truncate inside a batch of an earlier segment removes it and the later segments': truncatesTo(6, 4),
  'truncate at or beyond the end removes nothing': truncatesTo(20, 20),
  'truncate to 0 removes everything': truncatesTo(0, 0),
  'truncate to before the first segment leaves an empty log that ends at or before it': async (log) => {
    await fillTwoSegments(log)
    await log.drop(1)
    await log.truncate(5)
    checkEqual(log.storage.segments.length, 1, 'The number of segments after everything was truncated')
    await log.check()
    await log.append({ records: 2 })
    await log.check()
  },
}

const replaceTests: Record<string, RunTest> = {
  'replace puts batches in the place of sealed segments': async (log) => {
    await fillFourSegments(log)
    await log.replace(1, 2, ({ baseOffset }) => baseOffset % 3 !== 0, 'iterable')
    await log.check()
    await log.replace(0, 1, ({ baseOffset }) => baseOffset !== 0, 'iterable')
    await log.check()
    await log.append({})
    await log.replace(0, 2, () => true, 'iterable')
    await log.check()
    for (let timestamp = 0; timestamp < 13; timestamp++) await log.checkFindOffset(1_700_000_000_000 + timestamp)
  },

  'replace takes batches that come one by one': async (log) => {
    await fillFourSegments(log)
    await log.replace(0, 3, ({ baseOffset }) => baseOffset % 2 === 1, 'async iterable')
    await log.check()
    await log.append({})
    await log.check()
  },

  'appends, syncs, rolls and reads go on while the batches of a replace come': async (log) => {
    await fillFourSegments(log)
    const endOffset = log.storage.segments[2]?.baseOffset ?? 0
    const isReplaced = ({ baseOffset }: { baseOffset: number }): boolean => baseOffset < endOffset
    const stays = log.kept.filter(isReplaced).filter((_, index) => index % 2 === 0)
    let goOn = (): void => undefined
    const others = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const batches = async function* (): AsyncGenerator<RecordBatch> {
      for (const [index, { bytes }] of stays.entries()) {
        if (index === 1) await others
        yield new EncodedBatch(bytes.slice(), 0, bytes.length)
      }
    }
    const replaced = Promise.resolve(log.storage.replace(0, 2, batches())).then(() => 'done', String)
    const changed = async (): Promise<void> => {
      await log.append({})
      await log.sync()
      await log.roll()
      await log.append({ records: 2 })
      await log.sync()
      await log.check()
    }
    try {
      await promptly(changed(), 'An append, a roll or a sync beside a replace')
    } finally {
      goOn()
    }
    checkEqual(await replaced, 'done', 'What a replace beside appends ended in')
    log.kept = log.kept.filter((batch) => !isReplaced(batch) || stays.includes(batch))
    await log.check()
    await log.append({})
    await log.check()
  },

  'a replace that includes the active segment is refused': async (log) => {
    await fillFourSegments(log)
    for (const [first, count] of [
      [0, 4],
      [2, 2],
      [3, 1],
      [4, 1],
    ] as const) {
      const what = `Replacing ${count} of 4 segments from index ${first} on`
      await checkRefused('OTTLA_INVALID_ARGUMENT', () => log.storage.replace(first, count, []), what)
      checkEqual(log.storage.segments.length, 4, 'The number of segments after a replace that was refused')
      await log.check()
    }
    await log.append({})
    await log.check()
  },

  'replace whose batches fail to come changes nothing': async (log) => {
    await fillFourSegments(log)
    const failing = function* (): Generator<RecordBatch> {
      yield makeBatch({}, 0)
      throw new Error('no more batches')
    }
    const failingLater = async function* (): AsyncGenerator<RecordBatch> {
      yield* failing()
    }
    for (const batches of [failing(), failingLater()]) {
      let failed = false
      try {
        await log.storage.replace(0, 2, batches)
      } catch {
        failed = true
      }
      check(failed, 'A replace whose batches fail to come did not fail.')
      await log.check()
    }
    await log.append({})
    await log.check()
  },
}

async function fillFourSegments(log: LogUnderTest): Promise<void> {
  for (let segment = 0; segment < 4; segment++) {
    if (segment > 0) await log.roll()
    await log.append({}, {}, {})
  }
}

const placeTests: Record<string, RunTest> = {
  'a storage describes itself': async (_log, { storage }) => {
    check(['append', 'sync'].includes(storage.acknowledgeAfter), 'acknowledgeAfter is neither "append" nor "sync".')
    const { segmentBytes } = storage
    check(
      segmentBytes === undefined || (Number.isSafeInteger(segmentBytes) && segmentBytes > 0),
      `segmentBytes is ${segmentBytes}, which is no number of bytes.`,
    )
  },

  'partitions are independent': async (log, place) => {
    const logs = [log, await place.log('orders', 1), await place.log('orders-1', 0), await place.log('a.b_c', 0)]
    for (let round = 0; round < 5; round++) {
      for (const [index, each] of logs.entries())
        await each.append({ records: index + 1, timestamp: index * 100 + round })
    }
    await logs[1]?.truncate(4)
    await logs[2]?.roll()
    await logs[2]?.drop(1)
    await logs[3]?.sync()
    for (const each of logs) await each.check()
  },

  'partitions lists those that exist': async (_log, place) => {
    const listed = async (): Promise<string> =>
      (await place.storage.partitions())
        .map(({ topic, partition }) => `${topic}/${partition}`)
        .sort()
        .join(' ')
    checkEqual(await listed(), 'orders/0', 'The list of partitions')
    await place.log('orders', 11)
    const returns = await place.log('returns', 0)
    checkEqual(await listed(), 'orders/0 orders/11 returns/0', 'The list of partitions')
    await place.delete(returns)
    checkEqual(await listed(), 'orders/0 orders/11', 'The list of partitions after one was deleted')
  },

  'a deleted partition is gone, and one made anew is empty': async (log, place) => {
    const other = await place.log('orders', 1)
    await other.append({ records: 2 })
    await log.append({ records: 3 }, {})
    await log.roll()
    await log.append({})
    await log.sync()
    await place.delete(log)
    const anew = await place.log('orders', 0)
    checkEqual(anew.endOffset, 0, 'The log end offset of a partition that was deleted and made anew')
    await anew.check()
    await anew.append({})
    await anew.check()
    await other.check()
  },

  'deleting a partition that does not exist is no error': async (log, place) => {
    await place.storage.deletePartition({ topic: 'nothing', partition: 3 })
    await log.append({})
    await log.check()
  },

  'a partition that was closed opens again with what it held': async (log, place) => {
    await fillTwoSegments(log)
    const basesBefore = log.storage.segments.map(({ baseOffset }) => baseOffset).join(', ')
    await log.storage.close()
    await log.open(place.storage)
    checkEqual(
      log.storage.segments.map(({ baseOffset }) => baseOffset).join(', '),
      basesBefore,
      'The list of base offsets of segments after opening again',
    )
    await log.check()
    await log.append({})
    await log.check()
  },

  'close may be called more than once': async (log, { storage }) => {
    await log.append({})
    await log.storage.close()
    await log.storage.close()
    await storage.close()
    await storage.close()
  },

  'a partition that was closed refuses every call': async (log, { storage }) => {
    await fillTwoSegments(log)
    const closed = log.storage
    await closed.close()
    const calls: Record<string, () => unknown> = {
      append: () => closed.append([makeBatch({}, 20)]),
      sync: () => closed.sync(),
      read: () => closed.read(0, 1024, 20),
      findOffset: () => closed.findOffset(0),
      roll: () => closed.roll(20),
      drop: () => closed.drop(1),
      truncate: () => closed.truncate(10),
      replace: () => closed.replace(0, 1, []),
      saveSnapshot: () => closed.saveSnapshot(20, new Uint8Array(1)),
      loadSnapshot: () => closed.loadSnapshot(20),
    }
    for (const [name, call] of Object.entries(calls)) {
      await checkRefused('OTTLA_CLOSED', call, `${name} of a closed partition`)
    }
    await log.open(storage)
    await log.check()
  },

  'a storage that was closed refuses every call': async (log, { storage }) => {
    await log.storage.close()
    await storage.close()
    const calls: Record<string, () => unknown> = {
      partitions: () => storage.partitions(),
      openPartition: () => storage.openPartition(log.at),
      deletePartition: () => storage.deletePartition(log.at),
    }
    for (const [name, call] of Object.entries(calls)) {
      await checkRefused('OTTLA_CLOSED', call, `${name} of a closed storage`)
    }
  },

  'a second broker is refused, and the first one is not disturbed': async (log, place) => {
    await log.append({})
    await checkRefused('OTTLA_LOCKED', () => place.openAgain(), 'Opening a storage that is open')
    await log.append({})
    await log.check()
  },

  'a snapshot comes back whole or is forgotten': async (log) => {
    await log.append({ records: 9 })
    const bytes = Uint8Array.of(1, 2, 3, 4)
    await log.storage.saveSnapshot(3, bytes)
    await log.storage.saveSnapshot(6, Uint8Array.of(9))
    checkEqual((await log.storage.loadSnapshot(2))?.offset, undefined, 'The offset of a snapshot below all')
    for (const at of [3, 5]) {
      const snapshot = await log.storage.loadSnapshot(at)
      if (snapshot === undefined) continue
      checkEqual(snapshot.offset, 3, `The offset of the newest snapshot at or below ${at}`)
      checkBytes(snapshot.bytes, bytes, 'the snapshot at 3')
    }
    const newest = await log.storage.loadSnapshot(9)
    check(
      newest === undefined || newest.offset === 6 || newest.offset === 3,
      'A snapshot came back that was not saved.',
    )
    await log.check()
  },
}

function reopenTests(reopen: NonNullable<StorageSuiteOptions['reopen']>): Record<string, RunTest> {
  return {
    'what was synced is there after reopening': async (log, place) => {
      await fillTwoSegments(log)
      const other = await place.log('orders', 1)
      await other.append({ records: 7 })
      for (const each of [log, other]) {
        await each.sync()
        const { durableEndOffset } = each.storage
        checkEqual(durableEndOffset, each.endOffset, 'The durable end offset after a sync')
      }
      await place.reopen(reopen)
      for (const each of [log, other]) {
        await each.check()
        await each.append({ records: 2 })
        await each.check()
      }
      checkEqual((await place.storage.partitions()).length, 2, 'The number of partitions after reopening')
    },

    'what was appended without a sync is there after reopening, whole batches from the first on': async (
      log,
      place,
    ) => {
      await log.append({ records: 3 })
      await log.sync()
      const synced = log.endOffset
      for (let call = 0; call < 5; call++) await log.append({ records: 2 })
      await place.reopen(reopen)
      check(log.endOffset >= synced, `After reopening the log ends at ${log.endOffset}, although ${synced} was synced.`)
      log.kept = log.kept.filter(({ lastOffset }) => lastOffset < log.endOffset)
      await log.check()
    },

    'what was removed or replaced stays so after reopening': async (log, place) => {
      await fillFourSegments(log)
      const deleted = await place.log('returns', 0)
      await deleted.append({ records: 5 })
      await log.drop(1)
      await log.replace(0, 1, ({ baseOffset }) => baseOffset !== 4, 'iterable')
      await log.truncate(10)
      await log.sync()
      await place.delete(deleted)
      await place.reopen(reopen)
      await log.check()
      const anew = await place.log('returns', 0)
      await anew.check()
    },
  }
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
