import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type LogSettings, PartitionLog, type PartitionLogOptions } from '../../src/log/partition-log.js'
import type { EncodedBatch } from '../../src/record/encoded-batch.js'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { PartitionStorage } from '../../src/storage/storage.js'
import { batchOf, records } from '../../src/testing/engine-under-test.js'
import { ManualClock } from '../../src/testing/manual-clock.js'

const START = 1_000_000
const AT = { topic: 'orders', partition: 0 }
const SETTINGS: LogSettings = {
  segmentBytes: 1 << 20,
  segmentMs: 1e9,
  retentionMs: -1,
  retentionBytes: -1,
  isCompacted: false,
  minCleanableDirtyRatio: 0.5,
  deleteRetentionMs: 86_400_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 2 ** 63,
  maxMessageBytes: 1 << 20,
  messageTimestampType: 'CreateTime',
}

/** A partition in memory whose writes and syncs can be held, failed and counted. */
interface Rig {
  readonly clock: ManualClock
  readonly storage: PartitionStorage
  /** The base offsets of each append, in the order of the appends. */
  readonly writes: number[][]
  readonly syncs: Gate
  readonly appends: Gate
  open(options?: Partial<PartitionLogOptions>): Promise<PartitionLog>
}

/** Lets calls through until it is told to hold or to fail them. */
class Gate {
  held: (() => void)[] | undefined
  /** What calls throw; a storage may throw anything. */
  failure: object | undefined

  hold(): void {
    this.held = []
  }

  /** Lets the oldest call through that waits. */
  release(): void {
    this.held?.shift()?.()
  }

  /** Lets all through, also those to come. */
  open(): void {
    const { held } = this
    this.held = undefined
    for (const pass of held ?? []) pass()
  }

  pass(): void | Promise<void> {
    const { held, failure } = this
    if (held === undefined && failure === undefined) return
    const waited = held === undefined ? Promise.resolve() : new Promise<void>((resolve) => held.push(resolve))
    return waited.then(() => {
      if (this.failure !== undefined) throw this.failure
    })
  }
}

async function rig(over: Partial<PartitionStorage> = {}): Promise<Rig> {
  const memory = new MemoryStorage()
  await memory.open()
  const partition = await memory.openPartition(AT)
  const [appends, syncs] = [new Gate(), new Gate()]
  const writes: number[][] = []
  let durableEndOffset = 0
  const storage: PartitionStorage = {
    get segments() {
      return partition.segments
    },
    get durableEndOffset() {
      return durableEndOffset
    },
    append: (batches) => {
      const add = (): void => {
        writes.push(batches.map(({ baseOffset }) => baseOffset))
        partition.append(batches)
      }
      const passed = appends.pass()
      return passed === undefined ? add() : passed.then(add)
    },
    sync: async () => {
      const end = partition.durableEndOffset
      await syncs.pass()
      durableEndOffset = end
    },
    read: (...at) => partition.read(...at),
    findOffset: (timestamp) => partition.findOffset(timestamp),
    roll: (baseOffset) => partition.roll(baseOffset),
    drop: (count) => partition.drop(count),
    truncate: (offset) => partition.truncate(offset),
    replace: (...what) => partition.replace(...what),
    saveSnapshot: () => undefined,
    loadSnapshot: () => undefined,
    close: () => partition.close(),
    ...over,
  }
  const clock = new ManualClock({ now: START })
  const open = (options: Partial<PartitionLogOptions> = {}): Promise<PartitionLog> => {
    partition.open()
    return PartitionLog.open({ at: AT, storage, acknowledgeAfter: 'append', settings: SETTINGS, clock, ...options })
  }
  return { clock, storage, writes, syncs, appends, open }
}

