import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { FileStorage } from '../../src/storage/file/file-storage.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { Storage } from '../../src/storage/storage.js'
import { COMPACTED, CompactedLog, type Kept, type Keyed } from './compacting.js'

const root = mkdtempSync(join(tmpdir(), 'ottla-'))
afterAll(() => rmSync(root, { recursive: true }))
let directories = 0

const places: Record<string, () => (before: Storage | undefined) => Storage> = {
  memory: () => (before) => before ?? new MemoryStorage(),
  files: () => {
    const directory = join(root, String(directories++))
    return () => new FileStorage(directory, { durability: 'os' })
  },
}

const anyRecord = fc.tuple(
  fc.integer({ min: 0, max: 5 }).map((key) => `key-${key}`),
  fc.option(
    fc.nat(30).map((length) => 'v'.repeat(length)),
    { freq: 3 },
  ),
)
const anyStep = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.array(anyRecord, { minLength: 1, maxLength: 4 }).map((records) => ({ append: records })),
  },
  { weight: 2, arbitrary: fc.constant({ seal: true }) },
  { weight: 3, arbitrary: fc.record({ compactWithKeys: fc.constantFrom(3, 1000), besideAppends: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.nat(6000).map((advance) => ({ advance })) },
  { weight: 1, arbitrary: fc.constant({ restart: true }) },
  { weight: 1, arbitrary: fc.nat(10).map((deleteShare) => ({ deleteShare })) },
)

interface Model {
  /** All that was ever appended, by offset. */
  readonly appended: Map<number, Kept>
  /** The last record of each key. */
  readonly latest: Map<string, Kept>
}

async function checkAgainst(model: Model, subject: CompactedLog): Promise<void> {
  const { logStartOffset } = subject.log
  const kept = await subject.kept()
  const offsets = kept.map(({ offset }) => offset)
  expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
  // What is there is what was appended there.
  for (const each of kept) expect(each).toEqual(model.appended.get(each.offset))
  // The newest value of each key is there; the newest tombstone may have gone, and then nothing of the key is left.
  for (const [key, latest] of model.latest) {
    if (latest.offset < logStartOffset) continue
    const last = kept.filter((each) => each.key === key).at(-1)
    if (latest.value !== null) expect(last).toEqual(latest)
    else expect([latest.offset, undefined]).toContain(last?.offset)
  }
}

for (const [name, newPlace] of Object.entries(places)) {
  describe(`a compacted log over ${name}`, () => {
    it('keeps the newest of each key, offsets and order, whenever it is compacted, closed and appended to', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyStep, { minLength: 10, maxLength: 60 }), async (steps) => {
          const place = newPlace()
          let subject = await CompactedLog.open({}, place(undefined))
          const model: Model = { appended: new Map(), latest: new Map() }
          const append = async (records: readonly Keyed[]): Promise<void> => {
            const timestamp = subject.clock.now()
            const base = await subject.append(...records)
            for (const [index, [key, value]] of records.entries()) {
              const record = { offset: base + index, key, value, timestamp }
              model.appended.set(record.offset, record)
              model.latest.set(key ?? '', record)
            }
          }
          let start = 0
          for (const step of steps) {
            const { highWatermark } = subject.log
            if ('append' in step) await append(step.append)
            else if ('seal' in step) await subject.seal()
            else if ('advance' in step) await subject.clock.advance(step.advance)
            else if ('compactWithKeys' in step) {
              const maxMapBytes = step.compactWithKeys * 24
              const compacted = subject.log.cleaner.compact({ maxMapBytes, onlyIfDue: false })
              for (let n = 0; n < step.besideAppends; n++) await append([[`key-${n}`, 'beside']])
              await compacted
              await checkAgainst(model, subject)
            } else if ('deleteShare' in step) {
              start = Math.floor(highWatermark / 12)
              start = Math.max(await subject.log.deleteRecords(start), start)
            } else {
              const { cleanedTo } = subject.log.cleaner
              await subject.close()
              const next = place(subject.place)
              subject = await CompactedLog.open({ cleanedTo, logStartOffset: start }, next, subject.clock)
              expect(subject.log.highWatermark).toBe(highWatermark)
              await checkAgainst(model, subject)
            }
          }
          for (let round = 0; round < 3; round++) {
            await subject.seal()
            while (!subject.log.cleaner.isFullyCompacted) await subject.compact()
            await subject.compact()
            await subject.clock.advance(COMPACTED.deleteRetentionMs)
          }
          await checkAgainst(model, subject)
          // All of it was sealed long ago: one record of each key that has a value, and no tombstone.
          const left = await subject.kept()
          const wanted = [...model.latest.values()].filter(
            ({ offset, value }) => value !== null && offset >= subject.log.logStartOffset,
          )
          expect(left.map(({ offset }) => offset)).toEqual(wanted.map(({ offset }) => offset).sort((a, b) => a - b))
          await subject.close()
        }),
        { numRuns: name === 'memory' ? 100 : 5 },
      )
    }, 60_000)
  })
}
