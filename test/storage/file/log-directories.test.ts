import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Broker, string, Topic } from 'ottla'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { FileStorage } from '../../../src/storage/file/file-storage.js'
import { LogDirectories } from '../../../src/storage/file/log-directories.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { storageSuite } from '../../../src/testing/storage-suite.js'
import { systemClock } from '../../../src/time/clock.js'
import { fill, temporaryDirectories } from './file-rig.js'

const directory = temporaryDirectories()

// Each directory is a FileStorage, which passes the suite with every durability.
describe('the storage suite with three directories', () => {
  const places = new Map<unknown, readonly string[]>()
  const at = (directories: readonly string[]): LogDirectories => {
    const storage = new LogDirectories(directories, { durability: 'os' })
    places.set(storage, directories)
    return storage
  }
  const factory = (): LogDirectories => at([directory(), directory(), directory()])
  storageSuite({ test, factory, reopen: (storage) => at(places.get(storage) ?? []) })
})

const context = { clock: systemClock, onRecovery: () => undefined }

async function open(...directories: string[]): Promise<LogDirectories> {
  const storage = new LogDirectories(directories)
  await storage.open(context)
  onTestFinished(() => storage.close())
  return storage
}

async function make(storage: LogDirectories, ...names: string[]): Promise<void> {
  for (const topic of names) await storage.openPartition({ topic, partition: 0 })
}

function partitionsIn(path: string): string[] {
  return readdirSync(path).filter((name) => name.endsWith('-0'))
}