/** 'pending', 'done' or the code of the error, as it is once the log has nothing else to do. */
async function outcomesNow(clock: ManualClock, ...promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes: unknown[] = promises.map(() => 'pending')
  promises.forEach((promise, index) => {
    promise.then(
      () => {
        outcomes[index] = 'done'
      },
      (error: unknown) => {
        outcomes[index] = error instanceof Object && 'code' in error ? error.code : error
      },
    )
  })
  await clock.advance(0)
  return outcomes
}

/** One batch with records of these times. */
function at(...times: readonly number[]): EncodedBatch {
  return batchOf(times.map((timestamp) => ({ timestamp })))
}

const baseOffsets = async (log: PartitionLog, from: number = log.logStartOffset): Promise<number[]> =>
  (await log.read(from, 1 << 20)).map(({ baseOffset }) => baseOffset)
const segmentBases = ({ storage }: Rig): number[] => storage.segments.map(({ baseOffset }) => baseOffset)

describe('append', () => {
  it('gives offsets in the order of the calls, without gaps', async () => {
    const { open } = await rig()
    const log = await open()
    const appended = await Promise.all([1, 3, 1, 2].map((count) => log.append(batchOf(records(count)))))
    expect(appended.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 4, 5])
    expect(log.highWatermark).toBe(7)
    expect(await baseOffsets(log)).toEqual([0, 1, 4, 5])
  })

  it('has one write under way, and what gathers meanwhile is the next one', async () => {
    const { open, appends, writes, clock } = await rig()
    const log = await open()
    appends.hold()
    const appended = [0, 1, 2, 3].map(() => log.append(batchOf([{}])))
    expect(await outcomesNow(clock, ...appended)).toEqual(Array(4).fill('pending'))
    appends.release()
    expect(await outcomesNow(clock, ...appended)).toEqual(['done', 'pending', 'pending', 'pending'])
    appends.release()
    await Promise.all(appended)
    expect(writes).toEqual([[0], [1, 2, 3]])
  })

  it('is acknowledged, and seen, after the sync where the storage asks for one', async () => {
    const { open, syncs, clock, writes } = await rig()
    const log = await open({ acknowledgeAfter: 'sync' })
    syncs.hold()
    const appended = [log.append(batchOf([{}]))]
    await clock.advance(0)
    for (let more = 0; more < 2; more++) appended.push(log.append(batchOf([{}])))
    expect(await outcomesNow(clock, ...appended)).toEqual(['pending', 'pending', 'pending'])
    expect(writes).toEqual([[0]])
    expect([log.highWatermark, await log.read(0, 1000)]).toEqual([0, []])
    syncs.release()
    expect(await outcomesNow(clock, ...appended)).toEqual(['done', 'pending', 'pending'])
    expect([log.highWatermark, await baseOffsets(log, 0)]).toEqual([1, [0]])
    syncs.release()
    await Promise.all(appended)
    expect(log.highWatermark).toBe(3)
  })

  it('shares a sync with all that the same turn appends, microtasks included', async () => {
    const { open, syncs, clock, writes } = await rig()
    const log = await open({ acknowledgeAfter: 'sync' })
    syncs.hold()
    const appended = [log.append(batchOf([{}])), log.append(batchOf([{}]))]
    await Promise.resolve()
    appended.push(log.append(batchOf([{}])))
    expect(await outcomesNow(clock, ...appended)).toEqual(Array(3).fill('pending'))
    expect(writes).toEqual([[0, 1, 2]])
    syncs.release()
    expect(await outcomesNow(clock, ...appended)).toEqual(Array(3).fill('done'))
  })

  it('calls back when the high watermark rises, until told to stop', async () => {
    const { open } = await rig()
    const log = await open()
    const seen: number[] = []
    const listener = (): void => void seen.push(log.highWatermark)
    log.onAdvance(listener)
    await log.append(batchOf([{}, {}]))
    await log.append(batchOf([{}]))
    log.offAdvance(listener)
    await log.append(batchOf([{}]))
    expect(seen).toEqual([2, 3])
  })

  it('of one idempotent producer shares a write with those that follow on it, and no other', async () => {
    const { open, appends, writes, clock } = await rig()
    const log = await open()
    const of = (baseSequence: number, producerEpoch = 0): Promise<unknown> =>
      log.append(batchOf([{}], { producerId: 7, producerEpoch, baseSequence }))
    appends.hold()
    const first = log.append(batchOf([{}]))
    // A repetition of one that is still to be written, one that leaves a gap, and a new epoch wait for what is before them.
    const outcomes = outcomesNow(clock, first, of(0), of(1), of(2), of(1), of(9), of(0, 1), of(1, 1))
    appends.open()
    await clock.advance(0)
    await outcomes
    expect(writes).toEqual([[0], [1, 2, 3], [4, 5]])
    const [, , , , repeated, gap] = await outcomes
    expect([repeated, gap]).toEqual(['done', 'OTTLA_OUT_OF_ORDER_SEQUENCE'])
  })

  it('of one idempotent producer that fails fails with those of its write, and the log knows none of them', async () => {
    const { open, appends, clock } = await rig()
    const log = await open()
    const of = (baseSequence: number): Promise<{ baseOffset: number }> =>
      log.append(batchOf([{}], { producerId: 7, producerEpoch: 0, baseSequence }))
    await of(0)
    appends.failure = new Error('no room')
    const failed = [of(1), of(2)]
    expect(await outcomesNow(clock, ...failed)).toContain('OTTLA_STORAGE_FAILED')
    appends.failure = undefined
    await expect(of(2)).rejects.toMatchObject({ code: 'OTTLA_OUT_OF_ORDER_SEQUENCE' })
    expect((await of(1)).baseOffset).toBe(1)
    expect((await of(1)).baseOffset).toBe(1)
  })

  it('that fails rejects alone, and later ones take its place', async () => {
    const { open, appends, clock } = await rig()
    const log = await open()
    appends.failure = new Error('no room')
    const failed = log.append(batchOf([{}]))
    expect(await outcomesNow(clock, failed)).toEqual(['OTTLA_STORAGE_FAILED'])
    await expect(failed).rejects.toMatchObject({ retriable: true })
    appends.failure = undefined
    expect((await log.append(batchOf([{}]))).baseOffset).toBe(0)
    expect(await baseOffsets(log)).toEqual([0])
  })

  it('that fails with something that has no text rejects alone, too', async () => {
    const { open, appends, clock } = await rig()
    const log = await open()
    appends.failure = Object.create(null)
    expect(await outcomesNow(clock, log.append(batchOf([{}])))).toEqual(['OTTLA_STORAGE_FAILED'])
    appends.failure = undefined
    expect((await log.append(batchOf([{}]))).baseOffset).toBe(0)
  })

  it('is refused for good once a sync has failed, while reads go on', async () => {
    const { open, syncs, clock } = await rig()
    const log = await open({ acknowledgeAfter: 'sync' })
    await log.append(batchOf([{}]))
    syncs.hold()
    const waiting: Promise<unknown>[] = [log.append(batchOf([{}]))]
    await clock.advance(0)
    waiting.push(log.append(batchOf([{}])), log.applyRetention())
    const outcomes = outcomesNow(clock, ...waiting)
    await clock.advance(0)
    syncs.failure = new Error('disk')
    syncs.release()
    await outcomes
    expect(await outcomesNow(clock, ...waiting)).toEqual(Array(3).fill('OTTLA_STORAGE_FAILED'))
    // Whether they are in the log is not known, and a sync is never made again.
    for (const failed of waiting) await expect(failed).rejects.toMatchObject({ retriable: false })
    syncs.failure = undefined
    await expect(log.append(batchOf([{}]))).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    await expect(log.deleteRecords(1)).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    expect([log.highWatermark, await baseOffsets(log)]).toEqual([1, [0]])
  })

  it('keeps the state of producers now and then, so that a log that was not closed is read from there alone', async () => {
    let kept: { offset: number; bytes: Uint8Array } | undefined
    const reads: number[] = []
    const { storage, open } = await rig({
      saveSnapshot: (offset, bytes) => {
        kept = { offset, bytes }
      },
      loadSnapshot: () => kept,
    })
    const { read } = storage
    storage.read = (offset, ...more) => {
      reads.push(offset)
      return read(offset, ...more)
    }
    const numbered = (baseSequence: number): EncodedBatch =>
      batchOf([{ value: new Uint8Array(1_000_000) }], { producerId: 1, producerEpoch: 0, baseSequence })
    const settings = { ...SETTINGS, segmentBytes: 1 << 26 }
    const log = await open({ settings })
    for (let sequence = 0; sequence < 10; sequence++) await log.append(numbered(sequence))
    const reopened = await open({ settings })
    expect(reads).toEqual([9])
    expect((await reopened.append(numbered(8))).baseOffset).toBe(8)
    expect((await reopened.append(numbered(10))).baseOffset).toBe(10)
  })

  it('stamps its own time on a topic with LogAppendTime', async () => {
    const { open, clock } = await rig()
    const log = await open({ settings: { ...SETTINGS, messageTimestampType: 'LogAppendTime' } })
    expect((await log.append(at(5, 7))).logAppendTime).toBe(START)
    await clock.advance(10)
    expect((await log.append(at(5))).logAppendTime).toBe(START + 10)
    const stored: readonly RecordBatch[] = await log.read(0, 1000)
    expect(stored.map(({ maxTimestamp }) => maxTimestamp)).toEqual([START, START + 10])
  })

  it('answers a batch of an idempotent producer that comes again as the first time, and refuses a gap', async () => {
    for (const messageTimestampType of ['CreateTime', 'LogAppendTime'] as const) {
      const { open, clock } = await rig()
      const log = await open({ settings: { ...SETTINGS, messageTimestampType } })
      const numbered = (baseSequence: number): EncodedBatch =>
        batchOf([{}, {}], { producerId: 1, producerEpoch: 0, baseSequence })
      await log.append(batchOf([{}]))
      const first = await log.append(numbered(0))
      await clock.advance(10)
      expect(await log.append(numbered(0))).toEqual(first)
      await expect(log.append(numbered(4))).rejects.toMatchObject({ code: 'OTTLA_OUT_OF_ORDER_SEQUENCE' })
      const [next, again] = await Promise.all([log.append(numbered(2)), log.append(numbered(2))])
      expect([next.baseOffset, again.baseOffset, log.highWatermark]).toEqual([3, 3, 5])
    }
  })
})

