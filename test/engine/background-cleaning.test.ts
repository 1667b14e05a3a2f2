import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { brokerSettings } from '../../src/engine/config.js'
import type { BrokerSettings } from '../../src/engine/config-tables.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { FileStorage } from '../../src/storage/file/file-storage.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { Storage } from '../../src/storage/storage.js'
import { batchOf, EngineUnderTest } from '../../src/testing/engine-under-test.js'
import { GroupUnderTest, NOBODY } from '../../src/testing/group-under-test.js'
import { ManualClock } from '../../src/testing/manual-clock.js'

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS
const SEGMENT_BYTES = 1000

const root = mkdtempSync(join(tmpdir(), 'ottla-'))
afterAll(() => rmSync(root, { recursive: true }))
let directories = 0

const places: Record<string, () => () => Storage> = {
  memory: () => {
    const storage = new MemoryStorage({ segmentBytes: SEGMENT_BYTES })
    return () => storage
  },
  files: () => {
    const directory = join(root, String(directories++))
    return () => new FileStorage(directory, { durability: 'os', segmentBytes: SEGMENT_BYTES })
  },
}

/** An engine that is opened again and again over the same place, under one clock. */
class Restarted {
  readonly clock: ManualClock
  readonly errors: unknown[] = []
  readonly #place: () => Storage
  readonly #settings: Partial<BrokerSettings>
  engine!: EmbeddedEngine
  subject!: EngineUnderTest

  constructor(place: () => Storage, settings: Partial<BrokerSettings> = {}, now: number = 10 * YEAR_MS) {
    this.clock = new ManualClock({ now })
    this.#place = place
    this.#settings = settings
  }

  async open(): Promise<this> {
    const storage = this.#place()
    const settings = { ...brokerSettings({}, storage), ...this.#settings }
    const onError = (error: unknown): unknown => this.errors.push(error)
    this.engine = await EmbeddedEngine.open({ storage, clock: this.clock, settings, onError })
    this.subject = new EngineUnderTest(this.engine)
    return this
  }

  async restart(): Promise<void> {
    await this.engine.close()
    await this.open()
  }

  /** One batch with one record, of this time or the clock's. */
  async produce(
    topic: string,
    key: string,
    value: string | null,
    timestamp: number = this.clock.now(),
  ): Promise<number> {
    const encoder = new TextEncoder()
    const record = { key: encoder.encode(key), value: value === null ? null : encoder.encode(value), timestamp }
    return (await this.subject.produce(topic, batchOf([record]))).baseOffset
  }

  /** Enough to seal the segments that came before. */
  async seal(topic: string): Promise<void> {
    for (let n = 0; n < 2; n++) await this.produce(topic, 'filler', 'x'.repeat(SEGMENT_BYTES))
  }

  async offsets(topic: string): Promise<number[]> {
    const offsets: number[] = []
    const end = await this.subject.latest(topic)
    for (let from = await this.subject.offset(topic, 'earliest'); from < end; ) {
      const { batches } = await this.subject.fetch(topic, from)
      for (const batch of batches) {
        const records = batch.records()
        while (records.next()) if (records.offset >= from) offsets.push(records.offset)
      }
      from = (batches.at(-1)?.lastOffset ?? end) + 1
    }
    return offsets
  }
}

for (const [name, newPlace] of Object.entries(places)) {
  describe(`over ${name}`, () => {
    it('a topic is compacted by itself once enough of it is dirty, and not before', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'cleanup.policy': 'compact' })
      for (let n = 0; n < 5; n++) await broker.produce(topic, 'a', String(n))
      await broker.seal(topic)
      await broker.clock.advance(14_999)
      expect(await broker.offsets(topic)).toHaveLength(7)
      await broker.clock.advance(1)
      await settled(broker)
      expect(await broker.offsets(topic)).toEqual([4, 5, 6])
      // The new part is the smaller one now.
      await broker.produce(topic, 'a', 'next')
      await broker.clock.advance(60_000)
      await settled(broker)
      expect(await broker.offsets(topic)).toEqual([4, 5, 6, 7])
      await broker.engine.close()
      expect([broker.clock.pendingTimers, broker.errors]).toEqual([0, []])
    })

