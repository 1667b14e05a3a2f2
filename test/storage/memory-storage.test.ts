import { describe, expect, it, test } from 'vitest'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { MemoryPartition } from '../../src/storage/memory-partition.js'
import { MemoryStorage, type MemoryStorageOptions } from '../../src/storage/memory-storage.js'
import { SlabPool } from '../../src/storage/slab-pool.js'
import type { PartitionStorage } from '../../src/storage/storage.js'
import { storageSuite } from '../../src/testing/storage-suite.js'

describe('ruling: Storage contract', () => {
  storageSuite({ test, factory: () => new MemoryStorage(), reopen: (storage) => storage })
})

async function open(options?: MemoryStorageOptions): Promise<MemoryStorage> {
  const storage = new MemoryStorage(options)
  await storage.open()
  return storage
}

/** Appends one batch of exactly `sizeInBytes`. */
function append(log: PartitionStorage, sizeInBytes = 1000): void {
  const builder = new RecordBatchBuilder()
  let batch = closeBatch(builder, sizeInBytes - 70)
  batch = closeBatch(builder, sizeInBytes - 70 + (sizeInBytes - batch.sizeInBytes))
  batch.assignOffsets(endOf(log), 0)
  expect(batch.sizeInBytes).toBe(sizeInBytes)
  log.append([batch])
}

function closeBatch(builder: RecordBatchBuilder, valueBytes: number): ReturnType<RecordBatchBuilder['close']> {
  builder.reset()
  builder.append(1, null, new Uint8Array(valueBytes))
  return builder.close()
}

function endOf(log: PartitionStorage): number {
  return log.segments.at(-1)?.endOffset ?? -1
}

function basesOf(log: PartitionStorage): number[] {
  return log.segments.map(({ baseOffset }) => baseOffset)
}

/** Fills `count` sealed segments of 1000 bytes each and begins another one. */
function fill(log: PartitionStorage, count: number): void {
  for (let segment = 0; segment < count; segment++) {
    append(log)
    log.roll(endOf(log))
  }
}

const full = expect.objectContaining({ code: 'OTTLA_STORAGE_FULL' })

/** The one value of the batch that begins at `offset`. */
function valueAt(log: MemoryPartition, offset: number): Uint8Array | null {
  const records = log.read(offset, 2 ** 20, endOf(log))[0]?.records()
  records?.next()
  return records?.value ?? null
}

describe('readers of what was appended last', () => {
  const partition = (): MemoryPartition => {
    const log = new MemoryPartition({ topic: 't', partition: 0 }, new SlabPool())
    log.open()
    return log
  }

  it('share their views of values from the second reader on', () => {
    const log = partition()
    append(log)
    valueAt(log, 0)
    const second = valueAt(log, 0)
    expect(valueAt(log, 0)).toBe(second)
    append(log)
    // Now it is known that there are several.
    expect(valueAt(log, 1)).toBe(valueAt(log, 1))
    // Whoever lags behind reads for himself.
    expect(valueAt(log, 0)).not.toBe(second)
  })

  it('get it as it is after a truncate, and up to the end that each asks for', () => {
    const log = partition()
    append(log, 1000)
    append(log, 1000)
    expect([valueAt(log, 1)?.length, valueAt(log, 1)?.length]).toEqual([930, 930])
    log.truncate(1)
    append(log, 500)
    expect([valueAt(log, 1)?.length, log.read(1, 2 ** 20, 1).length, valueAt(log, 1)?.length]).toEqual([430, 0, 430])
  })
})

