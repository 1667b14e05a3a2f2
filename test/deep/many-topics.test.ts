import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { buildModule } from '../rulings/child-process.js'
import { temporaryDirectories } from '../storage/file/file-rig.js'

const directory = temporaryDirectories()
const TOPICS = 10_000

/** What a module prints as JSON, in a process that may open 1,024 files, as Linux has it by default. */
async function printed(source: string): Promise<Record<string, number>> {
  const limited = ['-c', 'ulimit -n 1024 && exec "$0" "$1"', process.execPath, buildModule(source)]
  const { stdout } = await promisify(execFile)('sh', limited)
  return JSON.parse(stdout)
}

const opening = (place: string, meanwhile: string): string => `
  import { readdir, stat } from 'node:fs/promises'
  import { join } from 'node:path'
  import { Broker, FileStorage } from 'ottla'
  const place = ${JSON.stringify(place)}
  // What cannot be done without: to look at the files of each partition, sixteen at a time as the broker does.
  const lookedAt = async (name) => {
    for (const file of await readdir(join(place, name))) await stat(join(place, name, file))
  }
  const names = (await readdir(place, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name)
  let startedAt = performance.now()
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) await lookedAt(name)
  }))
  const lookMs = performance.now() - startedAt
  startedAt = performance.now()
  const broker = await Broker.open({ storage: new FileStorage(place) })
  const openMs = performance.now() - startedAt
  const topics = (await broker.topics()).length
  ${meanwhile}
  await broker.close()
  console.log(JSON.stringify({ openMs, lookMs, topics, residentBytes: process.memoryUsage().rss }))`

it('ten thousand topics open in a process that may open 1,024 files, in a few times what a look at their files takes', async () => {
  const place = directory()
  mkdirSync(place)
  await printed(`
    import { Broker, FileStorage } from 'ottla'
    const broker = await Broker.open({ storage: new FileStorage(${JSON.stringify(place)}, { durability: 'os' }) })
    const producer = broker.producer()
    for (let first = 0; first < ${TOPICS}; first += 500) {
      await Promise.all(Array.from({ length: 500 }, async (_, at) => {
        await producer.send(await broker.topic('topic-' + (first + at)), { value: at })
      }))
    }
    await broker.close()
    console.log('{}')`)
  const closed = await printed(opening(place, ''))
  const killed = await printed(
    opening(place, `console.log(JSON.stringify({ openMs, lookMs, topics })); process.exit()`),
  )
  const crashed = await printed(opening(place, ''))
  for (const [when, { openMs = 0, lookMs = 0, topics, residentBytes = 0 }] of Object.entries({ closed, crashed })) {
    const ratio = openMs / lookMs
    console.log(
      `${when}: ${TOPICS} topics opened in ${(openMs / 1000).toFixed(2)} s, ${ratio.toFixed(1)} times the look at their files, ${residentBytes >> 20} MiB resident`,
    )
    expect(topics).toBe(TOPICS)
  }
  expect(killed.topics).toBe(TOPICS)
  expect((closed.openMs ?? 0) / (closed.lookMs ?? 1)).toBeLessThan(8)
})
