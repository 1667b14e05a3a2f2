// A storage of one's own: it keeps every log in two places. What a storage has to do is said by the interfaces `Storage`
// and `PartitionStorage`, sentence by sentence, and checked by the suite of 'ottla/testing'.
import { MemoryStorage, type PartitionStorage, type RecordBatch, type Storage } from 'ottla'
import { storageSuite } from 'ottla/testing'

function mirrored(a: Storage, b: Storage): Storage {
  return {
    acknowledgeAfter: a.acknowledgeAfter === 'sync' ? 'sync' : b.acknowledgeAfter,
    open: (context) => inBoth(a, b, (storage) => storage.open(context)),
    partitions: () => a.partitions(),
    openPartition: async (...at) => mirroredLog(await a.openPartition(...at), await b.openPartition(...at)),
    deletePartition: (at) => inBoth(a, b, (storage) => storage.deletePartition(at)),
    close: () => inBoth(a, b, (storage) => storage.close()),
  }
}

function mirroredLog(a: PartitionStorage, b: PartitionStorage): PartitionStorage {
  return {
    get segments() {
      return a.segments
    },
    get durableEndOffset() {
      return Math.min(a.durableEndOffset, b.durableEndOffset)
    },
    append: async (batches) => {
      const endOffset = a.segments.at(-1)?.endOffset ?? 0
      // All or nothing: what only one place took is taken back.
      await inBoth(a, b, (log) => log.append(batches)).catch(async (error) => {
        await inBoth(a, b, (log) => log.truncate(endOffset))
        throw error
      })
    },
    sync: () => inBoth(a, b, (log) => log.sync()),
    read: (...from) => a.read(...from),
    findOffset: (timestamp) => a.findOffset(timestamp),
    roll: (baseOffset) => inBoth(a, b, (log) => log.roll(baseOffset)),
    drop: (count) => inBoth(a, b, (log) => log.drop(count)),
    truncate: (offset) => inBoth(a, b, (log) => log.truncate(offset)),
    replace: async (first, count, batches) => {
      const all: RecordBatch[] = []
      for await (const batch of batches) all.push(batch)
      await inBoth(a, b, (log) => log.replace(first, count, all))
    },
    saveSnapshot: (...snapshot) => inBoth(a, b, (log) => log.saveSnapshot(...snapshot)),
    loadSnapshot: (offset) => a.loadSnapshot(offset),
    close: () => inBoth(a, b, (log) => log.close()),
  }
}

async function inBoth<T>(a: T, b: T, act: (place: T) => unknown): Promise<void> {
  await act(a)
  await act(b)
}

const tests: (() => Promise<void>)[] = []
const factory = (): Storage => mirrored(new MemoryStorage(), new MemoryStorage())
storageSuite({ test: (_name, run) => tests.push(run), factory, reopen: (storage) => storage })
for (const run of tests) await run()
console.log(`the mirrored storage passes all ${tests.length} tests of the suite`)
