// A topic, a producer and a consumer group: the three things that everything else is made of.
import { Broker, json, Topic } from 'ottla'

interface Greeting {
  text: string
}

// A declaration: the name of the topic, and the codec that turns its values into bytes and back.
const greetings = new Topic('greetings', { value: json<Greeting>() })

// Without options a broker keeps its log in memory.
const broker = await Broker.open()
await broker.topic(greetings)

// `send` resolves when the message is in the log, and says where. It does not wait for anybody who reads it.
const producer = broker.producer()
const sent = await producer.send(greetings, { key: 'Ottla', value: { text: 'Hello' } })
console.log(`sent to ${sent.topic}, partition ${sent.partition}, offset ${sent.offset}`)

// A consumer group begins with the first message in the log, unless it is told otherwise. `run` resolves when delivery
// has begun; the handler gets one message after the other.
const readers = broker.consumerGroup('readers', { topics: [greetings] })
await readers.run((message) => {
  console.log(`${message.key} says: ${message.value.text} (offset ${message.offset})`)
})
await producer.send(greetings, { key: 'Franz', value: { text: 'Good morning' } })

// Everything that was sent is now handled, and the group's offsets are committed.
await broker.idle()
await broker.close()
