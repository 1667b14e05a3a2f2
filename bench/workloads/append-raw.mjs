import { readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, decodeBatches, Topic } from '../../dist/index.js'
import { makePayloads } from '../harness/payloads.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const BATCH = 1000
const IN_FLIGHT = 8
/** What follows a full garbage collection runs for a while as a process does that has just begun: it is not timed. */
const LEAD_ROUNDS = 50
const RAW_WRITE_BYTES = 2 ** 20
const SIZES = [
  { bytes: 100, label: '100 B', rounds: 200, floor: 0.12, goal: 0.2 },
  { bytes: 1024, label: '1 KiB', rounds: 40, floor: 0.25, goal: 0.37 },
]

export const workload = {
  name: 'append-raw',
  title: 'Append to a file, not synced, against raw writes of the same bytes',
  settings: [
    '200,000 values of 100 B, or 40,000 of 1 KiB, after 50,000 that are not timed, with a key of 6 B, both through `bytes()`; 1 partition, `durability: "os"`, otherwise defaults',
    `\`send(topic, messages)\` with 1,000 messages, ${IN_FLIGHT} sends in flight; rates are in bytes of the .log file`,
    'raw: the bytes of such a file from memory to a new file by asynchronous `fs.write` of 1 MiB, one in flight, no checksum, nothing encoded',
    'what was written is read back and compared by count and checksum, not timed; both write to pages that were free a moment before',
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
        await inFlight(LEAD_ROUNDS, send)
        const leadBytes = statSync(logPath).size
        const startedAt = performance.now()
        await inFlight(rounds, send)
        const seconds = (performance.now() - startedAt) / 1000
        await checkStored(log, values, (LEAD_ROUNDS + rounds) * BATCH)
        return { log, leadBytes, seconds }
      }
      const { log, leadBytes } = await append()
      const content = readFileSync(logPath)
      await log.close()
      contenders[`ottla ${label}`] = async () => {
        const { log, leadBytes, seconds } = await append()
        const work = statSync(logPath).size - leadBytes
        await log.close()
        return { work, seconds }
      }
      contenders[`raw ${label}`] = () =>
        writeRaw(join(directory, 'raw'), content, leadBytes, (LEAD_ROUNDS + rounds) * BATCH)
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

async function writeRaw(path, content, leadBytes, count) {
  const file = await openRaw(path, 'w+')
  const write = async (from, to) => {
    for (let position = from; position < to; position += RAW_WRITE_BYTES) {
      await file.write(content, position, Math.min(RAW_WRITE_BYTES, to - position), position)
    }
  }
  await write(0, leadBytes)
  const startedAt = performance.now()
  await write(leadBytes, content.length)
  const seconds = (performance.now() - startedAt) / 1000
  await file.close()
  const written = readFileSync(path)
  const batches = decodeBatches(written, 0, written.length, { verify: true })
  const records = batches.reduce((sum, batch) => sum + batch.recordCount, 0)
  if (records !== count) throw new Error(`The raw file holds ${records} records of ${count}`)
  unlinkSync(path)
  return { work: content.length - leadBytes, seconds }
}
