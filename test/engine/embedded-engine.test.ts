import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { FileStorage } from '../../src/storage/file/file-storage.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { PartitionStorage, Storage, TopicPartition } from '../../src/storage/storage.js'
import { batchOf, EngineUnderTest, only } from '../../src/testing/engine-under-test.js'
import { GroupUnderTest, NOBODY } from '../../src/testing/group-under-test.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { makeBatch } from '../../src/testing/storage-under-test.js'
import { type Clock, systemClock } from '../../src/time/clock.js'

const MEBIBYTE = 1 << 20

function openEngine(
  storage: Storage = new MemoryStorage(),
  configs: Readonly<Record<string, unknown>> = {},
  clock: Clock = systemClock,
): Promise<EmbeddedEngine> {
  return EmbeddedEngine.open({ storage, clock, settings: brokerSettings(configs, storage) })
}

/** Does something with an engine that is open for that long. */
async function withEngine<T>(storage: Storage, use: (subject: EngineUnderTest) => Promise<T>): Promise<T> {
  const engine = await openEngine(storage)
  try {
    return await use(new EngineUnderTest(engine))
  } finally {
    await engine.close()
  }
}

async function withStorage<T>(storage: Storage, use: (storage: Storage) => Promise<T>): Promise<T> {
  await storage.open({ clock: systemClock, onRecovery: () => undefined })
  try {
    return await use(storage)
  } finally {
    await storage.close()
  }
}

/** The names of the partitions of users' topics that a storage holds. */
function kept(storage: Storage): Promise<string[]> {
  return withStorage(storage, async () => {
    const partitions = (await storage.partitions()).filter(({ topic }) => !topic.startsWith('__'))
    return partitions.map(({ topic, partition }) => `${topic}-${partition}`).sort()
  })
}

/** A storage, or a partition's, with some methods put in the place of its own. */
function overlay<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const owner = name in over ? over : target
      const member: unknown = Reflect.get(owner, name, owner)
      return typeof member === 'function' ? member.bind(owner) : member
    },
  })
}

/** A storage whose partitions have some methods put in the place of their own. */
function overlayPartitions(
  storage: Storage,
  over: (at: TopicPartition, partition: PartitionStorage) => Partial<PartitionStorage>,
): Storage {
  return overlay<Storage>(storage, {
    openPartition: async (at, options) => {
      const partition = await storage.openPartition(at, options)
      return overlay(partition, over(at, partition))
    },
  })
}

const root = mkdtempSync(join(tmpdir(), 'ottla-'))
afterAll(() => rmSync(root, { recursive: true }))
let directories = 0

/** What opens one place again and again. */
const places: Record<string, () => () => Storage> = {
  memory: () => {
    const storage = new MemoryStorage()
    return () => storage
  },
  files: () => {
    const directory = join(root, String(directories++))
    return () => new FileStorage(directory, { durability: 'os' })
  },
}

