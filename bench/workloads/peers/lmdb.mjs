import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'

/**
 * Values by number, as the manual of lmdb has it for many writes: `put` for each, which one transaction in another
 * thread takes in, and the last one awaited.
 *
 * @param {string} directory emptied
 * @param {{ durable: boolean, transactionSync?: boolean }} options durable: `flushed` is awaited too; else nothing is
 *   ever synced. transactionSync: the batch is written in a transaction of this thread, with LMDB's own append flag
 * @returns {import('./store.mjs').Store & { insert(value: Uint8Array): Promise<unknown> }}
 */
export function openLmdb(directory, { durable, transactionSync = false }) {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const database = open({ path: join(directory, 'log'), encoding: 'binary', keyEncoding: 'uint32', noSync: !durable })
  let next = 0
  const put = (values) => {
    let last
    for (const value of values) last = database.put(next++, value)
    return last
  }
  const putSync = (values) => {
    database.transactionSync(() => {
      for (const value of values) database.putSync(next++, value, { append: true })
    })
  }
  const write = transactionSync ? putSync : put
  return {
    append: durable
      ? (values) => {
          write(values)
          return database.flushed
        }
      : write,
    insert(value) {
      database.put(next++, value)
      return database.flushed
    },
    readAll(onValue) {
      for (const { value } of database.getRange()) onValue(value)
    },
    close: () => database.close(),
  }
}
