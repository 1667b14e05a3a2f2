// A log keeps what was read. A new group may begin at a time, and an old one may be taken back to it.
import { Broker, string, Topic } from 'ottla'

const news = new Topic('news', { value: string() })

const broker = await Broker.open()
await broker.topic(news)

// A message bears the time at which it was sent, unless it is given one.
const producer = broker.producer()
for (const [day, value] of Object.entries({ '01': 'snow', '02': 'more snow', '03': 'thaw', '04': 'spring' })) {
  await producer.send(news, { value, timestamp: new Date(`2026-03-${day}T08:00:00Z`) })
}
const thirdOfMarch = new Date('2026-03-03T00:00:00Z')

// Without a committed offset a group begins at the first message. `from` names another place.
const newcomer = broker.consumerGroup('newcomer', { topics: [news], from: { timestamp: thirdOfMarch } })
await newcomer.run((message) => console.log(`newcomer: ${message.value}`))
await broker.idle()
await newcomer.close()

const archive = broker.consumerGroup('archive', { topics: [news] })
await archive.run((message) => console.log(`archive: ${message.value}`))
await broker.idle()

// `seek` takes a member back while it runs. `resetOffsets` does the same for a group that has no members.
await archive.seek({ timestamp: thirdOfMarch })
await broker.idle()
await archive.close()
for (const { committedOffset, lag } of await broker.resetOffsets('archive', 'earliest')) {
  console.log(`archive is back at offset ${committedOffset}, its lag is ${lag}`)
}

// A reader needs no group and commits nothing.
for await (const message of broker.reader(news, { from: { timestamp: thirdOfMarch }, until: 'end' })) {
  console.log(`reader: ${message.value}, of ${new Date(message.timestamp).toISOString()}`)
}

await broker.close()
