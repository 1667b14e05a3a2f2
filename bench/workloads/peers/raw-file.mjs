import * as fs from 'node:fs'
import { promisify } from 'node:util'

const open = promisify(fs.open)
const close = promisify(fs.close)

/** Node's callbacks as promises, without the objects that promisified `read` and `write` return. */
function call(start) {
  return new Promise((resolve, reject) => {
    start((error, count) => (error === null ? resolve(count) : reject(error)))
  })
}

/** A file by Node's asynchronous calls, and nothing around it. @param {string} path @param {'w+' | 'r'} flags */
export async function openRaw(path, flags) {
  const fd = await open(path, flags)
  return {
    write: (bytes, start, length, position) => call((done) => fs.write(fd, bytes, start, length, position, done)),
    read: (bytes, start, length, position) => call((done) => fs.read(fd, bytes, start, length, position, done)),
    dataSync: () => call((done) => fs.fdatasync(fd, done)),
    close: () => close(fd),
  }
}

/**
 * Group commit and nothing else: what gathers while one write and sync are under way is the next write. The upper
 * bound for any log that acknowledges after fdatasync.
 *
 * @param {string} path
 */
export async function openRawGroupCommit(path) {
  const file = await openRaw(path, 'w+')
  let gathering = { bytes: new Uint8Array(2 ** 20), length: 0, resolvers: [] }
  let writing = { bytes: new Uint8Array(2 ** 20), length: 0, resolvers: [] }
  let isBusy = false
  let size = 0
  const commit = async () => {
    isBusy = true
    while (gathering.length > 0) {
      const group = gathering
      gathering = writing
      writing = group
      await file.write(group.bytes, 0, group.length, size)
      await file.dataSync()
      size += group.length
      const { resolvers } = group
      group.length = 0
      group.resolvers = []
      for (const resolve of resolvers) resolve()
    }
    isBusy = false
  }
  return {
    get size() {
      return size
    },
    /** @param {Uint8Array} value */
    insert(value) {
      gathering.bytes.set(value, gathering.length)
      gathering.length += value.length
      const synced = new Promise((resolve) => gathering.resolvers.push(resolve))
      // As we do: everybody who sends in this turn is in it.
      if (!isBusy) {
        isBusy = true
        process.nextTick(commit)
      }
      return synced
    },
    /** All values have the same size. */
    async readAll(onValue, valueBytes) {
      const bytes = new Uint8Array(size)
      for (let done = 0; done < size; ) done += await file.read(bytes, done, size - done, done)
      for (let at = 0; at < size; at += valueBytes) onValue(bytes.subarray(at, at + valueBytes))
    },
    close: () => file.close(),
  }
}
