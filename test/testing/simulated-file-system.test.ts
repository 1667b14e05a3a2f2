import { describe, expect, it } from 'vitest'
import { writeAll } from '../../src/storage/file/file-system.js'
import { SimulatedFileSystem } from '../../src/testing/simulated-file-system.js'

async function write(disk: SimulatedFileSystem, path: string, text: string, position = 0): Promise<void> {
  const file = await disk.open(path, (await disk.stat(path)) === undefined ? 'create' : 'update')
  await writeAll(file, Buffer.from(text), 0, text.length, position)
  await file.close()
}

async function sync(disk: SimulatedFileSystem, path: string): Promise<void> {
  const file = await disk.open(path, 'update')
  await file.dataSync()
  await file.close()
}

function textOf(disk: SimulatedFileSystem, path: string): string | undefined {
  const bytes = disk.peek(path)
  return bytes && Buffer.from(bytes).toString()
}

/** A disk with a synced directory /data that holds a synced file `log` with the text 'old'. */
async function disk(): Promise<SimulatedFileSystem> {
  const made = new SimulatedFileSystem()
  await made.makeDirectory('/data')
  await made.syncDirectory('/')
  await write(made, '/data/log', 'old')
  await sync(made, '/data/log')
  await made.syncDirectory('/data')
  return made
}

describe('a power cut', () => {
  it('keeps what was synced, and of the rest what it is told to', async () => {
    const made = await disk()
    await write(made, '/data/log', '+new', 3)
    expect(made.unsyncedChanges).toBe(1)
    expect(textOf(made.crash(), '/data/log')).toBe('old')
    expect(
      textOf(
        made.crash(() => 'all'),
        '/data/log',
      ),
    ).toBe('old+new')
    expect(
      textOf(
        made.crash(() => ({ bytes: 2 })),
        '/data/log',
      ),
    ).toBe('old+n')
    expect(
      textOf(
        made.crash(() => ({ sectors: () => false })),
        '/data/log',
      ),
    ).toBe('old\0\0\0\0')
    expect(textOf(made, '/data/log')).toBe('old+new')
    await sync(made, '/data/log')
    expect(textOf(made.crash(), '/data/log')).toBe('old+new')
  })

  it('takes a new file of which the directory was not synced, and one in a new directory', async () => {
    const made = await disk()
    await write(made, '/data/next', 'text')
    await sync(made, '/data/next')
    expect(made.crash().peek('/data/next')).toBe(undefined)
    await made.syncDirectory('/data')
    expect(textOf(made.crash(), '/data/next')).toBe('text')
    await made.makeDirectory('/data/orders-0')
    await write(made, '/data/orders-0/log', 'text')
    await sync(made, '/data/orders-0/log')
    await made.syncDirectory('/data/orders-0')
    expect(await made.crash().stat('/data/orders-0')).toBe(undefined)
    await made.syncDirectory('/data')
    expect(textOf(made.crash(), '/data/orders-0/log')).toBe('text')
  })

  it('keeps a rename whole or not at all, and brings back what was unlinked', async () => {
    const made = await disk()
    await write(made, '/data/log.tmp', 'new')
    await sync(made, '/data/log.tmp')
    await made.syncDirectory('/data')
    await made.rename('/data/log.tmp', '/data/log')
    expect(Array.from(made.crash().files('/data').keys())).toEqual(['log', 'log.tmp'])
    const renamed = made.crash(() => 'all')
    expect(Array.from(renamed.files('/data').keys())).toEqual(['log'])
    expect(textOf(renamed, '/data/log')).toBe('new')
    await made.syncDirectory('/data')
    await made.unlink('/data/log')
    expect(made.peek('/data/log')).toBe(undefined)
    expect(textOf(made.crash(), '/data/log')).toBe('new')
  })

  it('may do so in every way, each of which has a name', async () => {
    const made = await disk()
    await write(made, '/data/log', 'a'.repeat(1500), 3)
    await write(made, '/data/log', 'b', 1503)
    await write(made, '/data/next', 'c')
    const texts = new Set<string | undefined>()
    const names = new Set<string>()
    for (const { name, disk: left } of made.crashStates({ random: 20 })) {
      names.add(name)
      texts.add(textOf(left, '/data/log'))
      expect(left.unsyncedChanges).toBe(0)
    }
    expect(names.size).toBe(Array.from(made.crashStates({ random: 20 })).length)
    expect(texts.size).toBeGreaterThan(10)
    expect(texts).toContain('old')
    expect(texts).toContain(`old${'a'.repeat(1500)}`)
    expect(texts).toContain(`old${'\0'.repeat(1500)}b`)
  })
})

