import { Broker, FileStorage, json, Topic } from 'ottla'
import { SimulatedFileSystem } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { brokers, codeOf, contentsOf } from '../../client/brokers.js'
import { AT, batchAt, endOf, fill, offsetsIn, openOn, PLACE, upTo } from './file-rig.js'

const openBroker = brokers()
const orders = new Topic('orders', { partitions: 2, value: json<number>() })

/** A storage that looks at the same disk as its writer. */
function beside(disk: SimulatedFileSystem): FileStorage {
  return new FileStorage(PLACE, { fileSystem: disk, readOnly: true })
}

describe('a broker that only reads', () => {
  it('opens beside the writer, and sees what was there then', async () => {
    const disk = new SimulatedFileSystem()
    const writer = await openBroker({ storage: new FileStorage(PLACE, { fileSystem: disk }) })
    await writer.topic(orders)
    await writer.producer().send(
      orders,
      [1, 2, 3].map((value) => ({ value, partition: 0 })),
    )
    await writer.resetOffsets('billing', { offset: 2 }, { topics: [orders] })
    const before = disk.files(PLACE)
    const reader = await openBroker({ storage: beside(disk) })
    await writer.producer().send(orders, { value: 4, partition: 0 })
    expect((await contentsOf(reader, orders)).map(({ value }) => value)).toEqual([1, 2, 3])
    expect((await reader.describeGroup('billing')).lag.map((at) => at.lag)).toEqual([1, 0])
    expect(reader.recovery).toEqual([])
    const again = await openBroker({ storage: beside(disk) })
    expect((await contentsOf(again, orders)).map(({ value }) => value)).toEqual([1, 2, 3, 4])
    await reader.close()
    await again.close()
    for (const [name, content] of before)
      if (!name.endsWith('.log')) expect(disk.peek(`${PLACE}/${name}`)).toEqual(content)
  })

  it('refuses what would change anything', async () => {
    const disk = new SimulatedFileSystem()
    const writer = await openBroker({ storage: new FileStorage(PLACE, { fileSystem: disk }) })
    await writer.topic(orders)
    const reader = await openBroker({ storage: beside(disk) })
    await reader.topic(orders)
    const refusals = [
      () => reader.producer().send(orders, { value: 1 }),
      () => reader.topic(new Topic('other')),
      () => reader.deleteTopic('orders'),
      () => reader.resetOffsets('billing', 'latest', { topics: [orders] }),
    ]
    for (const refused of refusals) expect(await codeOf(refused)).toBe('OTTLA_READ_ONLY')
    await reader.close()
  })

  it('refuses a directory that holds no log, and makes none', async () => {
    const disk = new SimulatedFileSystem()
    expect(await codeOf(() => Broker.open({ storage: beside(disk) }))).toBe('OTTLA_READ_ONLY')
    expect(await disk.stat(PLACE)).toBe(undefined)
  })

  it('finds a log that was killed as it is, and leaves it to its next writer', async () => {
    const disk = new SimulatedFileSystem()
    const { log } = await openOn(disk)
    await fill(log, 10)
    const killed = disk.killProcess()
    const path = `${PLACE}/orders-0/00000000000000000000.log`
    killed.place(path, Buffer.concat([killed.peek(path) ?? new Uint8Array(0), batchAt(10).bytes().subarray(0, 99)]))
    const before = killed.files(PLACE)
    const storage = beside(killed)
    await storage.open({ clock: (await import('../../../src/time/clock.js')).systemClock, onRecovery: () => undefined })
    const found = await storage.openPartition(AT)
    expect(await offsetsIn(found)).toEqual(upTo(10))
    await storage.close()
    expect(killed.files(PLACE)).toEqual(before)
  })
})

describe('a log that is looked at while its writer moves segments about', () => {
  it.each(['roll', 'drop', 'truncate', 'replace'] as const)(
    'shows a whole prefix at each call of a %s',
    async (change) => {
      const disk = new SimulatedFileSystem()
      const { log } = await openOn(disk)
      for (const base of [0, 10, 20]) {
        await log.roll(base)
        await fill(log, 10)
      }
      const before = await offsetsIn(log)
      const states: SimulatedFileSystem[] = []
      disk.afterCall = () => void states.push(disk.killProcess())
      if (change === 'roll') await log.roll(30)
      if (change === 'drop') await log.drop(2)
      if (change === 'truncate') await log.truncate(15)
      if (change === 'replace')
        await log.replace(
          0,
          2,
          [3, 7, 15].map((offset) => batchAt(offset)),
        )
      disk.afterCall = () => undefined
      const after = await offsetsIn(log)
      for (const [at, state] of states.entries()) {
        const { log: found, storage } = await openOn(state, { readOnly: true })
        const offsets = await offsetsIn(found)
        const [first = 0] = offsets
        const expected =
          change === 'replace' ? [before, after] : [before.slice(before.indexOf(first)).slice(0, offsets.length)]
        expect(expected, `${change}, state ${at}`).toContainEqual(offsets)
        expect(endOf(found)).toBeGreaterThanOrEqual(after.at(-1) ?? 0)
        await storage.close()
      }
    },
  )
})
