import nodeTest from 'node:test'
import { describe, expect, it } from 'vitest'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { PartitionStorage, Storage } from '../../src/storage/storage.js'
import { type StorageSuiteOptions, type SuiteTest, storageSuite } from '../../src/testing/storage-suite.js'
import { systemClock } from '../../src/time/clock.js'

const context = { clock: systemClock, onRecovery: () => undefined }

/** Runs the suite, or some of its tests, and collects the names and messages of the tests that fail. */
async function failuresOf(
  factory: () => Storage,
  options: Partial<StorageSuiteOptions> = {},
  only?: readonly string[],
): Promise<Map<string, string>> {
  const tests = new Map<string, () => Promise<void>>()
  storageSuite({ test: (name, body) => tests.set(name, body), factory, ...options })
  const failures = new Map<string, string>()
  for (const [name, body] of tests) {
    if (only !== undefined && !only.includes(name)) continue
    try {
      await body()
    } catch (error) {
      failures.set(name, error instanceof Error ? error.message : String(error))
    }
  }
  return failures
}

type Break = (partition: PartitionStorage) => Partial<PartitionStorage>

/** A memory storage with some methods of its partitions, or of its own, put in the place of the right ones. */
function broken(breakPartition: Break, breakStorage: (storage: Storage) => Partial<Storage> = () => ({})): Storage {
  const storage = new MemoryStorage()
  return overlay<Storage>(storage, {
    openPartition: async (at, options) => {
      const partition = await storage.openPartition(at, options)
      return overlay<PartitionStorage>(partition, breakPartition(partition))
    },
    ...breakStorage(storage),
  })
}

function overlay<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const owner = name in over ? over : target
      const member: unknown = Reflect.get(owner, name, owner)
      return typeof member === 'function' ? member.bind(owner) : member
    },
  })
}