describe('a killed process', () => {
  it('leaves what it wrote, which a power cut may still take', async () => {
    const made = await disk()
    await write(made, '/data/log', '+new', 3)
    await made.lock('/data', 0)
    const next = made.killProcess()
    expect(textOf(next, '/data/log')).toBe('old+new')
    expect(textOf(next.crash(), '/data/log')).toBe('old')
    await next.lock('/data', 0)
    await write(next, '/data/log', 'OLD')
    expect(textOf(made, '/data/log')).toBe('old+new')
  })
})

describe('a fault', () => {
  it('is what the plan says to a call', async () => {
    const made = await disk()
    made.plan = ({ act }) => (act === 'write' ? { bytes: 2 } : undefined)
    const file = await made.open('/data/log', 'update')
    expect(file.write(Buffer.from('+new'), 0, 4, 3)).toBe(2)
    made.plan = ({ act }) => (act === 'write' ? 'ENOSPC' : undefined)
    expect(() => file.write(Buffer.from('+new'), 0, 4, 3)).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    made.plan = ({ act }) => (act === 'dataSync' ? { lies: true } : undefined)
    await file.dataSync()
    expect(textOf(made, '/data/log')).toBe('old+n')
    expect(textOf(made.crash(), '/data/log')).toBe('old')
    expect(made.count('write', 'log')).toBe(3)
    await file.close()
    expect(made.openFiles).toBe(0)
  })

  it('of a sync loses what it was for, and a later sync does not bring it back unless it is written again', async () => {
    const made = await disk()
    await write(made, '/data/log', '+new', 3)
    made.plan = ({ act }) => (act === 'dataSync' ? 'EIO' : undefined)
    await expect(sync(made, '/data/log')).rejects.toMatchObject({ code: 'EIO' })
    made.plan = () => undefined
    await sync(made, '/data/log')
    expect(textOf(made, '/data/log')).toBe('old+new')
    expect(textOf(made.crash(), '/data/log')).toBe('old\0\0\0\0')
    await write(made, '/data/log', 'ne', 4)
    await sync(made, '/data/log')
    expect(textOf(made.crash(), '/data/log')).toBe('old\0ne\0')
  })

  it('of the whole machine fails every call', async () => {
    const made = await disk()
    const file = await made.open('/data/log', 'update')
    made.turnOff()
    await expect(made.stat('/data')).rejects.toMatchObject({ code: 'EIO' })
    await expect(file.dataSync()).rejects.toMatchObject({ code: 'EIO' })
  })
})

describe('the calls', () => {
  it('fail as those of Node do', async () => {
    const made = await disk()
    await expect(made.open('/data/none', 'read')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(made.open('/data/log', 'create')).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(made.open('/data', 'read')).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(made.list('/data/log')).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(made.removeDirectory('/data')).rejects.toMatchObject({ code: 'ENOTEMPTY' })
    await expect(made.unlink('/data/none')).rejects.toMatchObject({ code: 'ENOENT' })
    await made.lock('/data', 0)
    await expect(made.lock('/data', 0)).rejects.toMatchObject({ code: 'OTTLA_LOCKED' })
  })

  it('of a directory that is made return the topmost one that was', async () => {
    const made = new SimulatedFileSystem()
    expect(await made.makeDirectory('/a/b/c')).toBe('/a')
    expect(await made.makeDirectory('/a/b/d')).toBe('/a/b/d')
    expect(await made.makeDirectory('/a/b')).toBe(undefined)
  })
})
