import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { openLmdb } from './peers/lmdb.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw, openRawGroupCommit } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const VALUE_BYTES = 100
/** How many sends a repetition makes with so many senders. */
const SENDS = { 1: 200, 10: 2000, 100: 20_000, 1000: 100_000 }
const SQLITE_SENDS = 500
const FSYNC_SENDS = 2000

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
  label: `durable sends, ${senders} senders, vs raw group commit`,
  ours: `ottla ${senders}`,
  peer: `raw ${senders}`,
  better: 'higher',
  unit: 'send/s',
  floor,
  goal,
})

const against = (peer, floor, goal, note) => ({
  id: '15',
  label: 'durable sends, 100 senders',
  ours: 'ottla 100',
  peer,
  better: 'higher',
  unit: 'send/s',
  floor,
  goal,
  note,
})

export const workload = {
  name: 'group-commit',
  title: 'Durable single sends of many senders',
  settings: [
    'each of N senders awaits its send of one value of 100 B before its next: 200 sends with 1 sender, 2,000 with 10, 20,000 with 100, 100,000 with 1,000',
    'ottla: `durability: "fsync"`, one producer with its defaults, 1 partition, `bytes()`, no key; the calls of `fdatasync` are counted',
    'raw: the values one behind the other, `fs.write` and `fs.fdatasync` of all that gathered meanwhile, nothing encoded',
    'better-sqlite3: WAL, synchronous = FULL, a transaction for each row, 500 of them, after a checkpoint, so that the WAL file does not grow; lmdb: `put`, then `flushed` awaited; fsync per message: `fs.write` and `fs.fdatasync` for each, 2,000 of them, all senders at once',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    perSync(1, 0.95, 0.99),
    perSync(10, 0.95, 0.99),
    perSync(100, 0.95, 0.99),
    perSync(1000, 0.85, 0.91),
    againstRaw(1, 0.8, 0.95),
    againstRaw(100, 0.7, 0.9),
    againstRaw(1000, 0.55, 0.71),
    against('better-sqlite3', 25, 39, 'it blocks the event loop for each'),
    against('lmdb', 1.2, 1.57),
    against('fsync per message', 6, 9.5),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'fsync' })
    const values = makePayloads(1000, VALUE_BYTES)
    const syncs = countSyncs()
    const contenders = {}
    const sendToOttla = async (senders) => {
      const log = await ottla.emptyTopic()
      const { producer, topic } = log
      // What a new partition costs once: its names are synced before its first send is acknowledged.
      await producer.send(topic, { value: values[0] })
      const syncsBefore = syncs.count
      const seconds = await closedLoop(senders, SENDS[senders], (index) =>
        producer.send(topic, { value: values[(index + 1) % values.length] }),
      )
      const syncCount = syncs.count - syncsBefore
      await checkStored(log, values, SENDS[senders] + 1)
      await log.close()
      return { seconds, syncCount }
    }
    for (const senders of [1, 10, 100, 1000]) {
      const work = SENDS[senders]
      contenders[`syncs of ${senders}`] = async () => {
        const { syncCount } = await sendToOttla(senders)
        return { value: work / syncCount / senders }
      }
      if (senders === 10) continue
      contenders[`ottla ${senders}`] = async () => ({ work, seconds: (await sendToOttla(senders)).seconds })
      contenders[`raw ${senders}`] = async () => {
        const raw = await openRawGroupCommit(join(directory, 'raw'))
        const seconds = await closedLoop(senders, work, (index) => raw.insert(values[index % values.length]))
        await checkStored({ readAll: (onValue) => raw.readAll(onValue, VALUE_BYTES) }, values, work)
        await raw.close()
        return { work, seconds }
      }
    }
    contenders.lmdb = async () => {
      const store = openLmdb(join(directory, 'lmdb'), { durable: true })
      const work = SENDS[100]
      const seconds = await closedLoop(100, work, (index) => store.insert(values[index % values.length]))
      await checkStored(store, values, work)
      await store.close()
      return { work, seconds }
    }
    contenders['better-sqlite3'] = async () => {
      const store = openSqlite(join(directory, 'sqlite'), { synchronous: 'FULL' })
      // Enough for a checkpoint: from then on the WAL file is written over and does not grow.
      const before = 50 * values.length
      for (let written = 0; written < before; written += values.length) store.append(values)
      const seconds = await closedLoop(100, SQLITE_SENDS, (index) => store.insert(values[index % values.length]))
      await checkStored(store, values, before + SQLITE_SENDS)
      store.close()
      return { work: SQLITE_SENDS, seconds }
    }
    contenders['fsync per message'] = async () => {
      const path = join(directory, 'messages')
      const file = await openRaw(path, 'w+')
      const seconds = await closedLoop(100, FSYNC_SENDS, async (index) => {
        await file.write(values[index % values.length], 0, VALUE_BYTES, index * VALUE_BYTES)
        await file.dataSync()
      })
      await file.close()
      const written = fs.readFileSync(path)
      await checkStored(
        {
          readAll(onValue) {
            for (let at = 0; at < written.length; at += VALUE_BYTES) onValue(written.subarray(at, at + VALUE_BYTES))
          },
        },
        values,
        FSYNC_SENDS,
      )
      return { work: FSYNC_SENDS, seconds }
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

/** Seconds that `total` sends take when each of `senders` awaits its own before it sends again. */
async function closedLoop(senders, total, send) {
  let next = 0
  const sender = async () => {
    while (next < total) await send(next++)
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: senders }, sender))
  return (performance.now() - startedAt) / 1000
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
