// The same library from plain CommonJS JavaScript: no types, no build, no top-level await.
const { Broker, json, Topic } = require('ottla')

const greetings = new Topic('greetings', { value: json() })

async function main() {
  const broker = await Broker.open()
  await broker.topic(greetings)
  await broker.producer().send(greetings, { key: 'Ottla', value: { text: 'Hello' } })

  // A group can also be read with `for await`. Asking for the next message marks the one before as done.
  for await (const message of broker.consumerGroup('readers', { topics: [greetings] })) {
    console.log(`${message.key} says: ${message.value.text}`)
    break
  }
  await broker.close()
}

main()
