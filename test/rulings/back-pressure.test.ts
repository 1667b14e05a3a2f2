import { bytes, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import type { Engine, FetchRequest, FetchResult } from '../../src/engine/engine.js'
import { deferred, openBroker, openClient, range, Seen, send, words } from '../client/consuming.js'
import { flatMemory } from './flat-memory.js'

const blobs = new Topic('blobs', { value: bytes() })

async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('back-pressure on a consumer', () => {
  it.each(['partition', 'key', 'none', 'batches'] as const)(
    'fetches ahead by bytes, and stops while the handler is slow, by %s',
    async (way) => {
      const { client, engine } = await openClient()
      await client.topic(blobs)
      let fetchedBytes = 0
      const fetch = engine.fetch.bind(engine)
      Object.defineProperty(engine, 'fetch', {
        value: async (request: FetchRequest, options?: Parameters<Engine['fetch']>[1]): Promise<FetchResult[]> => {
          const results = await fetch(request, options)
          for (const { batches } of results) for (const { sizeInBytes } of batches) fetchedBytes += sizeInBytes
          return results
        },
      })
      const value = new Uint8Array(50_000)
      const producer = client.producer()
      for (const _ of range(1, 20)) {
        await producer.send(
          blobs,
          range(1, 10).map((number) => ({ value, key: `${number}` })),
        )
      }
      const [started, release] = [deferred(), deferred()]
      let handled = 0
      const handle = async (count: number): Promise<void> => {
        started.resolve()
        await release.promise
        handled += count
      }
      const member = client.consumerGroup('slow', { topics: [blobs] })
      if (way === 'batches') await member.runBatches(({ messages }) => handle(messages.length), { maxMessages: 10 })
      else await member.run(() => handle(1), { ordering: way, concurrency: 2 })
      await started.promise
      await turns()
      // Ten megabytes are there. Two fetches of a mebibyte each are under way at most.
      expect(fetchedBytes).toBeLessThan(2.5 * 2 ** 20)
      release.resolve()
      while (handled < 200) await turns(1)
      expect(fetchedBytes).toBeGreaterThan(200 * 50_000)
    },
  )

  it('of one partition delays no other', async () => {
    const topic = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({}, topic)
    const release = deferred()
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [topic] }).run(async (message) => {
      if (message.partition === 0) await release.promise
      seen.add(message)
    })
    await send(broker, topic, range(1, 100), 0)
    await send(broker, topic, range(1, 100), 1)
    await seen.count(100)
    expect(seen.values).toEqual(range(1, 100))
    release.resolve()
    await broker.idle()
    expect(seen.values).toHaveLength(200)
  })

  it('of a paused partition holds that one back, until it is resumed', async () => {
    const topic = new Topic<number>('numbers', { partitions: 2 })
    const broker = await openBroker({}, topic)
    const member = broker.consumerGroup('g', { topics: [topic] })
    const seen = new Seen()
    await member.run(seen.add)
    member.pause([{ topic: 'numbers', partition: 0 }])
    await send(broker, topic, [1, 2], 0)
    await send(broker, topic, [3, 4], 1)
    await broker.idle()
    expect(seen.values).toEqual([3, 4])
    member.resume([{ topic: 'numbers', partition: 0 }])
    await broker.idle()
    expect(seen.values).toEqual([3, 4, 1, 2])
  })

  it('of one group delays no other', async () => {
    const broker = await openBroker({}, words)
    const release = deferred()
    await broker.consumerGroup('slow', { topics: [words] }).run(() => release.promise)
    const seen = new Seen()
    await broker.consumerGroup('fast', { topics: [words] }).run(seen.add)
    await send(broker, words, range(1, 1000))
    await seen.count(1000)
    release.resolve()
  })
})

describe('memory', () => {
  it('stays flat with a handler that sleeps, while a producer writes files at full speed', async () => {
    const { wroteBytes, most } = await flatMemory(48 * 2 ** 20)
    expect(wroteBytes).toBeGreaterThanOrEqual(48 * 2 ** 20)
    expect(most).toBeLessThan(24 * 2 ** 20)
  })
})
