import { Broker, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { FileStorage } from '../../../src/storage/file/file-storage.js'
import type { FileStorageOptions } from '../../../src/storage/file/file-storage-options.js'
import type { FileSystem } from '../../../src/storage/file/file-system.js'
import { ManualClock } from '../../../src/testing/manual-clock.js'
import { type DiskCall, SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { systemClock } from '../../../src/time/clock.js'
import { AT, batchAt, endOf, fill, logPath, offsetsIn, openOn, PLACE, upTo } from './file-rig.js'

async function openFaulty(options?: FileStorageOptions) {
  const disk = new SimulatedFileSystem()
  return { disk, ...(await openOn(disk, options)) }
}

function sizeOf(disk: SimulatedFileSystem, path: string): number {
  return disk.peek(path)?.length ?? -1
}

function of(act: DiskCall['act'], suffix = '.log'): (call: DiskCall) => boolean {
  return (call) => call.act === act && call.path.endsWith(suffix)
}

describe('a write', () => {
  it('that the disk takes piece by piece is written whole', async () => {
    const { disk, storage, log } = await openFaulty()
    disk.plan = (call) => (of('write')(call) ? { bytes: 7 } : undefined)
    await log.append([batchAt(0, 3), batchAt(3)])
    await log.append([batchAt(4, 1, 100_000)])
    disk.plan = () => undefined
    await storage.close()
    const { storage: next, log: found } = await openOn(disk)
    expect(await offsetsIn(found)).toEqual([0, 3, 4])
    await next.close()
  })

  it.each([
    ['ENOSPC', 'OTTLA_STORAGE_FULL'],
    ['EIO', 'OTTLA_STORAGE_FAILED'],
  ])('that ends in %s after a part is taken back whole, and a later one succeeds', async (fault, code) => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 2)
    const sizeBefore = sizeOf(disk, logPath(PLACE, 0))
    for (const batches of [
      [batchAt(2)],
      [batchAt(2, 1, 90_000)],
      Array.from({ length: 30 }, (_, at) => batchAt(2 + at, 1, 90_000)),
    ]) {
      let writes = 0
      disk.plan = (call) => (of('write')(call) ? (writes++ === 0 ? { bytes: 50 } : fault) : undefined)
      await expect((async () => log.append(batches))()).rejects.toMatchObject({ code, cause: { code: fault } })
      expect(sizeOf(disk, logPath(PLACE, 0))).toBe(sizeBefore)
      expect(await offsetsIn(log)).toEqual([0, 1])
    }
    disk.plan = () => undefined
    await fill(log, 3)
    expect(await offsetsIn(log)).toEqual(upTo(5))
    await storage.close()
    const { storage: next, log: found, reports } = await openOn(disk)
    expect(await offsetsIn(found)).toEqual(upTo(5))
    expect(reports).toEqual([])
    await next.close()
  })

  it('that cannot be taken back is the last one', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 2)
    let writes = 0
    disk.plan = (call) =>
      of('write')(call) ? (writes++ === 0 ? { bytes: 50 } : 'ENOSPC') : of('truncate')(call) ? 'EIO' : undefined
    await expect((async () => log.append([batchAt(2)]))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    await expect((async () => log.append([batchAt(2)]))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    expect(await offsetsIn(log)).toEqual([0, 1])
    await storage.close()
    const { storage: next, log: found, reports } = await openOn(disk)
    expect(await offsetsIn(found)).toEqual([0, 1])
    expect(reports.filter(({ kind }) => kind === 'torn-tail')).toHaveLength(1)
    await next.close()
  })
})

