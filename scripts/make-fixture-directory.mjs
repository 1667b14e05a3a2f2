// Makes the directories that later releases must be able to open, with the sources of this one:
// node scripts/make-fixture-directory.mjs test/fixtures/directories/<layout>
// `closed` was closed, `killed` is what a process leaves that dies before it closes.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const [, , target, sources = join(root, 'src/index.ts')] = process.argv
const place = mkdtempSync(join(tmpdir(), 'ottla-fixture-'))
const outfile = join(place, 'ottla.mjs')
buildSync({
  entryPoints: [resolve(sources)],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
})
const { Broker, FileStorage, json, Topic } = await import(pathToFileURL(outfile).href)

const data = join(place, 'data')
const orders = new Topic('orders', { partitions: 2, value: json() })
const broker = await Broker.open({ storage: new FileStorage(data, { segmentBytes: 1024 }) })
await broker.topic(orders)
await broker.topic(new Topic('empty'))
const producer = broker.producer()
for (let number = 0; number < 40; number++) {
  await producer.send(orders, {
    key: `key-${number % 3}`,
    value: { number },
    headers: { trace: 'x' },
    partition: number % 2,
  })
}
await broker.resetOffsets('billing', { offset: 7 }, { topics: [orders] })
mkdirSync(target, { recursive: true })
const withoutLock = { recursive: true, filter: (path) => !path.endsWith('.lock') }
cpSync(data, join(target, 'killed'), withoutLock)
await broker.close()
cpSync(data, join(target, 'closed'), withoutLock)
rmSync(place, { recursive: true })
