// Opens the log in the directory that is given, in a process with as little memory as one that has just begun: says how
// many milliseconds that took, and what the last offset is. Another directory is opened before it, for the code alone.
import { Broker, bytes, FileStorage, Topic } from '../../../dist/index.js'

const [directory = '', scratch = ''] = process.argv.slice(2)
const topic = new Topic('log', { value: bytes() })
const openBroker = (path) => Broker.open({ storage: new FileStorage(path, { durability: 'os' }) })

for (let round = 0; round < 10; round++) {
  const broker = await openBroker(scratch)
  await broker.producer().send(await broker.topic(topic), { value: new Uint8Array(1024) })
  await broker.close()
}
const startedAt = performance.now()
const broker = await openBroker(directory)
const milliseconds = performance.now() - startedAt
let lastOffset = -1
for await (const { offset } of broker.reader(topic, { from: { last: 1 }, until: 'end' })) lastOffset = offset
await broker.close()
console.log(JSON.stringify({ milliseconds, lastOffset }))
