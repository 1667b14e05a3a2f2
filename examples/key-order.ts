// Messages with the same key go to the same partition, and a partition is handled in order. With `ordering: 'key'`
// different keys are handled at the same time, while the messages of each key still wait for one another.
import { setTimeout } from 'node:timers/promises'
import { Broker, string, Topic } from 'ottla'

const steps = new Topic('steps', { partitions: 2, value: string() })

const broker = await Broker.open()
await broker.topic(steps)

const producer = broker.producer()
for (const value of ['ordered', 'paid', 'shipped']) {
  for (const key of ['anna', 'ben', 'carla']) await producer.send(steps, { key, value })
}

const seen: Record<string, string[]> = { anna: [], ben: [], carla: [] }
let running = 0
let mostAtOnce = 0

const tracking = broker.consumerGroup('tracking', { topics: [steps] })
await tracking.run(
  async ({ key, value }) => {
    running += 1
    mostAtOnce = Math.max(mostAtOnce, running)
    // The first step is the slowest. Without an order by key, the others would overtake it.
    await setTimeout(value === 'ordered' ? 30 : 5)
    seen[key ?? '']?.push(value)
    running -= 1
  },
  { concurrency: 8, ordering: 'key' },
)
await broker.idle()

for (const [customer, values] of Object.entries(seen)) console.log(`${customer}: ${values.join(', ')}`)
console.log(`handlers at the same time: ${mostAtOnce}`)

await broker.close()
