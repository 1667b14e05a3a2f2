// A service takes a `Client` as its bus. Its test gives it a broker in memory, which opens in a few milliseconds, and
// needs neither a mock nor a server.
import assert from 'node:assert/strict'
import { Broker, type Client, json, OttlaError, Topic } from 'ottla'

const orders = new Topic('orders', { value: json<{ total: number }>() })
const invoices = new Topic('invoices', { value: json<{ amount: number }>() })

/** Sends an invoice for each order. */
class Billing {
  readonly #bus: Client

  constructor(bus: Client) {
    this.#bus = bus
  }

  async start(): Promise<void> {
    await this.#bus.topic(orders)
    await this.#bus.topic(invoices)
    const producer = this.#bus.producer()
    const billing = this.#bus.consumerGroup('billing', { topics: [orders] })
    await billing.run(async ({ key, value }) => {
      if (value.total < 0) throw new RangeError(`order ${key} has a negative total`)
      await producer.send(invoices, { key, value: { amount: value.total * 1.2 } })
    })
  }
}

async function test(name: string, run: (broker: Broker) => Promise<void>): Promise<void> {
  const broker = await Broker.open()
  await new Billing(broker).start()
  await run(broker)
  await broker.close()
  console.log(`passed: ${name}`)
}

await test('an order gets an invoice with tax', async (broker) => {
  await broker.producer().send(orders, { key: '17', value: { total: 100 } })
  // Exact, without a sleep: the order is handled, and so the invoice is sent.
  await broker.idle()

  const sent = []
  for await (const { key, value } of broker.reader(invoices, { until: 'end' })) sent.push({ key, value })
  assert.deepEqual(sent, [{ key: '17', value: { amount: 120 } }])
})

await test('an order that cannot be billed stops the group', async (broker) => {
  await broker.producer().send(orders, { key: '18', value: { total: -1 } })

  await assert.rejects(broker.idle(), (error) => OttlaError.is(error) && error.code === 'OTTLA_GROUP_STOPPED')
  const { state } = await broker.describeGroup('billing')
  assert.equal(state, 'Empty')
})
