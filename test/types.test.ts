import {
  Broker,
  bytes,
  type Client,
  type Codec,
  type ErrorCode,
  json,
  MemoryStorage,
  type Message,
  OttlaError,
  schema,
  string,
  Topic,
} from 'ottla'
import { expect, it } from 'vitest'
import { z } from 'zod'

/*
 * What the compiler must take, and on the lines marked so must not; `npm run typecheck` fails where it does otherwise.
 * That it runs, too, shows that the types tell the truth.
 */

const Order = z.object({
  id: z.string(),
  total: z.number(),
  at: z.coerce.date(),
  note: z.string().default('-'),
})

interface Payment {
  orderId: string
  paidAt: number
}

const orders = new Topic('orders', { partitions: 4, retentionMs: 7 * 86_400_000, value: schema(Order, json()) })
const payments = new Topic<Payment>('payments', { partitions: 2 })
const raw = new Topic('orders.raw', { value: bytes(), key: bytes() })
const deadLetter = new Topic('orders.dlq', { value: bytes(), key: bytes() })
const state = new Topic<Payment | null>('state')
const int32: Codec<number> = { name: 'int32', encode: () => new Uint8Array(4), decode: () => 1 }

async function walk(broker: Broker): Promise<void> {
  await broker.topic(orders)
  ;(await broker.topic<Payment>('payments', { partitions: 2 })) satisfies Topic<Payment>
  ;(await broker.topic('inferred', { value: json<Payment>() })) satisfies Topic<Payment, string>
  await broker.topic(raw)
  await broker.topic(state)
  await broker.topic('metrics.cpu', { value: bytes() })
  const byNumber = await broker.topic<Payment, number>('by-number', { key: int32 })

  const producer = broker.producer({ lingerMs: 0 })
  const order = { id: '1', total: 3, at: '2026-01-01' }
  const sent = await producer.send(orders, { key: 'alice', value: order, headers: { trace: 'x' } })
  sent.offset satisfies number
  const paid = await producer.send(payments, [{ value: { orderId: '1', paidAt: 0 } }])
  paid satisfies readonly { offset: number }[]
  await producer.send(byNumber, { key: 3, value: { orderId: 'a', paidAt: 1 } })
  await producer.send(state, { key: 'a', value: null })
  await producer.send(raw, { key: new Uint8Array(1), value: Buffer.from('x') })

  const billing = broker.consumerGroup('billing', { topics: [orders, payments] })
  billing.on('error', (error) => void (error.code satisfies string))
  billing.on('assigned', (partitions) => void (partitions[0]?.partition satisfies number | undefined))
  await billing.run(
    async (message, { signal, attempt, group }) => {
      if (orders.is(message)) message.value.at satisfies Date
      else message.value.orderId satisfies string
      void [signal.aborted satisfies boolean, attempt satisfies number, group satisfies string]
    },
    { concurrency: 16, ordering: 'key', retry: { attempts: 5, backoff: (n) => 100 * 2 ** n }, deadLetter },
  )
  const audit = broker.consumerGroup('audit', { topics: [orders] })
  await audit.runBatches(
    (batch) => {
      for (const message of batch.messages) {
        message.value.total satisfies number
        message.value.note satisfies string
        // @ts-expect-error what is delivered is read only
        message.offset = 1
        batch.resolve(message)
      }
    },
    { maxMessages: 100, maxWaitMs: 0, retry: { attempts: 2, backoff: { initialMs: 1 } }, onExhausted: 'skip' },
  )

  const mixed = broker.consumerGroup('mixed', { topics: [payments, /^metrics\./] })
  await mixed.run((message) => {
    if (payments.is(message)) message.value.orderId satisfies string
    else message.value satisfies Uint8Array
  })
  for await (const message of broker.consumerGroup('loop', { topics: [payments] })) {
    message.headers.get('trace') satisfies string | undefined
    message.key satisfies string | null
    break
  }
  for await (const message of broker.reader(orders, { from: { last: 10 }, until: 'end' })) {
    message.value.id satisfies string
    message satisfies Message<z.output<typeof Order>>
  }
  for (const row of await billing.lag()) {
    row.lag satisfies number
    row.committedOffset satisfies number | null
  }
  try {
    await broker.idle({ signal: AbortSignal.timeout(10_000), groups: ['billing'] })
  } catch (error) {
    if (OttlaError.is(error) && error.code === 'OTTLA_GROUP_STOPPED') error.retriable satisfies boolean
    throw error
  }
}

