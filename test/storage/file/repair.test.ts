import { describe, expect, it } from 'vitest'
import type { Repair } from '../../../src/storage/storage.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { batchAt, damage, endOf, fill, logPath, offsetsIn, openOn, PLACE, upTo } from './file-rig.js'

const BYTES = batchAt(0).sizeInBytes
const BATCHES = 10

/** Three segments of ten batches, after a clean close. */
async function threeSegments(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem()
  const { storage, log } = await openOn(disk)
  for (const base of [0, 10, 20]) {
    await log.roll(base)
    await fill(log, BATCHES)
  }
  await storage.close()
  return disk
}

function flip(disk: SimulatedFileSystem, base: number, position: number): void {
  damage(disk, logPath(PLACE, base), (content) => content.writeUInt8((content[position] ?? 0) ^ 1, position))
}

/** Opens with `repair`, then again without, and says what is there and what was told. */
async function repaired(disk: SimulatedFileSystem, repair: 'truncate' | 'salvage') {
  const { storage, log, reports } = await openOn(disk, { repair })
  const offsets = await offsetsIn(log)
  await storage.close()
  const again = await openOn(disk)
  expect(again.reports).toEqual([])
  expect(await offsetsIn(again.log)).toEqual(offsets)
  const end = endOf(again.log)
  await again.log.append([batchAt(end)])
  await again.log.sync()
  // What was done is done for good.
  const { log: kept } = await openOn(disk.crash())
  expect(await offsetsIn(kept)).toEqual([...offsets, end])
  return { offsets, reports: reports.filter((each): each is Repair => each.kind === 'repair') }
}

function aside(disk: SimulatedFileSystem): string[] {
  return Array.from(disk.files(`${PLACE}/orders-0`).keys()).filter((name) => name.endsWith('.corrupt'))
}

describe('without damage', () => {
  it.each(['truncate', 'salvage'] as const)('repair %s changes nothing and reports nothing', async (repair) => {
    const disk = await threeSegments()
    const before = disk.files(`${PLACE}/orders-0`)
    const { storage, reports } = await openOn(disk, { repair })
    await storage.close()
    expect(reports.filter(({ kind }) => kind === 'repair')).toEqual([])
    const after = disk.files(`${PLACE}/orders-0`)
    for (const [name, content] of before) if (!name.endsWith('.durable')) expect(after.get(name)).toEqual(content)
  })
})

describe('damage inside a sealed segment', () => {
  it('is refused when it is read, until repair is asked for', async () => {
    const disk = await threeSegments()
    flip(disk, 10, 3 * BYTES + 80)
    const { storage, log } = await openOn(disk)
    await expect((async () => log.read(13, 1, 30))()).rejects.toMatchObject({ code: 'OTTLA_CORRUPTION' })
    await storage.close()
    expect(aside(disk)).toEqual([])
  })

  it('truncate: the log ends before it, and all that follows lies beside it', async () => {
    const disk = await threeSegments()
    const [second, third] = [disk.peek(logPath(PLACE, 10)), disk.peek(logPath(PLACE, 20))]
    flip(disk, 10, 3 * BYTES + 80)
    const damaged = disk.peek(logPath(PLACE, 10))
    const { offsets, reports } = await repaired(disk, 'truncate')
    expect(offsets).toEqual(upTo(13))
    const [cut, whole] = [`${logPath(PLACE, 10)}.${3 * BYTES}.corrupt`, `${logPath(PLACE, 20)}.corrupt`]
    expect(reports).toMatchObject([
      { repair: 'truncate', file: logPath(PLACE, 10), position: 3 * BYTES, firstOffset: 13, keptAs: cut },
      { file: logPath(PLACE, 20), position: 0, removedBytes: 10 * BYTES, keptAs: whole },
    ])
    expect(disk.peek(cut)).toEqual(damaged?.subarray(3 * BYTES))
    expect(disk.peek(whole)).toEqual(third)
    expect(disk.peek(logPath(PLACE, 10))?.subarray(0, 3 * BYTES)).toEqual(second?.subarray(0, 3 * BYTES))
    const written = Array.from(disk.files(`${PLACE}/orders-0`)).find(([name]) => name.startsWith('repair-'))?.[1]
    expect(JSON.parse(Buffer.from(written ?? []).toString())).toEqual(JSON.parse(JSON.stringify(reports)))
  })

  it('salvage: the log goes on behind it, and the file as it was lies beside it', async () => {
    const disk = await threeSegments()
    flip(disk, 10, 3 * BYTES + 80)
    flip(disk, 10, 7 * BYTES + 80)
    flip(disk, 10, 9 * BYTES + 80)
    flip(disk, 20, 4)
    const damaged = disk.peek(logPath(PLACE, 10))
    const { offsets, reports } = await repaired(disk, 'salvage')
    expect(offsets).toEqual(upTo(30).filter((offset) => ![13, 17, 19, 20].includes(offset)))
    expect(reports).toMatchObject([
      { file: logPath(PLACE, 10), position: 3 * BYTES, removedBytes: BYTES, firstOffset: 13, endOffset: 14 },
      { file: logPath(PLACE, 10), position: 7 * BYTES, removedBytes: BYTES, firstOffset: 17, endOffset: 18 },
      { file: logPath(PLACE, 10), position: 9 * BYTES, removedBytes: BYTES, firstOffset: 19 },
      { file: logPath(PLACE, 20), position: 0, removedBytes: BYTES, firstOffset: 20, endOffset: 21 },
    ])
    expect(disk.peek(`${logPath(PLACE, 10)}.0.corrupt`)).toEqual(damaged)
  })
})

