import { Broker, FileStorage, json, MemoryStorage, Topic } from 'ottla'
import { ManualClock, SimulatedFileSystem } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import type { FileSystem, OpenFile } from '../../src/storage/file/file-system.js'
import { nodeFileSystem } from '../../src/storage/file/node-file-system.js'
import { brokers, codeOf, contentsOf, nextTurn, outcomeNow } from '../client/brokers.js'
import { HeldStorage } from '../client/held-storage.js'
import { temporaryDirectories } from '../storage/file/file-rig.js'

const openBroker = brokers()
const temporaryDirectory = temporaryDirectories()
const orders = new Topic('orders', { value: json<number>() })

describe('promise: non-blocking', () => {
  it('send waits for no consumer, and a slow group delays nobody', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    await broker.consumerGroup('slow', { topics: [orders] }).run(() => released)
    const handled: number[] = []
    let all = (): void => {}
    const done = new Promise<void>((resolve) => {
      all = resolve
    })
    await broker.consumerGroup('fast', { topics: [orders] }).run(({ value }) => {
      if (handled.push(value) === 100) all()
    })
    const producer = broker.producer()
    for (let value = 0; value < 100; value++) await producer.send(orders, { value })
    await done
    expect(handled).toHaveLength(100)
    release()
  })

  it("send runs no handler on the producer's stack", async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const stacks: string[] = []
    await broker.consumerGroup('billing', { topics: [orders] }).run(() => {
      stacks.push(new Error('where').stack ?? '')
    })
    let handledDuringSend = -1
    function theProducer(): Promise<unknown> {
      const sent = broker.producer().send(orders, { value: 1 })
      handledDuringSend = stacks.length
      return sent
    }
    await theProducer()
    await broker.idle()
    expect(handledDuringSend).toBe(0)
    expect(stacks).toHaveLength(1)
    expect(stacks[0]).not.toContain('theProducer')
  })

  it('a loop that sends and awaits lets the event loop go on', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    let turns = 0
    const immediate = (): void => {
      turns++
      if (turns < 5) setImmediate(immediate)
    }
    setImmediate(immediate)
    for (let sent = 0; turns < 5; sent++) {
      await producer.send(orders, { value: sent })
      if (sent > 1_000_000) throw new Error('the event loop stands still')
    }
  })
})

describe('promise: ack', () => {
  it('in memory, send resolves when the message is appended and can be read', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    storage.hold()
    const sent = broker.producer().send(orders, { value: 1 })
    expect(await outcomeNow(sent)).toBe('pending')
    expect(await contentsOf(broker, orders)).toEqual([])
    storage.release()
    await sent
    expect(await contentsOf(broker, orders)).toHaveLength(1)
  })

  it("with 'fsync', send resolves when its sync is done, and many senders share one", async () => {
    const disk = new SlowDisk()
    const broker = await openBroker({ storage: new FileStorage(temporaryDirectory(), { fileSystem: disk }) })
    await broker.topic(orders)
    const producer = broker.producer()
    await producer.send(orders, { value: 0 })
    const syncs = disk.dataSyncs
    disk.hold()
    const sends = Array.from({ length: 1_000 }, (_, value) => producer.send(orders, { value }))
    expect(await outcomeNow(Promise.race(sends), 200)).toBe('pending')
    disk.release()
    await Promise.all(sends)
    expect(disk.dataSyncs - syncs).toBeLessThan(10)
  })

  it("with 'interval', send resolves when the message is written, and the sync follows in its time", async () => {
    const disk = new SlowDisk()
    const clock = new ManualClock()
    const storage = new FileStorage(temporaryDirectory(), { durability: 'interval', fileSystem: disk })
    const broker = await openBroker({ storage, clock })
    await broker.topic(orders)
    const syncs = disk.dataSyncs
    await broker.producer().send(orders, { value: 1 })
    expect(disk.dataSyncs).toBe(syncs)
    disk.hold()
    await clock.advance(1_000)
    await disk.syncBegun
    disk.release()
  })

  it("with 'os', send resolves when the message is written, and nothing is synced", async () => {
    const disk = new SlowDisk()
    const storage = new FileStorage(temporaryDirectory(), { durability: 'os', fileSystem: disk })
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const syncs = disk.dataSyncs
    await broker.producer().send(orders, { value: 1 })
    expect(disk.dataSyncs).toBe(syncs)
  })
})

describe('promise: order', () => {
  it('offsets are dense and rise, per partition, whoever sends', async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('wide', { partitions: 3, value: json<number>() }))
    const producers = [broker.producer(), broker.producer({ lingerMs: 1 }), broker.producer({ batchBytes: 200 })]
    await Promise.all(
      Array.from({ length: 600 }, (_, value) => producers[value % 3]?.send(topic, { value, key: String(value % 7) })),
    )
    const contents = await contentsOf(broker, topic)
    expect(contents).toHaveLength(600)
    for (const partition of [0, 1, 2]) {
      const offsets = contents.filter((message) => message.partition === partition).map(({ offset }) => offset)
      expect(offsets).toEqual(offsets.map((_, index) => index))
    }
  })
})