describe('segments', () => {
  it('are rolled by size, whether the batches come one by one or gather', async () => {
    const { sizeInBytes } = batchOf([{}])
    const settings = { ...SETTINGS, segmentBytes: 3 * sizeInBytes }
    const one = await rig()
    const log = await one.open({ settings })
    for (let batch = 0; batch < 7; batch++) await log.append(batchOf([{}]))
    expect(segmentBases(one)).toEqual([0, 3, 6])

    const many = await rig()
    const gathering = await many.open({ settings })
    many.appends.hold()
    const appended = Promise.all(Array.from({ length: 7 }, () => gathering.append(batchOf([{}]))))
    many.appends.open()
    await appended
    expect(segmentBases(many)).toEqual([0, 3, 6])
  })

  it('are rolled by age, from the timestamp of their first batch', async () => {
    const subject = await rig()
    const log = await subject.open({ settings: { ...SETTINGS, segmentMs: 100 } })
    for (const time of [1000, 1100, 1101, 1150, 1202]) await log.append(at(time))
    expect(segmentBases(subject)).toEqual([0, 2, 4])
  })

  it('are written by at most 8 MiB at once', async () => {
    const { open, appends, writes, clock } = await rig()
    const log = await open({ settings: { ...SETTINGS, segmentBytes: 1 << 30, maxMessageBytes: 1 << 23 } })
    appends.hold()
    const large = (): EncodedBatch => batchOf([{ value: new Uint8Array(3 << 20) }])
    const appended = Promise.all([log.append(batchOf([{}])), ...[1, 2, 3].map(() => log.append(large()))])
    for (let write = 0; write < 3; write++) {
      appends.release()
      await clock.advance(0)
    }
    await appended
    expect(writes).toEqual([[0], [1, 2], [3]])
  })

  it('go by retention, the active one too once another was begun', async () => {
    const subject = await rig()
    const { sizeInBytes } = batchOf([{}])
    const log = await subject.open({ settings: { ...SETTINGS, segmentBytes: 2 * sizeInBytes } })
    for (let batch = 0; batch < 6; batch++) await log.append(batchOf([{}]))
    expect(await log.applyRetention()).toBe(0)
    log.settings = { ...log.settings, retentionBytes: 4 * sizeInBytes }
    expect([await log.applyRetention(), log.logStartOffset]).toEqual([1, 2])
    log.settings = { ...log.settings, retentionBytes: 0 }
    expect([await log.applyRetention(), log.logStartOffset]).toEqual([2, 6])
    await expect(async () => log.read(5, 1000)).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE' })
    expect([await log.applyRetention(), segmentBases(subject)]).toEqual([0, [6]])
    expect((await log.append(batchOf([{}]))).baseOffset).toBe(6)
    expect(await baseOffsets(log)).toEqual([6])
  })

  it('that a storage drops by itself move the log start', async () => {
    const { open, storage } = await rig()
    const log = await open({ settings: { ...SETTINGS, segmentBytes: 1 } })
    for (let batch = 0; batch < 3; batch++) await log.append(batchOf([{}]))
    await storage.drop(2)
    expect(log.logStartOffset).toBe(2)
    await expect(async () => log.read(1, 1000)).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE' })
    expect((await log.append(batchOf([{}]))).logStartOffset).toBe(2)
  })

  it('go when their records are deleted, and the log start may lie within one', async () => {
    const subject = await rig()
    const { sizeInBytes } = batchOf([{}])
    const log = await subject.open({ settings: { ...SETTINGS, segmentBytes: 2 * sizeInBytes } })
    for (let batch = 0; batch < 5; batch++) await log.append(batchOf([{}]))
    expect(await log.deleteRecords(3)).toBe(3)
    expect([segmentBases(subject), await baseOffsets(log)]).toEqual([
      [2, 4],
      [3, 4],
    ])
    expect(await log.deleteRecords(1)).toBe(3)
    for (const offset of [6, -1]) {
      await expect(log.deleteRecords(offset)).rejects.toMatchObject({ code: 'OTTLA_OFFSET_OUT_OF_RANGE' })
    }
  })
})

