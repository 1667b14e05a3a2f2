import { Broker, FileStorage, json, MemoryStorage, type OttlaError, type RecoveryReport, Topic } from 'ottla'
import { type DiskCall, ManualClock, SimulatedFileSystem } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { brokers, codeOf, contentsOf, refusal } from './client/brokers.js'
import { HeldStorage } from './client/held-storage.js'
import { temporaryDirectories } from './storage/file/file-rig.js'

const openBroker = brokers()
const temporaryDirectory = temporaryDirectories()
const orders = new Topic('orders', { partitions: 2, value: json<number>() })

describe('a broker', () => {
  it('opens on memory of its own unless told otherwise', async () => {
    const [one, other] = [await openBroker(), await openBroker()]
    await one.topic(orders)
    expect([await one.topics(), await other.topics()]).toEqual([['orders'], []])
  })

  it.each(['memory', 'files'])('finds everything again in %s: topics, configs, messages and offsets', async (kind) => {
    const directory = temporaryDirectory()
    const memory = new MemoryStorage()
    const storage = () => (kind === 'memory' ? memory : new FileStorage(directory))
    const first = await openBroker({ storage: storage() })
    await first.topic(new Topic('orders', { partitions: 2, retentionMs: 5_000_000, value: json() }))
    await first.producer().send(orders, [
      { value: 1, partition: 0 },
      { value: 2, partition: 1 },
      { value: 3, partition: 1 },
    ])
    await first.resetOffsets('billing', { offset: 1 }, { topics: [orders] })
    await first.close()
    const second = await openBroker({ storage: storage() })
    expect(second.recovery).toEqual([])
    expect(await second.topics()).toEqual(['orders'])
    await second.topic(new Topic('orders', { partitions: 2, retentionMs: 5_000_000, value: json() }))
    expect((await contentsOf(second, orders)).map(({ value }) => value)).toEqual([1, 2, 3])
    expect((await second.describeGroup('billing')).lag.map((at) => at.lag)).toEqual([0, 1])
    expect(await second.producer().send(orders, { value: 4, partition: 1 })).toMatchObject({ offset: 2 })
  })

  it('has its storage alone until it is closed', async () => {
    const directory = temporaryDirectory()
    const memory = new MemoryStorage()
    for (const storage of [() => memory, () => new FileStorage(directory)]) {
      const broker = await openBroker({ storage: storage() })
      await broker.topic(orders)
      expect(await codeOf(() => Broker.open({ storage: storage() }))).toBe('OTTLA_LOCKED')
      await broker.producer().send(orders, { value: 1 })
      await broker.close()
      await openBroker({ storage: storage() })
    }
  })

  it('closes once, however often it is told to', async () => {
    const broker = await openBroker({ storage: new FileStorage(temporaryDirectory()) })
    await Promise.all([broker.close(), broker.close()])
    await broker.close()
    await broker[Symbol.asyncDispose]()
  })

  it('closes with its scope', async () => {
    const storage = new MemoryStorage()
    {
      await using broker = await Broker.open({ storage })
      await broker.topic(orders)
    }
    await openBroker({ storage })
  })

  it('lets members finish and producers flush before it closes', async () => {
    const storage = new MemoryStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const late = await broker.topic(new Topic('late', { value: json<number>() }))
    const producer = broker.producer()
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    let finish = (): void => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    await broker.consumerGroup('billing', { topics: [orders] }).run(async ({ value }) => {
      begin()
      await finished
      await producer.send(late, { value })
    })
    await producer.send(orders, { value: 1 })
    await begun
    const closed = broker.close()
    finish()
    await closed
    const reopened = await openBroker({ storage })
    expect((await contentsOf(reopened, late)).map(({ value }) => value)).toEqual([1])
    expect((await reopened.describeGroup('billing')).lag.map((at) => at.lag)).toEqual([0, 0])
  })

  it('tells of what could not be closed, and of the same each time', async () => {
    class Leaky extends HeldStorage {
      override async close(): Promise<void> {
        await super.close()
        throw new Error('the disk is gone')
      }
    }
    const broker = await Broker.open({ storage: new Leaky() })
    await expect(broker.close()).rejects.toThrow('the disk is gone')
    await expect(broker.close()).rejects.toThrow('the disk is gone')
  })

  it('that cannot open lets go of its storage', async () => {
    const storage = new MemoryStorage()
    expect(await codeOf(() => Broker.open({ storage, config: { numPartitions: 0 } }))).toBe('OTTLA_INVALID_CONFIG')
    await openBroker({ storage })
  })

  it('says which option it does not know, and which there are', async () => {
    const error = await refusal(() => Reflect.apply(Broker.open, Broker, [{ store: new MemoryStorage() }]))
    expect(error.message).toContain('store')
    expect(error.message).toContain('storage')
  })

  it('says whose defaults there are', async () => {
    const error = await refusal(() => Reflect.apply(Broker.open, Broker, [{ defaults: 'postgres' }]))
    expect(error.message).toBe("The option defaults of Broker.open is one of 'ottla', 'kafka', not 'postgres'")
  })

  it('reports what opening had to mend, at once and in the end', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk }) })
    await broker.topic(orders)
    await broker.producer().send(orders, { value: 1, partition: 0 })
    const killed = disk.killProcess()
    const path = '/data/orders-0/00000000000000000000.log'
    const log = killed.peek(path) ?? new Uint8Array(0)
    killed.place(path, Buffer.concat([log, Buffer.from('half a batch')]))
    const told: RecoveryReport[] = []
    const reopened = await openBroker({
      storage: new FileStorage('/data', { fileSystem: killed }),
      onRecovery: (report) => void told.push(report),
    })
    const of = (kind: RecoveryReport['kind']) => reopened.recovery.filter((report) => report.kind === kind)
    const at = { topic: 'orders', partition: 0, file: path, logEndOffset: 1 }
    expect(of('torn-tail')).toMatchObject([{ ...at, position: log.length, removedBytes: 12 }])
    expect(of('rewritten-tail')).toContainEqual(expect.objectContaining({ ...at, rewrittenBytes: log.length }))
    expect(told).toEqual(reopened.recovery)
    expect(await contentsOf(reopened, orders)).toHaveLength(1)
  })

  it('sets committed offsets beyond the end of their log back to it, for good, and reports that', async () => {
    const disk = new SimulatedFileSystem()
    const on = (fileSystem: SimulatedFileSystem) => new FileStorage('/data', { fileSystem, durability: 'os' })
    const broker = await openBroker({ storage: on(disk) })
    await broker.topic(orders)
    await broker.producer().send(
      orders,
      [1, 2, 3].map((value) => ({ value, partition: 0 })),
    )
    await broker.resetOffsets('billing', { offset: 3 }, { topics: [orders] })
    // Each log loses an end of its own: here the messages, and not the offset.
    const writes = disk.calls.filter(({ act }) => act === 'write').map(({ path }) => path)
    expect(writes.at(-1)).toContain('__consumer_offsets-0')
    const cut = disk.killProcess()
    cut.place('/data/orders-0/00000000000000000000.log', new Uint8Array(0))
    const reopened = await openBroker({ storage: on(cut) })
    const moved = { kind: 'moved-offset', groupId: 'billing', topic: 'orders', partition: 0 }
    expect(reopened.recovery).toContainEqual({ ...moved, committedOffset: 3, logEndOffset: 0 })
    const told: RecoveryReport[] = []
    for (const id of ['billing', 'audit']) {
      const member = reopened.consumerGroup(id, { topics: [orders] })
      member.on('recovery', (reports) => told.push(...reports))
      await member.run(() => {})
      await member.close()
    }
    expect(told.filter(({ kind }) => kind === 'moved-offset')).toEqual([
      expect.objectContaining({ ...moved, committedOffset: 3, logEndOffset: 0 }),
    ])
    await reopened.producer().send(
      orders,
      [4, 5, 6, 7].map((value) => ({ value, partition: 0 })),
    )
    // Not even the next power cut may bring the offset back, or it would skip what was sent since.
    const left = cut.crash()
    const offsets = left.peek('/data/__consumer_offsets-0/00000000000000000000.log') ?? new Uint8Array(0)
    expect(offsets.length).toBe(cut.peek('/data/__consumer_offsets-0/00000000000000000000.log')?.length)
    const values: number[] = []
    await reopened.consumerGroup('billing', { topics: [orders] }).run(({ value }) => void values.push(value))
    await reopened.idle()
    expect(values).toEqual([4, 5, 6, 7])
    const { recovery } = await openBroker({ storage: on(cut.killProcess()) })
    expect(recovery.filter(({ kind }) => kind === 'moved-offset')).toEqual([])
  })
})

