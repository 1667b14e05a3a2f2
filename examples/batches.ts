// `runBatches` hands over many messages of one partition at a time: for a bulk insert, or where a call for each message
// costs too much.
import { setTimeout } from 'node:timers/promises'
import { Broker, json, Topic } from 'ottla'

const readings = new Topic('readings', { value: json<{ celsius: number }>() })

const broker = await Broker.open()
await broker.topic(readings)

// Given an array, `send` sends many messages at once and resolves with where each of them went.
const messages = Array.from({ length: 1000 }, (_, index) => ({ value: { celsius: index % 30 } }))
const sent = await broker.producer().send(readings, messages)
console.log(`sent ${sent.length} readings, the last one to offset ${sent.at(-1)?.offset}`)

const table: number[] = []
async function insert(rows: number[]): Promise<void> {
  await setTimeout(1)
  table.push(...rows)
}

// The next batch waits until the handler's promise resolves. Only then is the batch committed.
const database = broker.consumerGroup('database', { topics: [readings] })
await database.runBatches(
  async ({ messages }) => {
    await insert(messages.map((message) => message.value.celsius))
    console.log(`inserted offsets ${messages[0]?.offset} to ${messages.at(-1)?.offset}`)
  },
  { maxMessages: 400 },
)
await broker.idle()

console.log(`the table has ${table.length} rows`)
await broker.close()
