import { describe, expect, it } from 'vitest'
import { MARK_LAG_BYTES } from '../../../src/storage/file/file-partition.js'
import type { RecoveryReport } from '../../../src/storage/storage.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { batchAt, contentOf, damage, endOf, fill, logPath, offsetsIn, openOn, PLACE, upTo } from './file-rig.js'

/** Three segments of forty batches each, at 0, 40 and 80: after a clean close, and after a crash that followed one. */
async function threeSegments(): Promise<{ closed: SimulatedFileSystem; crashed: SimulatedFileSystem }> {
  const closed = new SimulatedFileSystem()
  const { storage, log } = await openOn(closed)
  for (const base of [0, 40, 80]) {
    await log.roll(base)
    await fill(log, 40)
  }
  await storage.close()
  const crashed = closed.killProcess()
  await openOn(crashed)
  return { closed, crashed: crashed.killProcess() }
}

/** The files of the partition that a restart must leave as they are. */
function filesOf(disk: SimulatedFileSystem): Map<string, Buffer> {
  return new Map(Array.from(disk.files(`${PLACE}/orders-0`), ([name, bytes]) => [name, Buffer.from(bytes)]))
}

describe('opening after a clean close', () => {
  it('reads nothing of the logs', async () => {
    const { closed } = await threeSegments()
    const { storage, log } = await openOn(closed)
    const opened = closed.calls.slice(closed.calls.map(({ act }) => act).lastIndexOf('lock'))
    expect(opened.filter(({ act, path }) => act === 'open' && path.includes('orders-0'))).toEqual([])
    expect(log.segments.map(({ baseOffset, endOffset }) => [baseOffset, endOffset])).toEqual([
      [0, 40],
      [40, 80],
      [80, 120],
    ])
    expect(log.segments.map(({ firstTimestamp, maxTimestamp }) => [firstTimestamp, maxTimestamp])).toEqual([
      [1000, 1039],
      [1040, 1079],
      [1080, 1119],
    ])
    await storage.close()
  })

  it('restarts keep everything, also of partitions that were not opened in between', async () => {
    const disk = new SimulatedFileSystem()
    for (let round = 0; round < 4; round++) {
      const { storage, log, reports } = await openOn(disk)
      expect(await offsetsIn(log)).toEqual(upTo(round * 10))
      await fill(log, 10)
      if (round !== 1) {
        const other = await storage.openPartition({ topic: 'with-dashes', partition: 7 })
        expect(endOf(other)).toBe(round === 0 ? 0 : round - (round > 1 ? 1 : 0))
        await fill(other, 1)
      }
      expect(await storage.partitions()).toContainEqual({ topic: 'with-dashes', partition: 7 })
      expect(reports).toEqual([])
      await storage.close()
    }
  })

  it('looks at the files when the mark is damaged', async () => {
    const { closed } = await threeSegments()
    for (const change of [
      () => '',
      () => '{}',
      (mark: string) => mark.replace('"endOffset":120', '"endOffset":121'),
      (mark: string) => mark.replace('crc32c":', 'crc32c":1'),
    ]) {
      const disk = closed.killProcess()
      damage(disk, `${PLACE}/clean-shutdown.json`, (content) => Buffer.from(change(content.toString())))
      const { log } = await openOn(disk)
      expect(endOf(log)).toBe(120)
    }
  })

  it('refuses files that are not those of which the mark speaks, again and again', async () => {
    const { closed } = await threeSegments()
    const changes: ((disk: SimulatedFileSystem) => void)[] = [
      (disk) => damage(disk, logPath(PLACE, 80), (content) => content.subarray(0, -1)),
      (disk) => damage(disk, logPath(PLACE, 80), (content) => Buffer.concat([content, Buffer.alloc(1)])),
      (disk) => disk.displace(logPath(PLACE, 0)),
      (disk) => disk.displace(logPath(PLACE, 80)),
      (disk) => disk.place(logPath(PLACE, 120), Buffer.alloc(0)),
    ]
    for (const change of changes) {
      const disk = closed.killProcess()
      change(disk)
      const before = filesOf(disk)
      for (let attempt = 0; attempt < 3; attempt++) {
        await expect(openOn(disk)).rejects.toMatchObject({ code: 'OTTLA_CORRUPTION' })
        expect(filesOf(disk)).toEqual(before)
      }
    }
  })
})

