import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { RecordBatchBuilder } from '../../../src/record/record-batch-builder.js'
import { FileStorage } from '../../../src/storage/file/file-storage.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { storageSuite } from '../../../src/testing/storage-suite.js'
import { systemClock } from '../../../src/time/clock.js'
import { AT, batchAt, endOf, fill, offsetsIn, open, openOn, PLACE, temporaryDirectories, upTo } from './file-rig.js'

const directory = temporaryDirectories()
const context = { clock: systemClock, onRecovery: () => undefined }

for (const durability of ['fsync', 'os'] as const) {
  describe(`the storage suite with durability ${durability}`, () => {
    const places = new Map<unknown, string>()
    const at = (place: string): FileStorage => {
      const storage = new FileStorage(place, { durability })
      places.set(storage, place)
      return storage
    }
    storageSuite({ test, factory: () => at(directory()), reopen: (storage) => at(places.get(storage) ?? '') })
  })
}

describe('the options', () => {
  it.each([
    [{ mode: 1 }, /no option mode: it takes durability, syncIntervalMs, segmentBytes, readOnly, repair, fileSystem/],
    [{ readOnly: 'yes' }, /readOnly is true or false/],
    [{ repair: true }, /repair is one of truncate, salvage/],
    [{ readOnly: true, repair: 'salvage' }, /give repair without it/],
    [{ durability: 'always' }, /durability is one of fsync, interval, os, not always/],
    [{ durability: 'interval', syncIntervalMs: 0 }, /syncIntervalMs is a number/],
    [{ syncIntervalMs: 10 }, /give durability: 'interval' too/],
    [{ segmentBytes: 0 }, /segmentBytes is a number of bytes/],
    [{ segmentBytes: 2 ** 31 }, /segmentBytes is a number of bytes/],
    [{ segmentBytes: 1.5 }, /segmentBytes is a number of bytes/],
  ])('%o are refused at once', (options, message) => {
    // What JavaScript may pass.
    const make = () => new FileStorage('somewhere', options as never)
    expect(make).toThrow(
      expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT', message: expect.stringMatching(message) }),
    )
  })

  it('decide what an acknowledgement waits for', () => {
    expect(new FileStorage('x').acknowledgeAfter).toBe('sync')
    expect(new FileStorage('x', { durability: 'fsync', segmentBytes: 5 })).toMatchObject({ segmentBytes: 5 })
    expect(new FileStorage('x', { durability: 'interval', syncIntervalMs: 5 }).acknowledgeAfter).toBe('append')
    expect(new FileStorage('x', { durability: 'os' }).acknowledgeAfter).toBe('append')
  })

  it('a path that is none is refused', () => {
    expect(() => new FileStorage('')).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
  })
})

