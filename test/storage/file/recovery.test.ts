import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  batchAt,
  crashCopy,
  endOf,
  FaultyFileSystem,
  filesIn,
  fill,
  logPath,
  offsetsIn,
  open,
  temporaryDirectories,
  upTo,
} from './file-rig.js'

const directory = temporaryDirectories()

/** Three segments of forty batches each: at 0, 40 and 80. */
async function threeSegments(): Promise<{ closed: string; crashed: string }> {
  const closed = directory()
  const { storage, log } = await open(closed, { fileSystem: new FaultyFileSystem() })
  for (const base of [0, 40, 80]) {
    await log.roll(base)
    await fill(log, 40)
  }
  const crashed = crashCopy(closed, directory())
  await storage.close()
  return { closed, crashed }
}

describe('opening after a clean close', () => {
  it('reads nothing of the logs', async () => {
    const { closed } = await threeSegments()
    const disk = new FaultyFileSystem()
    const { storage, log } = await open(closed, { fileSystem: disk })
    expect(disk.count('open', '.log') + disk.count('open', 'index')).toBe(0)
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
    const place = directory()
    for (let round = 0; round < 4; round++) {
      const { storage, log, reports } = await open(place, { fileSystem: new FaultyFileSystem() })
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

  it('looks at the files when the mark is damaged or does not fit them', async () => {
    const { closed } = await threeSegments()
    const markPath = join(closed, 'clean-shutdown.json')
    const mark = readFileSync(markPath, 'utf8')
    for (const content of [
      '',
      '{}',
      mark.replace('"endOffset":120', '"endOffset":121'),
      mark.replace('crc32c":', 'crc32c":1'),
    ]) {
      const place = crashCopy(closed, directory())
      writeFileSync(join(place, 'clean-shutdown.json'), content)
      const { storage, log } = await open(place, { fileSystem: new FaultyFileSystem() })
      expect(endOf(log)).toBe(120)
      await storage.close()
    }
    const place = crashCopy(closed, directory())
    writeFileSync(logPath(place, 80), readFileSync(logPath(closed, 80)).subarray(0, -1))
    const { storage, log, reports } = await open(place, { fileSystem: new FaultyFileSystem() })
    expect(endOf(log)).toBe(119)
    expect(reports).toHaveLength(1)
    await storage.close()
  })
})

describe('the index files', () => {
  const damages: Record<string, (path: string) => void> = {
    missing: (path) => rmSync(path),
    empty: (path) => writeFileSync(path, ''),
    'cut short': (path) => writeFileSync(path, readFileSync(path).subarray(0, -5)),
    'an entry short': (path) => writeFileSync(path, readFileSync(path).subarray(0, path.endsWith('.index') ? -8 : -12)),
    zeroed: (path) => writeFileSync(path, readFileSync(path).fill(0)),
    'of the size that Kafka reserves': (path) =>
      writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1024 * 1024)])),
    noise: (path) =>
      writeFileSync(
        path,
        readFileSync(path).map((_, at) => (at * 73 + 11) & 0xff),
      ),
  }

  it.each(Object.keys(damages))('are made anew where they are %s, byte for byte', async (name) => {
    const { closed, crashed } = await threeSegments()
    const pristine = filesIn(join(closed, 'orders-0'))
    for (const from of [closed, crashed]) {
      for (const suffixes of [['.index'], ['.timeindex'], ['.index', '.timeindex']]) {
        const place = crashCopy(from, directory())
        for (const base of from === closed ? [0, 40, 80] : [0, 40]) {
          for (const suffix of suffixes) damages[name]?.(logPath(place, base, suffix))
        }
        const { storage, log, reports } = await open(place, { fileSystem: new FaultyFileSystem() })
        expect(await offsetsIn(log)).toEqual(upTo(120))
        for (const timestamp of [0, 1000, 1039, 1040, 1100, 1119]) {
          expect(await log.findOffset(timestamp)).toBe(Math.max(timestamp - 1000, 0))
        }
        expect(await log.findOffset(1120)).toBe(undefined)
        expect(reports).toEqual([])
        await storage.close()
        expect(filesIn(join(place, 'orders-0'))).toEqual(pristine)
      }
    }
  })

  it('that name the wrong place are made anew when they are used', async () => {
    const { closed } = await threeSegments()
    const pristine = readFileSync(logPath(closed, 0, '.index'))
    for (let at = 0; at < pristine.length; at++) {
      const place = crashCopy(closed, directory())
      const flipped = Buffer.from(pristine)
      flipped[at] = (flipped[at] ?? 0) ^ 4
      writeFileSync(logPath(place, 0, '.index'), flipped)
      const { storage, log } = await open(place, { fileSystem: new FaultyFileSystem() })
      for (const offset of upTo(40)) {
        expect((await log.read(offset, 1, 120))[0]?.baseOffset, `offset ${offset}, byte ${at}`).toBe(offset)
      }
      await storage.close()
    }
  })
})

