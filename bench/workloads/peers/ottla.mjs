import { Broker, bytes, FileStorage, Topic } from '../../../dist/index.js'

/**
 * A broker over files and one producer that live as long as a workload, as those of an application do. It hands out an empty topic for each measurement.
 *
 * @param {string} directory
 * @param {import('../../../dist/index.js').FileStorageOptions} options
 */
export async function openOttla(directory, options) {
  const broker = await Broker.open({ storage: new FileStorage(directory, options) })
  const producer = broker.producer()
  return {
    broker,
    /**
     * @param {import('../../../dist/index.js').Topic} [topic] one partition, values of bytes
     * @returns {Promise<import('./store.mjs').Store & Record<'topic' | 'producer', any>>}
     */
    async emptyTopic(topic = new Topic('log', { value: bytes() })) {
      await broker.topic(topic)
      return {
        topic,
        producer,
        append: (values) => producer.send(topic, values.map(toMessage)),
        async readAll(onValue) {
          for await (const { value } of broker.reader(topic, { until: 'end' })) onValue(value)
        },
        async close() {
          await producer.flush()
          await broker.deleteTopic(topic)
        },
      }
    },
    close: () => broker.close(),
  }
}

function toMessage(value) {
  return { value }
}
