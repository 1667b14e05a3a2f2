import { type Codec, type Message, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { committed, deferred, drain, openBroker, range, Seen, send } from './consuming.js'
import { Gates, turns } from './gates.js'

const orders: Topic<number> = new Topic<number>('orders')

async function sendKeyed(broker: Awaited<ReturnType<typeof openBroker>>, keys: string): Promise<void> {
  await broker.producer().send(
    orders,
    [...keys].map((key, value) => ({ key, value })),
  )
}

describe("ordering 'key'", () => {
  it('handles one message of a key at a time, and other keys beside it', async () => {
    const broker = await openBroker({}, orders)
    await sendKeyed(broker, 'aabba')
    const gates = new Gates()
    await broker.consumerGroup('g', { topics: [orders] }).run(gates.handler, { ordering: 'key' })
    expect(await gates.until(2)).toEqual([0, 2])
    await turns()
    expect(gates.started).toEqual([0, 2])
    gates.open(2)
    expect(await gates.until(3)).toEqual([0, 2, 3])
    gates.open(0)
    expect(await gates.until(4)).toEqual([0, 2, 3, 1])
    gates.open(1)
    await gates.until(5)
    gates.open(3)
    gates.open(4)
    await broker.idle()
    expect(await committed(broker, 'g', 'orders')).toBe(5)
  })

  it('keeps the order of each key, with more messages than may wait behind one', async () => {
    const broker = await openBroker({}, orders)
    const producer = broker.producer()
    await producer.send(
      orders,
      range(0, 1999).map((value) => ({ key: value % 3 === 0 ? 'hot' : `k${value % 7}`, value })),
    )
    const byKey = new Map<string | null, number[]>()
    await broker.consumerGroup('g', { topics: [orders] }).run(
      async ({ key, value }) => {
        if (value % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
        byKey.set(key, [...(byKey.get(key) ?? []), value])
      },
      { ordering: 'key', concurrency: 4 },
    )
    await broker.idle()
    expect([...byKey.values()].flat()).toHaveLength(2000)
    for (const values of byKey.values()) expect(values).toEqual([...values].sort((a, b) => a - b))
  })

  it('has no order to keep among messages without a key', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, [0, 1, 2])
    const gates = new Gates()
    await broker.consumerGroup('g', { topics: [orders] }).run(gates.handler, { ordering: 'key', concurrency: 2 })
    expect(await gates.until(2)).toEqual([0, 1])
    await turns()
    expect(gates.started).toEqual([0, 1])
    gates.open(1)
    expect(await gates.until(3)).toEqual([0, 1, 2])
    gates.open(0)
    gates.open(2)
    await broker.idle()
  })

  it('does on leaving what waits behind a message, so that the next member repeats nothing', async () => {
    const broker = await openBroker({}, orders)
    await sendKeyed(broker, 'aaabc')
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    await group.run(gates.handler, { ordering: 'key' })
    await gates.until(3)
    gates.open(3)
    gates.open(4)
    const closing = group.close()
    gates.open(0)
    await gates.until(4)
    gates.open(1)
    await gates.until(5)
    gates.open(2)
    await closing
    expect(await drain(broker, 'g', [orders])).toEqual([])
  })
})

