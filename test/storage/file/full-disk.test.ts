import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Broker, FileStorage, OttlaError, string, Topic } from 'ottla'
import { afterAll, describe, expect, it } from 'vitest'
import { logPath, temporaryDirectories } from './file-rig.js'

const directory = temporaryDirectories()
const orders = new Topic('orders', { value: string() })

/** A disk of one mebibyte, where this user may mount one. */
function smallDisk(): string | undefined {
  const place = directory()
  mkdirSync(place)
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place])
  return status === 0 ? place : undefined
}

const disk = smallDisk()
afterAll(() => {
  if (disk !== undefined) spawnSync('umount', [disk])
})

// Where nothing may be mounted it is skipped: test/storage/file/failing-disk shows the same on a simulated disk.
describe.skipIf(disk === undefined)('a real disk that is full', () => {
  it('rejects what it has no room for, keeps the rest, and goes on without a hole when there is room again', async () => {
    const place = disk ?? ''
    writeFileSync(join(place, 'ballast'), Buffer.alloc(400_000))
    const data = join(place, 'data')
    const broker = await Broker.open({ storage: new FileStorage(data) })
    await broker.topic(orders)
    const producer = broker.producer({ batchBytes: 30_000 })
    const sent = new Map<number, string>()
    const rejected: unknown[] = []
    const send = async (name: string, bytes: number): Promise<void> => {
      try {
        const { offset } = await producer.send(orders, { value: name.padEnd(bytes, ' x') })
        sent.set(offset, name)
      } catch (error) {
        rejected.push(error)
      }
    }
    await Promise.all(Array.from({ length: 100 }, (_, n) => send(`first ${n}`, n % 10 === 0 ? 70_000 : 9_000)))
    expect(sent.size).toBeGreaterThan(0)
    expect(rejected.length).toBeGreaterThan(0)
    for (const error of rejected) {
      expect(OttlaError.is(error) && error.code).toBe('OTTLA_STORAGE_FULL')
      expect(error).toMatchObject({ cause: { code: 'ENOSPC' } })
    }
    const found = async (from: Broker): Promise<Map<number, string>> => {
      const values = new Map<number, string>()
      for await (const { offset, value } of from.reader(orders, { until: 'end' })) {
        values.set(offset, value.split(' x')[0]?.trim() ?? '')
      }
      return values
    }
    expect(await found(broker)).toEqual(sent)
    rmSync(join(place, 'ballast'))
    for (let n = 0; n < 10; n++) await send(`second ${n}`, 9_000)
    expect([...sent.values()].filter((name) => name.startsWith('second'))).toHaveLength(10)
    expect([...sent.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: sent.size }, (_, offset) => offset))
    const { size } = statSync(logPath(data, 0))
    await broker.close()
    expect(statSync(logPath(data, 0)).size).toBe(size)
    const again = await Broker.open({ storage: new FileStorage(data) })
    expect(again.recovery).toEqual([])
    expect(await found(again)).toEqual(sent)
    await again.close()
  })
})
