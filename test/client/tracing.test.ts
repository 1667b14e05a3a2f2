import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { type DeliverDiagnostics, json, type SendDiagnostics, Topic } from 'ottla'
import { describe, expect, it, onTestFinished } from 'vitest'
import { brokers, codeOf, contentsOf } from './brokers.js'

const openBroker = brokers()
const orders = new Topic('orders', { value: json<number>() })

type Told<Diagnostics> = [event: string, diagnostics: Diagnostics]

/** Subscribes to all events until the test is over. */
function hear<Diagnostics extends object>(
  name: string,
  onStart?: (diagnostics: Diagnostics) => void,
): Told<Diagnostics>[] {
  const told: Told<Diagnostics>[] = []
  const listener = (event: string) => (message: object) => {
    const diagnostics = message as Diagnostics
    told.push([event, diagnostics])
    if (event === 'start') onStart?.(diagnostics)
  }
  const subscribers = {
    start: listener('start'),
    end: listener('end'),
    asyncStart: listener('asyncStart'),
    asyncEnd: listener('asyncEnd'),
    error: listener('error'),
  }
  const tracing = tracingChannel<unknown, Diagnostics>(name)
  tracing.subscribe(subscribers)
  onTestFinished(() => void tracing.unsubscribe(subscribers))
  return told
}

const events = (told: Told<unknown>[]): string => told.map(([event]) => event).join()

describe('the tracing channel ottla:send', () => {
  it('tells of each send from its call to its acknowledgement, with one object', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const told = hear<SendDiagnostics>('ottla:send')
    const sent = broker.producer().send(orders, { value: 1, key: 'a', headers: { from: 'me' } })
    expect(events(told)).toBe('start,end')
    expect(told[0]?.[1]).toMatchObject({ topic: 'orders', messages: [{ value: 1, key: 'a' }] })
    expect(await sent).toMatchObject({ offset: 0, partition: 0 })
    expect(events(told)).toBe('start,end,asyncStart,asyncEnd')
    expect(told[3]?.[1].result).toEqual([await sent])
    expect(new Set(told.map(([, diagnostics]) => diagnostics)).size).toBe(1)
    expect(await broker.producer().send(orders, [{ value: 2 }, { value: 3 }])).toHaveLength(2)
  })

  it('lets a subscriber add headers, behind those that were given, and leaves the caller’s message alone', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    hear<SendDiagnostics>('ottla:send', ({ messages }) => {
      for (const { headers } of messages) headers.push(['traceparent', '00-1-2-01'])
    })
    const message = { value: 1, headers: { from: 'me' } }
    const producer = broker.producer()
    await producer.send(orders, message)
    await producer.send(orders, [{ value: 2 }, { value: 3 }])
    expect(message).toEqual({ value: 1, headers: { from: 'me' } })
    const found = await contentsOf(broker, orders)
    expect(found.map(({ value, headers }) => [value, headers.get('from'), headers.get('traceparent')])).toEqual([
      [1, 'me', '00-1-2-01'],
      [2, undefined, '00-1-2-01'],
      [3, undefined, '00-1-2-01'],
    ])
  })

  it('tells why a send was refused, and refuses what it refuses without a subscriber', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const producer = broker.producer()
    const wrong: [unknown, string][] = [
      [undefined, 'OTTLA_INVALID_ARGUMENT'],
      [[undefined], 'OTTLA_INVALID_ARGUMENT'],
      [{ value: 1n }, 'OTTLA_ENCODE'],
      [{ value: 1, headers: 7 }, 'OTTLA_INVALID_ARGUMENT'],
      [{ value: 1, partition: 9 }, 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION'],
    ]
    const without = await Promise.all(wrong.map(([message]) => codeOf(() => producer.send(orders, message as never))))
    expect(without).toEqual(wrong.map(([, code]) => code))
    const told = hear<SendDiagnostics>('ottla:send')
    const traced = await Promise.all(wrong.map(([message]) => codeOf(() => producer.send(orders, message as never))))
    expect(traced).toEqual(without)
    expect(told.filter(([event]) => event === 'error').map(([, { error }]) => error)).toContainEqual(
      expect.objectContaining({ code: 'OTTLA_UNKNOWN_TOPIC_OR_PARTITION' }),
    )
    expect(await codeOf(() => producer.send('orders' as never, { value: 1 } as never))).toBe('OTTLA_INVALID_ARGUMENT')
  })

  it('hears of sends though it subscribes to the end alone', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const ends: unknown[] = []
    const listener = (message: unknown): void => void ends.push(message)
    const end = channel('tracing:ottla:send:asyncEnd')
    end.subscribe(listener)
    onTestFinished(() => void end.unsubscribe(listener))
    await broker.producer().send(orders, { value: 1 })
    expect(ends).toHaveLength(1)
  })
})

