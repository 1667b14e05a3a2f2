import { describe, expect, it } from 'vitest'
import { TopicDirectory } from '../../src/client/topic-directory.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import type { Engine } from '../../src/engine/engine.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import { systemClock } from '../../src/time/clock.js'

async function openedEngine(...topics: string[]): Promise<Engine> {
  const engine = await EmbeddedEngine.open({
    storage: new MemoryStorage(),
    clock: systemClock,
    settings: brokerSettings(),
  })
  await engine.createTopics({ topics: topics.map((name) => ({ name, partitionCount: 1 })) })
  return engine
}

/** The same engine, which answers some of its verbs otherwise. */
function changedEngine(engine: Engine, verbs: Partial<Engine>): Engine {
  return new Proxy(engine, {
    get(target, name) {
      const verb = Reflect.get(verbs, name) ?? Reflect.get(target, name)
      return typeof verb === 'function' ? verb.bind(target) : verb
    },
  })
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('what a directory of topics knows', () => {
  it('is never older than the change for which it was told to forget', async () => {
    const engine = await openedEngine('orders')
    const directory = new TopicDirectory(engine)
    // Asked before the change, answered after it.
    const early = directory.lookUp('orders')
    await engine.createPartitions([{ name: 'orders', totalCount: 4 }])
    directory.forget('orders')
    const late = directory.lookUp('orders')
    await Promise.all([early, late])
    expect(directory.get('orders')?.partitionCount).toBe(4)
    const again = directory.lookUp('orders')
    directory.forget('orders')
    await again
    const slow = directory.lookUp('orders')
    directory.forget('orders')
    await slow
    expect(directory.get('orders')).toBeUndefined()
    await engine.close()
  })

  it('is looked up again after a change of the topic, and not after one of another', async () => {
    const engine = await openedEngine('orders', 'payments')
    const directory = new TopicDirectory(engine)
    const [orders, payments] = await Promise.all([directory.lookUp('orders'), directory.lookUp('payments')])
    await engine.createPartitions([{ name: 'orders', totalCount: 4 }])
    await engine.createTopics({ topics: [{ name: 'returns', partitionCount: 1 }] })
    await nextTurn()
    expect([directory.get('orders'), directory.get('payments')]).toEqual([undefined, payments])
    expect(await directory.lookUp('orders')).toMatchObject({ topicId: orders.topicId, partitionCount: 4 })
    await engine.deleteTopics(['payments'])
    await nextTurn()
    expect(directory.get('payments')).toBeUndefined()
    await expect(directory.lookUp('payments')).rejects.toMatchObject({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION' })
    await engine.close()
  })

  it('does not count where a change was heard of while it was asked for', async () => {
    const engine = await openedEngine('orders', 'payments')
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const slow = changedEngine(engine, {
      describeConfigs: async (resources) => {
        const described = await engine.describeConfigs(resources)
        if (resources[0]?.name === 'orders') await answered
        return described
      },
    })
    const directory = new TopicDirectory(slow)
    await directory.lookUp('payments')
    const asked = directory.lookUp('orders')
    await engine.createPartitions([{ name: 'orders', totalCount: 4 }])
    await nextTurn()
    answer()
    await asked
    expect(directory.get('orders')).toBeUndefined()
    expect(await directory.lookUp('orders')).toMatchObject({ partitionCount: 4 })
    await engine.close()
  })

  it('is looked up again after any change where the engine cannot tell which, and is the same object where it is as it was', async () => {
    const engine = await openedEngine('orders', 'payments')
    const directory = new TopicDirectory(
      changedEngine(engine, {
        metadata: async (request, options) => {
          const { clusterId, version, topics } = await engine.metadata(request, options)
          return { clusterId, version, topics }
        },
      }),
    )
    const [orders, payments] = await Promise.all([directory.lookUp('orders'), directory.lookUp('payments')])
    expect(directory.get('orders')).toBe(orders)
    await engine.createPartitions([{ name: 'orders', totalCount: 4 }])
    await nextTurn()
    expect([directory.get('orders'), directory.get('payments')]).toEqual([undefined, undefined])
    expect(await directory.lookUp('payments')).toBe(payments)
    expect(await directory.lookUp('orders')).toMatchObject({ partitionCount: 4 })
    expect(directory.get('payments')).toBe(payments)
    await engine.close()
  })

  it('is asked for once by many', async () => {
    const engine = await EmbeddedEngine.open({
      storage: new MemoryStorage(),
      clock: systemClock,
      settings: brokerSettings(),
    })
    await engine.createTopics({ topics: [{ name: 'orders', partitionCount: 2 }] })
    const directory = new TopicDirectory(engine)
    expect(directory.lookUp('orders')).toBe(directory.lookUp('orders'))
    await expect(directory.lookUp('payments')).rejects.toMatchObject({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION' })
    expect(await directory.lookUp('orders')).toMatchObject({ partitionCount: 2, maxMessageBytes: 1_048_588 })
    await engine.close()
  })
})
