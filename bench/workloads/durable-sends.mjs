import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { closedLoop } from './peers/closed-loop.mjs'
import { openLmdb } from './peers/lmdb.mjs'
import { openOttla } from './peers/ottla.mjs'
import { openRaw } from './peers/raw-file.mjs'
import { checkStored } from './peers/store.mjs'

const VALUE_BYTES = 100
const SENDERS = 100
const SENDS = 20_000
const SQLITE_SENDS = 400
const FSYNC_SENDS = 2000

const against = (peer, floor, goal, { note, floorOf } = {}) => ({
  id: '15',
  label: 'durable sends, 100 senders',
  ours: 'ottla',
  peer,
  better: 'higher',
  unit: 'send/s',
  floor,
  floorOf,
  goal,
  goalOf: floorOf,
  note,
})

export const workload = {
  name: 'durable-sends',
  title: 'Durable single sends of 100 senders, against embedded stores',
  settings: [
    'each of 100 senders awaits its send of one value of 100 B before its next; after a quarter as many that are not timed, 20,000 sends in five stretches',
    'ottla: `durability: "fsync"`, one producer with its defaults, 1 partition, `bytes()`, no key',
    'better-sqlite3: WAL, synchronous = FULL, a transaction for each row, 400 of them, after a checkpoint, so that the WAL file is written over and does not grow, or in a new database; lmdb: `put`, then `flushed` awaited',
    'fsync per message: an asynchronous `fs.write` and `fs.fdatasync` for each, 2,000 of them, all senders at once',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    against('better-sqlite3', 25, 39, { note: 'it blocks the event loop for each', floorOf: '(WAL that grows)' }),
    against('better-sqlite3, WAL that grows', 25, 39, {
      note: 'a new database, as the one for which the floor was set',
    }),
    against('lmdb', 1.2, 1.57),
    against('fsync per message', 6, 9.5),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'fsync' })
    const values = makePayloads(1000, VALUE_BYTES)
    const valueAt = (index) => values[index % values.length]
    /** `before` rows make a WAL that a checkpoint has emptied, and that is written over from then on. */
    const insertRows = async (before) => {
      const store = openSqlite(join(directory, 'sqlite'), { synchronous: 'FULL' })
      for (let written = 0; written < before; written += values.length) store.append(values)
      const { sent, ...measured } = await closedLoop(SENDERS, SQLITE_SENDS, (index) => store.insert(valueAt(index)))
      await checkStored(store, values, before + sent)
      store.close()
      return measured
    }
    return {
      contenders: {
        ottla: async () => {
          const log = await ottla.emptyTopic()
          const { producer, topic } = log
          const { sent, ...measured } = await closedLoop(SENDERS, SENDS, (index) =>
            producer.send(topic, { value: valueAt(index) }),
          )
          await checkStored(log, values, sent)
          await log.close()
          return measured
        },
        lmdb: async () => {
          const store = openLmdb(join(directory, 'lmdb'), { durable: true })
          const { sent, ...measured } = await closedLoop(SENDERS, SENDS, (index) => store.insert(valueAt(index)))
          await checkStored(store, values, sent)
          await store.close()
          return measured
        },
        'better-sqlite3': () => insertRows(50 * values.length),
        'better-sqlite3, WAL that grows': () => insertRows(0),
        'fsync per message': async () => {
          const path = join(directory, 'messages')
          const file = await openRaw(path, 'w+')
          const { sent, ...measured } = await closedLoop(SENDERS, FSYNC_SENDS, async (index) => {
            await file.write(valueAt(index), 0, VALUE_BYTES, index * VALUE_BYTES)
            await file.dataSync()
          })
          await file.close()
          const written = readFileSync(path)
          const readAll = (onValue) => {
            for (let at = 0; at < written.length; at += VALUE_BYTES) onValue(written.subarray(at, at + VALUE_BYTES))
          }
          await checkStored({ readAll }, values, sent)
          return measured
        },
      },
      close: () => ottla.close(),
    }
  },
}