    it('what was compacted is known after a restart', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'cleanup.policy': 'compact' })
      for (let n = 0; n < 5; n++) await broker.produce(topic, 'a', String(n))
      await broker.seal(topic)
      const unrecorded = await broker.subject.latest('__cluster_metadata')
      await broker.engine.compact(topic)
      expect(await broker.subject.latest('__cluster_metadata')).toBe(unrecorded + 1)
      const offsets = await broker.offsets(topic)
      await broker.restart()
      expect(await broker.offsets(topic)).toEqual(offsets)
      // Nothing is due: what is sealed was compacted, so that no timer is needed after one look, and nothing is recorded.
      const recorded = await broker.subject.latest('__cluster_metadata')
      await broker.clock.advance(15_000)
      await broker.engine.compact('__cluster_metadata')
      expect(broker.clock.pendingTimers).toBe(0)
      expect(await broker.subject.latest('__cluster_metadata')).toBe(recorded)
      // A topic of the same name knows nothing of it.
      await broker.engine.deleteTopics([topic])
      await broker.subject.create(topic, 1, { 'cleanup.policy': 'compact' })
      for (let n = 0; n < 5; n++) await broker.produce(topic, 'a', String(n))
      await broker.seal(topic)
      await broker.restart()
      await broker.clock.advance(15_000)
      await settled(broker)
      expect(await broker.offsets(topic)).toEqual([4, 5, 6])
      await broker.engine.close()
    })

    it('a long run of commits keeps __consumer_offsets small, and a restart finds all that was committed', async () => {
      const broker = await new Restarted(newPlace(), { offsetsTopicSegmentBytes: 5_000 }).open()
      const topic = await broker.subject.topic(3)
      const groups = [1, 2, 3].map(() => new GroupUnderTest(broker.engine))
      for (let offset = 1; offset <= 300; offset++) {
        for (const group of groups) await group.commit(NOBODY, topic, offset)
        if (offset % 50 > 0) continue
        await broker.clock.advance(15_000)
        await settled(broker)
      }
      const deleted = groups.pop()
      await broker.engine.deleteGroups([deleted?.groupId ?? ''])
      const bytes = await sizeOf(broker, '__consumer_offsets')
      expect(bytes).toBeLessThan(30_000)
      for (let restart = 0; restart < 2; restart++) {
        await broker.restart()
        for (const { groupId } of groups) {
          const fetched = await broker.engine.fetchOffsets({ groupId, partitions: null })
          expect(fetched.map(({ offset }) => offset)).toEqual([300])
        }
        expect((await broker.engine.listGroups()).map(({ groupId }) => groupId).sort()).toEqual(
          groups.map(({ groupId }) => groupId).sort(),
        )
        await broker.engine.compact('__consumer_offsets')
      }
      await broker.engine.close()
      expect(broker.errors).toEqual([])
    })

    it('a long run of changes keeps __cluster_metadata small, and a restart finds topics, configs and log starts', async () => {
      const broker = await new Restarted(newPlace(), { metadataLogSegmentBytes: 3_000 }).open()
      const topic = await broker.subject.topic(2)
      await broker.subject.produceMany(topic, 3)
      await broker.subject.deleteRecords(topic, 2)
      for (let n = 1; n <= 200; n++) {
        await broker.engine.alterConfigs([{ type: 'topic', name: topic, configs: { 'retention.bytes': String(n) } }])
        await broker.subject.create(`short-lived-${n}`)
        await broker.engine.deleteTopics([`short-lived-${n}`])
        if (n % 40 > 0) continue
        await broker.clock.advance(15_000)
        await settled(broker)
      }
      const before = await broker.engine.metadata({ topics: null })
      expect(before.topics.map((each) => each.name)).toEqual([topic])
      expect(await sizeOf(broker, '__cluster_metadata')).toBeLessThan(45_000)
      await broker.restart()
      const after = await broker.engine.metadata({ topics: null })
      expect([after.topics, after.clusterId]).toEqual([before.topics, before.clusterId])
      expect(await broker.subject.offset(topic, 'earliest')).toBe(2)
      const [described] = await broker.engine.describeConfigs([{ type: 'topic', name: topic }])
      expect(described?.entries.find((entry) => entry.name === 'retention.bytes')?.value).toBe('200')
      await broker.engine.close()
      expect(broker.errors).toEqual([])
    })

    it('all records are deleted by -1, also after a restart, and offsets go on', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1)
      for (let n = 0; n < 30; n++) await broker.produce(topic, 'a', 'x'.repeat(100))
      const [outcome] = await broker.engine.deleteRecords([{ topic, partition: 0, beforeOffset: -1 }])
      expect(outcome).toMatchObject({ lowWatermark: 30, error: null })
      for (let restart = 0; restart < 2; restart++) {
        expect([await broker.subject.offset(topic, 'earliest'), await broker.subject.latest(topic)]).toEqual([30, 30])
        await broker.restart()
      }
      expect(await broker.produce(topic, 'a', 'next')).toBe(30)
      expect(await broker.offsets(topic)).toEqual([30])
      await broker.engine.close()
    })

    it('drops by age as time passes, in the end the active segment too', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'retention.ms': String(DAY_MS) })
      await broker.produce(topic, 'a', '1')
      await broker.clock.advance(DAY_MS)
      await broker.engine.applyRetention(topic)
      expect(await broker.offsets(topic)).toEqual([0])
      await broker.clock.advance(300_000)
      // On a disk it takes as long as it takes.
      while ((await broker.subject.offset(topic, 'earliest')) < 1) await broker.clock.advance(0)
      expect([await broker.subject.offset(topic, 'earliest'), await broker.subject.latest(topic)]).toEqual([1, 1])
      expect(await broker.produce(topic, 'a', '2')).toBe(1)
      await broker.engine.close()
    })

    it('a clock that is set forward by a year ages nothing, whatever is sent then', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'retention.ms': String(DAY_MS) })
      const produced: number[] = []
      for (let n = 0; n < 3; n++) produced.push(await broker.produce(topic, 'a', 'x'.repeat(600)))
      broker.clock.setWall(broker.clock.now() + YEAR_MS)
      for (let n = 0; n < 3; n++) produced.push(await broker.produce(topic, 'a', 'x'.repeat(600)))
      expect(produced).toEqual([0, 1, 2, 3, 4, 5])
      await broker.engine.applyRetention(topic)
      await broker.clock.advance(300_000)
      await settled(broker)
      expect(await broker.offsets(topic)).toEqual(produced)
      const { timestamp } = await foundAt(broker, topic, broker.clock.now() - DAY_MS)
      expect(timestamp).toBeGreaterThan(10 * YEAR_MS + YEAR_MS - 1)
      // Both kinds go when their time is over, and so after another start.
      await broker.restart()
      await broker.engine.applyRetention(topic)
      expect(await broker.offsets(topic)).toEqual(produced)
      await broker.clock.advance(DAY_MS)
      await broker.engine.applyRetention(topic)
      expect(await broker.subject.offset(topic, 'earliest')).toBe(6)
      await broker.engine.close()
    })

    it('a clock that is set back by a year breaks neither offsets nor the look-up by time, and drops nothing', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'retention.ms': String(DAY_MS) })
      for (let n = 0; n < 3; n++) await broker.produce(topic, 'a', 'x'.repeat(600))
      const before = broker.clock.now()
      broker.clock.setWall(before - YEAR_MS)
      for (let n = 0; n < 3; n++) await broker.produce(topic, 'a', 'x'.repeat(600))
      await broker.engine.applyRetention(topic)
      await broker.clock.advance(300_000)
      await settled(broker)
      for (let restart = 0; restart < 2; restart++) {
        expect(await broker.offsets(topic)).toEqual([0, 1, 2, 3, 4, 5])
        // The first at or after a time, as a walk through the log finds it.
        expect((await foundAt(broker, topic, before)).offset).toBe(0)
        expect((await foundAt(broker, topic, before - YEAR_MS)).offset).toBe(0)
        expect((await foundAt(broker, topic, before + 1)).offset).toBe(-1)
        await broker.restart()
      }
      await broker.engine.close()
    })

    it('the time for which the broker was closed expires nothing by itself', async () => {
      const broker = await new Restarted(newPlace()).open()
      const topic = await broker.subject.topic(1, { 'retention.ms': String(DAY_MS) })
      await broker.produce(topic, 'a', 'x'.repeat(2000))
      await broker.produce(topic, 'a', 'x'.repeat(2000))
      for (let opening = 0; opening < 3; opening++) {
        await broker.engine.close()
        broker.clock.setWall(broker.clock.now() + YEAR_MS)
        await broker.open()
        await broker.engine.applyRetention(topic)
        await broker.clock.advance(300_000)
        await settled(broker)
        expect(await broker.offsets(topic)).toEqual([0, 1])
      }
      await broker.clock.advance(DAY_MS)
      await broker.engine.applyRetention(topic)
      expect(await broker.offsets(topic)).toEqual([])
      await broker.engine.close()
    })
  })
}