describe('opening after a crash', () => {
  it('reads nothing of sealed segments, and of the last one what lies behind the durable mark', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    for (const base of [0, 4]) {
      await log.roll(base)
      await fill(log, 4, MARK_LAG_BYTES)
    }
    await log.append([batchAt(8, 1, MARK_LAG_BYTES / 2)])
    await log.sync()
    const next = disk.killProcess()
    const { log: found, reports } = await openOn(next)
    const reads = next.calls.filter(({ act, path }) => act === 'read' && path.endsWith('.log'))
    expect(new Set(reads.map(({ path }) => path))).toEqual(new Set([logPath(PLACE, 4)]))
    const position = 4 * batchAt(4, 1, MARK_LAG_BYTES).sizeInBytes
    expect(reports).toEqual([expect.objectContaining({ kind: 'rewritten-tail', position, firstOffset: 8 })])
    expect(await offsetsIn(found)).toEqual(upTo(9))
  })

  it('refuses a last segment that ends before its durable mark', async () => {
    const { crashed } = await threeSegments()
    damage(crashed, logPath(PLACE, 80), (content) => content.subarray(0, -1))
    await expect(openOn(crashed)).rejects.toMatchObject({
      code: 'OTTLA_CORRUPTION',
      damage: { file: logPath(PLACE, 80), position: 6799, expectedOffset: 120, kind: 'cut-short' },
    })
  })

  it('goes by an older durable mark where the newest is torn or damaged, and without one by none', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    for (let time = 0; time < 3; time++) await fill(log, 1, MARK_LAG_BYTES)
    const path = `${PLACE}/orders-0/00000000000000000000.durable`
    const size = batchAt(0, 1, MARK_LAG_BYTES).sizeInBytes
    const changes: [(content: Buffer) => unknown, number][] = [
      [() => undefined, 3],
      [(content) => content.subarray(0, -1), 2],
      [(content) => content.writeUInt8((content.at(-1) ?? 0) ^ 1, content.length - 1), 2],
      [(content) => content.writeUInt8((content.at(9) ?? 0) ^ 1, 9), 0],
      [() => Buffer.alloc(0), 0],
    ]
    for (const [change, marked] of changes) {
      const next = disk.killProcess()
      damage(next, path, change)
      const { log: found, reports } = await openOn(next)
      expect(await offsetsIn(found)).toEqual(upTo(3))
      expect(reports.map((each) => each.kind === 'rewritten-tail' && each.position)).toEqual(
        marked === 3 ? [] : [marked * size],
      )
    }
  })
})

describe('the index files', () => {
  const damages: Record<string, (disk: SimulatedFileSystem, path: string) => void> = {
    missing: (disk, path) => disk.displace(path),
    empty: (disk, path) => damage(disk, path, () => Buffer.alloc(0)),
    'cut short': (disk, path) => damage(disk, path, (content) => content.subarray(0, -5)),
    'an entry short': (disk, path) =>
      damage(disk, path, (content) => content.subarray(0, path.endsWith('.index') ? -8 : -12)),
    zeroed: (disk, path) => damage(disk, path, (content) => content.fill(0)),
    'of the size that Kafka reserves': (disk, path) =>
      damage(disk, path, (content) => Buffer.concat([content, Buffer.alloc(1024 * 1024)])),
    noise: (disk, path) => damage(disk, path, (content) => Buffer.from(content.map((_, at) => (at * 73 + 11) & 0xff))),
  }

  it.each(Object.keys(damages))('are made anew where they are %s, byte for byte', async (name) => {
    const { closed, crashed } = await threeSegments()
    const pristine = filesOf(closed)
    for (const from of [closed, crashed]) {
      for (const suffixes of [['.index'], ['.timeindex'], ['.index', '.timeindex']]) {
        const disk = from.killProcess()
        for (const base of from === closed ? [0, 40, 80] : [0, 40]) {
          for (const suffix of suffixes) damages[name]?.(disk, logPath(PLACE, base, suffix))
        }
        const { storage, log, reports } = await openOn(disk)
        expect(await offsetsIn(log)).toEqual(upTo(120))
        for (const timestamp of [0, 1000, 1039, 1040, 1100, 1119]) {
          expect(await log.findOffset(timestamp)).toBe(Math.max(timestamp - 1000, 0))
        }
        expect(await log.findOffset(1120)).toBe(undefined)
        expect(reports).toEqual([])
        await storage.close()
        expect(filesOf(disk)).toEqual(pristine)
      }
    }
  })

  it.each(['.index', '.timeindex'])('that lie are made anew when they are used: %s', async (suffix) => {
    const { closed } = await threeSegments()
    const path = logPath(PLACE, 0, suffix)
    const pristine = closed.peek(path) ?? new Uint8Array(0)
    // A bit of each byte; the deep tests flip them all.
    for (let byte = 0; byte < pristine.length; byte++) {
      const bit = byte * 8 + (byte % 8)
      const disk = closed.killProcess()
      damage(disk, path, (content) => {
        content[bit >> 3] = (content[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      })
      const { log } = await openOn(disk)
      for (const offset of [0, 7, 20, 39]) {
        expect((await log.read(offset, 1, 120))[0]?.baseOffset, `offset ${offset}, bit ${bit}`).toBe(offset)
        expect(await log.findOffset(1000 + offset), `time of ${offset}, bit ${bit}`).toBe(offset)
      }
      expect(disk.peek(path)).toEqual(pristine)
    }
  })
})

describe('a snapshot', () => {
  it('of what a power cut took from the log does not come back with the next one', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 4)
    await log.sync()
    const path = logPath(PLACE, 10, '.snapshot')
    disk.place(path, Uint8Array.of(1))
    const left = disk.killProcess()
    const found = await openOn(left)
    expect(await found.log.loadSnapshot(10)).toBe(undefined)
    expect(left.crash().peek(path)).toBe(undefined)
  })
})

