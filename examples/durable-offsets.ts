// A group's committed offsets are kept in the log, beside the messages: after a restart it goes on where it stood.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker, FileStorage, json, Topic } from 'ottla'

const jobs = new Topic('jobs', { value: json<number>() })
const directory = await mkdtemp(join(tmpdir(), 'ottla-jobs-'))

/** Opens the broker, sends the jobs, lets the worker handle what it has not handled yet, and closes the broker. */
async function live(name: string, send: number[]): Promise<void> {
  const broker = await Broker.open({ storage: new FileStorage(directory) })
  await broker.topic(jobs)
  await broker.producer().send(
    jobs,
    send.map((value) => ({ value })),
  )

  const worker = broker.consumerGroup('worker', { topics: [jobs] })
  await worker.run((message) => console.log(`${name}: job ${message.value}`))
  await broker.idle()

  const [position] = await worker.lag()
  console.log(`${name}: committed offset ${position?.committedOffset}, log end offset ${position?.logEndOffset}`)
  await broker.close()
}

await live('first life', [1, 2, 3])
// Nothing of the first broker is left but the files. Jobs 1 to 3 are not handled again.
await live('second life', [4, 5])

await rm(directory, { recursive: true })
