// One group consumes topics of different types. `topic.is` tells their messages apart, and the compiler follows.
import { Broker, json, msgpack, string, Topic } from 'ottla'

interface Order {
  id: string
  total: number
}
interface Payment {
  orderId: string
  paidAt: Date
}

const orders = new Topic('orders', { value: json<Order>() })
// JSON has no Date: msgpack, which is the default, gives back what it was given.
const payments = new Topic('payments', { value: msgpack<Payment>() })
const notes = new Topic('notes', { value: string() })

const broker = await Broker.open()
await broker.topic(orders)
await broker.topic(payments)
await broker.topic(notes)

const ledger = broker.consumerGroup('ledger', { topics: [orders, payments, notes] })
await ledger.run((message) => {
  if (orders.is(message)) {
    console.log(`order ${message.value.id}: ${message.value.total.toFixed(2)}`)
  } else if (payments.is(message)) {
    console.log(`payment of order ${message.value.orderId} in ${message.value.paidAt.getFullYear()}`)
  } else {
    // What is left can only be a note.
    console.log(`note: ${message.value.toUpperCase()}`)
  }
})

const producer = broker.producer()
await producer.send(orders, { key: '17', value: { id: '17', total: 12.5 } })
// Between topics there is no order. Waiting for each message keeps these lines in theirs.
await broker.idle()
await producer.send(payments, { key: '17', value: { orderId: '17', paidAt: new Date('2026-03-01T12:00:00Z') } })
await broker.idle()
await producer.send(notes, { value: 'thank you' })
await broker.idle()

await broker.close()
