// A topic with a schema: what does not fit is refused by `send`, before it is in the log. zod is used here; valibot,
// arktype and every other library that follows Standard Schema work the same way.
import { Broker, json, OttlaError, schema, Topic } from 'ottla'
import { z } from 'zod'

const Order = z.object({
  id: z.string(),
  total: z.number().positive(),
  at: z.coerce.date(),
  note: z.string().default('-'),
})

// The types of what is sent and of what arrives come from the schema.
const orders = new Topic('orders', { value: schema(Order, json()) })

const broker = await Broker.open()
await broker.topic(orders)

// The consumer gets the schema's output: `at` is a Date, and `note` has its default.
const billing = broker.consumerGroup('billing', { topics: [orders] })
await billing.run(({ value }) => {
  console.log(`order ${value.id} of ${value.at.toUTCString()}, ${value.total} in all, note: ${value.note}`)
})

// The sender gives the schema's input, and that is what the log holds.
const producer = broker.producer()
await producer.send(orders, { value: { id: '1', total: 30, at: '2026-03-01' } })
await broker.idle()

try {
  await producer.send(orders, { value: { id: '2', total: -1, at: '2026-03-02' } })
} catch (error) {
  if (!OttlaError.is(error)) throw error
  console.log(`${error.code}: ${error.message}`)
}

await broker.close()
