import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { FileStorage } from '../../src/storage/file/file-storage.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { Storage } from '../../src/storage/storage.js'
import { systemClock } from '../../src/time/clock.js'
import { COMPACTED, CompactedLog } from './compacting.js'

const root = mkdtempSync(join(tmpdir(), 'ottla-'))
afterAll(() => rmSync(root, { recursive: true }))

const places: Record<string, () => Storage> = {
  memory: () => new MemoryStorage(),
  files: () => new FileStorage(join(root, 'data'), { durability: 'os' }),
}

const KEYS = 40

for (const [name, newPlace] of Object.entries(places)) {
  it(`a reader beside compaction and retention misses no newest value, over ${name}`, async () => {
    const settings = { ...COMPACTED, segmentBytes: 4000 }
    const subject = await CompactedLog.open({ settings }, newPlace())
    const { log } = subject
    const fill = async (round: number): Promise<void> => {
      for (let key = 0; key < KEYS; key++) await subject.append([`key-${key}`, `${round}`.repeat(60)])
    }
    await fill(0)
    let isOver = false
    let walks = 0
    let outOfRange = 0

    /** Walks the log from its start: of each key the newest below the end that it saw at first must come. */
    const walk = async (): Promise<void> => {
      const end = log.highWatermark
      const newest = new Map<string, number>()
      let last = -1
      let offset = log.logStartOffset
      while (offset < end) {
        const batches = await log.read(offset, 500)
        for (const batch of batches) {
          const records = batch.records()
          while (records.next()) {
            // An expectation for each record would take longer than to read it.
            if (records.offset <= last) expect(records.offset).toBeGreaterThan(last)
            last = records.offset
            const key = new TextDecoder().decode(records.key ?? new Uint8Array())
            newest.set(key, records.offset)
          }
          offset = batch.lastOffset + 1
        }
        if (batches.length === 0) throw new Error(`Nothing at ${offset} of ${log.highWatermark}`)
      }
      expect(newest.size).toBe(KEYS)
      walks++
    }
    const reader = async (): Promise<void> => {
      while (!isOver) {
        try {
          await walk()
        } catch (error) {
          if (!(error instanceof Error && 'code' in error && error.code === 'OTTLA_OFFSET_OUT_OF_RANGE')) throw error
          outOfRange++
        }
        await systemClock.nextTurn()
      }
    }
    const readers = Promise.all([reader(), reader(), reader()])
    const clean = async (): Promise<void> => {
      for (let round = 1; round <= 12; round++) {
        await fill(round)
        await subject.compact()
      }
      // All keys stand behind this offset once more, so retention may take what is before it.
      const start = log.highWatermark
      await fill(13)
      await log.deleteRecords(start)
    }
    await Promise.race([clean(), readers])
    isOver = true
    await readers
    expect(walks).toBeGreaterThan(3)
    expect(outOfRange).toBeLessThan(4)
    await subject.close()
  })
}

describe('a look-up by time', () => {
  it('beside compaction finds the first record that is still there', async () => {
    const place = new FileStorage(join(root, 'times'), { durability: 'os' })
    const subject = await CompactedLog.open({ settings: { ...COMPACTED, segmentBytes: 2000 } }, place)
    const start = subject.clock.now()
    for (let n = 0; n < 60; n++) {
      await subject.append([`key-${n % 7}`, 'x'.repeat(100)])
      await subject.clock.advance(1)
    }
    const compacted = subject.compact()
    let found = await subject.log.offsetForTimestamp(start)
    for (let turn = 0; turn < 30; turn++) {
      found = await subject.log.offsetForTimestamp(start)
      expect(found).toBeDefined()
    }
    await compacted
    found = await subject.log.offsetForTimestamp(start)
    expect(found).toEqual({
      offset: (await subject.kept())[0]?.offset,
      timestamp: (await subject.kept())[0]?.timestamp,
    })
    await subject.close()
  })
})
