import type { Storage } from '../storage/storage.js'
import { check, checkBytes, checkEqual, checkRefused } from './expect.js'
import { fillFourSegments, fillTwoSegments } from './storage-suite-segments.js'
import { makeBatch, type StorageTest } from './storage-under-test.js'

export const placeTests: Record<string, StorageTest> = {
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

export function reopenTests(reopen: (storage: Storage) => Storage | Promise<Storage>): Record<string, StorageTest> {
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