describe("ordering 'none'", () => {
  it('runs as many handlers as concurrency allows, by default 16', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, range(0, 19))
    const gates = new Gates()
    await broker.consumerGroup('g', { topics: [orders] }).run(gates.handler, { ordering: 'none' })
    await gates.until(16)
    await turns()
    expect(gates.started).toEqual(range(0, 15))
    for (const value of range(0, 15)) gates.open(value)
    await gates.until(20)
    for (const value of range(16, 19)) gates.open(value)
    await broker.idle()
  })

  it('commits the contiguous prefix of what is done', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, [0, 1, 2, 3])
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders], autoCommitIntervalMs: 1 })
    group.on('error', () => {})
    await group.run(gates.handler, { ordering: 'none' })
    await gates.until(4)
    gates.open(0)
    gates.open(2)
    gates.open(3)
    await turns()
    gates.fail(1)
    await expect(group.closed).rejects.toThrow(/offset 1: no 1/)
    expect(await committed(broker, 'g', 'orders')).toBe(1)
    expect(await drain(broker, 'g', [orders])).toEqual([1, 2, 3])
  })

  it('lets the others finish when one fails, hands out nothing more and commits what it may', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, range(0, 9))
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    group.on('error', () => {})
    await group.run(gates.handler, { ordering: 'none', concurrency: 3 })
    await gates.until(3)
    let isClosed = false
    group.closed.catch(() => {
      isClosed = true
    })
    gates.fail(2)
    await turns()
    expect([isClosed, gates.started]).toEqual([false, [0, 1, 2]])
    gates.open(1)
    gates.open(0)
    await group.closed.catch(() => {})
    expect(gates.started).toEqual([0, 1, 2])
    expect(await committed(broker, 'g', 'orders')).toBe(2)
  })

  it('goes on beside a handler that hangs for 10,000 messages, and no further', async () => {
    const broker = await openBroker({}, orders)
    const hang = deferred()
    const full = deferred()
    let others = 0
    const group = broker.consumerGroup('g', { topics: [orders] })
    const handler = ({ value }: Message<number>): Promise<void> | undefined => {
      if (value === 0) return hang.promise
      if (++others === 9_999) full.resolve()
      return undefined
    }
    await group.run(handler, { ordering: 'none' })
    await send(broker, orders, range(0, 11_999))
    await full.promise
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(others).toBe(9_999)
    hang.resolve()
    await broker.idle()
    expect(others).toBe(11_999)
    await broker.close()
  })
})

describe.each(['key', 'none'] as const)('with handlers beside each other (%s)', (ordering) => {
  it('a seek waits for them and then goes elsewhere', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, range(0, 3))
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    await group.run(gates.handler, { ordering, concurrency: 2 })
    await gates.until(2)
    await group.seek({ offset: 3 })
    gates.open(1)
    await turns()
    expect(gates.started).toEqual([0, 1])
    gates.open(0)
    expect(await gates.until(3)).toEqual([0, 1, 3])
    gates.open(3)
    await broker.idle()
    expect(await committed(broker, 'g', 'orders')).toBe(4)
  })

  it('a pause lets them end, and holds back the rest', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, range(0, 3))
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    await group.run(gates.handler, { ordering, concurrency: 2 })
    await gates.until(2)
    group.pause()
    gates.open(0)
    gates.open(1)
    await broker.idle()
    expect(gates.started).toEqual([0, 1])
    expect(await committed(broker, 'g', 'orders')).toBe(2)
    group.resume()
    await gates.until(4)
    gates.open(2)
    gates.open(3)
    await broker.idle()
  })
})

describe('what a handler throws', () => {
  it.each([
    ['an error', new Error('no'), /offset 0: no\./],
    ['a string', 'no', /offset 0: no\./],
    ['undefined', undefined, /offset 0: undefined\./],
    ['null', null, /offset 0: null\./],
    ['what has no text', Object.create(null), /offset 0: an object without a text\./],
  ])('is the cause of what stops the member: %s', async (_, thrown, message) => {
    for (const handler of [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
    ]) {
      const broker = await openBroker({}, orders)
      await send(broker, orders, [1])
      for (const ordering of ['partition', 'none'] as const) {
        const group = broker.consumerGroup(`g ${ordering}`, { topics: [orders] })
        const { closed } = group
        const outcome = closed.catch((error) => error)
        await group.run(handler, { ordering })
        expect(await outcome).toMatchObject({ code: 'OTTLA_HANDLER_FAILED', message: expect.stringMatching(message) })
        expect((await outcome).cause).toBe(thrown)
      }
    }
  })
})

