import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { openLevel } from './peers/classic-level.mjs'
import { openLmdb } from './peers/lmdb.mjs'
import { openOttla } from './peers/ottla.mjs'
import { timeAppends } from './peers/store.mjs'

const BATCH = 1000
const ROUNDS = 60

/** @param {string} peer @param {{ floor?: number, goal?: number, note?: string }} more */
const against = (peer, more) => ({
  id: '11',
  label: 'append 100 B x 1,000, not synced',
  ours: 'ottla',
  peer,
  better: 'higher',
  unit: 'msg/s',
  ...more,
})

export const workload = {
  name: 'append-files',
  title: 'Append batches of 1,000 to a file, not synced, against embedded stores',
  settings: [
    '60 batches of 1,000 values of 100 B after 30 that are not timed, each batch awaited; every store is new and empty for each repetition',
    'ottla: `durability: "os"`, 1 partition, `bytes()`, no key; better-sqlite3: WAL, synchronous = NORMAL, one transaction for a batch; lmdb: `noSync`, keys uint32; classic-level: chained batches, `sync: false`, keys of 8 B',
    'all lose nothing when the process dies, and may lose the end at a power cut; lmdb may then lose all',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    against('better-sqlite3', { floor: 2.2, goal: 3.5, note: 'a statement for each value, as its manual has it' }),
    against('lmdb', { floor: 1.6, goal: 2.5, note: '`put` for each value, as its manual has it' }),
    against('classic-level', {
      floor: 14,
      floorOf: '(array of operations)',
      goal: 22,
      goalOf: '(array of operations)',
    }),
    against('classic-level, array of operations', {
      floor: 14,
      goal: 22,
      note: 'the form for which the floor was set; a chained batch is faster',
    }),
    against('better-sqlite3, 100 rows a statement', {}),
    against('lmdb transactionSync', { note: 'with the append flag; it blocks' }),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'os' })
    const batch = makePayloads(BATCH, 100)
    const time = async (store) => timeAppends(await store, batch, ROUNDS)
    const at = (name) => join(directory, name)
    return {
      contenders: {
        ottla: () => time(ottla.emptyTopic()),
        'better-sqlite3': () => time(openSqlite(at('sqlite'), { synchronous: 'NORMAL' })),
        'better-sqlite3, 100 rows a statement': () =>
          time(openSqlite(at('sqlite'), { synchronous: 'NORMAL', rowsPerStatement: 100 })),
        lmdb: () => time(openLmdb(at('lmdb'), { durable: false })),
        'lmdb transactionSync': () => time(openLmdb(at('lmdb'), { durable: false, transactionSync: true })),
        'classic-level': () => time(openLevel(at('level'), { sync: false })),
        'classic-level, array of operations': () => time(openLevel(at('level'), { sync: false, operations: true })),
      },
      close: () => ottla.close(),
    }
  },
}
