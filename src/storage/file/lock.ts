import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { OttlaError } from '../../errors.js'
import { LOCK_FILE } from './layout.js'

/** A directory that is held. */
export interface DirectoryLock {
  /** Lets go of it. May be called more than once. */
  release(): Promise<void>
}

/** Who holds a directory: the content of its lock file, so that whoever comes second can say. */
interface Holder {
  readonly pid: number
  readonly hostname: string
  readonly since: string
}

/** The directories that this process holds, by device and inode, for every loaded copy of ottla. */
const HELD = Symbol.for('ottla.directories')

/**
 * Takes hold of a directory, or throws OTTLA_LOCKED naming who has it. The kernel lets go of every lock used here when
 * its holder dies, so none is ever taken over because of a time-out or a process id:
 *
 * - a registry in this process, by inode, which symlinks and several copies of ottla cannot evade;
 * - Linux: flock(2) on the open lock file, put there by flock(1) since Node has no call for it. It belongs to the open
 *   file, so it outlives flock(1), holds in other namespaces and between worker threads. Beside it an abstract socket
 *   named by the inode, which holds where flock(1) is missing;
 * - macOS, BSD and Windows: the flag that opens a file exclusively.
 */
export async function lockDirectory(directory: string, sinceMs: number): Promise<DirectoryLock> {
  const inode = inodeOf(directory)
  const holder: Holder = { pid: process.pid, hostname: hostname(), since: new Date(sinceMs).toISOString() }
  const held = heldDirectories()
  const other = held.get(inode)
  if (other !== undefined) throw locked(directory, other)
  held.set(inode, holder)
  let fd: number | undefined
  let socket: Server | undefined
  try {
    fd = openExclusively(directory)
    const isFlocked = process.platform === 'linux' && flock(fd, directory)
    socket = process.platform === 'linux' ? await bindSocket(inode, directory, isFlocked) : undefined
    writeHolder(fd, holder)
    return new HeldDirectory(inode, fd, socket)
  } catch (error) {
    await closeSocket(socket)
    if (fd !== undefined) fs.closeSync(fd)
    held.delete(inode)
    throw error
  }
}

class HeldDirectory implements DirectoryLock {
  readonly #inode: string
  readonly #socket: Server | undefined
  #fd: number | undefined

  constructor(inode: string, fd: number, socket: Server | undefined) {
    this.#inode = inode
    this.#fd = fd
    this.#socket = socket
  }

  async release(): Promise<void> {
    const fd = this.#fd
    if (fd === undefined) return
    this.#fd = undefined
    await closeSocket(this.#socket)
    try {
      fs.ftruncateSync(fd, 0)
    } finally {
      fs.closeSync(fd)
      heldDirectories().delete(this.#inode)
    }
  }
}

function inodeOf(directory: string): string {
  const { dev, ino } = fs.statSync(fs.realpathSync(directory), { bigint: true })
  return `${dev}:${ino}`
}

function heldDirectories(): Map<string, Holder> {
  // The registry is untyped where it hangs: only this file puts it there, in whatever copy.
  const registry = globalThis as { [HELD]?: Map<string, Holder> }
  registry[HELD] ??= new Map()
  return registry[HELD]
}

/** O_EXLOCK of macOS and the BSDs, and libuv's flag of that name for Windows, which opens without sharing. */
const O_EXLOCK = 0x20
const UV_FS_O_EXLOCK = 0x10000000

function openExclusively(directory: string): number {
  const path = join(directory, LOCK_FILE)
  const exclusive =
    process.platform === 'linux'
      ? 0
      : process.platform === 'win32'
        ? UV_FS_O_EXLOCK
        : O_EXLOCK | fs.constants.O_NONBLOCK
  try {
    return fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | exclusive, 0o644)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (exclusive !== 0 && (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EBUSY')) {
      throw locked(directory, readHolder(path))
    }
    throw new OttlaError(
      'OTTLA_STORAGE_FAILED',
      `The directory ${directory} cannot be written to (${code}): give this user the right to write there, or choose another directory.`,
      { cause },
    )
  }
}

/** True when the lock was taken, false where this machine has no flock(1). */
function flock(fd: number, directory: string): boolean {
  const { status, error, stderr } = spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'pipe', fd] })
  if (status === 0) return true
  if (status === 1) throw locked(directory, readHolder(join(directory, LOCK_FILE)))
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') return false
  throw new OttlaError(
    'OTTLA_STORAGE_FAILED',
    `The lock file in ${directory} could not be locked (${error?.message ?? String(stderr).trim()}): use a directory on a local file system.`,
  )
}

/** The kernel closes it when we die, and it keeps no process alive. */
async function bindSocket(inode: string, directory: string, isFlocked: boolean): Promise<Server | undefined> {
  const server = createServer((connection) => connection.destroy())
  server.unref()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // A cluster's worker would otherwise share the socket of its siblings.
      server.listen({ path: `\0ottla:${inode}`, exclusive: true }, resolve)
    })
    return server
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE') {
      throw locked(directory, readHolder(join(directory, LOCK_FILE)))
    }
    // A sandbox may forbid sockets: flock alone will do.
    if (isFlocked) return undefined
    throw new OttlaError(
      'OTTLA_STORAGE_FAILED',
      `The directory ${directory} could not be locked: install flock (util-linux) or allow abstract sockets.`,
      { cause },
    )
  }
}

async function closeSocket(socket: Server | undefined): Promise<void> {
  if (socket !== undefined) await new Promise<void>((resolve) => socket.close(() => resolve()))
}

function writeHolder(fd: number, holder: Holder): void {
  fs.ftruncateSync(fd, 0)
  fs.writeSync(fd, `${JSON.stringify(holder)}\n`, 0)
}

/** Undefined where the holder has not written its name yet, or holds the file so that it cannot be read. */
function readHolder(path: string): Holder | undefined {
  try {
    const holder: unknown = JSON.parse(fs.readFileSync(path, 'utf8'))
    return isHolder(holder) ? holder : undefined
  } catch {
    return undefined
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== 'object' || value === null) return false
  return 'pid' in value && 'hostname' in value && 'since' in value
}

function locked(directory: string, holder: Holder | undefined): OttlaError {
  const name = holder === undefined ? 'another broker' : describe(holder)
  return new OttlaError(
    'OTTLA_LOCKED',
    `The directory ${directory} is held by ${name}: close that broker first, or choose another directory.`,
  )
}

function describe(holder: Holder): string {
  const where = holder.hostname === hostname() ? '' : ` on ${holder.hostname}`
  const who =
    holder.pid === process.pid && where === '' ? `this process (${holder.pid})` : `process ${holder.pid}${where}`
  return `${who} since ${holder.since}`
}
