import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { errorCode, type FileSystem, type OpenFile, type OpenMode } from './file-system.js'
import { lockDirectory } from './lock.js'

/**
 * Up to this size a write is made at once. It only copies to the page cache, about 20 us for 64 KiB, where the way to
 * the thread pool and back costs 30 to 45 us for any size. Larger writes and every sync go to the thread pool.
 */
const SYNCHRONOUS_WRITE_BYTES = 64 * 1024

const FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', update: 'r+', create: 'wx+', replace: 'w+' }

/** The machine's own disk. */
export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    return new NodeFile(await call<number>((done) => fs.open(path, FLAGS[mode], done)))
  },
  async stat(path) {
    try {
      const stats = await call<fs.Stats>((done) => fs.stat(path, done))
      return { sizeInBytes: stats.size, isDirectory: stats.isDirectory() }
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  },
  async list(directory) {
    const entries = await call<fs.Dirent[]>((done) => fs.readdir(directory, { withFileTypes: true }, done))
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  },
  makeDirectory,
  removeDirectory: (path) => call((done) => fs.rmdir(path, done)),
  rename: (from, to) => call((done) => fs.rename(from, to, done)),
  unlink: (path) => call((done) => fs.unlink(path, done)),
  async syncDirectory(path) {
    // Windows opens no directories, and NTFS keeps names in its journal.
    if (process.platform === 'win32') return
    const fd = await call<number>((done) => fs.open(path, 'r', done))
    try {
      await call<void>((done) => fs.fsync(fd, done))
    } finally {
      await call<void>((done) => fs.close(fd, done))
    }
  },
  lock: lockDirectory,
}

/** Node's own way to do it never ends where a directory that is there takes no new ones, as /proc does not. */
async function makeDirectory(path: string): Promise<string | undefined> {
  try {
    return (await makeOneDirectory(path)) ? path : undefined
  } catch (error) {
    const parent = dirname(path)
    if (errorCode(error) !== 'ENOENT' || parent === path) throw error
    const topmost = await makeDirectory(parent)
    const isMade = await makeOneDirectory(path)
    return topmost ?? (isMade ? path : undefined)
  }
}

/** True where it was made, false where it is there. */
async function makeOneDirectory(path: string): Promise<boolean> {
  try {
    await call<void>((done) => fs.mkdir(path, done))
    return true
  } catch (error) {
    if ((await nodeFileSystem.stat(path))?.isDirectory) return false
    throw error
  }
}

class NodeFile implements OpenFile {
  readonly #fd: number

  constructor(fd: number) {
    this.#fd = fd
  }

  read(target: Uint8Array, start: number, length: number, position: number): Promise<number> {
    return call((done) => fs.read(this.#fd, target, start, length, position, done))
  }

  write(source: Uint8Array, start: number, length: number, position: number): number | Promise<number> {
    if (length <= SYNCHRONOUS_WRITE_BYTES) return fs.writeSync(this.#fd, source, start, length, position)
    return call((done) => fs.write(this.#fd, source, start, length, position, done))
  }

  truncate(sizeInBytes: number): Promise<void> {
    return call((done) => fs.ftruncate(this.#fd, sizeInBytes, done))
  }

  dataSync(): Promise<void> {
    return call((done) => fs.fdatasync(this.#fd, done))
  }

  close(): Promise<void> {
    return call((done) => fs.close(this.#fd, done))
  }
}

/** Node's callbacks cost a third less than its FileHandle. A call that yields nothing resolves to undefined. */
function call<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    // The typings of node:fs give every call its own callback; where T is void there is no second argument.
    start((error, value) => (error ? reject(error) : resolve(value as T)))
  })
}