describe('a broker whose topics need nothing', () => {
  it('holds no timer, whatever is sent, committed and created', async () => {
    const broker = await new Restarted(() => new MemoryStorage({ segmentBytes: SEGMENT_BYTES })).open()
    const [topic, compacted] = [
      await broker.subject.topic(),
      await broker.subject.topic(1, { 'cleanup.policy': 'compact' }),
    ]
    for (let n = 0; n < 10; n++) await broker.produce(topic, 'a', 'x'.repeat(500))
    await broker.produce(compacted, 'a', '1')
    await new GroupUnderTest(broker.engine).commit(NOBODY, topic, 5)
    expect(broker.clock.pendingTimers).toBe(0)
    const limit = (value: string | null): Promise<unknown> =>
      broker.engine.alterConfigs([{ type: 'topic', name: topic, configs: { 'retention.ms': value } }])
    await limit('1000')
    expect(broker.clock.pendingTimers).toBe(1)
    await limit(null)
    await broker.clock.advance(300_000)
    expect(broker.clock.pendingTimers).toBe(0)
    await broker.engine.close()
  })
})

describe('compact', () => {
  it('is refused for a topic that is not compacted, and for one that does not exist', async () => {
    const broker = await new Restarted(() => new MemoryStorage()).open()
    const topic = await broker.subject.topic()
    await expect(broker.engine.compact(topic)).rejects.toMatchObject({ code: 'OTTLA_POLICY_VIOLATION', kafkaCode: 44 })
    await expect(broker.engine.compact('nowhere')).rejects.toMatchObject({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION' })
    await broker.engine.close()
    await expect(broker.engine.compact(topic)).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
  })

  it('that fails is told once, changes nothing and keeps no other topic waiting', async () => {
    const storage = new MemoryStorage({ segmentBytes: SEGMENT_BYTES })
    const openPartition = storage.openPartition.bind(storage)
    storage.openPartition = async (at, options) => {
      const partition = await openPartition(at, options)
      if (at.topic !== 'a') return partition
      return new Proxy(partition, {
        get: (target, member) => {
          if (member === 'replace') return () => Promise.reject(new Error('no replace'))
          const value: unknown = Reflect.get(target, member, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    }
    const broker = await new Restarted(() => storage).open()
    for (const topic of ['a', 'b']) {
      await broker.subject.create(topic, 1, { 'cleanup.policy': 'compact' })
      for (let n = 0; n < 3; n++) await broker.produce(topic, 'k', String(n))
      await broker.seal(topic)
    }
    await broker.clock.advance(15_000)
    await settled(broker)
    expect(broker.errors).toMatchObject([{ code: 'OTTLA_STORAGE_FAILED', message: 'The storage failed: no replace' }])
    expect([await broker.offsets('a'), await broker.offsets('b')]).toEqual([
      [0, 1, 2, 3, 4],
      [2, 3, 4],
    ])
    await broker.engine.close()
  })
})

/** Lets what was begun by a timer come to its end. */
async function settled({ engine, clock, subject }: Restarted): Promise<void> {
  // Compactions run one after the other, so one that is asked for comes after those that are under way.
  const topic = await subject.topic(1, { 'cleanup.policy': 'compact' })
  await engine.compact(topic)
  await engine.deleteTopics([topic])
  await clock.advance(0)
}

async function sizeOf({ subject }: Restarted, topic: string): Promise<number> {
  let bytes = 0
  const end = await subject.latest(topic)
  for (let from = await subject.offset(topic, 'earliest'); from < end; ) {
    const { batches } = await subject.fetch(topic, from)
    for (const batch of batches) bytes += batch.sizeInBytes
    from = (batches.at(-1)?.lastOffset ?? end) + 1
  }
  return bytes
}

async function foundAt(
  { engine }: Restarted,
  topic: string,
  timestamp: number,
): Promise<{ offset: number; timestamp: number }> {
  const [outcome] = await engine.listOffsets([{ topic, partition: 0, at: { timestamp } }])
  if (outcome === undefined || outcome.error !== null) throw outcome?.error ?? new Error('no answer')
  return outcome
}
