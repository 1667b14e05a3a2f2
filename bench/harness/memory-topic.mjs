import { Broker } from '../../dist/index.js'

/**
 * A broker in memory with one topic, the groups that `runs` starts on it, and a producer. New for each measurement, so
 * that what earlier ones left in the log costs nothing.
 *
 * @param {import('../../dist/index.js').Topic} topic
 * @param {...((group: import('../../dist/index.js').ConsumerGroup) => Promise<void>)} runs one for each group
 */
export async function openMemoryTopic(topic, ...runs) {
  const broker = await Broker.open()
  await broker.topic(topic)
  for (const [index, run] of runs.entries()) await run(broker.consumerGroup(`group-${index}`, { topics: [topic] }))
  const producer = broker.producer()
  return { broker, topic, producer, close: () => broker.close() }
}