describe('the time index', () => {
  it('that ends at another timestamp than the log is made anew when it is used', async () => {
    const { closed } = await threeSegments()
    const path = logPath(closed, 0, '.timeindex')
    const pristine = readFileSync(path)
    const changed = Buffer.from(pristine)
    const last = changed.length - 12
    changed.writeBigInt64BE(changed.readBigInt64BE(last) + 100n, last)
    writeFileSync(path, changed)
    const { storage, log } = await open(closed, { fileSystem: new FaultyFileSystem() })
    expect(await log.findOffset(1039)).toBe(39)
    await storage.close()
    expect(readFileSync(path).equals(pristine)).toBe(true)
  })
})

describe('damage that is no torn end', () => {
  /** Opens, or opens and reads everything: one of them must name the file, and no file may change. */
  async function refusal(place: string): Promise<unknown> {
    const before = filesIn(join(place, 'orders-0'))
    let error: unknown
    try {
      const { storage, log } = await open(place, { fileSystem: new FaultyFileSystem() })
      try {
        await offsetsIn(log)
      } finally {
        await storage.close()
      }
    } catch (caught) {
      error = caught
    }
    const after = filesIn(join(place, 'orders-0'))
    for (const [name, content] of before) if (name.endsWith('.log')) expect(after.get(name)).toEqual(content)
    return error
  }

  const corruptions: Record<string, { act: (place: string) => void; names: RegExp }> = {
    'a flipped byte in the middle of a sealed segment': {
      act: (place) => {
        const content = readFileSync(logPath(place, 40))
        const middle = content.length >> 1
        content[middle] = (content[middle] ?? 0) ^ 1
        writeFileSync(logPath(place, 40), content)
      },
      names: /0{18}40\.log is damaged at position \d+, where offset \d+ was expected/,
    },
    'a sealed segment that is cut short': {
      act: (place) => writeFileSync(logPath(place, 40), readFileSync(logPath(place, 40)).subarray(0, -1)),
      names: /0{18}40\.log is damaged at position \d+, where offset 79 was expected/,
    },
    'a sealed segment that lost its last batch': {
      act: (place) =>
        writeFileSync(logPath(place, 40), readFileSync(logPath(place, 40)).subarray(0, -batchAt(79).sizeInBytes)),
      names: /0{18}80\.log is damaged at position 0, where offset 79 was expected/,
    },
    'a missing segment': { act: (place) => rmSync(logPath(place, 40)), names: /0{18}80\.log .*offset 40 was expected/ },
    'a segment in the place of another': {
      act: (place) => writeFileSync(logPath(place, 40), readFileSync(logPath(place, 0))),
      names: /0{18}40\.log/,
    },
    'a bad batch in the last segment with good ones behind it': {
      act: (place) => {
        const content = readFileSync(logPath(place, 80))
        content[100] = (content[100] ?? 0) ^ 1
        writeFileSync(logPath(place, 80), content)
      },
      names: /0{18}80\.log is damaged at position 0, where offset 80 was expected/,
    },
    'a batch whose length leads over good ones': {
      act: (place) => {
        const content = readFileSync(logPath(place, 80))
        content[10] = 0x7f
        writeFileSync(logPath(place, 80), content)
      },
      names: /0{18}80\.log is damaged at position 0, where offset 80 was expected/,
    },
    'no log files at all': {
      act: (place) => {
        for (const base of [0, 40, 80]) rmSync(logPath(place, base))
      },
      names: /its log files are missing/,
    },
  }

  it.each(Object.keys(corruptions))('is refused, naming file, position and offset: %s', async (name) => {
    const { crashed } = await threeSegments()
    corruptions[name]?.act(crashed)
    expect(await refusal(crashed)).toMatchObject({
      code: 'OTTLA_CORRUPTION',
      message: expect.stringMatching(corruptions[name]?.names ?? /nothing/),
    })
  })

  it('is refused again and again', async () => {
    const { crashed } = await threeSegments()
    rmSync(logPath(crashed, 40))
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await refusal(crashed)).toMatchObject({ code: 'OTTLA_CORRUPTION' })
    }
  })
})