for (const [name, newPlace] of Object.entries(places)) {
  describe(`a restart over ${name}`, () => {
    it('finds the topics, their ids, partitions, configs and codecs again, and the cluster id', async () => {
      const place = newPlace()
      const before = await withEngine(place(), async ({ engine }) => {
        const codecs = { key: 'string', value: 'json' }
        await engine.createTopics({
          topics: [
            { name: 'orders', partitionCount: 3, configs: { 'retention.ms': '60000' }, codecs },
            { name: 'returns', partitionCount: 1 },
            { name: 'gone', partitionCount: 1 },
          ],
        })
        await engine.createPartitions([{ name: 'returns', totalCount: 2 }])
        await engine.alterConfigs([{ type: 'topic', name: 'orders', configs: { 'max.message.bytes': '2000' } }])
        await engine.deleteTopics(['gone'])
        return engine.metadata({ topics: null })
      })
      await withEngine(place(), async ({ engine }) => {
        const after = await engine.metadata({ topics: null })
        expect(after.topics).toEqual(before.topics)
        expect(after.topics.map((topic) => [topic.name, topic.partitionCount, topic.codecs])).toEqual([
          ['orders', 3, { key: 'string', value: 'json' }],
          ['returns', 2, null],
        ])
        expect(after.clusterId).toBe(before.clusterId)
        const { entries } = only(await engine.describeConfigs([{ type: 'topic', name: 'orders' }]))
        const set = entries.filter(({ source }) => source === 'DYNAMIC_TOPIC_CONFIG')
        expect(set.map((entry) => [entry.name, entry.value])).toEqual([
          ['retention.ms', '60000'],
          ['max.message.bytes', '2000'],
        ])
      })
    })

    it('finds what was produced, and goes on behind it', async () => {
      const place = newPlace()
      const [topic, produced] = await withEngine(place(), async (subject) => {
        const name = await subject.topic(2)
        return [name, await subject.produceMany(name, 5)] as const
      })
      await withEngine(place(), async (subject) => {
        await subject.checkLog(topic, produced)
        await subject.checkLog(topic, [...produced, await subject.produce(topic)])
        await subject.checkLog(topic, [], 1)
      })
    })

    it('finds committed offsets again, but not those of topics and groups that were deleted', async () => {
      const place = newPlace()
      const found = await withEngine(place(), async (subject) => {
        const [topic, deleted] = [await subject.topic(), await subject.topic()]
        const [group, other] = [new GroupUnderTest(subject.engine), new GroupUnderTest(subject.engine)]
        for (const offset of [3, 7]) await group.commit(NOBODY, topic, offset)
        await group.commit(NOBODY, deleted, 9)
        await other.commit(NOBODY, topic, 5)
        await subject.engine.deleteTopics([deleted])
        await subject.engine.deleteGroups([other.groupId])
        return { topic, group: group.groupId, other: other.groupId }
      })
      await withEngine(place(), async ({ engine }) => {
        const offsets = await engine.fetchOffsets({ groupId: found.group, partitions: null })
        expect(offsets).toEqual([{ topic: found.topic, partition: 0, offset: 7, leaderEpoch: -1, metadata: '' }])
        expect(await engine.fetchOffsets({ groupId: found.other, partitions: null })).toEqual([])
        expect((await engine.listGroups()).map(({ groupId }) => groupId)).toEqual([found.group])
      })
    })

    it('keeps deleted records deleted, within a segment as well', async () => {
      const place = newPlace()
      const topic = await withEngine(place(), async (subject) => {
        const name = await subject.topic()
        await subject.produceMany(name, 5)
        await subject.deleteRecords(name, 3)
        return name
      })
      await withEngine(place(), async (subject) => {
        expect(await subject.offset(topic, 'earliest')).toBe(3)
        expect((await subject.fetch(topic, 2)).error?.kafkaCode).toBe(1)
        expect((await subject.fetch(topic, 3)).batches.map((batch) => batch.baseOffset)).toEqual([3, 4])
        await subject.engine.deleteTopics([topic])
        await subject.create(topic)
      })
      await withEngine(place(), async (subject) => {
        expect(await subject.offset(topic, 'earliest')).toBe(0)
      })
    })

    it('gives no producer id a second time, and knows a batch that comes again', async () => {
      const place = newPlace()
      const [topic, producer] = await withEngine(place(), async (subject) => {
        const name = await subject.topic()
        const first = await subject.engine.initProducerId()
        await subject.produce(name, batchOf([{}, {}], { ...first, baseSequence: 0 }))
        return [name, first] as const
      })
      await withEngine(place(), async (subject) => {
        expect((await subject.engine.initProducerId()).producerId).toBeGreaterThan(producer.producerId)
        const again = await subject.produce(topic, batchOf([{}, {}], { ...producer, baseSequence: 0 }))
        expect(again.baseOffset).toBe(0)
        await expect(subject.produce(topic, batchOf([{}], { ...producer, baseSequence: 5 }))).rejects.toMatchObject({
          kafkaCode: 45,
        })
        expect((await subject.produce(topic, batchOf([{}], { ...producer, baseSequence: 2 }))).baseOffset).toBe(2)
      })
    })

    it('leaves alone what it does not know, until a topic of that name is created', async () => {
      const place = newPlace()
      await withStorage(place(), async (storage) => {
        for (const partition of [0, 7]) {
          const stray = await storage.openPartition({ topic: 'orders', partition })
          await stray.append([makeBatch({}, 0)])
          await stray.close()
        }
      })
      await withEngine(place(), async ({ engine }) => {
        expect((await engine.metadata({ topics: null })).topics).toEqual([])
      })
      expect(await kept(place())).toEqual(['orders-0', 'orders-7'])
      await withEngine(place(), async (subject) => {
        await subject.create('orders', 2)
        await subject.checkLog('orders', [])
        await subject.engine.createPartitions([{ name: 'orders', totalCount: 9 }])
        await subject.checkLog('orders', [], 7)
      })
    })

    it('finishes a deletion that was cut short', async () => {
      const place = newPlace()
      const failing = overlay(place(), { deletePartition: () => Promise.reject(new Error('no')) })
      await withEngine(failing, async (subject) => {
        await subject.create('orders', 2)
        await subject.engine.deleteTopics(['orders'])
        expect(only((await subject.engine.metadata({ topics: ['orders'] })).topics).error?.kafkaCode).toBe(3)
      })
      await withEngine(place(), () => Promise.resolve())
      expect(await kept(place())).toEqual([])
    })

    it('finishes a creation that was cut short', async () => {
      const place = newPlace()
      await withEngine(place(), (subject) => subject.create('orders', 4))
      await withStorage(place(), (storage) => storage.deletePartition({ topic: 'orders', partition: 2 }))
      await withEngine(place(), async (subject) => {
        expect(only((await subject.engine.metadata({ topics: ['orders'] })).topics).partitionCount).toBe(4)
        await subject.checkLog('orders', [await subject.produce('orders', batchOf([{}]), 2)], 2)
      })
    })

    it('takes back a creation and a growth whose partitions cannot be opened, and makes the others', async () => {
      const place = newPlace()
      const storage = place()
      const openPartition: Storage['openPartition'] = (at, options) =>
        at.topic === 'orders' && at.partition === 2
          ? Promise.reject(new Error('no'))
          : storage.openPartition(at, options)
      await withEngine(overlay(storage, { openPartition }), async (subject) => {
        const topics = ['orders', 'returns'].map((name) => ({ name, partitionCount: 3 }))
        const outcomes = await subject.engine.createTopics({ topics })
        expect(outcomes.map(({ error }) => error?.code)).toEqual(['OTTLA_STORAGE_FAILED', undefined])
        expect(only((await subject.engine.metadata({ topics: ['orders'] })).topics).error?.kafkaCode).toBe(3)
        await subject.create('orders', 2)
        const { error } = only(await subject.engine.createPartitions([{ name: 'orders', totalCount: 4 }]))
        expect(error?.code).toBe('OTTLA_STORAGE_FAILED')
        expect(only((await subject.engine.metadata({ topics: ['orders'] })).topics).partitionCount).toBe(2)
      })
      expect(await kept(place())).toEqual(['orders-0', 'orders-1', 'returns-0', 'returns-1', 'returns-2'])
      await withEngine(place(), async (subject) => {
        await subject.engine.createPartitions([{ name: 'orders', totalCount: 4 }])
        await subject.checkLog('orders', [await subject.produce('orders', batchOf([{}]), 3)], 3)
      })
    })

    it('keeps the highest of the log starts that were asked for at once', async () => {
      const place = newPlace()
      const topic = await withEngine(place(), async (subject) => {
        const name = await subject.topic()
        await subject.produceMany(name, 6)
        const deleteBefore = (beforeOffset: number): Promise<unknown> =>
          subject.engine.deleteRecords([{ topic: name, partition: 0, beforeOffset }])
        await Promise.all([2, 5, 3].map(deleteBefore))
        return name
      })
      await withEngine(place(), async (subject) => expect(await subject.offset(topic, 'earliest')).toBe(5))
    })

    it('keeps what is appended after a crash that took back records which others were deleted up to', async () => {
      const place = newPlace()
      const topic = await withEngine(place(), async (subject) => {
        const name = await subject.topic()
        await subject.produceMany(name, 6)
        await subject.deleteRecords(name, 5)
        return name
      })
      await withStorage(place(), async (storage) => {
        const partition = await storage.openPartition({ topic, partition: 0 })
        await partition.truncate(2)
        await partition.close()
      })
      await withEngine(place(), async (subject) => {
        expect(await subject.offset(topic, 'earliest')).toBe(2)
        await subject.produceMany(topic, 2)
      })
      await withEngine(place(), async (subject) => {
        expect([await subject.offset(topic, 'earliest'), await subject.latest(topic)]).toEqual([2, 4])
      })
    })

    it('removes the offsets of a topic where the process ended before its deletion did so', async () => {
      const place = newPlace()
      let isDown = false
      const failing = overlayPartitions(place(), (at, partition) => ({
        append: (batches) => {
          if (isDown && at.topic === '__consumer_offsets') throw new Error('down')
          return partition.append(batches)
        },
      }))
      const [topic, group] = await withEngine(failing, async (subject) => {
        const [name, committing] = [await subject.topic(), new GroupUnderTest(subject.engine)]
        await committing.commit(NOBODY, name, 9)
        isDown = true
        await subject.engine.deleteTopics([name])
        await expect(subject.create(name)).rejects.toMatchObject({ code: 'OTTLA_STORAGE_FAILED' })
        return [name, committing.groupId]
      })
      isDown = false
      for (let restart = 0; restart < 2; restart++) {
        await withEngine(place(), async ({ engine }) => {
          expect(await engine.fetchOffsets({ groupId: group, partitions: null })).toEqual([])
          expect(await engine.listGroups()).toEqual([])
          await new EngineUnderTest(engine).create(topic)
        })
      }
    })
  })
}

