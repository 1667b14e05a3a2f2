// What a strict TypeScript user writes: it is compiled, never run.
import {
  Broker,
  type Client,
  type Codec,
  json,
  MemoryStorage,
  type Message,
  OttlaError,
  type Storage,
  Topic,
} from 'ottla'
import { engineSuite, ManualClock, storageSuite } from 'ottla/testing'

interface Order {
  id: string
  total: number
}

const int32: Codec<number> = { name: 'int32', encode: () => new Uint8Array(4), decode: (bytes) => bytes.length }
const orders = new Topic('orders', { partitions: 4, value: json<Order>() })
const counts = new Topic<Order, number>('counts', { key: int32 })

export async function useOttla(storage: Storage, signal: AbortSignal): Promise<number> {
  await using broker = await Broker.open({ storage })
  await broker.topic(orders)
  const producer = broker.producer({ lingerMs: 5 })
  await producer.send(counts, { key: 1, value: { id: 'a', total: 1 } }, { signal })
  // @ts-expect-error a key that is not the topic's
  await producer.send(orders, { key: 1, value: { id: 'a', total: 1 } })

  const billing = broker.consumerGroup('billing', { topics: [orders] })
  billing.on('error', (error) => error.code.toLowerCase())
  await billing.run((message, delivery) => total(message) + (delivery.signal.aborted ? 0 : delivery.attempt))
  for await (const message of broker.consumerGroup('audit', { topics: [orders] })) {
    total(message)
    break
  }
  try {
    await broker.idle({ signal, groups: ['billing'] })
  } catch (error) {
    if (OttlaError.is(error) && error.code === 'OTTLA_GROUP_STOPPED') return 0
    throw error
  }
  const { offset } = await place(broker, { id: 'b', total: 2 })
  return offset
}

function total(message: Message<Order>): number {
  return message.value.total
}

function place(bus: Client, order: Order): Promise<{ readonly offset: number }> {
  return bus.producer().send(orders, { key: order.id, value: order })
}

storageSuite({ test: (_name, body) => void body(), factory: () => new MemoryStorage() })
export const clock: ManualClock = new ManualClock()
export const suites: readonly ((...options: never[]) => void)[] = [storageSuite, engineSuite]