describe('a gap between segments', () => {
  it('that was made on purpose is no missing segment', async () => {
    const place = directory()
    const { storage, log } = await open(place, { fileSystem: new FaultyFileSystem() })
    await fill(log, 10)
    await log.roll(100)
    await fill(log, 10)
    await log.roll(110)
    await log.replace(1, 1, [batchAt(100), batchAt(104)])
    await fill(log, 2)
    const { storage: next, log: found } = await open(crashCopy(place, directory()))
    expect(await offsetsIn(found)).toEqual([...upTo(10), 100, 104, 110, 111])
    await next.close()
    await storage.close()
  })
})

describe('a change that a crash cut short', () => {
  /** Every state of the files before and after each call to the disk that changes names. */
  async function statesDuring(change: 'replace' | 'drop' | 'truncate'): Promise<{ states: string[]; end: number[] }> {
    const place = directory()
    const disk = new FaultyFileSystem()
    const { storage, log } = await open(place, { fileSystem: disk })
    for (const base of [0, 10, 20]) {
      await log.roll(base)
      await fill(log, 10)
    }
    const states: string[] = []
    disk.plan = () => {
      states.push(crashCopy(place, directory()))
      return undefined
    }
    if (change === 'replace')
      await log.replace(
        0,
        2,
        [3, 7, 15].map((offset) => batchAt(offset)),
      )
    if (change === 'drop') await log.drop(2)
    if (change === 'truncate') await log.truncate(5)
    disk.plan = () => undefined
    states.push(crashCopy(place, directory()))
    const end = await offsetsIn(log)
    await storage.close()
    return { states, end }
  }

  it('replace: all or nothing, at every step', async () => {
    const { states, end } = await statesDuring('replace')
    const seen = new Set<string>()
    for (const state of states) {
      const { storage, log, reports } = await open(state, { fileSystem: new FaultyFileSystem() })
      const offsets = await offsetsIn(log)
      expect([upTo(30), end]).toContainEqual(offsets)
      expect(reports).toEqual([])
      seen.add(offsets.join())
      await fill(log, 1)
      await storage.close()
      expect(
        readdirSync(join(state, 'orders-0')).filter((name) => /deleted|swap|cleaned|tmp|replacement/.test(name)),
      ).toEqual([])
    }
    expect(end).toEqual([3, 7, 15, ...upTo(30).slice(20)])
    expect(seen.size).toBe(2)
  })

  it.each(['drop', 'truncate'] as const)('%s: whole segments are there or not, and no hole', async (change) => {
    const { states, end } = await statesDuring(change)
    for (const state of states) {
      const { storage, log } = await open(state, { fileSystem: new FaultyFileSystem() })
      const offsets = await offsetsIn(log)
      const [first = 0] = offsets
      expect(offsets).toEqual(upTo(30).slice(first, first + offsets.length))
      expect(offsets.length).toBeGreaterThanOrEqual(end.length)
      await storage.close()
    }
  })

  it('a partition whose removal was cut short is removed', async () => {
    const place = directory()
    const disk = new FaultyFileSystem()
    const { storage, log } = await open(place, { fileSystem: disk })
    await fill(log, 3)
    disk.plan = ({ act }) => (act === 'unlink' ? 'EIO' : undefined)
    await expect(storage.deletePartition({ topic: 'orders', partition: 0 })).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FAILED',
    })
    disk.plan = () => undefined
    expect(readdirSync(place).filter((name) => name.endsWith('-delete'))).toHaveLength(1)
    await storage.close()
    const { storage: next, log: anew } = await open(place, { fileSystem: new FaultyFileSystem() })
    expect(readdirSync(place).filter((name) => name.endsWith('-delete'))).toEqual([])
    expect(await offsetsIn(anew)).toEqual([])
    await next.close()
  })
})