describe('promise: bounded', () => {
  it('what a producer has under way is bounded: further sends wait, or are refused', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const waiting = broker.producer({ maxInFlightBytes: 1_000 })
    const refusing = broker.producer({ maxInFlightBytes: 1_000, onFull: 'reject' })
    await waiting.send(orders, { value: 0 })
    await refusing.send(orders, { value: 0 })
    storage.hold()
    const waits = Array.from({ length: 100 }, (_, value) => waiting.send(orders, { value }))
    const refused = Array.from({ length: 100 }, (_, value) => refusing.send(orders, { value }))
    const outcomes = Promise.allSettled(refused)
    expect(await outcomeNow(Promise.race(waits))).toBe('pending')
    storage.release()
    await Promise.all(waits)
    const codes = (await outcomes).flatMap((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : []))
    expect(codes.length).toBeGreaterThan(50)
    expect(new Set(codes)).toEqual(new Set(['OTTLA_QUEUE_FULL']))
  })

  it('a full memory refuses, and ottla can still write down what groups commit', async () => {
    const broker = await openBroker({ storage: new MemoryStorage({ maxBytes: 2_000 }) })
    await broker.topic(orders)
    const producer = broker.producer()
    let code = ''
    while (code === '')
      code = await producer.send(orders, { value: 1 }).then(
        () => '',
        (error) => error.code,
      )
    expect(code).toBe('OTTLA_STORAGE_FULL')
    await broker.consumerGroup('billing', { topics: [orders] }).run(() => {})
    await broker.idle()
    expect((await broker.describeGroup('billing')).lag.map((at) => at.lag)).toEqual([0])
    await broker.topic('another')
  })
})

describe('promise: recovery', () => {
  it('a torn tail is cut and reported, and what was acknowledged before it is all there', async () => {
    const disk = new SimulatedFileSystem()
    const broker = await openBroker({ storage: new FileStorage('/data', { fileSystem: disk }) })
    await broker.topic(orders)
    const producer = broker.producer()
    for (let value = 0; value < 10; value++) await producer.send(orders, { value })
    const killed = disk.killProcess()
    const log = '/data/orders-0/00000000000000000000.log'
    killed.place(log, Buffer.concat([killed.peek(log) ?? new Uint8Array(0), new Uint8Array(100).fill(7)]))
    const reopened = await openBroker({ storage: new FileStorage('/data', { fileSystem: killed }) })
    expect(reopened.recovery).toContainEqual(
      expect.objectContaining({ kind: 'torn-tail', topic: 'orders', removedBytes: 100, logEndOffset: 10 }),
    )
    expect((await contentsOf(reopened, orders)).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
})

describe('promise: one writer', () => {
  it('a second broker on the same directory is refused with the name of the holder', async () => {
    const directory = temporaryDirectory()
    await openBroker({ storage: new FileStorage(directory) })
    await expect(Broker.open({ storage: new FileStorage(directory) })).rejects.toMatchObject({
      code: 'OTTLA_LOCKED',
      message: expect.stringContaining(String(process.pid)),
    })
  })
})

describe("ruling: Producer's batch", () => {
  it('the sends of one turn share a batch, those of many turns share one while the writer is busy', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage })
    await broker.topic(orders)
    const producer = broker.producer()
    await Promise.all([1, 2, 3].map((value) => producer.send(orders, { value })))
    expect(storage.appends).toBe(1)
    storage.hold()
    const sends: Promise<unknown>[] = []
    for (let turn = 0; turn < 10; turn++) {
      sends.push(producer.send(orders, { value: turn }))
      await nextTurn()
    }
    storage.release()
    await Promise.all(sends)
    expect(storage.appends).toBe(3)
  })
})

describe('ruling: High watermark', () => {
  it('nobody sees a message before it is acknowledged: neither a reader, nor a lag, nor a position', async () => {
    const disk = new SlowDisk()
    const broker = await openBroker({ storage: new FileStorage(temporaryDirectory(), { fileSystem: disk }) })
    await broker.topic(orders)
    const producer = broker.producer()
    await producer.send(orders, { value: 0 })
    await broker.resetOffsets('billing', 'latest', { topics: [orders] })
    disk.hold()
    const sent = producer.send(orders, { value: 1 })
    // Written, and not yet synced.
    await disk.syncBegun
    expect(await contentsOf(broker, orders)).toHaveLength(1)
    const [lag] = await broker.resetOffsets('billing', 'latest', { topics: [orders], dryRun: true })
    expect(lag).toMatchObject({ logEndOffset: 1, lag: 0 })
    expect(await codeOf(() => broker.reader(orders, { from: { offset: 2 } }).next())).toBe('OTTLA_OFFSET_OUT_OF_RANGE')
    disk.release()
    await sent
    expect(await contentsOf(broker, orders)).toHaveLength(2)
  })
})

/** The machine's disk, whose data syncs wait for the test. */
class SlowDisk implements FileSystem {
  dataSyncs = 0
  syncBegun: Promise<void> = Promise.resolve()
  #begin = (): void => {}
  #gate: Promise<void> = Promise.resolve()
  #open = (): void => {}

  readonly stat = nodeFileSystem.stat
  readonly list = nodeFileSystem.list
  readonly makeDirectory = nodeFileSystem.makeDirectory
  readonly removeDirectory = nodeFileSystem.removeDirectory
  readonly rename = nodeFileSystem.rename
  readonly unlink = nodeFileSystem.unlink
  readonly syncDirectory = nodeFileSystem.syncDirectory
  readonly lock = nodeFileSystem.lock

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
    this.syncBegun = new Promise((resolve) => {
      this.#begin = resolve
    })
  }

  release(): void {
    this.#open()
  }

  async open(...parameters: Parameters<FileSystem['open']>): Promise<OpenFile> {
    const file = await nodeFileSystem.open(...parameters)
    return {
      read: (...at) => file.read(...at),
      write: (...at) => file.write(...at),
      truncate: (sizeInBytes) => file.truncate(sizeInBytes),
      close: () => file.close(),
      dataSync: async () => {
        this.dataSyncs++
        this.#begin()
        await this.#gate
        await file.dataSync()
      },
    }
  }
}
