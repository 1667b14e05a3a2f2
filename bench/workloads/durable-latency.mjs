import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const SENDS = 300
const VALUE_BYTES = 100

export const workload = {
  name: 'durable-latency',
  title: 'How long one durable send takes',
  settings: [
    '300 sends of a value of 100 B, each awaited before the next; the p50 of a repetition',
    'ottla: `durability: "fsync"`, 1 partition, `bytes()`, no key, from the call of `send` until its promise resolves',
    'raw: `fs.write` of the value behind the last one, then `fs.fdatasync`, asynchronous both',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    {
      id: '23',
      label: 'durable send, p50, 1 sender',
      ours: 'ottla',
      peer: 'raw write + fdatasync',
      better: 'lower',
      unit: 'us',
      floor: 1.25,
      goal: 1.05,
    },
  ],
  repetitions: 11,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'fsync' })
    const values = makePayloads(1000, VALUE_BYTES)
    return {
      contenders: {
        ottla: async () => {
          const log = await ottla.emptyTopic()
          const { producer, topic } = log
          // What a new partition costs once: its names are synced before its first send is acknowledged.
          await producer.send(topic, { value: values[0] })
          const value = await median((index) => producer.send(topic, { value: values[index + 1] }))
          await checkStored(log, values, SENDS + 1)
          await log.close()
          return { value }
        },
        'raw write + fdatasync': async () => {
          const file = await openRaw(join(directory, 'raw'), 'w+')
          const value = await median(async (index) => {
            await file.write(values[index], 0, VALUE_BYTES, index * VALUE_BYTES)
            await file.dataSync()
          })
          const stored = new Uint8Array(SENDS * VALUE_BYTES)
          await file.read(stored, 0, stored.length, 0)
          await file.close()
          const readAll = (onValue) => {
            for (let at = 0; at < stored.length; at += VALUE_BYTES) onValue(stored.subarray(at, at + VALUE_BYTES))
          }
          await checkStored({ readAll }, values, SENDS)
          return { value }
        },
      },
      close: () => ottla.close(),
    }
  },
}

/** @param {(index: number) => Promise<unknown>} send @returns {Promise<number>} of SENDS sends, in microseconds */
async function median(send) {
  const times = new Float64Array(SENDS)
  for (let index = 0; index < SENDS; index++) {
    const startedAt = performance.now()
    await send(index)
    times[index] = performance.now() - startedAt
  }
  return times.sort()[SENDS >> 1] * 1000
}
