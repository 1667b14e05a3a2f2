import { writeSync } from 'node:fs'
import { Broker, FileStorage } from 'ottla'
import { Random } from '../../src/testing/random.js'
import { type Body, type Said, TOPICS } from './said.js'

/** Sends, commits, rolls, drops and reopens until it is killed. */
async function main(directory: string, seed: number): Promise<void> {
  const random = new Random(seed)
  // Not console: this returns when the parent has it.
  const say = (said: Said): void => void writeSync(1, `${JSON.stringify(said)}\n`)
  let count = 0
  for (let round = 0; ; round++) {
    const broker = await Broker.open({ storage: new FileStorage(directory, { segmentBytes: 32_768 }) })
    for (const topic of TOPICS) await broker.topic(topic)
    if (round === 0) say(['ready'])
    const producer = broker.producer()
    let ordersEnd = 0
    for (let steps = 50 + random.below(200); steps > 0; steps--) {
      const sends = Array.from({ length: 1 + random.below(30) }, async () => {
        const topic = TOPICS[random.below(TOPICS.length)]
        if (topic === undefined) return
        const id = `${seed}-${count++}`
        const value: Body = { id, padding: 'x'.repeat(random.below(random.below(20) === 0 ? 20_000 : 200)) }
        const { partition, offset } = await producer.send(topic, { value })
        say(['sent', topic.name, partition, offset, id])
        if (topic.name === 'orders') ordersEnd = Math.max(ordersEnd, offset + 1)
      })
      await Promise.all(sends)
      if (random.below(4) === 0 && ordersEnd > 0) {
        await broker.resetOffsets('billing', { offset: ordersEnd }, { topics: TOPICS.slice(0, 1) })
        say(['committed', ordersEnd])
      }
      if (random.below(10) === 0) await broker.applyRetention('short')
    }
    await broker.close()
  }
}

const [, , directory, seed] = process.argv
await main(directory ?? '', Number(seed))