describe('MemoryStorage', () => {
  it('refuses options that are unknown or out of range, at once', () => {
    const invalid = expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' })
    for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => new MemoryStorage({ maxBytes: value })).toThrow(invalid)
      expect(() => new MemoryStorage({ segmentBytes: value })).toThrow(invalid)
    }
    expect(() => new MemoryStorage({ lossy: true })).toThrow(/give maxBytes too/)
    const misspelt: object = { maxbytes: 10 }
    expect(() => new MemoryStorage(misspelt)).toThrow(/no option maxbytes: it takes maxBytes, lossy, segmentBytes/)
    const wrongType: object = { maxBytes: '10' }
    expect(() => new MemoryStorage(wrongType)).toThrow(invalid)
  })

  it('offers a segment size that is small against maxBytes', () => {
    expect(new MemoryStorage().segmentBytes).toBeUndefined()
    expect(new MemoryStorage({ maxBytes: 64 * 2 ** 20 }).segmentBytes).toBe(4 * 2 ** 20)
    expect(new MemoryStorage({ maxBytes: 2 ** 19 }).segmentBytes).toBe(2 ** 16)
    expect(new MemoryStorage({ maxBytes: 1000 }).segmentBytes).toBe(250)
    expect(new MemoryStorage({ maxBytes: 2 ** 40 }).segmentBytes).toBe(2 ** 30)
    expect(new MemoryStorage({ maxBytes: 1000, segmentBytes: 77 }).segmentBytes).toBe(77)
  })

  it('does everything at once, without promises', async () => {
    const storage = await open()
    const log: PartitionStorage = await storage.openPartition({ topic: 'orders', partition: 0 })
    append(log)
    for (const done of [log.sync(), log.roll(1), log.truncate(1), log.replace(0, 1, []), log.drop(1), log.close()]) {
      expect(done).toBeUndefined()
    }
  })

  it('keeps what it holds when it is closed, for the next broker', async () => {
    const storage = await open({ maxBytes: 2500 })
    append(await storage.openPartition({ topic: 'orders', partition: 0 }))
    await storage.close()
    await storage.open()
    expect(await storage.partitions()).toEqual([{ topic: 'orders', partition: 0 }])
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    expect(log.read(0, 10_000, 1)).toHaveLength(1)
    append(log)
    expect(() => append(log)).toThrow(full)
  })

  it('refuses a closed partition, a deleted one, and a closed storage', async () => {
    const closed = expect.objectContaining({ code: 'OTTLA_CLOSED' })
    const storage = await open()
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    log.close()
    expect(() => append(log)).toThrow(closed)
    expect(() => log.read(0, 1, 1)).toThrow(closed)
    const deleted = await storage.openPartition({ topic: 'orders', partition: 1 })
    await storage.deletePartition({ topic: 'orders', partition: 1 })
    deleted.close()
    expect(() => deleted.read(0, 1, 1)).toThrow(/orders-1 is deleted/)
    await storage.close()
    await expect(storage.partitions()).rejects.toThrow(closed)
  })

  it('refuses what would break the order of offsets', async () => {
    const storage = await open()
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    append(log)
    append(log)
    const batch = closeBatch(new RecordBatchBuilder(), 10)
    batch.assignOffsets(1, 0)
    const invalid = expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' })
    expect(() => log.append([batch])).toThrow(invalid)
    expect(() => log.roll(1)).toThrow(invalid)
    expect(() => log.drop(1)).toThrow(invalid)
    expect(() => log.replace(0, 1, [])).toThrow(invalid)
    expect(endOf(log)).toBe(2)
  })
})

describe('maxBytes', () => {
  it('bounds all partitions together, refuses an append that would pass it, and takes one that fits', async () => {
    const storage = await open({ maxBytes: 2500 })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    const other = await storage.openPartition({ topic: 'returns', partition: 0 })
    append(log)
    append(other)
    expect(() => append(log, 501)).toThrow(/holds 2000 of its 2500 bytes, and orders-0 needs 501 more/)
    expect(endOf(log)).toBe(1)
    append(log, 500)
    expect(endOf(log)).toBe(2)
  })

  it('gets back what is dropped, truncated, replaced and deleted', async () => {
    const storage = await open({ maxBytes: 4000 })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    const isFull = (): void => expect(() => append(log, 100)).toThrow(full)
    fill(log, 4)
    isFull()
    log.drop(1)
    append(log)
    isFull()
    log.truncate(4)
    append(log)
    isFull()
    log.replace(0, 2, [])
    append(log, 2000)
    isFull()
    await storage.deletePartition({ topic: 'orders', partition: 0 })
    append(await storage.openPartition({ topic: 'orders', partition: 0 }), 4000)
  })

  it('does not count internal topics', async () => {
    const storage = await open({ maxBytes: 1000 })
    const internal = await storage.openPartition({ topic: '__consumer_offsets', partition: 0 }, { internal: true })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    append(log)
    for (let call = 0; call < 5; call++) append(internal)
    expect(endOf(internal)).toBe(5)
    expect(() => append(log, 100)).toThrow(full)
  })
})

describe('lossy', () => {
  it('drops the oldest sealed segments of the largest partition; of the one that is appended to, where others are as large', async () => {
    const storage = await open({ maxBytes: 4500, lossy: true })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    const other = await storage.openPartition({ topic: 'returns', partition: 0 })
    fill(other, 2)
    fill(log, 2)
    append(log)
    expect(basesOf(log)).toEqual([1, 2])
    expect(basesOf(other)).toEqual([0, 1, 2])
    append(log, 1500)
    expect(basesOf(log)).toEqual([2])
    expect(endOf(log)).toBe(4)
  })

  it('takes nothing from a smaller one that happens to reach the limit', async () => {
    const storage = await open({ maxBytes: 5000, lossy: true })
    const small = await storage.openPartition({ topic: 'small', partition: 0 })
    const large = await storage.openPartition({ topic: 'large', partition: 0 })
    fill(small, 1)
    fill(large, 4)
    append(small)
    append(small)
    expect(basesOf(small)).toEqual([0, 1])
    expect(basesOf(large)).toEqual([2, 3, 4])
  })

  it('takes nothing from internal ones, however large', async () => {
    const storage = await open({ maxBytes: 5000, lossy: true })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    const small = await storage.openPartition({ topic: 'small', partition: 0 })
    const large = await storage.openPartition({ topic: 'large', partition: 0 })
    const internal = await storage.openPartition({ topic: '__internal', partition: 0 }, { internal: true })
    fill(internal, 9)
    fill(small, 2)
    fill(large, 3)
    append(log, 1500)
    expect(basesOf(large)).toEqual([2, 3])
    expect(basesOf(small)).toEqual([0, 1, 2])
    expect(basesOf(internal)).toHaveLength(10)
  })

  it('refuses the append, and drops nothing, where sealed segments would not do', async () => {
    const storage = await open({ maxBytes: 4000, lossy: true })
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    fill(log, 2)
    append(log, 1500)
    expect(() => append(log, 2501)).toThrow(/No sealed segments are left/)
    expect(basesOf(log)).toEqual([0, 1, 2])
    append(log, 2500)
    expect(basesOf(log)).toEqual([2])
  })
})