describe('the root directory', () => {
  it('is made with those above it, all for good, and says its layout', async () => {
    const above = '/some'
    const place = join(above, 'a', 'b')
    const disk = new SimulatedFileSystem()
    const { storage } = await open(place, { fileSystem: disk })
    const synced = disk.calls.filter(({ act }) => act === 'syncDirectory').map(({ path }) => path)
    // From the top, each before anything is made in it.
    expect(synced.slice(0, 4)).toEqual([dirname(above), dirname(above), above, join(above, 'a')])
    expect(Buffer.from(disk.crash().peek(join(place, 'ottla.json')) ?? []).toString()).toBe('{"layout":2}\n')
    await storage.close()
  })

  it('of a newer layout is refused and left as it is', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk)
    await fill(log, 3)
    await storage.close()
    disk.place(`${PLACE}/ottla.json`, Buffer.from('{"layout":3}\n'))
    const before = disk.files(PLACE)
    const next = new FileStorage(PLACE, { fileSystem: disk })
    await expect(next.open(context)).rejects.toMatchObject({
      code: 'OTTLA_UNSUPPORTED_FORMAT',
      message: expect.stringContaining('has layout 3, this release knows up to 2'),
    })
    expect(disk.files(PLACE)).toEqual(before)
    disk.place(`${PLACE}/ottla.json`, Buffer.from('nonsense'))
    await expect(next.open(context)).rejects.toMatchObject({ code: 'OTTLA_UNSUPPORTED_FORMAT' })
  })

  it('that holds something else is refused and left as it is', async () => {
    const place = directory()
    mkdirSync(place)
    writeFileSync(join(place, 'thesis.doc'), 'years of work')
    await expect(new FileStorage(place).open(context)).rejects.toMatchObject({
      code: 'OTTLA_INVALID_ARGUMENT',
      message: expect.stringContaining('holds thesis.doc but no ottla.json: give an empty directory'),
    })
    expect(readdirSync(place)).toEqual(['thesis.doc'])
  })

  it('carries the mark of a clean close only while it is closed', async () => {
    const place = directory()
    const { storage } = await open(place)
    await storage.close()
    expect(existsSync(join(place, 'clean-shutdown.json'))).toBe(true)
    const again = await open(place)
    expect(existsSync(join(place, 'clean-shutdown.json'))).toBe(false)
    await again.storage.close()
  })

  it.skipIf(process.platform !== 'linux')('that cannot be made is refused', async () => {
    await expect(new FileStorage('/proc/self/ottla/data').open(context)).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
    })
  })

  it('that is a file is refused', async () => {
    const place = directory()
    writeFileSync(place, '')
    await expect(new FileStorage(place).open(context)).rejects.toMatchObject({
      code: 'OTTLA_INVALID_ARGUMENT',
      message: expect.stringContaining('is a file'),
    })
    await expect(new FileStorage(join(place, 'below')).open(context)).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
    })
  })

  // Root may write everywhere.
  it.skipIf(process.getuid?.() === 0)('that cannot be written to is refused, saying so', async () => {
    const place = directory()
    mkdirSync(place)
    chmodSync(place, 0o500)
    await expect(new FileStorage(place).open(context)).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
      message: expect.stringContaining('cannot be written to'),
    })
    chmodSync(place, 0o700)
  })

  it("keeps Kafka's topic id with a partition, and refuses the log of another topic", async () => {
    const place = directory()
    const { storage } = await open(place)
    const other = { topic: 'a.b', partition: 1 }
    const log = await storage.openPartition(other, { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' })
    await log.append([batchAt(0)])
    expect(readFileSync(join(place, 'a.b-1', 'partition.metadata'), 'utf8')).toBe(
      'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ',
    )
    await log.close()
    await expect(storage.openPartition(other, { topicId: 'AAAAAAAAAAAAAAAAAAAAAg' })).rejects.toMatchObject({
      code: 'OTTLA_TOPIC_MISMATCH',
    })
    expect(endOf(await storage.openPartition(other))).toBe(1)
    await storage.close()
  })

  it('writes the topic id anew where a power cut left half of it', async () => {
    const disk = new SimulatedFileSystem()
    const { storage } = await openOn(disk)
    const at = { topic: 'a.b', partition: 1 }
    const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ'
    await storage.openPartition(at, { topicId })
    const path = `${PLACE}/a.b-1/partition.metadata`
    const whole = Buffer.from(disk.peek(path) ?? [])
    for (let length = 0; length < whole.length; length++) {
      const after = disk.killProcess()
      after.place(path, whole.subarray(0, length))
      const { storage: next } = await openOn(after)
      await next.openPartition(at, { topicId })
      expect(after.peek(path), `cut at ${length}`).toEqual(new Uint8Array(whole))
    }
  })

  it.each(['..', '../up', 'a/b', '', 'x'.repeat(250), 'ä'])('has no partition of a topic called %j', async (topic) => {
    const { storage } = await open(directory())
    const opening = storage.openPartition({ topic, partition: 0 })
    // Two dots and a number are a name like any other.
    if (topic === '..') await opening
    else await expect(opening).rejects.toMatchObject({ code: 'OTTLA_INVALID_TOPIC' })
    await expect(storage.openPartition({ topic: 'x', partition: -1 })).rejects.toMatchObject({
      code: 'OTTLA_INVALID_TOPIC',
    })
    await storage.close()
  })

  it('loses a partition with the longest name, and takes it anew', async () => {
    const { storage } = await open(directory())
    const at = { topic: 'x'.repeat(249), partition: 10 }
    const log = await storage.openPartition(at)
    await log.append([batchAt(0)])
    await storage.deletePartition(at)
    expect(() => log.append([batchAt(1)])).toThrow(expect.objectContaining({ code: 'OTTLA_CLOSED' }))
    expect(endOf(await storage.openPartition(at))).toBe(0)
    await storage.close()
  })
})

describe('snapshots', () => {
  it('the newest two outlive a restart, and none beyond the end of the log', async () => {
    const place = directory()
    const { storage, log } = await open(place)
    await fill(log, 9)
    for (const offset of [2, 5, 9]) await log.saveSnapshot(offset, Uint8Array.of(offset))
    await storage.close()
    const { storage: next, log: found } = await open(place)
    expect(await found.loadSnapshot(4)).toBe(undefined)
    expect(await found.loadSnapshot(8)).toMatchObject({ offset: 5, bytes: Uint8Array.of(5) })
    expect(await found.loadSnapshot(9)).toMatchObject({ offset: 9 })
    await found.truncate(7)
    expect(await found.loadSnapshot(9)).toMatchObject({ offset: 5 })
    await next.close()
  })
})