describe('a new partition', () => {
  it('of which a power cut keeps any of its files before one of them is durable is new again', async () => {
    const disk = new SimulatedFileSystem()
    const states: SimulatedFileSystem[] = []
    const { storage } = await openOn(disk)
    disk.afterCall = () => {
      for (const { disk: left } of disk.crashStates({ random: 10 })) states.push(left)
    }
    const log = await storage.openPartition({ topic: 'orders', partition: 1 })
    await log.append([batchAt(3)])
    await log.saveSnapshot(4, Uint8Array.of(1))
    disk.afterCall = () => undefined
    for (const left of states) {
      const { storage: next } = await openOn(left)
      const found = await next.openPartition({ topic: 'orders', partition: 1 })
      expect([[], [3]]).toContainEqual(await offsetsIn(found))
      if (endOf(found) === 0) expect(await found.loadSnapshot(10)).toBe(undefined)
      await fill(found, 1)
      await next.close()
    }
  })
})

describe('damage that is no torn end', () => {
  /** Opens, or opens and reads everything: one of them must name the file, and no file of the partition may change. */
  async function refusal(disk: SimulatedFileSystem): Promise<unknown> {
    const before = filesOf(disk)
    let error: unknown
    try {
      const { storage, log } = await openOn(disk)
      try {
        await offsetsIn(log)
      } finally {
        await storage.close()
      }
    } catch (caught) {
      error = caught
    }
    const after = filesOf(disk)
    for (const [name, content] of before) if (name.endsWith('.log')) expect(after.get(name)).toEqual(content)
    return error
  }

  const flipped = (at: (content: Buffer) => number) => (content: Buffer) => {
    content[at(content)] = (content[at(content)] ?? 0) ^ 1
  }

  const corruptions: Record<string, { act: (disk: SimulatedFileSystem) => void; damage: object }> = {
    'a flipped byte in the middle of a sealed segment': {
      act: (disk) =>
        damage(
          disk,
          logPath(PLACE, 40),
          flipped(({ length }) => length >> 1),
        ),
      damage: { file: logPath(PLACE, 40), position: 3400, expectedOffset: 60, kind: 'checksum' },
    },
    'a sealed segment that is cut short': {
      act: (disk) => damage(disk, logPath(PLACE, 40), (content) => content.subarray(0, -1)),
      damage: { file: logPath(PLACE, 40), position: 6799, kind: 'cut-short' },
    },
    'a sealed segment without a sum that lost its last batch': {
      act: (disk) => {
        disk.displace(logPath(PLACE, 40, '.sum'))
        damage(disk, logPath(PLACE, 40), (content) => content.subarray(0, -batchAt(79).sizeInBytes))
      },
      damage: { file: logPath(PLACE, 80), position: 0, expectedOffset: 79, kind: 'missing-file' },
    },
    'a missing segment': {
      act: (disk) => disk.displace(logPath(PLACE, 40)),
      damage: { file: logPath(PLACE, 40), expectedOffset: 40, kind: 'missing-file' },
    },
    'a missing segment without a sum': {
      act: (disk) => {
        disk.displace(logPath(PLACE, 40))
        disk.displace(logPath(PLACE, 40, '.sum'))
      },
      damage: { file: logPath(PLACE, 80), expectedOffset: 40, kind: 'missing-file' },
    },
    'a missing last segment': {
      act: (disk) => disk.displace(logPath(PLACE, 80)),
      damage: { file: logPath(PLACE, 80), expectedOffset: 80, kind: 'missing-file' },
    },
    'a segment in the place of another': {
      act: (disk) => disk.place(logPath(PLACE, 40), disk.peek(logPath(PLACE, 0)) ?? new Uint8Array(0)),
      damage: { file: logPath(PLACE, 40), position: 0, expectedOffset: 40, kind: 'offset' },
    },
    'a bad batch in the last segment with good ones behind it': {
      act: (disk) =>
        damage(
          disk,
          logPath(PLACE, 80),
          flipped(() => 100),
        ),
      damage: { file: logPath(PLACE, 80), position: 0, expectedOffset: 80, kind: 'checksum' },
    },
    'a batch whose length leads over good ones': {
      act: (disk) => damage(disk, logPath(PLACE, 80), (content) => content.writeUInt8(0x7f, 10)),
      damage: { file: logPath(PLACE, 80), position: 0, expectedOffset: 80 },
    },
    'zeros over a sector': {
      act: (disk) => damage(disk, logPath(PLACE, 40), (content) => content.fill(0, 1024, 1536)),
      damage: { file: logPath(PLACE, 40), position: 1020, expectedOffset: 46, kind: 'checksum' },
    },
    'no log files at all': {
      act: (disk) => {
        for (const base of [0, 40, 80]) disk.displace(logPath(PLACE, base))
      },
      damage: { kind: 'missing-file' },
    },
  }

  it.each(Object.keys(corruptions))('is refused, naming file, position and offset: %s', async (name) => {
    const { crashed } = await threeSegments()
    corruptions[name]?.act(crashed)
    expect(await refusal(crashed)).toMatchObject({ code: 'OTTLA_CORRUPTION', damage: corruptions[name]?.damage })
  })

  it('is refused again and again', async () => {
    const { crashed } = await threeSegments()
    crashed.displace(logPath(PLACE, 40))
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await refusal(crashed)).toMatchObject({ code: 'OTTLA_CORRUPTION' })
    }
  })
})