describe('offsets by time', () => {
  it('are those of the first record at or after it', async () => {
    const { open } = await rig()
    const log = await open()
    for (const times of [[10, 40, 20], [30], [50]]) await log.append(at(...times))
    expect(await log.offsetForTimestamp(11)).toEqual({ offset: 1, timestamp: 40 })
    expect(await log.offsetForTimestamp(41)).toEqual({ offset: 4, timestamp: 50 })
    expect(await log.offsetForTimestamp(51)).toBeUndefined()
    await log.deleteRecords(2)
    expect(await log.offsetForTimestamp(0)).toEqual({ offset: 2, timestamp: 20 })
  })

  it('find the latest time between the log start and the high watermark, whatever is outside of it', async () => {
    const { open, syncs, clock } = await rig()
    const log = await open({ acknowledgeAfter: 'sync' })
    expect(await log.offsetOfMaxTimestamp()).toBeUndefined()
    for (const times of [[900, 10], [40, 70, 70], [70], [20]]) await log.append(at(...times))
    expect(await log.offsetOfMaxTimestamp()).toEqual({ offset: 0, timestamp: 900 })
    await log.deleteRecords(1)
    expect(await log.offsetOfMaxTimestamp()).toEqual({ offset: 3, timestamp: 70 })
    syncs.hold()
    const unseen = log.append(at(5000))
    await clock.advance(0)
    expect(await log.offsetOfMaxTimestamp()).toEqual({ offset: 3, timestamp: 70 })
    syncs.release()
    await unseen
    expect(await log.offsetOfMaxTimestamp()).toEqual({ offset: 7, timestamp: 5000 })
  })

  it('find the same latest time as a look at every record', async () => {
    const anyBatches = fc.array(fc.array(fc.nat(30), { minLength: 1, maxLength: 4 }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        anyBatches,
        fc.nat(20),
        fc.integer({ min: 1, max: 500 }),
        async (batches, start, segmentBytes) => {
          const log = await (await rig()).open({ settings: { ...SETTINGS, segmentBytes } })
          for (const times of batches) await log.append(at(...times))
          const logStart = await log.deleteRecords(Math.min(start, log.highWatermark))
          let latest: { offset: number; timestamp: number } | undefined
          for (const [offset, timestamp] of batches.flat().entries()) {
            if (offset >= logStart && timestamp > (latest?.timestamp ?? -1)) latest = { offset, timestamp }
          }
          expect(await log.offsetOfMaxTimestamp()).toEqual(latest)
        },
      ),
    )
  })
})

