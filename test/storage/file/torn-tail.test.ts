import { describe, expect, it } from 'vitest'
import type { RecoveryReport } from '../../../src/storage/storage.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { batchAt, damage, fill, logPath, offsetsIn, openOn, PLACE, upTo } from './file-rig.js'

/** What may stand where the rest of the last batch should be. */
const FILLS: Record<string, (rest: Buffer) => void> = {
  zeros: (rest) => rest.fill(0),
  ones: (rest) => rest.fill(0xff),
  noise: (rest) => {
    for (let at = 0; at < rest.length; at++) rest[at] = (Math.imul(at + 1, 2654435761) >>> 13) & 0xff
  },
  'an older batch': (rest) => rest.set(batchAt(1).bytes().subarray(0, rest.length)),
}

/** A log of three batches whose last one is torn at byte `kept`. The rest is gone, or replaced by `filler`. */
async function tear(
  kept: number,
  filler?: (rest: Buffer) => void,
): Promise<{ disk: SimulatedFileSystem; whole: number }> {
  const disk = (await threeBatches()).killProcess()
  let whole = 0
  damage(disk, logPath(PLACE, 0), (content) => {
    whole = content.length - LAST.length
    if (filler === undefined) return content.subarray(0, whole + kept)
    filler(content.subarray(whole + kept))
    return content
  })
  return { disk, whole }
}

const LAST = batchAt(2, 1, 30).bytes()
let made: Promise<SimulatedFileSystem> | undefined

function threeBatches(): Promise<SimulatedFileSystem> {
  made ??= (async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk, { durability: 'os' })
    await fill(log, 2)
    await log.append([batchAt(2, 1, 30)])
    return disk
  })()
  return made
}

function torn(reports: readonly RecoveryReport[]): RecoveryReport[] {
  return reports.filter(({ kind }) => kind === 'torn-tail')
}

describe('opening after a crash', () => {
  it('cuts a last batch that is not whole, wherever it ends, and says so', async () => {
    for (let kept = 0; kept < LAST.length; kept++) {
      const { disk, whole } = await tear(kept)
      const { log, reports } = await openOn(disk)
      expect(await offsetsIn(log)).toEqual([0, 1])
      if (kept === 0) expect(torn(reports)).toEqual([])
      else {
        const position = { file: logPath(PLACE, 0), position: whole, removedBytes: kept, logEndOffset: 2 }
        const at = { topic: 'orders', partition: 0, keptAs: undefined, ...position }
        expect(torn(reports)).toEqual([expect.objectContaining(at)])
      }
      await log.append([batchAt(2)])
      await log.sync()
      const again = await openOn(disk.killProcess())
      expect(torn(again.reports)).toEqual([])
      expect(await offsetsIn(again.log)).toEqual([0, 1, 2])
    }
  })

  it.each(Object.keys(FILLS))('cuts a last batch whose rest is %s, from every byte on', async (name) => {
    for (let kept = 0; kept < LAST.length; kept++) {
      const { disk, whole } = await tear(kept, FILLS[name])
      if (
        Buffer.from(disk.peek(logPath(PLACE, 0)) ?? [])
          .subarray(whole)
          .equals(LAST)
      )
        continue
      const { log, reports } = await openOn(disk)
      expect([kept, await offsetsIn(log)]).toEqual([kept, [0, 1]])
      expect(torn(reports)).toEqual([expect.objectContaining({ position: whole, removedBytes: LAST.length })])
    }
  })

  it('finds everything in a log that is whole, and says what it wrote once more', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk, { durability: 'os' })
    await fill(log, 50)
    await log.roll(50)
    await fill(log, 49)
    await log.append([batchAt(99)])
    const next = disk.killProcess()
    const { log: found, reports } = await openOn(next)
    expect(await offsetsIn(found)).toEqual(upTo(100))
    expect(found.durableEndOffset).toBe(100)
    const rewritten = { kind: 'rewritten-tail', file: logPath(PLACE, 50), position: 0, firstOffset: 50 }
    const rewrittenBytes = next.peek(logPath(PLACE, 50))?.length
    expect(reports).toEqual([{ topic: 'orders', partition: 0, ...rewritten, rewrittenBytes, logEndOffset: 100 }])
    const { log: after } = await openOn(next.crash())
    expect(await offsetsIn(after)).toEqual(upTo(100))
  })

  it('has nothing to do once that was done', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 10)
    const next = disk.killProcess()
    expect((await openOn(next)).reports).toHaveLength(1)
    const again = await openOn(next.killProcess())
    expect(again.reports).toEqual([])
    expect(await offsetsIn(again.log)).toEqual(upTo(10))
  })

  it.each([
    ['since it was marked as durable', 2],
    ['ever', 0],
  ])('syncs no log to which nothing was written %s, and with the next write its name too', async (_, batches) => {
    const before = new SimulatedFileSystem()
    const { storage, log: filled } = await openOn(before)
    if (batches > 0) {
      await fill(filled, batches)
      // The mark lags behind until the log is closed.
      await storage.close()
      before.displace(`${PLACE}/clean-shutdown.json`)
    }
    const disk = before.killProcess()
    const { log, reports } = await openOn(disk)
    expect(
      disk.calls.filter(({ act, path }) => act.endsWith('Sync') || path.endsWith('orders-0')).map(({ act }) => act),
    ).toEqual(['list'])
    expect(reports).toEqual([])
    await fill(log, 1)
    const { log: found } = await openOn(disk.crash())
    expect(await offsetsIn(found)).toEqual(upTo(batches + 1))
  })

  it('writes once more what it found, since a sync that failed before may have lost it', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 3)
    await log.append([batchAt(3)])
    disk.plan = ({ act, path }) => (act === 'dataSync' && path.endsWith('.log') ? 'EIO' : undefined)
    await expect((async () => log.sync())()).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
    const next = disk.killProcess()
    expect(await offsetsIn((await openOn(next)).log)).toEqual(upTo(4))
    expect(await offsetsIn((await openOn(next.crash())).log)).toEqual(upTo(4))
  })

  it('syncs what it found before it is read, since it may lie in the page cache only', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk, { durability: 'os' })
    await log.append([batchAt(0)])
    const next = disk.killProcess()
    next.plan = ({ act, path }) => (act === 'dataSync' && path.endsWith('.log') ? 'EIO' : undefined)
    await expect(openOn(next)).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
  })

  it('takes an empty last segment as it is', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 3)
    await log.roll(3)
    const { log: found, reports } = await openOn(disk.killProcess())
    expect(found.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 3])
    expect(reports).toEqual([])
    await fill(found, 1)
    expect(await offsetsIn(found)).toEqual([0, 1, 2, 3])
  })

  it('keeps whole batches that it has to cut in a file beside the log', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 5)
    const next = disk.killProcess()
    const size = batchAt(0).sizeInBytes
    const content = Buffer.from(next.peek(logPath(PLACE, 0)) ?? [])
    damage(next, logPath(PLACE, 0), (bytes) => bytes.fill(0, 2 * size, 3 * size))
    const { log: found, reports } = await openOn(next)
    expect(await offsetsIn(found)).toEqual(upTo(2))
    const keptAs = `${logPath(PLACE, 0)}.${2 * size}.corrupt`
    expect(torn(reports)).toEqual([expect.objectContaining({ position: 2 * size, removedBytes: 3 * size, keptAs })])
    expect(Buffer.from(next.crash().peek(keptAs) ?? []).subarray(size)).toEqual(content.subarray(3 * size))
    await fill(found, 1)
    expect(await offsetsIn((await openOn(next.killProcess())).log)).toEqual(upTo(3))
  })
})