describe('a missing segment', () => {
  it('truncate: the log ends before it', async () => {
    const disk = await threeSegments()
    disk.displace(logPath(PLACE, 10))
    const { offsets } = await repaired(disk, 'truncate')
    expect(offsets).toEqual(upTo(10))
    expect(aside(disk)).toContain('00000000000000000020.log.corrupt')
  })

  it('salvage: the log goes on behind it', async () => {
    const disk = await threeSegments()
    disk.displace(logPath(PLACE, 10))
    const { offsets, reports } = await repaired(disk, 'salvage')
    expect(offsets).toEqual(upTo(30).filter((offset) => offset < 10 || offset >= 20))
    expect(reports).toContainEqual(expect.objectContaining({ firstOffset: 10, endOffset: 20 }))
  })

  it('of which there is no other: the log goes on behind what is known of it', async () => {
    const disk = await threeSegments()
    for (const base of [0, 10, 20]) disk.displace(logPath(PLACE, base))
    await expect(openOn(disk)).rejects.toMatchObject({ code: 'OTTLA_CORRUPTION' })
    const { log, reports } = await openOn(disk, { repair: 'salvage' })
    expect([await offsetsIn(log), endOf(log)]).toEqual([[], 30])
    expect(reports).toContainEqual(expect.objectContaining({ kind: 'repair', endOffset: 30 }))
  })
})

describe('each kind of damage', () => {
  const kinds: Record<string, (disk: SimulatedFileSystem) => void> = {
    'zeros over a sector': (disk) => damage(disk, logPath(PLACE, 0), (content) => content.fill(0, 512, 1024)),
    'a segment cut short': (disk) => damage(disk, logPath(PLACE, 10), (content) => content.subarray(0, -5)),
    'a last segment cut short': (disk) => damage(disk, logPath(PLACE, 20), (content) => content.subarray(0, -5)),
    'two segments swapped': (disk) => {
      const [first, second] = [disk.peek(logPath(PLACE, 0)), disk.peek(logPath(PLACE, 10))]
      disk.place(logPath(PLACE, 0), second ?? new Uint8Array(0))
      disk.place(logPath(PLACE, 10), first ?? new Uint8Array(0))
    },
    'a segment twice': (disk) => disk.place(logPath(PLACE, 15), disk.peek(logPath(PLACE, 10)) ?? new Uint8Array(0)),
    'an epoch that is none': (disk) =>
      damage(disk, logPath(PLACE, 0), (content) => content.writeInt32BE(4, BYTES + 12)),
    'a damaged list of gaps': (disk) => disk.place(`${PLACE}/orders-0/gaps.json`, Buffer.from('{"joints":[]}')),
    'a damaged replacement': (disk) => disk.place(`${PLACE}/orders-0/replacement.json`, Buffer.from('{')),
  }

  it.each(Object.keys(kinds))('is mended, and no byte of a log is gone: %s', async (name) => {
    for (const repair of ['truncate', 'salvage'] as const) {
      const disk = await threeSegments()
      kinds[name]?.(disk)
      const before = disk.files(`${PLACE}/orders-0`)
      const { offsets, reports } = await repaired(disk, repair)
      expect(reports.length).toBeGreaterThan(0)
      expect(new Set(offsets).size).toBe(offsets.length)
      const after = Array.from(disk.files(`${PLACE}/orders-0`), ([, content]) => Buffer.from(content))
      for (const [file, content] of before) {
        if (!file.endsWith('.log')) continue
        // Whole, or as what is left of it and what was cut off.
        const parts = after.filter((each) => each.length > 0)
        const isThere = (bytes: Buffer): boolean =>
          bytes.length === 0 || parts.some((part) => part.indexOf(bytes) === 0)
        const bytes = Buffer.from(content)
        const isKept = Array.from({ length: content.length + 1 }, (_, at) => at).some(
          (at) =>
            (at % 5 === 0 || at === content.length) && isThere(bytes.subarray(0, at)) && isThere(bytes.subarray(at)),
        )
        expect(isKept, `${file} with ${repair}`).toBe(true)
      }
    }
  })
})