/** Each fault, the test that must see it, and a storage that has it. */
const brokenStorages: Record<string, readonly [caughtBy: string, factory: () => Storage]> = {
  'loses the last batch of an append': [
    'appended batches come back whole and in order',
    () => broken((partition) => ({ append: (batches) => partition.append(batches.slice(0, -1)) })),
  ],

  'loses an append now and then': [
    'two thousand small batches are kept',
    () => {
      let appends = 0
      return broken((partition) => ({
        append: (batches) => (++appends % 7 === 0 ? undefined : partition.append(batches)),
      }))
    },
  ],

  'reorders two batches': [
    'appended batches come back whole and in order',
    () =>
      broken((partition) => ({
        read: async (offset, maxBytes, endOffset) => {
          const batches = [...(await partition.read(offset, maxBytes, endOffset))]
          return batches.length < 2 ? batches : [...batches.slice(0, -2), ...batches.slice(-2).reverse()]
        },
      })),
  ],

  'drops the last batch of a read': [
    'a read gives at most maxBytes, but at least one batch',
    () =>
      broken((partition) => ({
        read: async (offset, maxBytes, endOffset) => (await partition.read(offset, maxBytes, endOffset)).slice(0, -1),
      })),
  ],

  'gives more than maxBytes': [
    'a read gives at most maxBytes, but at least one batch',
    () =>
      broken((partition) => ({
        read: (offset, maxBytes, endOffset) => partition.read(offset, maxBytes + 90, endOffset),
      })),
  ],

  'ignores endOffset': [
    'a read stops before endOffset',
    () =>
      broken((partition) => ({
        read: (offset, maxBytes) => partition.read(offset, maxBytes, Number.MAX_SAFE_INTEGER),
      })),
  ],

  'reads from the batch after the one that holds the offset': [
    'a read begins with the batch that holds the offset, or the first after it',
    () =>
      broken((partition) => ({
        read: async (offset, maxBytes, endOffset) => {
          const batches = await partition.read(offset, maxBytes, endOffset)
          return batches[0] !== undefined && batches[0].baseOffset < offset ? batches.slice(1) : batches
        },
      })),
  ],

  'forgets a truncate': [
    'truncate at the start of a batch keeps what is before it',
    () => broken(() => ({ truncate: () => undefined })),
  ],

  'truncates by segments': [
    'truncate inside a batch removes that batch',
    () =>
      broken((partition) => ({
        truncate: (offset) => {
          const bases = partition.segments.map(({ baseOffset }) => baseOffset)
          return partition.truncate(bases.filter((base) => base <= offset).at(-1) ?? offset)
        },
      })),
  ],

  'reports durable too early': [
    'a sync moves the durable end to the log end, and no append does',
    () =>
      broken(
        () => ({}),
        () => ({ acknowledgeAfter: 'sync' }),
      ),
  ],

  'never reports durable': [
    'a sync moves the durable end to the log end, and no append does',
    () =>
      broken(
        () => ({ durableEndOffset: 0 }),
        () => ({ acknowledgeAfter: 'sync' }),
      ),
  ],

  'rewrites memory behind a view': [
    'bytes that were handed out are never written again',
    () =>
      broken((partition) => {
        const buffer = new Uint8Array(16 * 1024 * 1024)
        return {
          read: async (offset, maxBytes, endOffset) =>
            intoBuffer(await partition.read(offset, maxBytes, endOffset), buffer),
        }
      }),
  ],

  'keeps a reference to the memory of an appended batch': [
    'the memory of a batch belongs to the caller again after the append',
    () =>
      broken((partition) => {
        const kept: RecordBatch[] = []
        return {
          append: async (batches) => {
            await partition.append(batches)
            kept.push(...batches)
          },
          read: (offset, _maxBytes, endOffset) => {
            const batch = kept.find((batch) => batch.lastOffset >= offset)
            return batch === undefined || offset >= endOffset ? [] : [batch]
          },
        }
      }),
  ],

  'adds what it can of an append that fails': [
    'an append that fails adds nothing, and a later one may succeed',
    () =>
      broken((partition) => ({
        append: async (batches) => {
          for (const batch of batches) await partition.append([batch])
        },
      })),
  ],

  'is off by one in findOffset': [
    'findOffset gives the first batch at or after a timestamp',
    () => broken((partition) => ({ findOffset: (timestamp) => partition.findOffset(timestamp + 1) })),
  ],

  'finds the second batch of a time': [
    'findOffset gives the first batch at or after a timestamp',
    () =>
      broken((partition) => ({
        findOffset: async (timestamp) => {
          const offset = await partition.findOffset(timestamp)
          return offset === undefined ? undefined : offset + 1
        },
      })),
  ],

  'keeps what a deleted partition held': [
    'a deleted partition is gone, and one made anew is empty',
    () =>
      broken(
        () => ({}),
        () => ({ deletePartition: async () => undefined }),
      ),
  ],

  'does not roll': [
    'a roll begins a segment at its base, and does nothing to an empty one there',
    () => broken(() => ({ roll: () => undefined })),
  ],

  'drops one segment too few': [
    'drop removes the oldest segments',
    () => broken((partition) => ({ drop: (count) => partition.drop(Math.max(count - 1, 0)) })),
  ],

  'loses a batch in replace': [
    'replace puts batches in the place of sealed segments',
    () =>
      broken((partition) => ({
        replace: async (first, count, batches) => {
          const all: RecordBatch[] = []
          for await (const batch of batches) all.push(batch)
          await partition.replace(first, count, all.slice(1))
        },
      })),
  ],

  'lets a second broker in': [
    'a second broker is refused, and the first one is not disturbed',
    () =>
      broken(
        () => ({}),
        (storage) => ({
          open: async () => {
            await storage.close()
            await storage.open(context)
          },
        }),
      ),
  ],

  'takes an append that steps back': [
    'an append that steps back is refused, and adds nothing',
    () =>
      broken((partition) => ({
        append: async (batches) => {
          const endOffset = partition.segments.at(-1)?.endOffset ?? 0
          await partition.append(batches.filter(({ baseOffset }) => baseOffset >= endOffset))
        },
      })),
  ],

  'adds what comes before a step back': [
    'an append that steps back is refused, and adds nothing',
    () =>
      broken((partition) => ({
        append: async (batches) => {
          for (const batch of batches) await partition.append([batch])
        },
      })),
  ],

  'rolls at its end wherever it should': [
    'a roll before the end is refused',
    () =>
      broken((partition) => ({
        roll: (baseOffset) => partition.roll(Math.max(baseOffset, partition.segments.at(-1)?.endOffset ?? 0)),
      })),
  ],

  'drops all that it can': [
    'a drop of the active segment is refused',
    () => broken((partition) => ({ drop: (count) => partition.drop(Math.min(count, partition.segments.length - 1)) })),
  ],

  'syncs nothing while it replaces': [
    'appends, syncs, rolls and reads go on while the batches of a replace come',
    () => {
      let replacing: unknown
      return broken((partition) => ({
        replace: (first, count, batches) => {
          replacing = partition.replace(first, count, batches)
          return replacing as Promise<void>
        },
        sync: async () => {
          await replacing
          await partition.sync()
        },
      }))
    },
  ],

  'replaces what it can': [
    'a replace that includes the active segment is refused',
    () =>
      broken((partition) => ({
        replace: (first, count, batches) => {
          const sealed = Math.min(count, partition.segments.length - 1 - first)
          return sealed < 1 ? undefined : partition.replace(first, sealed, batches)
        },
      })),
  ],

  'reads on after it was closed': [
    'a partition that was closed refuses every call',
    () =>
      broken((partition) => {
        let isClosed = false
        return {
          close: () => {
            isClosed = true
            return partition.close()
          },
          read: (offset, maxBytes, endOffset) => (isClosed ? [] : partition.read(offset, maxBytes, endOffset)),
        }
      }),
  ],

  'lists partitions after it was closed': [
    'a storage that was closed refuses every call',
    () =>
      broken(
        () => ({}),
        () => ({ partitions: async () => [] }),
      ),
  ],

  'gives back another snapshot': [
    'a snapshot comes back whole or is forgotten',
    () => broken(() => ({ loadSnapshot: (offset) => ({ offset, bytes: Uint8Array.of(7) }) })),
  ],

  'cannot be closed twice': [
    'close may be called more than once',
    () =>
      broken((partition) => {
        let closed = false
        return {
          close: () => {
            if (closed) throw new Error('already closed')
            closed = true
            return partition.close()
          },
        }
      }),
  ],
}