describe('a disk that fails', () => {
  const on = (fileSystem: SimulatedFileSystem) => new FileStorage('/data', { fileSystem })
  const isLog = ({ act, path }: DiskCall, wanted: DiskCall['act']) =>
    act === wanted && path.startsWith('/data/orders-0') && path.endsWith('.log')

  it('to sync rejects every send that the sync was for, and all later ones, and what was durable is read', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: on(disk) })
    await broker.topic(orders)
    const send = (value: number) => broker.producer().send(orders, { value, partition: 0 })
    await send(1)
    disk.plan = (call) => (isLog(call, 'dataSync') ? 'EIO' : undefined)
    const outcomes = await Promise.allSettled([send(2), send(3)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    disk.plan = () => undefined
    const syncs = disk.calls.filter((call) => isLog(call, 'dataSync')).length
    expect(await codeOf(() => send(4))).toBe('OTTLA_STORAGE_FAILED')
    expect((await contentsOf(broker, orders)).map(({ value }) => value)).toEqual([1])
    // Another partition of the same disk goes on.
    await broker.producer().send(orders, { value: 5, partition: 1 })
    expect(disk.calls.filter((call) => isLog(call, 'dataSync'))).toHaveLength(syncs)
    const next = await openBroker({ storage: on(disk.killProcess()) })
    const values = (await contentsOf(next, orders)).map(({ value }) => value)
    expect(values.filter((value) => value === 1 || value === 5)).toEqual([1, 5])
    expect(await next.producer().send(orders, { value: 6, partition: 0 })).toMatchObject({ partition: 0 })
  })

  it('to take more rejects the send with its code, and takes the next one once there is room, without a hole', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: on(disk) })
    await broker.topic(orders)
    const send = (value: number) => broker.producer().send(orders, { value, partition: 0 })
    await send(1)
    let isFirst = true
    disk.plan = (call) => {
      if (!isLog(call, 'write')) return undefined
      const fault = isFirst ? { bytes: 20 } : 'ENOSPC'
      isFirst = false
      return fault
    }
    await expect(send(2)).rejects.toMatchObject({
      code: 'OTTLA_STORAGE_FULL',
      retriable: true,
      cause: { code: 'ENOSPC' },
    })
    expect((await contentsOf(broker, orders)).map(({ value }) => value)).toEqual([1])
    disk.plan = () => undefined
    expect(await send(3)).toMatchObject({ offset: 1 })
    const next = await openBroker({ storage: on(disk.crash()) })
    expect((await contentsOf(next, orders)).map(({ value }) => value)).toEqual([1, 3])
    expect(next.recovery.filter(({ kind }) => kind === 'torn-tail')).toEqual([])
  })

  it('to read tells the reader, and is no end of the log', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: on(disk) })
    await broker.topic(orders)
    await broker.producer().send(orders, { value: 1, partition: 0 })
    await broker.close()
    const next = await openBroker({ storage: on(disk) })
    disk.plan = (call) => (isLog(call, 'read') ? 'EIO' : undefined)
    expect(await codeOf(() => contentsOf(next, orders))).toBe('OTTLA_STORAGE_FAILED')
    disk.plan = () => undefined
    expect(await contentsOf(next, orders)).toHaveLength(1)
  })
})

describe('a failure in the background', () => {
  it('is told to onError', async () => {
    const clock = new ManualClock({ now: 1_000_000 })
    const told: string[] = []
    const storage = new MemoryStorage({ segmentBytes: 200 })
    const openPartition = storage.openPartition.bind(storage)
    storage.openPartition = async (at, options) => {
      const partition = await openPartition(at, options)
      partition.drop = () => {
        throw new Error('no drop today')
      }
      return partition
    }
    const onError = ({ code, message }: OttlaError): void => void told.push(`${code} ${message}`)
    const broker = await openBroker({ storage, clock, onError })
    const short = await broker.topic(new Topic('short', { retentionBytes: 1, value: json<string>() }))
    for (const value of ['a', 'b', 'c']) await broker.producer().send(short, { value: value.repeat(100) })
    await clock.advance(300_000)
    expect(told).toEqual([expect.stringMatching(/^OTTLA_STORAGE_FAILED .*no drop today/)])
  })
})
