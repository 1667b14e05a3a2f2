import {
  MemoryStorage,
  OttlaError,
  type PartitionOptions,
  type PartitionStorage,
  type Storage,
  type TopicPartition,
} from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import type { StorageContext } from '../../src/storage/storage.js'
import { batchOf } from '../../src/testing/engine-under-test.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

interface Opened {
  readonly engine: EmbeddedEngine
  readonly clock: ManualClock
  readonly storage: Storage
  /** One batch of one record. */
  send(producerId: number, baseSequence: number, timestamp?: number): Promise<number>
}

async function open(
  config: Record<string, unknown> = {},
  storage: Storage = new MemoryStorage(),
  clock: ManualClock = new ManualClock({ now: 1_700_000_000_000 }),
): Promise<Opened> {
  const engine = await EmbeddedEngine.open({ storage, clock, settings: brokerSettings(config) })
  await engine.createTopics({ topics: [{ name: 'orders', partitionCount: 1 }] })
  const send = async (producerId: number, baseSequence: number, timestamp = clock.now()): Promise<number> => {
    const batch = batchOf([{ timestamp }], { producerId, producerEpoch: 0, baseSequence })
    return (await engine.produce({ topic: 'orders', partition: 0, batch })).baseOffset
  }
  return { engine, clock, storage, send }
}

/** Memory that keeps the last snapshot of the producers. */
class SnapshotStorage implements Storage {
  readonly acknowledgeAfter: 'append' = 'append'
  /** How many producers are in it. */
  producers = -1
  readonly #memory = new MemoryStorage()

  open(_context: StorageContext): Promise<void> {
    return this.#memory.open()
  }

  partitions(): Promise<TopicPartition[]> {
    return this.#memory.partitions()
  }

  async openPartition(at: TopicPartition, options?: PartitionOptions): Promise<PartitionStorage> {
    const partition: PartitionStorage = await this.#memory.openPartition(at, options)
    if (at.topic === 'orders') {
      partition.saveSnapshot = (_, bytes) => {
        this.producers = Buffer.from(bytes).readInt32BE(6)
      }
    }
    return partition
  }

  deletePartition(at: TopicPartition): Promise<void> {
    return this.#memory.deletePartition(at)
  }

  close(): Promise<void> {
    return this.#memory.close()
  }
}

const codeOf = (error: unknown): unknown => (OttlaError.is(error) ? error.code : error)

describe('an idempotent producer that sends nothing', () => {
  it('is known for a day, then forgotten: a hundred thousand that came and went leave as many as one day had', async () => {
    const storage = new SnapshotStorage()
    const { engine, clock } = await open({}, storage)
    const total = 100_000
    const perHour = 400
    const batch = batchOf([{}])
    for (let producerId = 0; producerId < total; producerId++) {
      batch.stampProducer(producerId, 0, 0)
      await engine.produce({ topic: 'orders', partition: 0, batch })
      if (producerId % perHour === 0) await clock.advance(HOUR_MS)
    }
    expect(engine.highWatermark({ topic: 'orders', partition: 0 })).toBe(total)
    await engine.close()
    expect(storage.producers).toBeGreaterThanOrEqual(24 * perHour)
    expect(storage.producers).toBeLessThan(2 * 24 * perHour)
  })

  it('is known again within its time, and may begin at any sequence after it', async () => {
    const { clock, send, engine } = await open({ producerIdExpirationMs: DAY_MS })
    await send(7, 0)
    await send(8, 0)
    await clock.advance(DAY_MS - 1)
    await send(9, 0)
    expect(await send(7, 0)).toBe(0)
    await expect(send(8, 5)).rejects.toMatchObject({ code: 'OTTLA_OUT_OF_ORDER_SEQUENCE', kafkaCode: 45 })
    for (let id = 10; id < 13; id++) {
      await clock.advance(DAY_MS)
      await send(id, 0)
    }
    expect(await send(8, 5)).toBe(6)
    await engine.close()
  })

  it('counts from when it sent, not from the time that its messages bear', async () => {
    const { clock, send, engine } = await open()
    await send(7, 0, 1)
    await clock.advance(HOUR_MS)
    await send(8, 0)
    expect(await send(7, 0, 1)).toBe(0)
    await engine.close()
  })

  it('stays while it sends now and then', async () => {
    const { clock, send, engine } = await open()
    for (let sequence = 0; sequence < 5; sequence++) {
      await send(7, sequence)
      await clock.advance(DAY_MS - HOUR_MS)
      await send(100 + sequence, 0)
    }
    const code = await send(7, 9).catch(codeOf)
    expect(code).toBe('OTTLA_OUT_OF_ORDER_SEQUENCE')
    await engine.close()
  })

  it('does not age while the broker is closed', async () => {
    const first = await open()
    expect(await first.send(7, 0)).toBe(0)
    await first.engine.close()
    await first.clock.advance(10 * DAY_MS)
    const { engine, send } = await open({}, first.storage, first.clock)
    await send(8, 0)
    expect(await send(7, 0)).toBe(0)
    await engine.close()
  })
})
