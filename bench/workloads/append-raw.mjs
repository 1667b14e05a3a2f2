import { readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, Topic } from '../../dist/index.js'
import { makePayloads } from '../harness/payloads.mjs'
import { processor } from '../harness/processor.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const BATCH = 1000
const IN_FLIGHT = 8
/** What follows a full garbage collection runs for a while as a process does that has just begun: it is not timed. */
const LEAD_ROUNDS = 50
const STRETCHES = 5
const RAW_WRITE_BYTES = 2 ** 20
const SIZES = [
  { bytes: 100, label: '100 B', rounds: 200, floor: 0.12, goal: 0.2 },
  { bytes: 1024, label: '1 KiB', rounds: 40, floor: 0.25, goal: 0.37 },
]

export const workload = {
  name: 'append-raw',
  title: 'Append to a file, not synced, against raw writes of the same bytes',
  settings: [
    '200,000 values of 100 B, or 40,000 of 1 KiB, in five stretches after 50,000 that are not timed, with a key of 6 B, both through `bytes()`; 1 partition, `durability: "os"`, otherwise defaults',
    `\`send(topic, messages)\` with 1,000 messages, ${IN_FLIGHT} sends in flight; rates are in bytes of the .log file`,
    'raw: the bytes of such a file from memory to a new file by asynchronous `fs.write` of 1 MiB, one in flight, no checksum, nothing encoded',
    'what was written is read back and compared, by count and checksum, the raw file by its bytes, not timed; both write to pages that were free a moment before',
    'row 10, the same with a native CRC, is not measured: no other CRC-32C can be plugged in',
  ],
  rows: SIZES.map(({ label, floor, goal }) => ({
    id: '9',
    label: `append ${label}, not synced, vs raw writes`,
    ours: `ottla ${label}`,
    peer: `raw ${label}`,
    better: 'higher',
    unit: 'B/s',
    floor,
    goal,
  })),
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'os' })
    const topic = new Topic('log', { key: bytes(), value: bytes() })
    const logPath = join(directory, 'ottla', 'log-0', `${'0'.repeat(20)}.log`)
    const contenders = {}
    for (const { bytes, label, rounds } of SIZES) {
      const values = makePayloads(BATCH, bytes)
      const keys = values.map((_, index) => Buffer.from(String(100_000 + index)))
      const append = async () => {
        const log = await ottla.emptyTopic(topic)
        const send = () =>
          log.producer.send(
            topic,
            values.map((value, index) => ({ key: keys[index], value })),
          )
        let sent = LEAD_ROUNDS
        await inFlight(LEAD_ROUNDS, send)
        const leadBytes = statSync(logPath).size
        const seconds = await processor.timeStretches(STRETCHES, () => {
          sent += rounds / STRETCHES
          return inFlight(rounds / STRETCHES, send)
        })
        await checkStored(log, values, sent * BATCH)
        const roundBytes = (statSync(logPath).size - leadBytes) / (sent - LEAD_ROUNDS)
        return { log, work: rounds * roundBytes, seconds }
      }
      const { log, work } = await append()
      const content = readFileSync(logPath)
      await log.close()
      contenders[`ottla ${label}`] = async () => {
        const { log, work, seconds } = await append()
        await log.close()
        return { work, seconds }
      }
      contenders[`raw ${label}`] = () => writeRaw(join(directory, 'raw'), content, work)
    }
    return { contenders, close: () => ottla.close() }
  },
}

/** Sends so often, a few at a time. @param {number} rounds @param {() => Promise<unknown>} send */
async function inFlight(rounds, send) {
  const sends = []
  for (let round = 0; round < rounds; round++) {
    if (sends.length === IN_FLIGHT) await sends.shift()
    sends.push(send())
  }
  await Promise.all(sends)
}

/** Writes the content once, which is not timed, and then so many bytes of it. */
async function writeRaw(path, content, work) {
  const file = await openRaw(path, 'w+')
  let size = 0
  const write = async (length) => {
    for (const end = size + length; size < end; ) {
      const start = size % content.length
      size += await file.write(content, start, Math.min(RAW_WRITE_BYTES, end - size, content.length - start), size)
    }
  }
  await write(content.length)
  const stretchBytes = Math.round(work / STRETCHES)
  const seconds = await processor.timeStretches(STRETCHES, () => write(stretchBytes))
  await file.close()
  checkRepeats(readFileSync(path), content, size)
  unlinkSync(path)
  return { work: STRETCHES * stretchBytes, seconds }
}

/** Throws unless the bytes are so many, and the content over and over. */
function checkRepeats(written, content, size) {
  if (written.length !== size) throw new Error(`The raw file holds ${written.length} bytes of ${size}`)
  for (let start = 0; start < size; start += content.length) {
    const repeat = written.subarray(start, start + content.length)
    if (!repeat.equals(content.subarray(0, repeat.length)))
      throw new Error(`The raw file is another one from ${start} on`)
  }
}