describe('a gap', () => {
  it('that was made on purpose is no missing segment or batch', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk)
    await fill(log, 10)
    await log.roll(100)
    await fill(log, 10)
    await log.roll(110)
    await log.replace(1, 1, [batchAt(100), batchAt(104)])
    await fill(log, 2)
    await log.append([batchAt(115), batchAt(117)])
    await log.sync()
    const expected = [...upTo(10), 100, 104, 110, 111, 115, 117]
    expect(await offsetsIn((await openOn(disk.killProcess())).log)).toEqual(expected)
    expect(await offsetsIn((await openOn(disk.crash())).log)).toEqual(expected)
    await storage.close()
    expect(await offsetsIn((await openOn(disk)).log)).toEqual(expected)
  })

  it('is the only place where offsets may be missing', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk)
    await fill(log, 10)
    await log.roll(10)
    await fill(log, 10)
    await log.roll(20)
    await log.replace(
      0,
      1,
      [3, 7].map((offset) => batchAt(offset)),
    )
    await storage.close()
    for (const base of [0, 10]) {
      const damaged = disk.killProcess()
      // A base offset that still rises: no checksum of a batch covers it.
      damage(damaged, logPath(PLACE, base), (content) => content.writeBigInt64BE(BigInt(base + 4), 0))
      const { log: found } = await openOn(damaged)
      const kind = base === 0 ? 'sum' : 'offset'
      await expect((async () => found.read(base, 1, 100))()).rejects.toMatchObject({
        code: 'OTTLA_CORRUPTION',
        damage: { file: logPath(PLACE, base), position: 0, kind },
      })
    }
  })

  it('of which the list is damaged is refused', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk)
    await log.append([batchAt(5)])
    await storage.close()
    damage(disk, `${PLACE}/orders-0/gaps.json`, (content) => content.writeUInt8(0x31, content.length - 4))
    await expect(openOn(disk)).rejects.toMatchObject({ code: 'OTTLA_CORRUPTION', damage: { kind: 'sidecar' } })
  })
})

