import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nodeTest from 'node:test'
import { afterAll, describe, expect, it, test } from 'vitest'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import type { Engine, FetchResult } from '../../src/engine/engine.js'
import { OttlaError } from '../../src/errors.js'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { FileStorage } from '../../src/storage/file/file-storage.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { Storage } from '../../src/storage/storage.js'
import { engineSuite } from '../../src/testing/engine-suite.js'
import type { SuiteTest } from '../../src/testing/storage-suite.js'
import { systemClock } from '../../src/time/clock.js'

function openEngine(storage: Storage = new MemoryStorage()): Promise<EmbeddedEngine> {
  return EmbeddedEngine.open({ storage, clock: systemClock, settings: brokerSettings({}, storage) })
}

/** An embedded engine with some verbs put in the place of the right ones. */
async function broken(breakEngine: (engine: Engine) => Partial<Engine>): Promise<Engine> {
  const engine = await openEngine()
  return overlay<Engine>(engine, breakEngine(engine))
}

function overlay<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const owner = name in over ? over : target
      const member: unknown = Reflect.get(owner, name, owner)
      return typeof member === 'function' ? member.bind(owner) : member
    },
  })
}

/** Runs one test of the suite. Resolves with the sentence that it fails with, or undefined. */
async function failureOf(name: string, factory: () => Promise<Engine>): Promise<string | undefined> {
  const tests = new Map<string, () => Promise<void>>()
  engineSuite({ test: (each, body) => tests.set(each, body), factory })
  const body = tests.get(name)
  if (body === undefined) throw new Error(`The engine suite has no test "${name}".`)
  try {
    await body()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const withoutErrors = (results: readonly FetchResult[]): FetchResult[] =>
  results.map((result) => ({ ...result, error: null }))

/** Answers as the verb did or, where it was refused with that code, with `otherwise`. */
const unlessRefused = async <T>(code: string, answer: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await answer
  } catch (error) {
    if (OttlaError.is(error) && error.code === code) return otherwise
    throw error
  }
}

/** Each fault, the test that must see it, and the verbs that have it. */
const faults: Record<string, readonly [caughtBy: string, breakEngine: (engine: Engine) => Partial<Engine>]> = {
  // The suite is patient with these three for seconds: first, so that they are so side by side.
  'does not wake a fetch that waits': [
    'a fetch that waits is woken by a produce',
    (engine) => ({
      fetch: async (request, options) => {
        await new Promise<void>((resolve) => {
          systemClock.schedule(resolve, request.maxWaitMs)
        })
        return engine.fetch({ ...request, maxWaitMs: 0 }, options)
      },
    }),
  ],

  'ignores an abort': [
    'an abort ends the wait of a fetch',
    (engine) => ({ fetch: (request) => engine.fetch(request) }),
  ],

  'does not tell of a rebalance': [
    'a rebalance is heard of by the next heartbeat',
    (engine) => ({
      heartbeat: (request, options) =>
        unlessRefused('OTTLA_REBALANCE_IN_PROGRESS', engine.heartbeat(request, options), undefined),
    }),
  ],

  'gives offsets that are one too high': [
    'offsets are dense and begin at 0',
    (engine) => ({
      produce: async (request) => {
        const result = await engine.produce(request)
        return { ...result, baseOffset: result.baseOffset + 1 }
      },
    }),
  ],

  'loses a produce now and then': [
    'batches for one partition are appended in the order of the calls',
    (engine) => {
      let calls = 0
      let last = { baseOffset: 0, logAppendTime: -1, logStartOffset: 0 }
      return {
        produce: async (request) => {
          if (++calls % 7 !== 0) last = await engine.produce(request)
          return last
        },
      }
    },
  ],

  'acknowledges a batch before it has copied it': [
    'the memory of a batch is the caller’s again after it was produced',
    (engine) => {
      let ends = 0
      let appended: Promise<unknown> = Promise.resolve()
      return {
        produce: async (request) => {
          const baseOffset = ends
          ends += request.batch.recordCount
          appended = systemClock.nextTurn().then(() => engine.produce(request))
          return { baseOffset, logAppendTime: -1, logStartOffset: 0 }
        },
        listOffsets: async (at) => {
          await appended
          return engine.listOffsets(at)
        },
      }
    },
  ],

  'changes the bytes of a batch': [
    'a topic that exists is refused and left as it was',
    (engine) => ({
      fetch: async (request, options) => {
        const results = await engine.fetch(request, options)
        return results.map((result) => ({ ...result, batches: result.batches.map(withLastByteChanged) }))
      },
    }),
  ],

  'appends a repeated batch again': [
    'a repeated batch is answered with its first offset and not appended again',
    (engine) => ({
      produce: (request) =>
        engine.produce({ ...request, batch: overlay<RecordBatch>(request.batch, { producerId: -1 }) }),
    }),
  ],

  'lets producers write to its own topics': [
    'the topic of committed offsets takes no batches of producers',
    (engine) => ({
      produce: (request) =>
        unlessRefused('OTTLA_INVALID_TOPIC', engine.produce(request), {
          baseOffset: 0,
          logAppendTime: -1,
          logStartOffset: 0,
        }),
    }),
  ],

  'takes sequences in any order': [
    'a sequence that leaves a gap is refused, and the next one is still taken',
    (engine) => ({
      produce: (request) =>
        unlessRefused('OTTLA_OUT_OF_ORDER_SEQUENCE', engine.produce(request), {
          baseOffset: 0,
          logAppendTime: -1,
          logStartOffset: 0,
        }),
    }),
  ],

  'gives a producer id twice': [
    'producer ids are unique',
    () => {
      let next = 0
      return { initProducerId: async () => ({ producerId: Math.floor(next++ / 2), producerEpoch: 0 }) }
    },
  ],

  "answers with errors of its own, without Kafka's numbers": [
    'a batch over max.message.bytes is refused, one of just that size is taken',
    (engine) => ({
      produce: async (request) =>
        engine.produce(request).catch((cause: unknown) => {
          throw new OttlaError('OTTLA_ENCODE', 'It did not work.', { cause })
        }),
    }),
  ],

  'fetches beyond the maxBytes of a partition': [
    'a fetch gives at most maxBytes of a partition, in whole batches',
    (engine) => ({
      fetch: (request, options) =>
        engine.fetch(
          { ...request, partitions: request.partitions.map((wanted) => ({ ...wanted, maxBytes: 1 << 30 })) },
          options,
        ),
    }),
  ],

  'fetches beyond maxBytes in all': [
    'a fetch gives at most maxBytes in all',
    (engine) => ({ fetch: (request, options) => engine.fetch({ ...request, maxBytes: 1 << 30 }, options) }),
  ],

  'gives nothing where the first batch is larger than maxBytes': [
    'the first batch is given, however large it is',
    (engine) => ({
      fetch: async (request, options) => {
        const results = await engine.fetch(request, options)
        const fits = (batch: RecordBatch): boolean => batch.sizeInBytes <= request.maxBytes
        return results.map((result) => ({ ...result, batches: result.batches.filter(fits) }))
      },
    }),
  ],

  'never lets a fetch wait': [
    'a fetch that finds nothing waits for maxWaitMs and gives nothing',
    (engine) => ({ fetch: (request, options) => engine.fetch({ ...request, maxWaitMs: 0 }, options) }),
  ],

  'ignores minBytes': [
    'a fetch waits until minBytes are there',
    (engine) => ({ fetch: (request, options) => engine.fetch({ ...request, minBytes: 1 }, options) }),
  ],

  'answers an offset out of range as empty': [
    'an offset outside the log is refused, with the valid range or none',
    (engine) => ({ fetch: async (request, options) => withoutErrors(await engine.fetch(request, options)) }),
  ],

  'answers an unknown topic as empty': [
    'an unknown topic or partition is an error, and the others are answered',
    (engine) => ({ fetch: async (request, options) => withoutErrors(await engine.fetch(request, options)) }),
  ],

  'answers latest as earliest': [
    'earliest and latest are the ends of the log',
    (engine) => ({
      listOffsets: (at) => engine.listOffsets(at.map((each) => ({ ...each, at: 'earliest' }))),
    }),
  ],

  'looks up times by batch only': [
    'a time gives the first record at or after it',
    (engine) => ({
      listOffsets: async (at) => {
        const outcomes = await engine.listOffsets(at)
        return Promise.all(
          outcomes.map(async (outcome) => {
            const { topic, partition, offset } = outcome
            if (offset < 0) return outcome
            const partitions = [{ topic, partition, fetchOffset: offset, maxBytes: 1 }]
            const [found] = await engine.fetch({ partitions, maxBytes: 1, minBytes: 0, maxWaitMs: 0 })
            return { ...outcome, offset: found?.batches[0]?.baseOffset ?? offset }
          }),
        )
      },
    }),
  ],

  'stops at the first batch whose times are too early': [
    'a time finds the first record in the log, where times go backwards from batch to batch',
    (engine) => ({
      listOffsets: async (at) => {
        const ends = await engine.listOffsets(at.map((each) => ({ ...each, at: 'latest' })))
        const outcomes = await engine.listOffsets(at)
        return outcomes.map((outcome, index) =>
          outcome.offset < (ends[index]?.offset ?? 0) - 2 ? outcome : { ...outcome, offset: -1, timestamp: -1 },
        )
      },
    }),
  ],

  'says that records are deleted and keeps them': [
    'records below an offset are deleted, and the others stay',
    () => ({
      deleteRecords: async (at) =>
        at.map(({ topic, partition, beforeOffset }) => ({ topic, partition, lowWatermark: beforeOffset, error: null })),
    }),
  ],

  'gives a topic that is created again its old id': [
    'a topic that is created again is another topic, and empty',
    (engine) => {
      const firstIds = new Map<string, string>()
      return {
        metadata: async (request, options) => {
          const metadata = await engine.metadata(request, options)
          const topics = metadata.topics.map((topic) => {
            const topicId = firstIds.get(topic.name) ?? topic.topicId
            firstIds.set(topic.name, topicId)
            return { ...topic, topicId }
          })
          return { ...metadata, topics }
        },
      }
    },
  ],

  'empties a topic where it should delete it': [
    'a deleted topic is gone',
    (engine) => ({
      deleteTopics: async (names) => {
        await engine.deleteRecords(names.map((topic) => ({ topic, partition: 0, beforeOffset: -1 })))
        return names.map((name) => ({ name, topicId: '', partitionCount: 0, error: null }))
      },
    }),
  ],

  'creates a topic when it is asked about': [
    'an unknown topic is answered with an error of its own, and is not created',
    (engine) => ({
      metadata: async (request, options) => {
        const names = request.topics ?? []
        await engine.createTopics({ topics: names.map((name) => ({ name, partitionCount: 1 })) })
        return engine.metadata(request, options)
      },
    }),
  ],

  'creates what it should only check': [
    'a creation that only validates creates nothing',
    (engine) => ({ createTopics: ({ topics }) => engine.createTopics({ topics }) }),
  ],

  'takes messages without a key into compacted topics': [
    'a compacted topic takes no message without a key, and nothing of its batch',
    (engine) => ({
      produce: async (request) => {
        try {
          return await engine.produce(request)
        } catch (error) {
          if (!OttlaError.is(error) || error.code !== 'OTTLA_INVALID_RECORD') throw error
          const configs = { 'cleanup.policy': 'delete' }
          await engine.alterConfigs([{ type: 'topic', name: request.topic, configs }])
          return engine.produce(request)
        }
      },
    }),
  ],

  'deletes records of compacted topics': [
    'records of a topic that is compacted alone cannot be deleted by offset',
    (engine) => ({
      deleteRecords: async (at) => {
        const configs = { 'cleanup.policy': 'delete' }
        await engine.alterConfigs(at.map(({ topic }) => ({ type: 'topic', name: topic, configs })))
        return engine.deleteRecords(at)
      },
    }),
  ],

  'leaves a least compaction lag above the largest': [
    'the configs of compaction are taken within their ranges',
    (engine) => ({
      alterConfigs: async (changes) => {
        const outcomes = await engine.alterConfigs(changes)
        return outcomes.map((outcome) => ({ ...outcome, error: null }))
      },
    }),
  ],

  'alters the configs of a topic one by one': [
    'an invalid value or an unknown config changes nothing',
    (engine) => ({
      alterConfigs: async (changes) =>
        Promise.all(
          changes.map(async ({ type, name, configs }) => {
            let error: OttlaError | null = null
            for (const [config, value] of Object.entries(configs)) {
              const [outcome] = await engine.alterConfigs([{ type, name, configs: { [config]: value } }])
              error = outcome?.error ?? error
            }
            return { type, name, error }
          }),
        ),
    }),
  ],

  'commits without fencing': [
    'a commit of the generation before is fenced',
    (engine) => ({
      commitOffsets: (request) =>
        unlessRefused('OTTLA_ILLEGAL_GENERATION', engine.commitOffsets(request), [
          { topic: '', partition: 0, error: null },
        ]),
    }),
  ],

  'commits for a group with members whoever asks': [
    'only members commit for a group that has some',
    (engine) => ({
      commitOffsets: (request) =>
        unlessRefused('OTTLA_UNKNOWN_MEMBER_ID', engine.commitOffsets(request), [
          { topic: '', partition: 0, error: null },
        ]),
    }),
  ],

  'answers 0 where nothing was committed': [
    'a group that never committed has no offsets',
    (engine) => ({
      fetchOffsets: async (request) => {
        const offsets = await engine.fetchOffsets(request)
        return offsets.map((each) => ({ ...each, offset: Math.max(each.offset, 0) }))
      },
    }),
  ],

  'shares offsets between groups': [
    'groups do not see the offsets of others',
    (engine) => ({
      commitOffsets: (request) => engine.commitOffsets({ ...request, groupId: 'one for all' }),
      fetchOffsets: (request) => engine.fetchOffsets({ ...request, groupId: 'one for all' }),
    }),
  ],

  'tells every member that it leads': [
    'a second member begins a second generation, and the leader alone is told who is in it',
    (engine) => ({
      joinGroup: async (request, options) => {
        const joined = await engine.joinGroup(request, options)
        return { ...joined, leader: joined.memberId }
      },
    }),
  ],

  'has a static leader assign anew when it comes back': [
    'a static leader that comes back leads on, assigns nothing anew, and nobody else hears of it',
    (engine) => ({
      joinGroup: async (request, options) => ({
        ...(await engine.joinGroup(request, options)),
        skipAssignment: false,
      }),
    }),
  ],

  'lets a static member that was replaced commit': [
    'a static member that was replaced commits nothing, and cannot make its successor leave',
    (engine) => ({
      commitOffsets: (request) =>
        unlessRefused('OTTLA_FENCED_INSTANCE_ID', engine.commitOffsets(request), [
          { topic: '', partition: 0, error: null },
        ]),
    }),
  ],

  'makes whoever has the name leave': [
    'a static member that was replaced commits nothing, and cannot make its successor leave',
    (engine) => ({
      leaveGroup: ({ groupId, members }) =>
        engine.leaveGroup({
          groupId,
          members: members.map((member) => (member.instanceId === null ? member : { ...member, memberId: '' })),
        }),
    }),
  ],

  'tells a static member nothing of its successor': [
    'a heartbeat of a static member that waits hears of its successor',
    (engine) => ({
      heartbeat: (request, options) =>
        unlessRefused('OTTLA_FENCED_INSTANCE_ID', engine.heartbeat(request, options), undefined),
    }),
  ],

  'takes no notice of a name': [
    'a name that no member has is refused',
    (engine) => ({ heartbeat: (request, options) => engine.heartbeat({ ...request, instanceId: null }, options) }),
  ],

  'answers a follower before the leader has assigned': [
    'a follower waits for its assignment until the leader gives it',
    (engine) => ({
      syncGroup: async (request, options) => {
        const answer = engine.syncGroup(request, options)
        const [group] = await engine.describeGroups([request.groupId])
        if (group?.state === 'Stable') return answer
        answer.catch(() => undefined)
        return { protocolType: 'consumer', protocolName: 'range', assignment: new Uint8Array() }
      },
    }),
  ],

  'answers a fetch that waits as empty when it closes': [
    'close ends every wait with OTTLA_CLOSED',
    (engine) => ({
      fetch: async (request, options) => {
        try {
          return await engine.fetch(request, options)
        } catch (error) {
          if (request.maxWaitMs > 0) return []
          throw error
        }
      },
    }),
  ],

  'cannot be closed twice': [
    'close may be called again, and at the same time',
    (engine) => {
      let isClosed = false
      return {
        close: async () => {
          if (isClosed) throw new OttlaError('OTTLA_CLOSED', 'It is closed.')
          isClosed = true
          await engine.close()
        },
      }
    },
  ],

  'changes what it was only to check': [
    'a change that is only to be checked changes nothing',
    (engine) => ({ alterConfigs: (changes) => engine.alterConfigs(changes) }),
  ],

  'forgets all offsets of a group where some were named': [
    'committed offsets can be forgotten one by one',
    (engine) => ({
      deleteOffsets: async (request) => {
        const results = await engine.deleteOffsets(request)
        await engine.deleteGroups([request.groupId])
        return results
      },
    }),
  ],

  'forgets offsets under members that go on from them': [
    'the offsets of a topic that members subscribe to cannot be forgotten',
    (engine) => ({
      deleteOffsets: async (request) => {
        const results = await engine.deleteOffsets(request)
        return results.map((result) => ({ ...result, error: null }))
      },
    }),
  ],

  'deletes a group that has members': [
    'a group with members cannot be deleted, an empty one can',
    (engine) => ({
      deleteGroups: async (groupIds) => {
        await engine.deleteGroups(groupIds)
        return groupIds.map((groupId) => ({ groupId, error: null }))
      },
    }),
  ],
}

function withLastByteChanged(batch: RecordBatch): RecordBatch {
  const bytes = batch.bytes().slice()
  bytes[bytes.length - 1] = 1 + (bytes.at(-1) ?? 0)
  return overlay<RecordBatch>(batch, { bytes: () => bytes })
}

describe('engineSuite passes the embedded engine over memory', () => {
  engineSuite({ test, factory: () => openEngine() })
})

describe('engineSuite passes the embedded engine over files', () => {
  const root = mkdtempSync(join(tmpdir(), 'ottla-'))
  afterAll(() => rmSync(root, { recursive: true }))
  let count = 0
  engineSuite({
    test: test.concurrent,
    factory: () => openEngine(new FileStorage(join(root, String(count++)), { durability: 'os' })),
  })
})

describe('engineSuite', () => {
  it('passes one engine that all its tests share', async () => {
    const engine = await openEngine()
    const bodies: (() => Promise<void>)[] = []
    engineSuite({
      test: (_, body) => void bodies.push(body),
      factory: () => engine,
      dispose: () => undefined,
    })
    // Those that close the engine are not among them.
    for (const body of bodies) await body()
    expect((await engine.metadata({ topics: [] })).topics).toEqual([])
    await engine.close()
  })

  it('closes the engine after a test that fails', async () => {
    const closed: string[] = []
    const factory = (): Promise<Engine> =>
      broken((engine) => ({
        listGroups: () => Promise.reject(new Error('no list')),
        close: async () => {
          await engine.close()
          closed.push('closed')
        },
      }))
    expect(await failureOf('groups are listed with their states', factory)).toBe('no list')
    expect(closed).toEqual(['closed'])
  })

  for (const [fault, [caughtBy, breakEngine]] of Object.entries(faults)) {
    // A full stop ends the suite's own sentences, and not what a mistake in the fault would throw.
    it.concurrent(`fails an engine that ${fault}`, async () => {
      expect(await failureOf(caughtBy, () => broken(() => ({})))).toBeUndefined()
      expect(await failureOf(caughtBy, () => broken(breakEngine))).toMatch(/\.$/)
    })
  }

  it('leaves out what is to be skipped, with the reason, and refuses a name it does not know', () => {
    const names: string[] = []
    const skipped: string[] = []
    const collect: SuiteTest = Object.assign((name: string) => void names.push(name), {
      skip: (name: string) => void skipped.push(name),
    })
    const factory = (): Promise<Engine> => openEngine()
    engineSuite({ test: collect, factory, skip: { 'producer ids are unique': 'it has none' } })
    expect(skipped).toEqual(['producer ids are unique (it has none)'])
    expect(names).not.toContain('producer ids are unique')
    expect(() => engineSuite({ test: collect, factory, skip: { 'no such test': 'why not' } })).toThrow(
      'no test "no such test"',
    )
  })

  it('takes the test function of node:test', () => {
    const fromNode: SuiteTest = nodeTest
    expect(typeof fromNode.skip).toBe('function')
  })
})
