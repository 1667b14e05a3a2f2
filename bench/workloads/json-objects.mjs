import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { json, Topic } from '../../dist/index.js'
import { processor } from '../harness/processor.mjs'
import { openSqlite } from './peers/better-sqlite3.mjs'
import { openNdjson } from './peers/ndjson.mjs'
import { openOttla } from './peers/ottla.mjs'

const BATCH = 1000
const LEAD_ROUNDS = 15
const STRETCHES = 5
const STRETCH_ROUNDS = 6
const READ_ROUNDS = 20

const row = (verb, peer, floor, goal, more) => ({
  id: '17',
  label: `${verb} JSON objects of 262 B`,
  ours: `${verb} ottla`,
  peer: `${verb} ${peer}`,
  better: 'higher',
  unit: 'msg/s',
  floor,
  goal,
  ...more,
})

export const workload = {
  name: 'json-objects',
  title: 'Objects as JSON, appended and read back, against lines in a file and rows in a table',
  settings: [
    '30 batches of 1,000 objects of 262 B as JSON in five stretches, after 15 that are not timed, each batch awaited, nothing synced; what was appended is read back and compared by count and by a sum over three fields',
    '20,000 read from the beginning, parsed and compared, a second time after one that is not timed',
    'ottla: `json()`, `durability: "os"`, 1 partition, no key; read by `runBatches` of a new group, from the call to the last message, out of the file: the log is closed and opened between',
    'NDJSON: a file, the lines of a batch in one `writeSync`; read by pieces of 1 MiB that are split into lines',
    'better-sqlite3: WAL, synchronous = NORMAL, a transaction for a batch; read by pages of 1,000 values, or as rows by `iterate`',
  ],
  rows: [
    row('append', 'NDJSON', 0.6, 0.77),
    row('append', 'better-sqlite3', 1.3, 1.7),
    row('read', 'NDJSON', 0.8, 1),
    row('read', 'better-sqlite3', 1.1, 1.4, { floorOf: '(iterate)', goalOf: '(iterate)' }),
    row('read', 'better-sqlite3, iterate', 1.1, 1.4, {
      note: 'rows by `iterate`: by its ratio to NDJSON the form for which the floor was set',
    }),
  ],
  repetitions: 15,
  warmups: 2,
  async open({ directory }) {
    const objects = makeObjects()
    const check = (read, rounds) => {
      const expected = sumOf(objects, rounds)
      if (read.count !== expected.count || read.sum !== expected.sum) {
        throw new Error(`Read ${JSON.stringify(read)}, expected ${JSON.stringify(expected)}`)
      }
    }
    // What follows a full garbage collection runs for a while as a process does that has just begun: it is not timed.
    const time = async (append) => {
      let rounds = 0
      const appendAll = async (count) => {
        rounds += count
        for (let round = 0; round < count; round++) await append()
      }
      await appendAll(LEAD_ROUNDS)
      const seconds = await processor.timeStretches(STRETCHES, () => appendAll(STRETCH_ROUNDS))
      return { measured: { work: STRETCHES * STRETCH_ROUNDS * BATCH, seconds }, rounds }
    }
    const timeReading = async (read) => {
      const readings = []
      const readAll = async () => {
        const seen = new Seen()
        const end = await read((object) => seen.add(object))
        readings.push({ seen, end })
      }
      await readAll()
      const seconds = await processor.time(readAll)
      for (const { seen, end } of readings) {
        check(seen, READ_ROUNDS)
        await end?.()
      }
      return { work: READ_ROUNDS * BATCH, seconds }
    }
    const topic = new Topic('objects', { value: json() })
    const appending = await openOttla(join(directory, 'appending'), { durability: 'os' })

    const filled = await openOttla(join(directory, 'reading'), { durability: 'os' })
    const { producer } = await filled.emptyTopic(topic)
    const lines = openNdjson(join(directory, 'reading.ndjson'))
    const rows = openSqlite(join(directory, 'reading-sqlite'), { synchronous: 'NORMAL' })
    for (let round = 0; round < READ_ROUNDS; round++) {
      await producer.send(topic, objects.map(toMessage))
      lines.append(objects)
      rows.append(objects.map((object) => JSON.stringify(object)))
    }
    await filled.close()
    const reading = await openOttla(join(directory, 'reading'), { durability: 'os' })
    let groups = 0

    const contenders = {
      'append ottla': async () => {
        const log = await appending.emptyTopic(topic)
        const { measured, rounds } = await time(() => log.producer.send(topic, objects.map(toMessage)))
        const seen = new Seen()
        await log.readAll((object) => seen.add(object))
        check(seen, rounds)
        await log.close()
        return measured
      },
      'append NDJSON': async () => {
        const path = join(directory, 'appending.ndjson')
        const file = openNdjson(path)
        const { measured, rounds } = await time(() => file.append(objects))
        const seen = new Seen()
        file.readAll((object) => seen.add(object))
        check(seen, rounds)
        file.close()
        rmSync(path)
        return measured
      },
      'append better-sqlite3': async () => {
        const table = openSqlite(join(directory, 'appending-sqlite'), { synchronous: 'NORMAL' })
        const { measured, rounds } = await time(() => table.append(objects.map((object) => JSON.stringify(object))))
        const seen = new Seen()
        table.readAll((text) => seen.add(JSON.parse(text)))
        check(seen, rounds)
        table.close()
        return measured
      },
      'read ottla': () =>
        timeReading(async (onObject) => {
          const group = reading.broker.consumerGroup(`group-${groups++}`, { topics: [topic] })
          let left = READ_ROUNDS * BATCH
          await new Promise((resolve, reject) => {
            group
              .runBatches(({ messages }) => {
                for (const { value } of messages) onObject(value)
                left -= messages.length
                if (left === 0) resolve()
              })
              .catch(reject)
          })
          return () => group.close()
        }),
      'read NDJSON': () => timeReading((onObject) => lines.readAll(onObject)),
      'read better-sqlite3': () => timeReading((onObject) => rows.readAll((text) => onObject(JSON.parse(text)))),
      'read better-sqlite3, iterate': () =>
        timeReading((onObject) => rows.iterateAll((text) => onObject(JSON.parse(text)))),
    }
    return {
      contenders,
      async close() {
        await appending.close()
        await reading.close()
        lines.close()
        rows.close()
      },
    }
  },
}

/** What was read, counted and summed up in its order. */
class Seen {
  count = 0
  sum = 0

  add({ id, quantity, customer }) {
    this.count++
    this.sum = (Math.imul(this.sum, 31) + id + quantity + customer.name.length) | 0
  }
}

/** Of the objects, so many times over. */
function sumOf(objects, rounds) {
  const seen = new Seen()
  for (let round = 0; round < rounds; round++) for (const object of objects) seen.add(object)
  return seen
}

function makeObjects() {
  return Array.from({ length: BATCH }, (_, index) => ({
    id: 1_000_000 + index,
    type: 'order.placed',
    customer: {
      id: `c-${10_000 + ((index * 37) % 5000)}`,
      name: `Customer number ${1000 + index}`,
      vip: index % 7 === 0,
    },
    quantity: 10 + (index % 90),
    price: 19.99,
    currency: 'EUR',
    tags: ['web', 'express', 'gift'],
    placedAt: '2024-05-17T09:41:07.123Z',
    address: { city: 'Praha', zip: '11000' },
  }))
}

function toMessage(value) {
  return { value }
}