describe('a change that a crash cut short', () => {
  /** What may be found after each call that the change makes, and what is there in the end. */
  async function statesDuring(
    change: 'replace' | 'drop' | 'truncate' | 'roll',
  ): Promise<{ states: [string, SimulatedFileSystem][]; end: number[] }> {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    for (const base of [0, 10, 20]) {
      await log.roll(base)
      await fill(log, 10)
    }
    const states: [string, SimulatedFileSystem][] = []
    const seen = new Set<string>()
    const collect = (call: string): void => {
      states.push([`${call}, killed`, disk.killProcess()])
      for (const { name, disk: left } of disk.crashStates({ random: 4, limit: 10 })) {
        const content = contentOf(left)
        if (!seen.has(content)) states.push([`${call}, ${name}`, left])
        seen.add(content)
      }
    }
    collect('before')
    disk.afterCall = ({ act, path, number }) => collect(`call ${number}, ${act} of ${path}`)
    if (change === 'replace')
      await log.replace(
        0,
        2,
        [3, 7, 15].map((offset) => batchAt(offset)),
      )
    if (change === 'drop') await log.drop(2)
    if (change === 'truncate') await log.truncate(5)
    if (change === 'roll') await log.roll(33)
    disk.afterCall = () => undefined
    return { states, end: await offsetsIn(log) }
  }

  function torn(reports: readonly RecoveryReport[]): RecoveryReport[] {
    return reports.filter(({ kind }) => kind === 'torn-tail')
  }

  it('replace: all or nothing, at every step, and when opening is cut short too', async () => {
    const { states, end } = await statesDuring('replace')
    expect(end).toEqual([3, 7, 15, ...upTo(30).slice(20)])
    const seen = new Set<string>()
    const reopened = new Set<string>()
    for (const [when, state] of states) {
      // Opening is a change too: each call of it may be the last one.
      const again: [string, SimulatedFileSystem][] = []
      const first = state.killProcess()
      first.afterCall = ({ number }) => {
        again.push([`${when}, then opening cut after call ${number}`, first.crash()])
        again.push([
          `${when}, then opening cut after call ${number}, random`,
          first.crash((at) => (at % 2 ? 'all' : 'none')),
        ])
      }
      if (when.includes('swap')) await openOn(first)
      for (const [name, disk] of [[when, state] as const, ...again]) {
        const content = contentOf(disk)
        if (disk !== state && reopened.has(content)) continue
        reopened.add(content)
        const { storage, log, reports } = await openOn(disk)
        const offsets = await offsetsIn(log)
        expect([upTo(30), end], name).toContainEqual(offsets)
        expect(torn(reports), name).toEqual([])
        seen.add(offsets.join())
        await fill(log, 1)
        await storage.close()
        const names = Array.from(disk.files(`${PLACE}/orders-0`).keys())
        expect(
          names.filter((each) => /deleted|swap|cleaned|tmp|replacement/.test(each)),
          name,
        ).toEqual([])
      }
    }
    expect(seen.size).toBe(2)
  })

  it.each(['drop', 'truncate', 'roll'] as const)('%s: whole segments are there or not, and no hole', async (change) => {
    const { states, end } = await statesDuring(change)
    for (const [when, state] of states) {
      const { storage, log } = await openOn(state)
      const offsets = await offsetsIn(log)
      const [first = 0] = offsets
      expect(offsets, when).toEqual(upTo(30).slice(first, first + offsets.length))
      expect(offsets.length, when).toBeGreaterThanOrEqual(end.length)
      await fill(log, 1)
      await storage.close()
      const { log: next } = await openOn(state)
      expect(endOf(next), when).toBeGreaterThan(end.length)
    }
  })

  it('a partition whose removal was cut short is removed', async () => {
    const disk = new SimulatedFileSystem()
    const { storage, log } = await openOn(disk)
    await fill(log, 3)
    disk.plan = ({ act }) => (act === 'unlink' ? 'EIO' : undefined)
    await expect(storage.deletePartition({ topic: 'orders', partition: 0 })).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
    })
    disk.plan = () => undefined
    const named = (suffix: string) => Array.from(disk.files(PLACE).keys()).filter((name) => name.includes(suffix))
    expect(named('-delete')).not.toEqual([])
    await storage.close()
    const { log: anew } = await openOn(disk)
    expect(named('-delete')).toEqual([])
    expect(await offsetsIn(anew)).toEqual([])
  })
})
