import { join } from 'node:path'
import { makePayloads } from '../harness/payloads.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { openLevel } from './peers/classic-level.mjs'
import { openLmdb } from './peers/lmdb.mjs'
import { openOttla } from './peers/ottla.mjs'
import { timeAppends } from './peers/store.mjs'

const BATCH = 1000
const ROUNDS = 40

/** @param {string} peer @param {{ floor?: number, goal?: number, note?: string }} more */
const against = (peer, more) => ({
  id: '12',
  label: 'append 100 B x 1,000, each batch durable',
  ours: 'ottla',
  peer,
  better: 'higher',
  unit: 'msg/s',
  ...more,
})

export const workload = {
  name: 'append-durable',
  title: 'Append batches of 1,000, each durable before the next, against embedded stores',
  settings: [
    '40 batches of 1,000 values of 100 B after 20 that are not timed, each awaited, and so durable, before the next; every store is new and empty for each repetition',
    'ottla: `durability: "fsync"`, 1 partition, `bytes()`, no key; better-sqlite3: WAL, synchronous = FULL, one transaction for a batch; lmdb: `flushed` awaited after each batch, keys uint32; classic-level: chained batches, `sync: true`, keys of 8 B',
    'read back and compared by count and checksum, not timed',
  ],
  rows: [
    against('better-sqlite3', { floor: 1.3, goal: 1.8, note: 'a statement for each value, as its manual has it' }),
    against('lmdb', { floor: 1.3, goal: 1.8, note: '`put` for each value, as its manual has it' }),
    against('classic-level', { floor: 7, floorOf: '(array of operations)', goal: 11, goalOf: '(array of operations)' }),
    against('classic-level, array of operations', {
      floor: 7,
      goal: 11,
      note: 'the form for which the floor was set; a chained batch is faster',
    }),
    against('lmdb transactionSync', { note: 'with the append flag; it blocks' }),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const ottla = await openOttla(join(directory, 'ottla'), { durability: 'fsync' })
    const batch = makePayloads(BATCH, 100)
    const time = async (store) => timeAppends(await store, batch, ROUNDS)
    const at = (name) => join(directory, name)
    return {
      contenders: {
        ottla: () => time(ottla.emptyTopic()),
        'better-sqlite3': () => time(openSqlite(at('sqlite'), { synchronous: 'FULL' })),
        lmdb: () => time(openLmdb(at('lmdb'), { durable: true })),
        'lmdb transactionSync': () => time(openLmdb(at('lmdb'), { durable: true, transactionSync: true })),
        'classic-level': () => time(openLevel(at('level'), { sync: true })),
        'classic-level, array of operations': () => time(openLevel(at('level'), { sync: true, operations: true })),
      },
      close: () => ottla.close(),
    }
  },
}
