import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type CommitDiagnostics, FileStorage, MemoryStorage, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { deferred, openBroker, range, send } from './consuming.js'
import { HeldStorage } from './held-storage.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 2 })
const temporaryDirectory = temporaryDirectories()

describe('the metrics of a broker', () => {
  it.each(['memory', 'file'])('tell what each partition holds: %s', async (kind) => {
    const storage = kind === 'memory' ? new MemoryStorage() : new FileStorage(temporaryDirectory())
    const broker = await openBroker({ storage }, numbers)
    const empty = (await broker.metrics()).topics.numbers
    expect(empty).toEqual([0, 1].map(() => ({ logStartOffset: 0, logEndOffset: 0, sizeInBytes: 0 })))
    await send(broker, numbers, range(1, 10), 1)
    await broker.deleteRecords([{ topic: 'numbers', partition: 1, beforeOffset: 4 }])
    const { topics, producers } = await broker.metrics()
    expect(topics.numbers?.[1]).toMatchObject({ logStartOffset: 4, logEndOffset: 10 })
    expect(topics.numbers?.[1]?.sizeInBytes).toBeGreaterThan(10 * 8)
    expect(topics.numbers?.[0]?.sizeInBytes).toBe(0)
    expect(producers).toMatchObject({ open: 1, pendingMessages: 0 })
  })

  it('tell what is being sent', async () => {
    const broker = await openBroker({}, numbers)
    const producer = broker.producer({ lingerMs: 60_000 })
    const sent = [1, 2, 3].map((value) => producer.send(numbers, { value }))
    expect((await broker.metrics()).producers).toMatchObject({ open: 1, pendingMessages: 3 })
    await producer.flush()
    await Promise.all(sent)
    await producer.close()
    expect((await broker.metrics()).producers).toMatchObject({ open: 0, pendingMessages: 0 })
  })

  it('tell what producers have sent, those that are closed too, and how long it took', async () => {
    const broker = await openBroker({}, numbers)
    const producer = broker.producer({ batchBytes: 1 })
    await producer.send(
      numbers,
      range(1, 20).map((value) => ({ value, partition: 0 })),
    )
    await broker.deleteTopic(numbers)
    await producer.send(numbers, { value: 1, partition: 0 }).catch(() => undefined)
    await broker.topic(numbers)
    await producer.close()
    const { producers } = await broker.metrics()
    expect(producers).toMatchObject({ open: 0, messages: 20, batches: 20, retries: 0 })
    expect(producers.bytes).toBeGreaterThan(20 * 61)
    expect(producers.latency.count).toBe(3)
    expect(producers.latency.buckets.at(-1)).toEqual({ upToMs: Number.POSITIVE_INFINITY, count: 3 })
  })

  it('tell how often a batch was sent again, and what was refused in the end', async () => {
    const storage = new HeldStorage()
    const broker = await openBroker({ storage }, numbers)
    const producer = broker.producer({ retries: 2, retryBackoffMs: 0 })
    storage.failure = new Error('not now')
    await expect(
      producer.send(
        numbers,
        [1, 2].map((value) => ({ value, partition: 0 })),
      ),
    ).rejects.toThrow('not now')
    expect((await broker.metrics()).producers).toMatchObject({ messages: 0, failedMessages: 2, retries: 2 })
  })

  it('tell how a group stands, and what its members did, those that are gone too', async () => {
    const broker = await openBroker({}, numbers)
    await send(broker, numbers, range(1, 10), 0)
    const [started, release] = [deferred(), deferred()]
    const first = broker.consumerGroup('g', { topics: [numbers] })
    await first.run(async ({ value }) => {
      if (value !== 8) return
      started.resolve()
      await release.promise
    })
    await started.promise
    const during = (await broker.metrics()).groups.g
    expect(during).toMatchObject({ state: 'Stable', members: 1, partitions: 2, busyPartitions: 1, stalls: 0 })
    expect(during?.offsets.map(({ partition }) => partition)).toEqual([0, 1])
    release.resolve()
    await broker.idle()
    await first.close()
    const after = (await broker.metrics()).groups.g
    expect(after).toMatchObject({ state: 'Empty', members: 0, partitions: 0, busyPartitions: 0, lag: 0 })
    expect(after?.commits.count).toBeGreaterThan(0)
    expect(after?.commits.buckets.at(-1)).toEqual({ upToMs: Number.POSITIVE_INFINITY, count: after?.commits.count })
    expect(after?.rebalances.count).toBe(1)
    expect(after?.commitFailures).toBe(0)
  })

  it('are plain data, of that moment', async () => {
    const broker = await openBroker({}, numbers)
    const before = await broker.metrics()
    const copy = structuredClone(before)
    await send(broker, numbers, [1])
    expect(before).toEqual(copy)
    expect(await broker.metrics()).not.toEqual(copy)
  })

  it('count how long commits take in buckets that rise, on the broker’s clock', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers] })
    await member.run(() => {})
    for (const value of [1, 2, 3]) {
      await send(broker, numbers, [value])
      await broker.idle()
    }
    const commits = (await broker.metrics()).groups.g?.commits
    expect(commits).toMatchObject({ count: 3, sumMs: 0 })
    expect(commits?.buckets.map(({ count }) => count)).toEqual(commits?.buckets.map(() => 3))
  })

  it('count what failed, and what became of it', async () => {
    const broker = await openBroker({}, numbers)
    await send(broker, numbers, [1, 2], 0)
    for (const end of [{ deadLetter: 'dead' }, { onExhausted: 'skip' }] as const) {
      const member = broker.consumerGroup(Object.keys(end).join(), { topics: [numbers] })
      await member.run(
        () => {
          throw new Error('no')
        },
        { retry: { attempts: 3, backoff: () => 0 }, ...end },
      )
    }
    await broker.idle()
    const { deadLetter, onExhausted } = (await broker.metrics()).groups
    expect(deadLetter).toMatchObject({ retries: 4, deadLetters: 2, skipped: 0 })
    expect(onExhausted).toMatchObject({ retries: 4, deadLetters: 0, skipped: 2 })
  })

  it('count stalls', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, numbers)
    const [started, release] = [deferred(), deferred()]
    const member = broker.consumerGroup('g', { topics: [numbers], maxPollIntervalMs: 1_000 })
    await member.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, numbers, [1])
    await started.promise
    await clock.advance(1_200)
    expect((await broker.metrics()).groups.g?.stalls).toBe(1)
    release.resolve()
    await broker.idle()
    expect((await broker.metrics()).groups.g?.rebalances.count).toBe(2)
  })
})

describe('the diagnostics channel ottla:commit', () => {
  it('tells of each commit, and why one was refused', async () => {
    const broker = await openBroker({}, numbers)
    const told: CommitDiagnostics[] = []
    const hear = (message: unknown): void => void told.push(message as CommitDiagnostics)
    subscribe('ottla:commit', hear)
    onTestFinished(() => void unsubscribe('ottla:commit', hear))
    const member = broker.consumerGroup('g', { topics: [numbers], commit: 'manual' })
    await member.run((message) => member.commit(message))
    await send(broker, numbers, [1], 1)
    await broker.idle()
    expect(told).toEqual([
      {
        group: 'g',
        offsets: [{ topic: 'numbers', partition: 1, offset: 1 }],
        durationMs: expect.any(Number),
        error: undefined,
      },
    ])
    await broker.deleteTopic(numbers)
    await member.commitOffsets([{ topic: 'numbers', partition: 1, offset: 1 }]).catch(() => undefined)
    for (const { error } of told.slice(1)) expect(error).toMatchObject({ code: expect.stringContaining('OTTLA_') })
  })
})
