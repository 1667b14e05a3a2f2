// Two groups read one topic. Each group gets every message; the members of one group share its partitions.
import { Broker, json, Topic } from 'ottla'

const orders = new Topic('orders', { partitions: 4, value: json<{ total: number }>() })

const broker = await Broker.open()
await broker.topic(orders)

// `consumerGroup` makes one member. Called again with the same id, it makes another member of the same group.
const groupIds = ['billing', 'billing', 'shipping']
const handled = groupIds.map(() => 0)
for (const [member, id] of groupIds.entries()) {
  const group = broker.consumerGroup(id, { topics: [orders] })
  await group.run(() => {
    handled[member] = (handled[member] ?? 0) + 1
  })
}
// When the second member of billing joined, its partitions were shared out anew.
await broker.idle()

// The customer is the key: the orders of one customer go to one partition, and so to one member of each group.
const producer = broker.producer()
for (let order = 0; order < 100; order++) {
  await producer.send(orders, { key: `customer ${order % 25}`, value: { total: order } })
}
await broker.idle()

for (const [member, id] of groupIds.entries()) {
  console.log(`member ${member}, of group ${id}, handled ${handled[member]} of 100 orders`)
}
for (const id of await broker.groups()) {
  const { state, members, lag } = await broker.describeGroup(id)
  const held = members.map((member) => member.assignment.length)
  const behind = lag.reduce((sum, partition) => sum + partition.lag, 0)
  console.log(`group ${id} is ${state}: its members hold ${held.join(' and ')} partitions, its lag is ${behind}`)
}

await broker.close()