/** Compiled, never called: what must not compile. */
async function refusedByTheCompiler(broker: Broker, message: Message): Promise<void> {
  const producer = broker.producer()
  const member = broker.consumerGroup('x', { topics: [orders] })
  // @ts-expect-error a dead-letter topic or another end, not both
  await member.run(() => {}, { deadLetter, onExhausted: 'skip' })
  // @ts-expect-error how many tries must be said
  await member.run(() => {}, { retry: {} })
  // @ts-expect-error a wait that grows needs a first one
  member.messages({ retry: { attempts: 2, backoff: { factor: 2 } } })
  // @ts-expect-error a key that is not a string needs its codec
  new Topic<Payment, number>('by-number')
  // @ts-expect-error an option that there is not
  new Topic('typo', { partition: 4 })
  // @ts-expect-error what is delivered is read only
  message.offset = 1
  const sent = await producer.send(payments, [{ value: { orderId: 'a', paidAt: 1 } }])
  // @ts-expect-error of several, the result is not one
  sent.offset satisfies unknown
  // @ts-expect-error a key that is not a string needs its codec
  await broker.topic<Payment, number>('by-number')
  // @ts-expect-error wrong value
  await producer.send(payments, { value: { orderId: 1 } })
  // @ts-expect-error wrong key
  await producer.send(orders, { key: 3, value: { id: '1', total: 3, at: new Date() } })
  // @ts-expect-error a tombstone only where the value type has null
  await producer.send(payments, { key: 'a', value: null })
  // @ts-expect-error undefined is no value
  await producer.send(state, { key: 'a', value: undefined })
  // @ts-expect-error one of several is wrong
  await producer.send(payments, [{ value: { orderId: 'a', paidAt: 1 } }, { value: 1 }])
  // @ts-expect-error a field that there is not
  await producer.send(payments, { value: { orderId: 'a', paidAt: 1 }, topic: 'payments' })
  // @ts-expect-error a name is not a topic
  await producer.send('payments', { value: 1 })
  // @ts-expect-error a bare number is neither an offset nor a time
  broker.consumerGroup('x', { topics: [orders], from: 0 })
  // @ts-expect-error a bare number is neither an offset nor a time
  broker.reader(orders, { from: 0 })
  // @ts-expect-error `last` is for readers
  broker.consumerGroup('x', { topics: [orders], from: { last: 1 } })
  // @ts-expect-error a declaration has its options already
  await broker.topic(orders, { partitions: 4 })
  // @ts-expect-error nobody makes one by hand
  new Broker()
  // @ts-expect-error a code that there is not
  'OTTLA_SOMETHING' satisfies ErrorCode
  // @ts-expect-error text is no codec of numbers
  new Topic<number>('numbers', { value: string() })
  // @ts-expect-error wrong input of the schema
  await producer.send(orders, { value: { id: 1, total: 3, at: new Date() } })
}

void refusedByTheCompiler

class Service {
  constructor(readonly bus: Client) {}

  async place(): Promise<void> {
    await this.bus.producer().send(orders, { value: { id: '', total: 1, at: new Date() } })
  }
}

it('types and behaviour agree', async () => {
  await using broker = await Broker.open({ storage: new MemoryStorage() })
  await walk(broker)
  await new Service(broker).place()
  await broker.idle()
})

it('a broker has what a client has', () => {
  expect(Object.getOwnPropertyNames(Object.getPrototypeOf(Broker.prototype))).toEqual(
    expect.arrayContaining(['topic', 'topics', 'producer', 'consumerGroup', 'reader', 'groups', 'close']),
  )
})
