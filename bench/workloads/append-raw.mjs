import { readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, decodeBatches, Topic } from '../../dist/index.js'
import { makePayloads } from '../harness/payloads.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const BATCH = 1000
const IN_FLIGHT = 8
const RAW_WRITE_BYTES = 2 ** 20
const SIZES = [
  { bytes: 100, label: '100 B', rounds: 300, floor: 0.12, goal: 0.2 },
  { bytes: 1024, label: '1 KiB', rounds: 32, floor: 0.25, goal: 0.37 },
]

export const workload = {
  name: 'append-raw',
  title: 'Append to a file, not synced, against raw writes of the same bytes',
  settings: [
    '300,000 values of 100 B, or 32,000 of 1 KiB, with a key of 6 B, both through `bytes()`; 1 partition, `durability: "os"`, otherwise defaults',
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
        const startedAt = performance.now()
        const inFlight = []
        for (let round = 0; round < rounds; round++) {
          if (inFlight.length === IN_FLIGHT) await inFlight.shift()
          inFlight.push(
            log.producer.send(
              topic,
              values.map((value, index) => ({ key: keys[index], value })),
            ),
          )
        }
        await Promise.all(inFlight)
        const seconds = (performance.now() - startedAt) / 1000
        await checkStored(log, values, rounds * BATCH)
        return { log, seconds }
      }
      const { log } = await append()
      const content = readFileSync(logPath)
      await log.close()
      contenders[`ottla ${label}`] = async () => {
        const { log, seconds } = await append()
        const work = statSync(logPath).size
        await log.close()
        return { work, seconds }
      }
      contenders[`raw ${label}`] = () => writeRaw(join(directory, 'raw'), content, rounds * BATCH)
    }
    return { contenders, close: () => ottla.close() }
  },
}

async function writeRaw(path, content, count) {
  const file = await openRaw(path, 'w+')
  const startedAt = performance.now()
  for (let position = 0; position < content.length; position += RAW_WRITE_BYTES) {
    await file.write(content, position, Math.min(RAW_WRITE_BYTES, content.length - position), position)
  }
  const seconds = (performance.now() - startedAt) / 1000
  await file.close()
  const written = readFileSync(path)
  const batches = decodeBatches(written, 0, written.length, { verify: true })
  const records = batches.reduce((sum, batch) => sum + batch.recordCount, 0)
  if (records !== count) throw new Error(`The raw file holds ${records} records of ${count}`)
  unlinkSync(path)
  return { work: content.length, seconds }
}
