import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { againstKafka, openBrokers, sideBySide } from './peers/wire-brokers.mjs'

const LINES = 1_000_000
const LINE_BYTES = 99

export const workload = {
  name: 'wire-kcat',
  title: 'kcat writes and reads lines',
  settings: [
    '1,000,000 lines of 99 B each, a topic of one partition, the whole process of kcat',
    'kcat -P -l FILE with the settings of librdkafka, kcat -C -o beginning -c 1000000 into a file',
    'what is read is compared by its checksum, not timed',
    'ottla: `ottla server-start` on files, durability "os" as with Kafka',
    'Apache Kafka: broker and controller in one process, -Xmx1G',
    'resident memory: VmRSS of the broker after a repetition; all repetitions are with one process',
  ],
  rows: [
    againstKafka('write', {
      id: '106',
      label: 'kcat -P, 1,000,000 lines of 99 B',
      better: 'higher',
      unit: 'msg/s',
      goal: 1,
    }),
    againstKafka('read', { id: '107', label: 'kcat -C of the same', better: 'higher', unit: 'msg/s', goal: 1 }),
    againstKafka('memory', {
      id: '112',
      label: 'resident memory after kcat',
      better: 'lower',
      unit: 'bytes',
      goal: 0.25,
    }),
  ],
  tables: [
    sideBySide('kcat with each broker', {
      write: 'kcat -P, msg/s',
      read: 'kcat -C, msg/s',
      memory: 'resident memory afterwards, bytes',
    }),
  ],
  repetitions: 5,
  warmups: 1,
  async open({ directory }) {
    const input = join(directory, 'lines')
    writeFileSync(
      input,
      Array.from({ length: LINES }, (_, index) => `${String(index).padEnd(LINE_BYTES, 'x')}\n`).join(''),
    )
    const expected = await digestOf(input)
    const { brokers, close } = await openBrokers(directory)
    let round = 0
    const contenders = Object.fromEntries(
      brokers.map((broker) => [
        broker.name,
        async () => {
          const topic = `lines-${round++}`
          const kcat = (...args) => run('kcat', ['-b', broker.bootstrapServers, '-q', '-t', topic, '-p', '0', ...args])
          // The first client of a topic has it made.
          await kcat('-L')
          const write = LINES / (await kcat('-P', '-l', input))
          const output = join(directory, 'read')
          const read = LINES / (await kcat('-C', '-o', 'beginning', '-c', String(LINES), { output }))
          if ((await digestOf(output)) !== expected)
            throw new Error(`${broker.name}: what kcat read is not what it wrote`)
          return { values: { write, read, memory: broker.residentBytes() } }
        },
      ]),
    )
    return { contenders, close }
  },
}

async function digestOf(file) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** Resolves to the seconds that the command took. The last argument may be {output}, a file. */
async function run(command, args) {
  const { output } = typeof args.at(-1) === 'object' ? args.pop() : {}
  const startedAt = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const closed = once(child, 'close')
  if (output === undefined) child.stdout.resume()
  else await pipeline(child.stdout, createWriteStream(output))
  const [code] = await closed
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stderr}`)
  return (performance.now() - startedAt) / 1000
}