describe('memory', () => {
  it('holds small partitions in small slabs, and large batches in slabs of their own', async () => {
    const storage = await open()
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    const slabBytes = new Set<number>()
    for (const size of [100, 924, 2048, 5_000_000, 100, 600_000, 600_000]) {
      append(log, size)
      const [batch] = log.read(endOf(log) - 1, 1, endOf(log))
      slabBytes.add(batch?.bytes().buffer.byteLength ?? 0)
    }
    expect([...slabBytes]).toEqual([1024, 2048, 5_000_000, 1024 * 1024])
  })

  it('goes back to the pool when what it held is dropped, truncated, replaced or deleted', () => {
    const pool = new SlabPool()
    const log = new MemoryPartition({ topic: 'orders', partition: 0 }, pool)
    log.open()
    append(log, 1024)
    append(log, 2048)
    log.roll(2)
    append(log, 4096)
    log.drop(1)
    expect(pool.freeBytes).toBe(1024 + 2048)
    log.truncate(2)
    expect(pool.freeBytes).toBe(1024 + 2048 + 4096)
    // The next slab is larger than any before, so the three stay.
    append(log, 4096)
    log.roll(3)
    append(log, 4096)
    log.replace(0, 1, [])
    expect(pool.freeBytes).toBe(1024 + 2048 + 4096)
    log.delete()
    expect(pool.freeBytes).toBe(1024 + 2048 + 4096 + 8192)
  })

  it('does not go back to the pool where a view of it was handed out', () => {
    const pool = new SlabPool()
    const log = new MemoryPartition({ topic: 'orders', partition: 0 }, pool)
    log.open()
    append(log, 1024)
    append(log, 2048)
    append(log, 4096)
    append(log, 8192)
    expect(log.read(1, 10_000, 3)).toHaveLength(2)
    log.delete()
    expect(pool.freeBytes).toBe(1024 + 8192)
  })

  it('goes back to the pool when a replace fails', () => {
    const pool = new SlabPool()
    const log = new MemoryPartition({ topic: 'orders', partition: 0 }, pool)
    log.open()
    fill(log, 1)
    const failing = function* (): Generator<RecordBatch> {
      yield closeBatch(new RecordBatchBuilder(), 1900)
      throw new Error('no more batches')
    }
    expect(() => log.replace(0, 1, failing())).toThrow('no more batches')
    expect(pool.freeBytes).toBe(2048)
  })

  it('is not written again by an append after a truncate of what was read', async () => {
    const storage = await open()
    const log = await storage.openPartition({ topic: 'orders', partition: 0 })
    append(log, 200)
    append(log, 300)
    const [seen] = log.read(1, 1, 2)
    log.truncate(1)
    append(log, 300)
    expect(log.read(1, 1, 2)[0]?.bytes().buffer).not.toBe(seen?.bytes().buffer)
    // Nobody has seen what follows, so its place is used again.
    append(log, 100)
    log.truncate(2)
    append(log, 100)
    expect(log.segments.at(-1)?.sizeInBytes).toBe(600)
  })
})

describe('SlabPool', () => {
  it('gives a slab again when nobody holds it, and keeps no more than it may', () => {
    const pool = new SlabPool(3000)
    const slab = pool.acquire(1000)
    pool.share(slab)
    pool.release(slab)
    expect(pool.freeBytes).toBe(0)
    pool.release(slab)
    expect(pool.freeBytes).toBe(1024)
    expect(pool.acquire(1024)).toBe(slab)
    const others = [pool.acquire(2000), pool.acquire(2000)]
    for (const each of [slab, ...others]) pool.release(each)
    expect(pool.freeBytes).toBe(1024)
    pool.clear()
    expect(pool.freeBytes).toBe(0)
  })

  it('never gives an exposed slab again', () => {
    const pool = new SlabPool()
    const slab = pool.acquire(1000)
    slab.exposed = true
    pool.release(slab)
    expect(pool.freeBytes).toBe(0)
    expect(pool.acquire(1000)).not.toBe(slab)
  })

  it('refuses a release too many, which would give one slab to two', () => {
    const pool = new SlabPool()
    const slab = pool.acquire(1)
    pool.release(slab)
    expect(() => pool.release(slab)).toThrow(/released more often/)
  })
})
