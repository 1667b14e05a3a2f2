import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { closedLoop, leadOf } from './peers/closed-loop.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRawGroupCommit } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const VALUE_BYTES = 100
/** How many sends a repetition makes with so many senders. */
const SENDS = { 1: 200, 10: 2000, 100: 12_000, 1000: 60_000 }

const perSync = (senders, floor, goal) => ({
  id: '13',
  label: `sends per fdatasync and sender, ${senders} senders`,
  ours: `syncs of ${senders}`,
  better: 'higher',
  unit: 'sends',
  floor,
  goal,
})

const againstRaw = (senders, floor, goal) => ({
  id: '14',
  label: `durable sends, ${senders} senders`,
  ours: `ottla ${senders}`,
  peer: `raw ${senders}`,
  better: 'higher',
  unit: 'send/s',
  floor,
  goal,
})

export const workload = {
  name: 'group-commit',
  title: 'Durable single sends of many senders, against group commit and nothing else',
  settings: [
    'each of N senders awaits its send of one value of 100 B before its next: 200 sends with 1 sender, 2,000 with 10, 12,000 with 100, 60,000 with 1,000, after a quarter as many that are not timed',
    'ottla: `durability: "fsync"`, one producer with its defaults, 1 partition, `bytes()`, no key; the calls of `fdatasync` are counted',
    'raw group commit: the values one behind the other, one asynchronous `fs.write` and `fs.fdatasync` for all that gathered meanwhile, nothing encoded',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    perSync(1, 0.95, 0.99),
    perSync(10, 0.95, 0.99),
    perSync(100, 0.95, 0.99),
    perSync(1000, 0.85, 0.91),
    againstRaw(1, 0.8, 0.95),
    againstRaw(10, undefined, undefined),
    againstRaw(100, 0.7, 0.9),
    againstRaw(1000, 0.55, 0.71),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'fsync' })
    const values = makePayloads(1000, VALUE_BYTES)
    const syncs = countSyncs()
    const contenders = {}
    for (const senders of [1, 10, 100, 1000]) {
      const work = SENDS[senders]
      let sendsPerSync = 0
      const send = async () => {
        const log = await ottla.emptyTopic()
        const { producer, topic } = log
        let syncsBefore = 0
        const { sent, ...measured } = await closedLoop(senders, work, (index) => {
          if (index === leadOf(work)) syncsBefore = syncs.count
          return producer.send(topic, { value: values[index % values.length] })
        })
        sendsPerSync = (sent - leadOf(work)) / (syncs.count - syncsBefore)
        await checkStored(log, values, sent)
        await log.close()
        return measured
      }
      contenders[`ottla ${senders}`] = send
      // Of the last time that was measured.
      contenders[`syncs of ${senders}`] = async () => {
        if (sendsPerSync === 0) await send()
        return { value: sendsPerSync / senders }
      }
      contenders[`raw ${senders}`] = async () => {
        const raw = await openRawGroupCommit(join(directory, 'raw'))
        const { sent, ...measured } = await closedLoop(senders, work, (index) =>
          raw.insert(values[index % values.length]),
        )
        await checkStored({ readAll: (onValue) => raw.readAll(onValue, VALUE_BYTES) }, values, sent)
        await raw.close()
        return measured
      }
    }
    return {
      contenders,
      async close() {
        syncs.stop()
        await ottla.close()
      },
    }
  },
}

/** Counts the process's calls of fdatasync. */
function countSyncs() {
  const { fdatasync } = fs
  const counter = {
    count: 0,
    stop() {
      fs.fdatasync = fdatasync
      syncBuiltinESMExports()
    },
  }
  fs.fdatasync = (fd, done) => {
    counter.count++
    fdatasync(fd, done)
  }
  syncBuiltinESMExports()
  return counter
}