describe('the tracing channel ottla:deliver', () => {
  it('tells of each call of a handler, with the message and the headers that were sent', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const told = hear<DeliverDiagnostics>('ottla:deliver')
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(async () => {})
    await broker.producer().send(orders, { value: 1, headers: { traceparent: '00-1-2-01' } })
    await broker.idle()
    expect(events(told)).toBe('start,end,asyncStart,asyncEnd')
    const [, diagnostics] = told[0] ?? []
    expect(diagnostics).toMatchObject({ group: 'billing', topic: 'orders', partition: 0, attempt: 1 })
    expect(diagnostics?.messages.map(({ value, headers }) => [value, headers.get('traceparent')])).toEqual([
      [1, '00-1-2-01'],
    ])
  })

  it.each(['throws', 'rejects'])('tells what a handler %s, and asyncEnd comes last', async (how) => {
    const broker = await openBroker()
    await broker.topic(orders)
    const told = hear<DeliverDiagnostics>('ottla:deliver')
    const group = broker.consumerGroup('billing', { topics: [orders] })
    const closed = group.closed.catch((error: Error) => error)
    const failure = new Error('no')
    await group.run(() => {
      if (how === 'throws') throw failure
      return Promise.reject(failure)
    })
    await broker.producer().send(orders, { value: 1 })
    expect(await closed).toMatchObject({ code: 'OTTLA_HANDLER_FAILED', cause: failure })
    expect(events(told)).toBe('start,end,error,asyncStart,asyncEnd')
    expect(told[4]?.[1].error).toBe(failure)
  })

  it('tells of a batch with all its messages, and of each message of a for await', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    await broker.producer().send(orders, [{ value: 1 }, { value: 2 }])
    const told = hear<DeliverDiagnostics>('ottla:deliver')
    await broker.consumerGroup('batches', { topics: [orders] }).runBatches(() => {})
    await broker.idle()
    for await (const { value } of broker.consumerGroup('loop', { topics: [orders] }).messages()) if (value === 2) break
    const ends = told.filter(([event]) => event === 'asyncEnd')
    expect(ends.map(([, { group, messages }]) => [group, messages.map(({ value }) => value)])).toEqual([
      ['batches', [1, 2]],
      ['loop', [1]],
      ['loop', [2]],
    ])
  })

  it('runs the handler in the stores that are bound to start, and in what `around` puts about it', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const [bound, own] = [new AsyncLocalStorage<string>(), new AsyncLocalStorage<string>()]
    const { start } = tracingChannel('ottla:deliver')
    start.bindStore(bound, () => 'bound')
    onTestFinished(() => void start.unbindStore(bound))
    hear<DeliverDiagnostics>('ottla:deliver', (delivered) => {
      delivered.around = (handle) => own.run(`message ${delivered.messages[0]?.value}`, handle)
    })
    const seen: unknown[] = []
    await broker.consumerGroup('billing', { topics: [orders] }).run(async () => {
      await Promise.resolve()
      seen.push([bound.getStore(), own.getStore()])
    })
    await broker.producer().send(orders, [{ value: 1 }, { value: 2 }])
    await broker.idle()
    expect(seen).toEqual([
      ['bound', 'message 1'],
      ['bound', 'message 2'],
    ])
  })

  it('tells of each try of a message by itself, with its number', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    const told = hear<DeliverDiagnostics>('ottla:deliver')
    await broker.consumerGroup('billing', { topics: [orders] }).run(
      (_, { attempt }) => {
        if (attempt < 3) throw new Error('not yet')
      },
      { retry: { attempts: 3, backoff: () => 0 } },
    )
    await broker.producer().send(orders, { value: 1 })
    await broker.idle()
    expect(told.filter(([event]) => event === 'start').map(([, { attempt }]) => attempt)).toEqual([1, 2, 3])
    expect(told.filter(([event]) => event === 'error')).toHaveLength(2)
  })

  it('leaves idle and close inside a handler what they are', async () => {
    const broker = await openBroker()
    await broker.topic(orders)
    hear<DeliverDiagnostics>('ottla:deliver')
    const group = broker.consumerGroup('billing', { topics: [orders] })
    let code = ''
    await group.run(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      code = await codeOf(() => broker.idle())
      await group.close()
    })
    await broker.producer().send(orders, { value: 1 })
    await group.closed
    expect(code).toBe('OTTLA_NEVER_IDLE')
  })
})
