import { join } from 'node:path'
import { Broker, bytes, FileStorage, Topic } from '../../dist/index.js'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { openLevel } from './peers/classic-level.mjs'
import { openLmdb } from './peers/lmdb.mjs'

const BATCH = 1000
const COUNT = 100_000

/** @param {string} ours @param {string} peer @param {{ floor?: number, goal?: number, note?: string }} more */
const against = (ours, peer, more) => ({
  id: '16',
  label: `read back 100 B, ${ours === 'ottla' ? 'runBatches' : 'reader'}`,
  ours,
  peer,
  better: 'higher',
  unit: 'msg/s',
  ...more,
})

export const workload = {
  name: 'read-files',
  title: 'Read a log back from its beginning, against embedded stores',
  settings: [
    '100,000 values of 100 B, written by batches of 1,000, files in the page cache; read twice, the second time counts; each value is looked at: count and checksum',
    'ottla: the log is closed and opened again, so that all comes from the file and each batch is checked by its CRC; 1 partition; `runBatches` of a new group with its defaults, from the call to the last message, or `for await` over `reader`',
    'better-sqlite3: pages of 1,000 rows after an id; lmdb: `getRange`; classic-level: `nextv(1000)` with a high-water mark of 1 MiB',
  ],
  rows: [
    against('ottla', 'better-sqlite3', { floor: 3, goal: 4.7 }),
    against('ottla', 'lmdb', { floor: 2, goal: 3 }),
    against('ottla', 'classic-level', { floor: 7, goal: 11 }),
    against('ottla reader', 'better-sqlite3', { note: '`for await`, a promise for each message' }),
    against('ottla reader', 'lmdb', {}),
  ],
  repetitions: 9,
  warmups: 2,
  async open({ directory }) {
    const values = makePayloads(BATCH, 100)
    const topic = new Topic('log', { value: bytes() })
    const writer = await Broker.open({ storage: new FileStorage(join(directory, 'ottla'), { durability: 'os' }) })
    await writer.topic(topic)
    const producer = writer.producer()
    const sqlite = openSqlite(join(directory, 'sqlite'), { synchronous: 'NORMAL' })
    const lmdb = openLmdb(join(directory, 'lmdb'), { durable: false })
    const level = await openLevel(join(directory, 'level'), { sync: false })
    for (let written = 0; written < COUNT; written += BATCH) {
      await producer.send(topic, values.map(toMessage))
      sqlite.append(values)
      await lmdb.append(values)
      await level.append(values)
    }
    await writer.close()
    const broker = await Broker.open({ storage: new FileStorage(join(directory, 'ottla'), { durability: 'os' }) })
    let groups = 0

    /** The second of two times: the first one is as slow as a process that has just begun. */
    const time = async (read) => {
      await timeOnce(read)
      return timeOnce(read)
    }
    /** @param {(onValue: (value: Uint8Array) => void, all: Promise<void>) => unknown} read returns what is to be done afterwards */
    const timeOnce = async (read) => {
      const arrivals = new Arrivals()
      const all = arrivals.expect(COUNT)
      const startedAt = performance.now()
      const end = await read((value) => arrivals.add(value), all)
      const seconds = (performance.now() - startedAt) / 1000
      await end?.()
      arrivals.check(values)
      return { work: COUNT, seconds }
    }
    return {
      contenders: {
        ottla: () =>
          time(async (onValue, all) => {
            const group = broker.consumerGroup(`group-${groups++}`, { topics: [topic] })
            await group.runBatches(({ messages }) => {
              for (const { value } of messages) onValue(value)
            })
            await all
            return () => group.close()
          }),
        'ottla reader': () =>
          time(async (onValue) => {
            for await (const { value } of broker.reader(topic, { until: 'end' })) onValue(value)
          }),
        'better-sqlite3': () => time((onValue) => sqlite.readAll(onValue)),
        lmdb: () => time((onValue) => lmdb.readAll(onValue)),
        'classic-level': () => time((onValue) => level.readAll(onValue)),
      },
      async close() {
        await broker.close()
        sqlite.close()
        await lmdb.close()
        await level.close()
      },
    }
  },
}

function toMessage(value) {
  return { value }
}