async function refusal(...directories: string[]): Promise<string> {
  const storage = new LogDirectories(directories)
  try {
    await storage.open(context)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  await storage.close()
  return 'not refused'
}

describe('a new partition', () => {
  it('goes to the directory that holds the fewest', async () => {
    const [a, b] = [directory(), directory()]
    const one = await open(a)
    await make(one, 'first', 'second', 'third')
    await one.close()
    const two = await open(a, b)
    await make(two, 'u', 'v', 'w', 'x', 'y')
    expect([partitionsIn(a), partitionsIn(b)]).toEqual([
      ['first-0', 'second-0', 'third-0', 'x-0'],
      ['u-0', 'v-0', 'w-0', 'y-0'],
    ])
  })

  it('goes apart from one that is made at the same time', async () => {
    const [a, b] = [directory(), directory()]
    const storage = await open(a, b)
    await Promise.all([make(storage, 'x'), make(storage, 'y')])
    expect([partitionsIn(a), partitionsIn(b)]).toEqual([['x-0'], ['y-0']])
  })

  it('takes the room of one that was deleted', async () => {
    const [a, b] = [directory(), directory()]
    const storage = await open(a, b)
    await make(storage, 'x', 'y')
    await storage.deletePartition({ topic: 'y', partition: 0 })
    await make(storage, 'z')
    expect([partitionsIn(a), partitionsIn(b)]).toEqual([['x-0'], ['z-0']])
  })
})

describe('a broker with two directories', () => {
  const orders = new Topic('orders', { partitions: 4, value: string() })

  it('finds everything again, in any order and wherever they were moved', async () => {
    const [a, b, elsewhere] = [directory(), directory(), directory()]
    const before = await Broker.open({ storage: new LogDirectories([a, b]) })
    await before.topic(orders)
    const producer = before.producer()
    for (let partition = 0; partition < 4; partition++)
      await producer.send(orders, { partition, value: `${partition}` })
    await before.close()
    expect([a, b].map((path) => readdirSync(path).filter((name) => name.startsWith('orders')).length)).toEqual([2, 2])

    renameSync(b, elsewhere)
    const after = await Broker.open({ storage: new LogDirectories([elsewhere, a]) })
    onTestFinished(() => after.close())
    expect(after.recovery).toEqual([])
    const values: string[] = []
    for await (const { value } of after.reader(orders, { until: 'end' })) values.push(value)
    expect(values.sort()).toEqual(['0', '1', '2', '3'])
  })
})

describe('directories', () => {
  it('are not opened without one that belongs to them, and are as they were', async () => {
    const [a, b] = [directory(), directory()]
    await (await open(a, b)).close()
    const before = [a, b].map((path) => readdirSync(path))
    expect(await refusal(a)).toContain(
      `${b} holds partitions of the broker whose other directories are ${a}: name it too`,
    )
    expect(await refusal(b)).toContain(`${a} holds partitions`)
    expect(await refusal(b, directory())).toContain(`${a} holds partitions`)
    expect([a, b].map((path) => readdirSync(path))).toEqual(before)
    await open(a, b)
  })

  it('are opened without one that is lost once somebody says so', async () => {
    const [a, b] = [directory(), directory()]
    const storage = await open(a, b)
    await make(storage, 'x', 'y')
    await storage.close()
    rmSync(b, { recursive: true })
    rmSync(join(a, 'log-dirs.json'))
    expect(await (await open(a)).partitions()).toEqual([{ topic: 'x', partition: 0 }])
  })

  it('may be added, also to one that a FileStorage made', async () => {
    const [a, b, c] = [directory(), directory(), directory()]
    const single = new FileStorage(a)
    await single.open(context)
    await single.openPartition({ topic: 'x', partition: 0 })
    await single.close()
    await (await open(a, b)).close()
    await (await open(c, b, a)).close()
    expect(await refusal(a, b)).toContain(`${c} holds partitions`)
    expect(await (await open(a, b, c)).partitions()).toEqual([{ topic: 'x', partition: 0 }])
  })

  it('of two brokers are not opened together', async () => {
    const [a, b] = [directory(), directory()]
    for (const path of [a, b]) {
      const storage = await open(path)
      await make(storage, 'x')
      await storage.close()
    }
    expect(await refusal(a, b)).toContain(`x-0 lies in ${a} and in ${b}`)
  })

  it('are one where they are named twice', async () => {
    const a = directory()
    expect((await open(a, `${a}/`, join(a, '..', a.slice(a.lastIndexOf('/') + 1)))).directories).toEqual([a])
  })

  it('are let go of when one of them cannot be opened', async () => {
    const [a, b] = [directory(), directory()]
    mkdirSync(b)
    writeFileSync(join(b, 'meta.properties'), 'version=1')
    expect(await refusal(a, b)).toContain('belongs to an Apache Kafka')
    await open(a)
  })

  it('are held against a second broker', async () => {
    const [a, b, c] = [directory(), directory(), directory()]
    const held = await open(a, b)
    await make(held, 'x')
    expect(await refusal(c, b)).toContain(`The directory ${b} is held by this process`)
    await expect(held.open(context)).rejects.toMatchObject({ code: 'OTTLA_LOCKED' })
    // That attempt took nothing away from who holds them.
    expect(await held.partitions()).toEqual([{ topic: 'x', partition: 0 }])
  })

  it('whose list is damaged are not opened', async () => {
    const [a, b] = [directory(), directory()]
    await (await open(a, b)).close()
    for (const content of ['{"id"', '[]', '{"id":"x","directories":[5]}']) {
      writeFileSync(join(a, 'log-dirs.json'), content)
      expect(await refusal(a, b)).toContain(
        `${join(a, 'log-dirs.json')} does not say which directories belong together`,
      )
    }
  })
})

describe('a crash while directories are brought together', () => {
  it('leaves ones that can be opened again, whichever call it was', async () => {
    for (let call = 1; ; call++) {
      const fileSystem = new SimulatedFileSystem()
      const on = async (...directories: string[]): Promise<LogDirectories> => {
        const storage = new LogDirectories(directories, { fileSystem })
        await storage.open(context)
        return storage
      }
      const storage = await on('/a')
      await fill(await storage.openPartition({ topic: 'x', partition: 0 }), 3)
      await storage.close()
      let calls = 0
      fileSystem.plan = ({ path }) => (path.includes('log-dirs.json') && ++calls >= call ? 'EIO' : undefined)
      const failing = new LogDirectories(['/a', '/b', '/c'], { fileSystem })
      const outcome = await failing.open(context).then(
        () => 'opened',
        () => 'failed',
      )
      await failing.close()
      fileSystem.plan = () => undefined
      const again = await on('/a', '/b', '/c')
      expect(await again.partitions()).toEqual([{ topic: 'x', partition: 0 }])
      await again.close()
      if (outcome === 'opened') return expect(call).toBeGreaterThan(5)
    }
  })
})
