import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

const PAGE_ROWS = 1000

/**
 * A table as a log, as the manual of better-sqlite3 has it for bulk inserts: a write-ahead log, a prepared statement, a
 * transaction around each batch. Read by pages of 1,000 values, which is faster than `iterate`.
 *
 * @param {string} directory emptied
 * @param {{ synchronous: 'NORMAL' | 'FULL', rowsPerStatement?: number }} options more rows in one INSERT than the
 *   manual has save calls
 * @returns {import('./store.mjs').Store & { insert(value: Uint8Array): void, iterateAll(onValue: (value: any) => void): void }}
 */
export function openSqlite(directory, { synchronous, rowsPerStatement = 1 }) {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const database = new Database(join(directory, 'log.db'))
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${synchronous}`)
  database.exec('CREATE TABLE log (id INTEGER PRIMARY KEY, value NOT NULL)')
  const insertOne = database.prepare('INSERT INTO log (value) VALUES (?)')
  const places = Array(rowsPerStatement).fill('(?)')
  const insertMany = database.prepare(`INSERT INTO log (value) VALUES ${places}`)
  const page = database.prepare(`SELECT value FROM log WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`).pluck()
  const rows = database.prepare('SELECT id, value FROM log ORDER BY id')
  return {
    append: database.transaction((values) => {
      if (rowsPerStatement === 1) for (const value of values) insertOne.run(value)
      else
        for (let at = 0; at < values.length; at += rowsPerStatement)
          insertMany.run(values.slice(at, at + rowsPerStatement))
    }),
    insert: (value) => insertOne.run(value),
    readAll(onValue) {
      for (let id = 0; ; id += PAGE_ROWS) {
        const values = page.all(id)
        for (const value of values) onValue(value)
        if (values.length < PAGE_ROWS) return
      }
    },
    iterateAll(onValue) {
      for (const { value } of rows.iterate()) onValue(value)
    },
    close: () => database.close(),
  }
}
