import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Broker, bytes, FileStorage, Topic } from '../../dist/index.js'
import { crc32c } from '../.cache/modules/crc32c.js'
import { makePayloads } from '../harness/payloads.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const MIB = 2 ** 20
const BATCH = 1000
const ROUNDS = 1032
const SEGMENT_BYTES = 64 * MIB
const READ_BYTES = MIB
const crashFile = fileURLToPath(new URL('peers/crash.mjs', import.meta.url))
const openFile = fileURLToPath(new URL('peers/open.mjs', import.meta.url))

export const workload = {
  name: 'open-log',
  title: 'Open a log of 1 GiB, after a close and after a crash',
  settings: [
    '1,032,000 values of 1 KiB in 16 segments of 64 MiB, batches of 64 KiB, files in the page cache; timed is `Broker.open` with `durability: "os"`, and the last message is read afterwards',
    'a clean log is opened by a process that has only just begun, as an application does it, after ten openings of another directory: on Linux `Broker.open` runs flock(1), and how long a process takes to start another grows with its memory; in the process of the benchmark it takes what the last row says',
    'raw read: all .log files by asynchronous `fs.read` of 1 MiB, one in flight',
    'after a crash, in the process of the benchmark: before each repetition another process opens the log, sends a message and kills itself, and the index files of the last segment and the newest producer snapshot are removed, which the last close wrote and a process that had filled the segment would not have; read and verified is what lies behind the durable mark and the snapshot before, 8 MiB at most',
    'CRC kernel: our CRC-32C in JavaScript alone over the same bytes in memory, one call for each .log file; reading them is not timed',
    'the bounds of row 20 are shares of the raw read (of row 21, the last segment, multiples of the kernel) that stand for its 5 ms and 1 ms (80 ms and 55 ms, with a kernel of 1.77 GB/s)',
  ],
  rows: [
    row('20', 'open a clean log of 1 GiB', 'clean open', 'raw read', 1 / 20, 1 / 100),
    row('20', "open it in the benchmark's process", 'clean open, large process', 'raw read'),
    row('21', 'open after a crash, last segment of 64 MiB', 'crash open', 'CRC kernel, last segment', 2.1, 1.45),
    row('21', 'open after a crash without indexes, 1 GiB', 'crash open, no indexes', 'CRC kernel', 1.4, 1.15),
  ],
  repetitions: 5,
  warmups: 1,
  async open({ directory }) {
    const values = makePayloads(BATCH, 1024)
    const topic = new Topic('log', { segmentBytes: SEGMENT_BYTES, value: bytes() })
    const openBroker = () => Broker.open({ storage: new FileStorage(directory, { durability: 'os' }) })
    const partition = join(directory, 'log-0')
    const logs = () => filesIn(partition, '.log')
    const scratch = mkdtempSync(join(tmpdir(), 'ottla-bench-'))
    stayWithoutVectors()
    let endOffset = BATCH * ROUNDS
    {
      const broker = await openBroker()
      await broker.topic(topic)
      const producer = broker.producer()
      for (let round = 0; round < ROUNDS; round++) await producer.send(topic, values.map(toMessage))
      const readAll = async (onValue) => {
        for await (const { value } of broker.reader(topic, { until: 'end' })) onValue(value)
      }
      await checkStored({ readAll }, values, endOffset)
      await broker.close()
    }

    const timeOpen = async () => {
      const startedAt = performance.now()
      const broker = await openBroker()
      const value = performance.now() - startedAt
      for await (const { offset } of broker.reader(topic, { from: { last: 1 }, until: 'end' })) {
        if (offset !== endOffset - 1) throw new Error(`The last offset is ${offset}, not ${endOffset - 1}`)
      }
      await broker.close()
      return { value }
    }
    const openInNewProcess = () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [openFile, directory, scratch], {
        encoding: 'utf8',
      })
      if (status !== 0) throw new Error(`The process that was to open the log ended with ${status}: ${stderr}`)
      const { milliseconds, lastOffset } = JSON.parse(stdout)
      if (lastOffset !== endOffset - 1) throw new Error(`The last offset is ${lastOffset}, not ${endOffset - 1}`)
      return { value: milliseconds }
    }
    const crash = () => {
      const { signal, stderr } = spawnSync(process.execPath, [crashFile, directory], { encoding: 'utf8' })
      if (signal !== 'SIGKILL') throw new Error(`The process that was to crash did not: ${stderr}`)
      endOffset++
      // What the last close wrote of the last segment, and a process that had just filled it would not have written.
      const lastBase = baseOf(logs().at(-1))
      for (const suffix of ['.index', '.timeindex']) {
        for (const path of filesIn(partition, suffix)) if (baseOf(path) === lastBase) unlinkSync(path)
      }
      for (const path of filesIn(partition, '.snapshot').slice(-1)) unlinkSync(path)
    }
    const timeKernel = (paths) => {
      let value = 0
      for (const path of paths) {
        const content = readFileSync(path)
        const startedAt = performance.now()
        crc32c(content, 0, content.length)
        value += performance.now() - startedAt
      }
      return { value }
    }
    return {
      contenders: {
        'clean open': openInNewProcess,
        'clean open, large process': timeOpen,
        'raw read': async () => {
          const buffer = new Uint8Array(READ_BYTES)
          const startedAt = performance.now()
          for (const path of logs()) {
            const file = await openRaw(path, 'r')
            const size = statSync(path).size
            for (let position = 0; position < size; ) {
              position += await file.read(buffer, 0, Math.min(READ_BYTES, size - position), position)
            }
            await file.close()
          }
          return { value: performance.now() - startedAt }
        },
        'crash open': () => {
          crash()
          return timeOpen()
        },
        'crash open, no indexes': async () => {
          crash()
          for (const suffix of ['.index', '.timeindex']) for (const path of filesIn(partition, suffix)) unlinkSync(path)
          const timed = await timeOpen()
          // The opening after this one makes those of the older segments anew, which no clean open is to pay for.
          await timeOpen()
          return timed
        },
        'CRC kernel, last segment': () => timeKernel(logs().slice(-1)),
        'CRC kernel': () => timeKernel(logs()),
      },
      async close() {
        rmSync(scratch, { recursive: true, force: true })
      },
    }
  },
}

function row(id, label, ours, peer, floor, goal) {
  return { id, label, ours, peer, better: 'lower', unit: 'ms', floor, goal }
}

function filesIn(directory, suffix) {
  const names = readdirSync(directory).filter((name) => name.endsWith(suffix))
  return names.sort().map((name) => join(directory, name))
}

function baseOf(path) {
  return Number.parseInt(basename(path), 10)
}

function toMessage(value) {
  return { value }
}

/** The bounds of row 21 were set for a checksum in JavaScript: the copy that is timed alone decides on that for good. */
function stayWithoutVectors() {
  const { WebAssembly } = globalThis
  Reflect.deleteProperty(globalThis, 'WebAssembly')
  crc32c(new Uint8Array(4 * MIB), 0, 4 * MIB)
  Object.defineProperty(globalThis, 'WebAssembly', { value: WebAssembly, configurable: true, writable: true })
}