describe('a handler of batches', () => {
  it.each(['all in one batch', 'each in a batch'])(
    'lets whoever hears from it pause before the next call: %s',
    async (how) => {
      const broker = await openBroker({}, orders)
      if (how === 'all in one batch') await send(broker, orders, range(1, 5))
      else for (const value of range(1, 5)) await send(broker, orders, [value])
      const group = broker.consumerGroup('g', { topics: [orders] })
      const first = deferred<void>()
      const paused = first.promise.then(() => group.pause())
      const seen: number[] = []
      await group.runBatches(
        ({ messages }) => {
          seen.push(...messages.map(({ value }) => value))
          first.resolve()
        },
        { maxMessages: 1 },
      )
      await paused
      await turns()
      expect(seen).toEqual([1])
      group.resume()
      await broker.idle()
      expect(seen).toEqual([1, 2, 3, 4, 5])
    },
  )
})

describe('a busy loop', () => {
  const busy = async (run: (broker: Awaited<ReturnType<typeof openBroker>>) => Promise<unknown>): Promise<number> => {
    const broker = await openBroker({}, orders)
    const producer = broker.producer()
    for (let batch = 0; batch < 20; batch++) {
      await producer.send(
        orders,
        range(1, 1000).map((value) => ({ value })),
      )
    }
    // Batches of one message: the time is looked at between them, too.
    for (let single = 0; single < 5000; single++) await producer.send(orders, { value: single })
    let ticks = 0
    const timer = setInterval(() => {
      ticks++
    }, 1)
    await run(broker)
    await broker.idle()
    clearInterval(timer)
    return ticks
  }

  it.each(['partition', 'key', 'none'] as const)('lets timers fire while it delivers (%s)', async (ordering) => {
    const ticks = await busy((broker) => broker.consumerGroup('g', { topics: [orders] }).run(() => {}, { ordering }))
    expect(ticks).toBeGreaterThan(1)
  })

  it('lets timers fire while it delivers batches', async () => {
    const ticks = await busy((broker) => broker.consumerGroup('g', { topics: [orders] }).runBatches(() => {}))
    expect(ticks).toBeGreaterThan(1)
  })

  it('lets timers fire while a batch gathers messages of which a fetch brings one', async () => {
    const slow: Codec<Uint8Array> = {
      name: 'slow',
      encode: (value) => value,
      decode: (encoded) => {
        const until = performance.now() + 1
        while (performance.now() < until);
        return encoded
      },
    }
    const large = new Topic('large', { value: slow })
    const broker = await openBroker({}, large)
    for (let sent = 0; sent < 30; sent++) await broker.producer().send(large, { value: Buffer.alloc(600_000) })
    let ticks = 0
    const timer = setInterval(() => {
      ticks++
    }, 1)
    const ticksAtCall = await new Promise<number>((resolve) => {
      const options = { maxMessages: 30, maxWaitMs: 60_000 }
      void broker.consumerGroup('g', { topics: [large] }).runBatches(() => resolve(ticks), options)
    })
    clearInterval(timer)
    expect(ticksAtCall).toBeGreaterThan(5)
  })

  it('lets timers fire while a handler seeks back again and again', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, [1])
    const group = broker.consumerGroup('g', { topics: [orders] })
    let hasFired = false
    let count = 0
    await group.run(() => {
      if (count++ === 0) {
        setTimeout(() => {
          hasFired = true
        }, 1)
      }
      return hasFired || count === 50_000 ? undefined : group.seek({ offset: 0 })
    })
    await broker.idle()
    expect(hasFired).toBe(true)
    expect(count).toBeLessThan(50_000)
  })

  it('takes a single turn of the event loop for no more than a few messages', async () => {
    const broker = await openBroker({}, orders)
    for (let single = 0; single < 300; single++) await broker.producer().send(orders, { value: single })
    const seen = new Seen()
    let turn = 0
    const turnOf: number[] = []
    const count = (): void => {
      turn++
      if (turnOf.length < 300) setImmediate(count)
    }
    setImmediate(count)
    await broker.consumerGroup('g', { topics: [orders] }).run((message) => {
      const until = performance.now() + 1
      while (performance.now() < until);
      turnOf.push(turn)
      seen.add(message)
    })
    await broker.idle()
    const perTurn = new Map<number, number>()
    for (const at of turnOf) perTurn.set(at, (perTurn.get(at) ?? 0) + 1)
    expect(Math.max(...perTurn.values())).toBeLessThan(50)
  })
})
