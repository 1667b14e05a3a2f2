import { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { check, checkEqual, checkRefused } from './expect.js'
import { promptly } from './patience.js'
import { type LogUnderTest, makeBatch, type StorageTest } from './storage-under-test.js'

export const segmentTests: Record<string, StorageTest> = {
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
export async function fillTwoSegments(log: LogUnderTest): Promise<void> {
  await log.append({ records: 4 }, { records: 4 }, { records: 2 })
  await log.roll()
  await log.append({ records: 4 }, { records: 4 }, { records: 2 })
}

function truncatesTo(offset: number, endOffset: number): StorageTest {
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

export const truncateTests: Record<string, StorageTest> = {
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

export const replaceTests: Record<string, StorageTest> = {
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

export async function fillFourSegments(log: LogUnderTest): Promise<void> {
  for (let segment = 0; segment < 4; segment++) {
    if (segment > 0) await log.roll()
    await log.append({}, {}, {})
  }
}
