import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  batchAt,
  crashCopy,
  FaultyFileSystem,
  fill,
  logPath,
  offsetsIn,
  open,
  temporaryDirectories,
  upTo,
} from './file-rig.js'

const directory = temporaryDirectories()

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
async function tear(kept: number, filler?: (rest: Buffer) => void): Promise<{ place: string; whole: number }> {
  const place = crashCopy(await threeBatches(), directory())
  const path = logPath(place, 0)
  const content = readFileSync(path)
  const whole = content.length - LAST.length
  if (filler === undefined) truncateSync(path, whole + kept)
  else {
    filler(content.subarray(whole + kept))
    writeFileSync(path, content)
  }
  return { place, whole }
}

const LAST = batchAt(2, 1, 30).bytes()
let made: Promise<string> | undefined

function threeBatches(): Promise<string> {
  made ??= (async () => {
    const place = directory()
    const { storage, log } = await open(place, { durability: 'os' })
    await fill(log, 2)
    await log.append([batchAt(2, 1, 30)])
    const copy = crashCopy(place, directory())
    await storage.close()
    return copy
  })()
  return made
}

describe('opening after a crash', () => {
  it('cuts a last batch that is not whole, wherever it ends, and says so', async () => {
    for (let kept = 0; kept < LAST.length; kept++) {
      const { place, whole } = await tear(kept)
      const { storage, log, reports } = await open(place, { fileSystem: new FaultyFileSystem() })
      expect(await offsetsIn(log)).toEqual([0, 1])
      if (kept === 0) expect(reports).toEqual([])
      else {
        const position = { file: logPath(place, 0), position: whole, removedBytes: kept, logEndOffset: 2 }
        expect(reports).toEqual([expect.objectContaining({ topic: 'orders', partition: 0, ...position })])
      }
      await log.append([batchAt(2)])
      await log.sync()
      const again = await open(crashCopy(place, directory()), { fileSystem: new FaultyFileSystem() })
      expect(again.reports).toEqual([])
      expect(await offsetsIn(again.log)).toEqual([0, 1, 2])
      await again.storage.close()
      await storage.close()
    }
  })

  it.each(Object.keys(FILLS))('cuts a last batch whose rest is %s, from every byte on', async (name) => {
    for (let kept = 0; kept < LAST.length; kept++) {
      const { place, whole } = await tear(kept, FILLS[name])
      if (readFileSync(logPath(place, 0)).subarray(whole).equals(LAST)) continue
      const { storage, log, reports } = await open(place, { fileSystem: new FaultyFileSystem() })
      expect([kept, await offsetsIn(log)]).toEqual([kept, [0, 1]])
      expect(reports.map(({ position, removedBytes }) => [position, removedBytes])).toEqual([[whole, LAST.length]])
      await storage.close()
    }
  })

  it('finds everything in a log that is whole, and reports nothing', async () => {
    const place = directory()
    const { storage, log } = await open(place, { durability: 'os' })
    await fill(log, 50)
    await log.roll(50)
    await fill(log, 50)
    const { storage: next, log: found, reports } = await open(crashCopy(place, directory()))
    expect(await offsetsIn(found)).toEqual(upTo(100))
    expect(found.durableEndOffset).toBe(100)
    expect(reports).toEqual([])
    await next.close()
    await storage.close()
  })

  it('syncs what it found before it is read, since it may lie in the page cache only', async () => {
    const place = directory()
    const { storage, log } = await open(place, { durability: 'os' })
    await log.append([batchAt(0)])
    const disk = new FaultyFileSystem()
    disk.plan = ({ act, path }) => (act === 'dataSync' && path.endsWith('.log') ? 'EIO' : undefined)
    await expect(open(crashCopy(place, directory()), { fileSystem: disk })).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
    })
    await storage.close()
  })

  it('takes an empty last segment as it is', async () => {
    const place = directory()
    const { storage, log } = await open(place)
    await fill(log, 3)
    await log.roll(3)
    const { storage: next, log: found, reports } = await open(crashCopy(place, directory()))
    expect(found.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 3])
    expect(reports).toEqual([])
    await fill(found, 1)
    expect(await offsetsIn(found)).toEqual([0, 1, 2, 3])
    await next.close()
    await storage.close()
  })
})