describe('a sync', () => {
  it.each([
    ['of the log', of('dataSync')],
    ['of the directory', of('syncDirectory', 'orders-0')],
  ])('%s that fails is never made again, and nothing more is taken', async (_, isIt) => {
    const { disk, storage, log } = await openFaulty()
    await log.append([batchAt(0)])
    disk.plan = (call) => (isIt(call) ? 'EIO' : undefined)
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    const before = disk.calls.length
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await expect((async () => log.append([batchAt(1)]))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    expect(log.durableEndOffset).toBe(0)
    expect(await offsetsIn(log)).toEqual([0])
    await log.close()
    expect(disk.calls.slice(before).some(({ act }) => act === 'dataSync')).toBe(false)
    await storage.close()
    const { storage: next, log: found } = await openOn(disk)
    expect(await offsetsIn(found)).toEqual([0])
    await next.close()
  })

  it('of the root that fails fails the partitions that it was for', async () => {
    const { disk, storage, log } = await openFaulty()
    const other = await storage.openPartition({ topic: 'orders', partition: 1 })
    disk.plan = (call) => (call.act === 'syncDirectory' && call.path === PLACE ? 'EIO' : undefined)
    await log.append([batchAt(0)])
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    await other.append([batchAt(0)])
    await expect((async () => other.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await expect(storage.close()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await (await openOn(disk)).storage.close()
  })

  it('of the root that failed is forgotten when the storage opens anew', async () => {
    const { disk, storage, log } = await openFaulty()
    disk.plan = (call) => (call.act === 'syncDirectory' && call.path === PLACE ? 'EIO' : undefined)
    await log.append([batchAt(0)])
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    await expect(storage.close()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await storage.open({ clock: new ManualClock(), onRecovery: () => undefined })
    const other = await storage.openPartition({ topic: 'orders', partition: 1 })
    await other.append([batchAt(0)])
    await other.sync()
    await storage.close()
  })

  it('covers the new directory, the new file and the bytes, in that order before the durable end moves', async () => {
    const { disk, storage, log } = await openFaulty()
    await log.append([batchAt(0)])
    disk.calls.length = 0
    await log.sync()
    expect(
      disk.calls
        .filter(({ act }) => act === 'syncDirectory')
        .map(({ path }) => path)
        .sort(),
    ).toEqual([PLACE, `${PLACE}/orders-0`])
    expect(disk.count('dataSync', '.log')).toBe(1)
    await log.append([batchAt(1)])
    disk.calls.length = 0
    await log.sync()
    await log.sync()
    expect(disk.calls.map(({ act }) => act)).toEqual(['dataSync'])
    await log.roll(2)
    await log.append([batchAt(2)])
    disk.calls.length = 0
    await log.sync()
    expect(disk.calls.map(({ act }) => act).sort()).toEqual(['dataSync', 'syncDirectory'])
    await storage.close()
  })

  it('is made before a segment is sealed, whatever the durability', async () => {
    const { disk, storage, log } = await openFaulty({ durability: 'os' })
    await log.append([batchAt(0)])
    expect(disk.count('dataSync', '.log')).toBe(0)
    await log.roll(1)
    expect(disk.count('dataSync', '.log')).toBe(1)
    expect(log.durableEndOffset).toBe(1)
    await storage.close()
  })
})

describe("with durability 'interval'", () => {
  async function openWithClock() {
    const disk = new SimulatedFileSystem()
    const clock = new ManualClock()
    const storage = new FileStorage(PLACE, { durability: 'interval', syncIntervalMs: 50, fileSystem: disk })
    await storage.open({ clock, onRecovery: () => undefined })
    const log = await storage.openPartition(AT)
    return { disk, clock, storage, log }
  }

  /** The clock gives the engine some turns only, and a real disk may need more. */
  async function until(holds: () => boolean, clock: ManualClock): Promise<void> {
    while (!holds()) await clock.advance(0)
  }

  it('the storage syncs what was appended, and then has nothing to do', async () => {
    const { disk, clock, storage, log } = await openWithClock()
    expect(clock.pendingTimers).toBe(0)
    await log.append([batchAt(0)])
    await log.append([batchAt(1)])
    await clock.advance(49)
    expect(disk.count('dataSync', '.log')).toBe(0)
    await clock.advance(1)
    await until(() => log.durableEndOffset === 2, clock)
    expect(disk.count('dataSync', '.log')).toBe(1)
    expect(clock.pendingTimers).toBe(0)
    await storage.close()
  })

  it('the next append tells of a sync that failed', async () => {
    const { disk, clock, storage, log } = await openWithClock()
    await log.append([batchAt(0)])
    disk.plan = (call) => (of('dataSync')(call) ? 'EIO' : undefined)
    await clock.advance(50)
    let told: unknown
    await until(() => {
      try {
        log.append([batchAt(endOf(log))])
        return false
      } catch (error) {
        told = error
        return true
      }
    }, clock)
    expect(told).toMatchObject({ code: 'OTTLA_STORAGE_FAILED', cause: { code: 'EIO' } })
    await storage.close()
  })

  it('close tells of a sync that failed when nothing else did', async () => {
    const { disk, clock, storage, log } = await openWithClock()
    await log.append([batchAt(0)])
    disk.plan = (call) => (of('dataSync')(call) ? 'EIO' : undefined)
    await clock.advance(50)
    await until(() => disk.count('dataSync', '.log') > 0, clock)
    await expect(storage.close()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
  })
})

describe('a read', () => {
  it('that fails tells its reader, and is no end of the log', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 5)
    await storage.close()
    const { storage: next, log: found } = await openOn(disk)
    disk.plan = (call) => (of('read')(call) ? 'EIO' : undefined)
    await expect((async () => found.read(0, 1000, 5))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = (call) => (of('read')(call) ? { bytes: 11 } : undefined)
    expect(await offsetsIn(found)).toEqual(upTo(5))
    await next.close()
  })

  it('of what was just written needs no disk', async () => {
    const { disk, storage, log } = await openFaulty({ durability: 'os' })
    for (let call = 0; call < 100; call++) await log.append([batchAt(call)])
    await log.roll(100)
    await log.append([batchAt(100)])
    expect(log.read(50, 1_000_000, 200)).toHaveLength(51)
    expect(disk.count('read', '.log')).toBe(0)
    await storage.close()
  })
})

describe('a new directory', () => {
  it.each(['/data', '/a/b/data'])(
    '%s of which a sync of names fails is there for good once the next opening has acknowledged something',
    async (place) => {
      const disk = new SimulatedFileSystem()
      const open = () => Broker.open({ storage: new FileStorage(place, { fileSystem: disk }) })
      let syncs = 0
      const mostSyncs = 12
      let refusals = 0
      for (let failing = 0; failing < mostSyncs; failing++) {
        syncs = 0
        disk.plan = ({ act }) => (act === 'syncDirectory' && syncs++ === failing ? 'EIO' : undefined)
        try {
          await (await open()).close()
          break
        } catch (error) {
          expect(error).toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
          refusals++
        }
      }
      expect(refusals).toBeGreaterThan(0)
      disk.plan = () => undefined
      const broker = await open()
      const topic = new Topic('orders')
      await broker.topic(topic)
      await broker.producer().send(topic, { value: 1 })
      const left = await Broker.open({ storage: new FileStorage(place, { fileSystem: disk.crash() }) })
      expect(await left.topics()).toEqual(['orders'])
      await left.close()
      await broker.close()
    },
  )
})

describe('a drop', () => {
  it('of which the directory sync fails lists no segment without a file, and is the last change', async () => {
    const { disk, storage, log } = await openFaulty()
    for (let base = 0; base < 4; base += 2) {
      await fill(log, 2)
      await log.roll(base + 2)
    }
    let isRemoved = false
    disk.plan = (call) => {
      isRemoved ||= of('rename')(call)
      return isRemoved && call.act === 'syncDirectory' ? 'EIO' : undefined
    }
    await expect((async () => log.drop(1))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    expect(log.segments.map(({ baseOffset }) => baseOffset)).toEqual([2, 4])
    expect(await offsetsIn(log)).toEqual([2, 3])
    await expect((async () => log.drop(1))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await storage.close()
    const { storage: next, log: found } = await openOn(disk)
    expect(await offsetsIn(found)).toEqual([2, 3])
    await next.close()
  })

  it('of which the directory cannot be synced beforehand changes nothing, and is the last change', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 2)
    await log.roll(2)
    disk.plan = (call) => (call.act === 'syncDirectory' ? 'EIO' : undefined)
    await expect((async () => log.drop(1))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    expect(log.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 2])
    expect(await offsetsIn(log)).toEqual([0, 1])
    await expect((async () => log.drop(1))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await storage.close()
  })

  it('of which the rename fails changes nothing, and may be tried again', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 2)
    await log.roll(2)
    disk.plan = (call) => (of('rename')(call) ? 'EIO' : undefined)
    await expect((async () => log.drop(1))()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    expect(await offsetsIn(log)).toEqual([0, 1])
    await log.drop(1)
    expect(await offsetsIn(log)).toEqual([])
    await storage.close()
  })
})

describe('a replacement', () => {
  it('that fails and leaves what cannot be removed tells why it failed, and may be tried again', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 3)
    await log.roll(3)
    const isOfNew = (call: DiskCall): boolean => call.path.endsWith('.cleaned')
    disk.plan = (call) =>
      !isOfNew(call) ? undefined : call.act === 'dataSync' ? 'ENOSPC' : call.act === 'unlink' ? 'EIO' : undefined
    const replace = async () => log.replace(0, 1, [batchAt(0), batchAt(2)])
    await expect(replace()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FULL' })
    expect(await offsetsIn(log)).toEqual([0, 1, 2])
    disk.plan = () => undefined
    await replace()
    expect(await offsetsIn(log)).toEqual([0, 2])
    await storage.close()
  })
})

describe('a partition', () => {
  it('whose deletion fails is still there, and can be deleted again', async () => {
    const { disk, storage, log } = await openFaulty()
    await fill(log, 2)
    disk.plan = (call) => (of('rename', 'orders-0')(call) ? 'EIO' : undefined)
    await expect(storage.deletePartition(AT)).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    disk.plan = () => undefined
    expect(await storage.partitions()).toEqual([AT])
    expect(await offsetsIn(await storage.openPartition(AT))).toEqual([0, 1])
    await storage.deletePartition(AT)
    expect(await storage.partitions()).toEqual([])
    expect(endOf(await storage.openPartition(AT))).toBe(0)
    await storage.close()
  })
})

describe('failing every call', () => {
  interface Progress {
    synced: number
  }

  /** Appends, rolls, replaces and truncates; ends early where a call fails. */
  async function workload(disk: SimulatedFileSystem, progress: Progress): Promise<void> {
    const { storage, log } = await openOn(disk)
    try {
      await fill(log, 4)
      progress.synced = 4
      await log.roll(4)
      await fill(log, 4)
      progress.synced = 8
      await log.roll(8)
      await fill(log, 2)
      progress.synced = 10
      await log.saveSnapshot(10, Uint8Array.of(1))
      await log.replace(0, 1, [batchAt(0), batchAt(3)])
      await log.append([batchAt(10), batchAt(11)])
      await log.truncate(11)
      await log.sync()
      progress.synced = 11
    } finally {
      await storage.close()
    }
  }

  it.each(['once', 'from then on'])('%s loses nothing that was synced, and leaves no file open', async (how) => {
    for (let failing = 0; ; failing++) {
      const disk = new SimulatedFileSystem()
      let calls = 0
      disk.plan = () => {
        const call = calls++
        return call === failing || (call > failing && how === 'from then on') ? 'EIO' : undefined
      }
      const progress = { synced: 0 }
      const outcome = await workload(disk, progress).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(disk.openFiles, `files open after failing call ${failing}`).toBe(0)
      if (outcome !== undefined) expect(outcome).toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
      disk.plan = () => undefined
      const { storage, log } = await openOn(disk)
      expect(endOf(log)).toBeGreaterThanOrEqual(progress.synced)
      const dense = upTo(endOf(log))
      const replaced = dense.filter((offset) => offset !== 1 && offset !== 2)
      expect([dense, replaced], `after failing call ${failing}`).toContainEqual(await offsetsIn(log))
      await fill(log, 1)
      await storage.close()
      if (calls <= failing) {
        expect(outcome).toBe(undefined)
        return
      }
    }
  })
})

describe('the file handles', () => {
  it('of 1,000 partitions stay within their bound', { timeout: 60_000 }, async () => {
    const disk = new SimulatedFileSystem()
    const storage = new FileStorage(PLACE, { durability: 'os', fileSystem: disk })
    await storage.open({ clock: new ManualClock(), onRecovery: () => undefined })
    const logs = await Promise.all(upTo(1000).map((partition) => storage.openPartition({ topic: 'wide', partition })))
    for (let round = 0; round < 2; round++) {
      await Promise.all(logs.map(async (log) => log.append([batchAt(endOf(log), 1, 20_000)])))
    }
    const reads = await Promise.all(logs.map(async (log) => (await log.read(0, 100_000, 10)).length))
    expect(reads.every((count) => count === 2)).toBe(true)
    await storage.close()
    expect(disk.mostOpenFiles).toBeLessThanOrEqual(256 + 32)
    expect(disk.openFiles).toBe(0)
  })

  it('of 1,000 partitions that close at once stay within their bound, directories that are synced among them', async () => {
    const disk = new SimulatedFileSystem()
    let [syncing, most] = [0, 0]
    const watched: FileSystem = {
      open: (path, mode) => disk.open(path, mode),
      stat: (path) => disk.stat(path),
      list: (path) => disk.list(path),
      makeDirectory: (path) => disk.makeDirectory(path),
      removeDirectory: (path) => disk.removeDirectory(path),
      rename: (from, to) => disk.rename(from, to),
      unlink: (path) => disk.unlink(path),
      lock: (path, sinceMs) => disk.lock(path, sinceMs),
      // One that is synced is open as long as that takes.
      syncDirectory: async (path) => {
        most = Math.max(most, ++syncing)
        await systemClock.nextTurn()
        await disk.syncDirectory(path)
        syncing--
      },
    }
    const storage = new FileStorage(PLACE, { durability: 'os', fileSystem: watched })
    await storage.open({ clock: new ManualClock(), onRecovery: () => undefined })
    const logs = await Promise.all(upTo(1000).map((partition) => storage.openPartition({ topic: 'wide', partition })))
    for (const log of logs) await log.append([batchAt(0)])
    // As a broker does.
    await Promise.all(logs.map((log) => log.close()))
    await storage.close()
    expect(most).toBeLessThanOrEqual(4)
    expect(disk.mostOpenFiles).toBeLessThanOrEqual(256 + 32)
    expect(disk.files(PLACE).has('wide-999/00000000000000000000.index')).toBe(true)
  })

  it('make room where the process may open no more, long before their own bound', async () => {
    const { disk, storage, log } = await openFaulty()
    disk.plan = ({ act }) => (act === 'open' && disk.openFiles >= 4 ? 'EMFILE' : undefined)
    const logs = [log]
    for (const partition of upTo(20)) logs.push(await storage.openPartition({ topic: 'wide', partition }))
    for (const each of logs) {
      await each.append([batchAt(0)])
      await each.sync()
    }
    for (const each of logs) expect(await offsetsIn(each)).toEqual([0])
    expect(disk.mostOpenFiles).toBeLessThanOrEqual(4)
    await storage.close()
  })

  /** Appends to one partition, and then to so many others that its file is closed to make room. */
  async function evict(durability: 'fsync' | 'os', fault?: string, act: DiskCall['act'] = 'dataSync') {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk, { durability })
    await log.append([batchAt(0)])
    disk.plan = (call) => (of(act)(call) && call.path.includes('orders-0') ? fault : undefined)
    await Promise.all(upTo(300).map((partition) => storage.openPartition({ topic: 'wide', partition })))
    const syncs = disk.calls.filter(({ act, path }) => act === 'dataSync' && path.includes('orders-0')).length
    disk.plan = () => undefined
    return { disk, storage, log, syncs }
  }

  it('of files with unsynced bytes are synced before they are closed, unless nobody asks for syncs', async () => {
    for (const durability of ['fsync', 'os'] as const) {
      const { storage, log, syncs } = await evict(durability)
      expect(syncs).toBe(durability === 'fsync' ? 1 : 0)
      await log.append([batchAt(1)])
      await log.sync()
      expect(log.durableEndOffset).toBe(2)
      await storage.close()
    }
  })

  it.each([
    ['sync', 'fsync', 'dataSync'],
    ['close', 'os', 'close'],
  ] as const)('whose %s failed while they made room fail the next sync', async (_, durability, act) => {
    const { storage, log } = await evict(durability, 'EIO', act)
    await log.append([batchAt(1)])
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await storage.close()
  })
})
