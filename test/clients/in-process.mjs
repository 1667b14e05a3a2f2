// A broker in this process, with a listener: for what its own members and those of other clients do together.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker, FileStorage, string, Topic } from '../../dist/index.js'
import { listen } from '../../dist/wire/index.js'

export async function startInProcess() {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-clients-in-process-'))
  const broker = await Broker.open({ storage: new FileStorage(directory, { durability: 'os' }) })
  const listener = await listen(broker)
  const declared = (name, partitions) =>
    new Topic(name, { key: string(), value: string(), ...(partitions !== undefined && { partitions }) })

  return {
    bootstrapServers: listener.bootstrapServers,
    createTopic: ({ topic, partitions }) => broker.topic(declared(topic, partitions)),
    produce: async ({ topic, records }) => {
      const producer = broker.producer()
      await producer.send(declared(topic), records)
      await producer.close()
    },
    /** A member of this process. Resolves when it has its partitions. */
    join: async ({ group, topic }) => {
      const records = []
      const member = broker.consumerGroup(group, { topics: [declared(topic)] })
      await member.run(({ headers, ...message }) => {
        const named = [...headers].map(([name]) => [name, headers.get(name)])
        records.push({ ...message, headers: Object.fromEntries(named) })
      })
      return { records, leave: () => member.close() }
    },
    /** How many partitions each member holds, where all have what they are to have. */
    held: async ({ group }) => {
      const { state, members } = await broker.describeGroup(group)
      return state === 'Stable' ? members.map(({ assignment }) => assignment.length).sort() : []
    },
    close: async () => {
      await listener.close()
      await broker.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