describe('open', () => {
  it('syncs what is not durable yet before it shows it, where the storage asks for a sync', async () => {
    const { open, storage } = await rig()
    await storage.append([batchOf([{}])])
    expect(storage.durableEndOffset).toBe(0)
    expect((await open({ acknowledgeAfter: 'sync' })).highWatermark).toBe(1)
    expect(storage.durableEndOffset).toBe(1)
  })
})

describe('close', () => {
  it('finishes what was appended before, refuses what comes after, and may be called again', async () => {
    const { open, syncs, clock } = await rig()
    const log = await open({ acknowledgeAfter: 'sync' })
    syncs.hold()
    const before = [log.append(batchOf([{}]))]
    await clock.advance(0)
    before.push(log.append(batchOf([{}])))
    const closed = [log.close(), log.close()]
    await expect(log.append(batchOf([{}]))).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    await expect(log.applyRetention()).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    syncs.release()
    expect(await outcomesNow(clock, ...before, ...closed)).toEqual(['done', 'pending', 'pending', 'pending'])
    syncs.release()
    expect(await outcomesNow(clock, ...before, ...closed)).toEqual(Array(4).fill('done'))
    expect([log.isClosed, log.highWatermark]).toEqual([true, 2])
    expect(() => log.read(0, 1000)).toThrow('is closed')
    expect(await (await open()).read(0, 1000)).toHaveLength(2)
  })

  it('wakes whoever waits, also where the storage fails', async () => {
    for (const close of [undefined, () => Promise.reject(new Error('disk'))]) {
      const { open } = await rig(close === undefined ? {} : { close })
      const log = await open()
      let woken = false
      log.onAdvance(() => {
        woken = log.isClosed
      })
      await Promise.allSettled([log.close()])
      expect(woken).toBe(true)
    }
  })

  it('and a roll do without the snapshot of the producers where it cannot be kept', async () => {
    const { open } = await rig({ saveSnapshot: () => Promise.reject(new Error('no room')) })
    const log = await open({ settings: { ...SETTINGS, segmentBytes: 1 } })
    for (const baseOffset of [0, 1]) expect((await log.append(batchOf([{}]))).baseOffset).toBe(baseOffset)
    await log.close()
  })

  it('leaves the storage of an abandoned log alone', async () => {
    const calls: string[] = []
    const { open } = await rig({
      saveSnapshot: () => void calls.push('saveSnapshot'),
      close: () => void calls.push('close'),
    })
    const log = await open()
    const appended = log.append(batchOf([{}]))
    await log.abandon()
    await log.close()
    expect([(await appended).baseOffset, log.isClosed, calls]).toEqual([0, true, []])
  })
})
