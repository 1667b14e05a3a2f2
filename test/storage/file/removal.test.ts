import { describe, expect, it } from 'vitest'
import type { PartitionStorage } from '../../../src/storage/storage.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { batchAt, endOf, fill, logPath, openOn, PLACE } from './file-rig.js'

/** The ends of the log in all that a power cut may leave after each call that `act` makes. */
async function endsAfter(act: (log: PartitionStorage) => Promise<void>): Promise<Set<number>> {
  const disk = new SimulatedFileSystem()
  const { log } = await openOn(disk)
  await fill(log, 4)
  const left: SimulatedFileSystem[] = []
  disk.afterCall = () => {
    for (const state of disk.crashStates({ random: 1 })) left.push(state.disk)
  }
  await act(log)
  disk.afterCall = () => undefined
  const ends = new Set<number>()
  for (const each of left) {
    const opened = await openOn(each)
    ends.add(endOf(opened.log))
    await opened.storage.close()
  }
  return ends
}

describe('a power cut', () => {
  it('while all of a log is dropped keeps the segment that was begun in its place, and with it the offsets', async () => {
    const ends = await endsAfter(async (log) => {
      await log.roll(4)
      await log.drop(1)
    })
    expect([...ends]).toEqual([4])
  })

  it('while a log is truncated below its start leaves one that ends there or where it did', async () => {
    const ends = await endsAfter(async (log) => {
      await log.append([batchAt(9)])
      await log.sync()
      await log.roll(10)
      await log.drop(1)
      await fill(log, 2)
      await log.truncate(7)
    })
    expect([...ends].sort((a, b) => a - b)).toEqual([4, 7, 10, 11, 12])
  })
})

describe('a truncated log', () => {
  it('has no gaps any more behind its end, so that a segment lost there later is missed', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 4)
    await log.roll(8)
    await fill(log, 1)
    await log.truncate(2)
    await fill(log, 2)
    await log.roll(4)
    await fill(log, 4)
    await log.roll(8)
    await fill(log, 1)
    const after = disk.killProcess()
    for (const suffix of ['.log', '.index', '.timeindex', '.sum']) after.displace(logPath(PLACE, 4, suffix))
    await expect(openOn(after)).rejects.toMatchObject({ code: 'OTTLA_CORRUPTION', damage: { kind: 'missing-file' } })
  })
})