describe('retention', () => {
  const configs = { 'segment.bytes': String(MEBIBYTE), 'max.message.bytes': String(MEBIBYTE) }
  const large = (): ReturnType<typeof batchOf> => batchOf([{ value: new Uint8Array(700_000) }])

  it('drops whole segments when it is asked to, also the active one, as Kafka does', async () => {
    const engine = await openEngine()
    const subject = new EngineUnderTest(engine)
    const topic = await subject.topic(1, { ...configs, 'retention.bytes': '1600000' })
    for (let batch = 0; batch < 5; batch++) await subject.produce(topic, large())
    expect(await engine.applyRetention(topic)).toBe(2)
    expect(await subject.offset(topic, 'earliest')).toBe(2)
    await engine.alterConfigs([{ type: 'topic', name: topic, configs: { 'retention.bytes': '0' } }])
    expect(await engine.applyRetention(topic)).toBe(3)
    expect([await subject.offset(topic, 'earliest'), await subject.latest(topic)]).toEqual([5, 5])
    expect((await subject.produce(topic, large())).baseOffset).toBe(5)
    await expect(engine.applyRetention('no-such-topic')).rejects.toMatchObject({ kafkaCode: 3 })
    await engine.close()
  })

  it('drops by age, every log.retention.check.interval.ms', async () => {
    const clock = new ManualClock()
    const engine = await openEngine(new MemoryStorage(), { logRetentionCheckIntervalMs: 60_000 }, clock)
    const subject = new EngineUnderTest(engine)
    // The records are a quarter of an hour old.
    const topic = await subject.topic(1, { ...configs, 'retention.ms': String(20 * 60_000) })
    const forever = await subject.topic(1, configs)
    for (let batch = 0; batch < 3; batch++) {
      for (const name of [topic, forever]) await subject.produce(name, large())
    }
    await clock.advance(4 * 60_000)
    expect(await subject.offset(topic, 'earliest')).toBe(0)
    await clock.advance(2 * 60_000)
    expect(await subject.offset(topic, 'earliest')).toBe(3)
    expect(await subject.offset(forever, 'earliest')).toBe(0)
    await engine.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('that fails is told, and the other topics go on', async () => {
    const clock = new ManualClock()
    const errors: string[] = []
    const storage = overlayPartitions(new MemoryStorage(), ({ topic }) =>
      topic === 'a' ? { drop: () => Promise.reject(new Error('no drop')) } : {},
    )
    const engine = await EmbeddedEngine.open({
      storage,
      clock,
      settings: brokerSettings({ logRetentionCheckIntervalMs: 60_000 }, storage),
      onError: ({ code, message }) => errors.push(`${code}: ${message}`),
    })
    const subject = new EngineUnderTest(engine)
    for (const name of ['a', 'b']) {
      await subject.create(name, 1, { ...configs, 'retention.bytes': '0' })
      for (let batch = 0; batch < 2; batch++) await subject.produce(name, large())
    }
    await clock.advance(60_000)
    expect(errors).toEqual(['OTTLA_STORAGE_FAILED: The storage failed: no drop'])
    expect([await subject.offset('a', 'earliest'), await subject.offset('b', 'earliest')]).toEqual([0, 2])
    await engine.close()
  })
})

describe('its own records', () => {
  it('take no batches of others', async () => {
    const storage = new MemoryStorage()
    await withEngine(storage, async (subject) => {
      await new GroupUnderTest(subject.engine).commit(NOBODY, await subject.topic(), 1)
      for (const name of ['__cluster_metadata', '__consumer_offsets', '__transaction_state']) {
        await expect(subject.produce(name)).rejects.toMatchObject({ code: 'OTTLA_INVALID_TOPIC' })
      }
    })
    await withEngine(storage, async ({ engine }) => {
      expect((await engine.metadata({ topics: null })).topics).toHaveLength(2)
    })
  })

  it('about topics and producer ids are synced before they are answered, whatever the durability', async () => {
    let unsynced = 0
    const storage = overlayPartitions(new MemoryStorage(), ({ topic }, partition) => ({
      append: (batches) => {
        if (topic === '__cluster_metadata') unsynced++
        return partition.append(batches)
      },
      sync: () => {
        if (topic === '__cluster_metadata') unsynced = 0
      },
    }))
    await withEngine(storage, async (subject) => {
      for (const change of [() => subject.topic(), () => subject.engine.initProducerId()]) {
        await change()
        expect(unsynced).toBe(0)
      }
    })
  })

  it('about a topic are all taken back when it is deleted', async () => {
    const engine = await openEngine()
    const subject = new EngineUnderTest(engine)
    const topic = await subject.topic()
    await subject.produceMany(topic, 2)
    await subject.deleteRecords(topic, 1)
    await engine.deleteTopics([topic])
    const newest = new Map<string, unknown>()
    for (const batch of (await subject.fetch('__cluster_metadata', 0)).batches) {
      const cursor = batch.records()
      while (cursor.next()) newest.set(new TextDecoder().decode(cursor.key ?? undefined), cursor.value)
    }
    const ofTopic = [...newest].filter(([key]) => key.includes(topic))
    expect(ofTopic.sort()).toEqual([
      [`log-start/${topic}/0`, null],
      [`topic/${topic}`, null],
    ])
    await engine.close()
  })

  it('are not limited by message.max.bytes', async () => {
    const engine = await openEngine(new MemoryStorage(), { messageMaxBytes: 200 })
    const subject = new EngineUnderTest(engine)
    const topic = await subject.topic()
    const offsets = [{ topic, partition: 0, offset: 1, metadata: 'x'.repeat(1000) }]
    const { error } = only(await new GroupUnderTest(engine).commitAll(NOBODY, offsets))
    expect(error).toBeNull()
    await engine.close()
  })
})

describe('deleting topics', () => {
  it('removes them although their logs cannot be closed', async () => {
    const storage = new MemoryStorage()
    const fail = (): Promise<never> => Promise.reject(new Error('disk'))
    const failing = overlayPartitions(storage, ({ topic }) =>
      topic.startsWith('__') ? {} : { saveSnapshot: fail, close: fail },
    )
    await withEngine(failing, async (subject) => {
      const topic = await subject.topic(2)
      await subject.produce(topic)
      expect(only(await subject.engine.deleteTopics([topic])).error).toBeNull()
    })
    expect(await kept(storage)).toEqual([])
  })
})

describe('creating topics', () => {
  it('takes a thousand at once, and looks at each name once', async () => {
    const engine = await openEngine()
    const many = (prefix: string, count: number): { name: string; partitionCount: number }[] =>
      Array.from({ length: count }, (_, index) => ({ name: `${prefix}.${index}`, partitionCount: 1 }))
    const outcomes = await engine.createTopics({ topics: many('a', 1000) })
    expect(outcomes.filter(({ error }) => error !== null)).toEqual([])
    expect((await engine.metadata({ topics: null })).topics).toHaveLength(1000)
    // Compared with each other, and with the thousand, these names would take minutes.
    const validated = await engine.createTopics({ topics: many('b', 50_000), validateOnly: true })
    expect(validated.every(({ error }) => error === null)).toBe(true)
    await engine.close()
  })

  it('refuses more than 10,000 partitions, and numbers that are not whole', async () => {
    const subject = new EngineUnderTest(await openEngine())
    for (const count of [10_001, 1.5, Number.NaN]) {
      expect((await subject.create(subject.newName(), count)).error?.code).toBe('OTTLA_INVALID_PARTITIONS')
    }
    await subject.engine.close()
  })

  it('keeps its own topics to itself', async () => {
    const engine = await openEngine()
    const own = ['__cluster_metadata', '__consumer_offsets', '__transaction_state']
    const topics = own.map((name) => ({ name, partitionCount: 1 }))
    const outcomes = [...(await engine.createTopics({ topics })), ...(await engine.deleteTopics(own))]
    for (const { error } of outcomes) expect(error?.code).toBe('OTTLA_INVALID_TOPIC')
    await engine.close()
  })
})

describe('configs of the broker', () => {
  it('cannot be altered while it is open', async () => {
    const engine = await openEngine()
    const configs = { 'num.partitions': '3' }
    const { error } = only(await engine.alterConfigs([{ type: 'broker', name: '', configs }]))
    expect(error?.code).toBe('OTTLA_INVALID_CONFIG')
    await engine.close()
  })

  it('hold for topics without configs of their own', async () => {
    const engine = await openEngine(new MemoryStorage(), { numPartitions: 4, messageMaxBytes: 2000 })
    const subject = new EngineUnderTest(engine)
    const topic = only(await engine.createTopics({ topics: [{ name: 'orders', partitionCount: -1 }] }))
    expect(topic.partitionCount).toBe(4)
    const large = batchOf([{ value: new Uint8Array(3000) }])
    await expect(subject.produce('orders', large)).rejects.toMatchObject({ code: 'OTTLA_MESSAGE_TOO_LARGE' })
    await engine.close()
  })
})

describe('a fetch from a storage that takes its time', () => {
  it('does not sleep through what is appended while it reads', async () => {
    const storage = new MemoryStorage()
    let duringRead: (() => Promise<unknown>) | undefined
    const slow = overlay(storage, {
      openPartition: async (at, options) => {
        const partition = await storage.openPartition(at, options)
        const read: PartitionStorage['read'] = async (offset, maxBytes, endOffset) => {
          const batches = await partition.read(offset, maxBytes, endOffset)
          await duringRead?.()
          return batches
        }
        return new Proxy(partition, {
          get: (_, name) => {
            const member: unknown = name === 'read' ? read : Reflect.get(partition, name, partition)
            return typeof member === 'function' ? member.bind(partition) : member
          },
        })
      },
    })
    const subject = new EngineUnderTest(await openEngine(slow))
    const topic = await subject.topic()
    const first = await subject.produce(topic)
    duringRead = () => {
      duringRead = undefined
      return subject.produce(topic)
    }
    const minBytes = first.bytes.length + 1
    const fetched = await subject.fetch(topic, 0, { minBytes, maxWaitMs: Number.POSITIVE_INFINITY })
    expect(fetched.batches.map((batch) => batch.baseOffset)).toEqual([0, 1])
    await subject.engine.close()
  })
})

describe('close', () => {
  it('refuses every verb afterwards with OTTLA_CLOSED', async () => {
    const engine = await openEngine()
    const subject = new EngineUnderTest(engine)
    const topic = await subject.topic()
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    await engine.close()
    await engine.close()
    const verbs: (() => Promise<unknown>)[] = [
      () => engine.metadata({ topics: null }),
      () => subject.create(subject.newName()),
      () => engine.describeConfigs([{ type: 'topic', name: topic }]),
      () => engine.deleteRecords([{ topic, partition: 0, beforeOffset: 0 }]),
      () => engine.initProducerId(),
      () => subject.produce(topic),
      () => subject.fetch(topic, 0),
      () => engine.listOffsets([{ topic, partition: 0, at: 'latest' }]),
      () => group.join(),
      () => group.sync(member),
      () => group.heartbeat(member),
      () => group.leave(member),
      () => group.commit(member, topic, 1),
      () => group.committed(topic),
      () => engine.listGroups(),
      () => group.describe(),
      () => engine.deleteGroups([group.groupId]),
      () => engine.applyRetention(topic),
    ]
    for (const verb of verbs) await expect(verb(), String(verb)).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    const outcomes = [
      ...(await engine.createPartitions([{ name: topic, totalCount: 2 }])),
      ...(await engine.deleteTopics([topic])),
      ...(await engine.alterConfigs([{ type: 'topic', name: topic, configs: {} }])),
    ]
    for (const { error } of outcomes) expect(error?.code).toBe('OTTLA_CLOSED')
  })

  it('lets what was produced be appended first', async () => {
    const storage = new MemoryStorage()
    const topic = await withEngine(storage, async (subject) => {
      const name = await subject.topic()
      void subject.produce(name)
      return name
    })
    await withEngine(storage, async (subject) => expect(await subject.latest(topic)).toBe(1))
  })

  it('lets go of the storage when the engine cannot be opened', async () => {
    const storage = new MemoryStorage()
    const failing = overlay(storage, { openPartition: () => Promise.reject(new Error('cannot be read')) })
    await expect(openEngine(failing)).rejects.toThrow('cannot be read')
    await withEngine(storage, async ({ engine }) =>
      expect((await engine.metadata({ topics: null })).topics).toEqual([]),
    )
  })
})