describe('a closed storage', () => {
  it('can be opened again, and until then does nothing', async () => {
    const { storage, log } = await open(directory())
    await fill(log, 3)
    await storage.close()
    await expect(storage.partitions()).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    expect(() => log.read(0, 1, 3)).toThrow(expect.objectContaining({ code: 'OTTLA_CLOSED' }))
    await storage.open(context)
    expect(await offsetsIn(await storage.openPartition(AT))).toEqual(upTo(3))
    await storage.close()
  })
})

describe('a storage that is closed while it opens', () => {
  it('is closed when both are done', async () => {
    const place = directory()
    const storage = new FileStorage(place)
    const opening = storage.open(context)
    await storage.close()
    await opening
    await expect(storage.partitions()).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    await (await open(place)).storage.close()
  })
})

describe('an append', () => {
  it('that does not follow on the log is refused', async () => {
    const { storage, log } = await open(directory())
    await fill(log, 3)
    expect(() => log.append([batchAt(2)])).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
    expect(() => log.append([batchAt(3), batchAt(3)])).toThrow(
      expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }),
    )
    expect(() => log.append([batchAt(2 ** 31)])).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
    await log.roll(2 ** 31)
    await log.append([batchAt(2 ** 31)])
    expect(await log.read(2 ** 31, 1, 2 ** 40)).toHaveLength(1)
    await storage.close()
  })

  it('beyond what the memory keeps is read from the file', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk, { durability: 'os' })
    for (let offset = 0; offset < 40; offset++) await log.append([batchAt(offset, 1, 700_000)])
    expect(await offsetsIn(log)).toEqual(upTo(40))
    expect(disk.count('read', '.log')).toBeGreaterThan(0)
    await log.append([batchAt(40, 1, 700_000)])
    disk.calls.length = 0
    expect(log.read(40, 1, 41)).toHaveLength(1)
    expect(disk.calls).toEqual([])
    await storage.close()
  })

  it('that nobody reads for long is in the log as well, though its memory is written to again', async () => {
    const { storage, log } = await open(directory(), { durability: 'os' })
    const builder = new RecordBatchBuilder()
    const appendOne = async (): Promise<void> => {
      const offset = endOf(log)
      builder.append(offset, null, new Uint8Array(128 * 1024).fill(offset))
      const closed = builder.close()
      closed.assignOffsets(offset, 0)
      await log.append([closed])
      builder.reset()
    }
    // Once with nobody who reads, then with one who keeps up, then without again.
    for (const isRead of [false, true, false]) {
      for (let batch = 0; batch < 100; batch++) {
        await appendOne()
        if (isRead) expect((await log.read(endOf(log) - 1, 1, endOf(log)))[0]?.baseOffset).toBe(endOf(log) - 1)
      }
    }
    const { length } = upTo(300)
    for (const offset of [0, 70, 99, 100, 101, 199, 200, 264, 299]) {
      const [batch] = await log.read(offset, 1, length)
      const records = batch?.records()
      records?.next()
      expect([records?.offset, records?.value?.[0], records?.value?.at(-1)]).toEqual([
        offset,
        offset & 255,
        offset & 255,
      ])
    }
    await storage.close()
  })

  it('never writes again to memory that a reader was given', async () => {
    const { storage, log } = await open(directory(), { durability: 'os' })
    const held: { view: Uint8Array; before: Uint8Array }[] = []
    for (let offset = 0; offset < 60; offset++) {
      await log.append([batchAt(offset, 1, 700_000)])
      if (offset % 10 !== 0) continue
      const [batch] = await log.read(offset, 1, offset + 1)
      if (batch !== undefined) held.push({ view: batch.bytes(), before: batch.bytes().slice() })
    }
    expect(held).toHaveLength(6)
    for (const { view, before } of held) expect(Buffer.from(view).equals(before)).toBe(true)
    await storage.close()
  })
})

describe('a read from the file', () => {
  it('beside a truncation gives what the log then holds', async () => {
    const disk = new SimulatedFileSystem()
    const made = await openOn(disk)
    await fill(made.log, 10)
    await made.storage.close()
    const { storage, log } = await openOn(disk)
    disk.afterRead = async (path) => {
      if (!path.endsWith('.log')) return
      // The truncation reads too.
      disk.afterRead = async () => undefined
      await log.truncate(4)
      await log.append([batchAt(4, 3, 33)])
    }
    const offsets = (await log.read(2, 100_000, 100)).map(({ baseOffset }) => baseOffset)
    expect(offsets).toEqual([2, 3, 4])
    expect(await offsetsIn(log)).toEqual([0, 1, 2, 3, 4])
    await storage.close()
  })
})
