import { describe, expect, it } from 'vitest'
import { TopicDirectory } from '../../src/client/topic-directory.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import { systemClock } from '../../src/time/clock.js'

describe('what a directory of topics knows', () => {
  it('is never older than the change for which it was told to forget', async () => {
    const engine = await EmbeddedEngine.open({
      storage: new MemoryStorage(),
      clock: systemClock,
      settings: brokerSettings(),
    })
    await engine.createTopics({ topics: [{ name: 'orders', partitionCount: 1 }] })
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

  it('is looked up again after any change, and is the same object where it is as it was', async () => {
    const engine = await EmbeddedEngine.open({
      storage: new MemoryStorage(),
      clock: systemClock,
      settings: brokerSettings(),
    })
    await engine.createTopics({ topics: ['orders', 'payments'].map((name) => ({ name, partitionCount: 1 })) })
    const directory = new TopicDirectory(engine)
    const [orders, payments] = await Promise.all([directory.lookUp('orders'), directory.lookUp('payments')])
    expect(directory.get('orders')).toBe(orders)
    await engine.createPartitions([{ name: 'orders', totalCount: 4 }])
    await new Promise((resolve) => setImmediate(resolve))
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