/** Lays out what was read in a buffer that the next read uses again. */
function intoBuffer(batches: readonly RecordBatch[], buffer: Uint8Array): RecordBatch[] {
  let position = 0
  return batches.map((batch) => {
    const bytes = buffer.subarray(position, position + batch.sizeInBytes)
    bytes.set(batch.bytes())
    position += batch.sizeInBytes
    return overlay<RecordBatch>(batch, { bytes: () => bytes })
  })
}

describe('storageSuite', () => {
  it('passes the memory storage, with and without reopening, whatever the seed', async () => {
    expect(await failuresOf(() => new MemoryStorage())).toEqual(new Map())
    for (const seed of [2, 3, 4]) {
      expect(await failuresOf(() => new MemoryStorage(), { reopen: (storage) => storage, seed })).toEqual(new Map())
    }
  })

  it('passes a storage that the tests below wrap, with nothing broken', async () => {
    expect(await failuresOf(() => broken(() => ({})))).toEqual(new Map())
  })

  for (const [fault, [caughtBy, factory]] of Object.entries(brokenStorages)) {
    it(`fails a storage that ${fault}`, async () => {
      expect([...(await failuresOf(factory, {}, [caughtBy])).keys()]).toEqual([caughtBy])
    })
  }

  it('fails a storage that is empty after reopening', async () => {
    const failures = await failuresOf(() => new MemoryStorage(), { reopen: () => new MemoryStorage() })
    expect([...failures.keys()]).toContain('what was synced is there after reopening')
  })

  it('fails a storage that keeps what was truncated through a reopening', async () => {
    const failures = await failuresOf(() => new MemoryStorage(), {
      reopen: (storage) =>
        overlay(storage, { openPartition: (at) => storage.openPartition({ ...at, topic: 'other' }) }),
    })
    expect([...failures.keys()]).toContain('what was removed or replaced stays so after reopening')
  })

  it('names the seed when random operations fail', async () => {
    const failures = await failuresOf(() => broken(() => ({ truncate: () => undefined })), { seed: 42 })
    expect(failures.get('random operations leave what the model says')).toMatch(/^With seed 42, after .*truncate\(/)
  })

  it('leaves out what is to be skipped, with the reason, and refuses a name it does not know', () => {
    const names: string[] = []
    const skipped: string[] = []
    const test: SuiteTest = Object.assign((name: string) => void names.push(name), {
      skip: (name: string) => void skipped.push(name),
    })
    const factory = (): Storage => new MemoryStorage()
    storageSuite({ test, factory, skip: { 'drop removes the oldest segments': 'it never drops' } })
    expect(skipped).toEqual(['drop removes the oldest segments (it never drops)'])
    expect(names).not.toContain('drop removes the oldest segments')
    expect(() => storageSuite({ test, factory, skip: { 'no such test': 'why not' } })).toThrow('no test "no such test"')
  })

  it('takes the test function of node:test', () => {
    const test: SuiteTest = nodeTest
    expect(typeof test.skip).toBe('function')
  })
})
