import { basename, dirname } from 'node:path'
import { OttlaError } from '../errors.js'
import type { DirectoryEntry, FileStatus, FileSystem, OpenFile, OpenMode } from '../storage/file/file-system.js'
import type { DirectoryLock } from '../storage/file/lock.js'
import { crashChoices, type Kept } from './crash-choices.js'
import { Random } from './random.js'
import {
  cloned,
  type DirectoryNode,
  type FileNode,
  newDirectory,
  newFile,
  pendingChanges,
  survivor,
  syncFile,
  truncateFile,
  writeFile,
} from './simulated-nodes.js'

/** A call that was made to the simulated disk. */
export interface DiskCall {
  /** What was asked. */
  readonly act:
    | 'open'
    | 'stat'
    | 'list'
    | 'makeDirectory'
    | 'removeDirectory'
    | 'rename'
    | 'unlink'
    | 'syncDirectory'
    | 'lock'
    | 'read'
    | 'write'
    | 'truncate'
    | 'dataSync'
    | 'close'
  /** Of the file or directory; for a rename, what is renamed. */
  readonly path: string
  /** Counted from 0 over the life of this disk. */
  readonly number: number
  /** The functions of the storage that made it, innermost first; empty unless `recordsCallers` is set. */
  readonly callers: readonly string[]
}

/**
 * What the disk does instead of what it was asked: fails with that code of Node's (`'EIO'`, `'ENOSPC'`), takes or gives
 * only so many bytes, or says that it was done and does nothing, as a drive that lies about its cache.
 */
export type DiskFault = string | { readonly bytes: number } | { readonly lies: true } | undefined

/** A way in which the power may fail, and the disk that it leaves. */
export interface CrashState {
  /** Which of the unsynced changes were kept, in words. */
  readonly name: string
  /** What is left. It is a disk of its own. */
  readonly disk: SimulatedFileSystem
}

/** What `crashStates` takes. */
export interface CrashStateOptions {
  /** How many random ones to give beside the systematic ones. Default 8. */
  random?: number
  /** Of the random ones. Default 1. */
  seed?: number
  /** At most so many in all: the first two, and others chosen by the seed. Default: no limit. */
  limit?: number
}

/**
 * A disk in memory that knows what a power cut would leave of it. It keeps apart what was written, what was synced, and
 * which names in a directory were synced; any call can be made to fail; and it can crash, keeping all that was synced
 * and any part of the rest.
 *
 * It is as hostile as a file system may be: unsynced writes survive in any order and torn within, at bytes and at
 * sectors of 512; a file may be longer than what was written to it, with zeros in between; a new file of which the
 * directory was not synced may be gone although the file was synced; a sync that failed loses what it was for, and a
 * later sync of the same file succeeds without it.
 *
 * @example
 * const disk = new SimulatedFileSystem()
 * const broker = await Broker.open({ storage: new FileStorage('/data', { fileSystem: disk }) })
 * await broker.producer().send(orders, { value: order })
 * for (const { name, disk: left } of disk.crashStates()) {
 *   const after = await Broker.open({ storage: new FileStorage('/data', { fileSystem: left }) })
 *   // what was acknowledged must be there, whatever `name` says was lost
 * }
 */
export class SimulatedFileSystem implements FileSystem {
  /** Asked about each call before it is made: what goes wrong with it. */
  plan: (call: DiskCall) => DiskFault = () => undefined
  /** Told of each call that went through, after it took effect. */
  afterCall: (call: DiskCall) => void = () => undefined
  /** Waited for before what was read is given to the reader. */
  afterRead: (path: string) => Promise<void> | undefined = () => undefined
  /** Calls then name who made them, which makes each many times slower. */
  recordsCallers = false
  /** Every call that was made, those that failed included. */
  readonly calls: DiskCall[] = []
  #openFiles = 0
  #mostOpenFiles = 0
  #isOff = false
  #order = 0
  readonly #root: DirectoryNode
  readonly #locks = new Map<DirectoryNode, string>()

  constructor() {
    this.#root = newDirectory()
  }

  /** Files that are open now. */
  get openFiles(): number {
    return this.#openFiles
  }

  /** Files that were open at the same time, at most. */
  get mostOpenFiles(): number {
    return this.#mostOpenFiles
  }

  /** How many changes a power cut might take. */
  get unsyncedChanges(): number {
    return pendingChanges(this.#root).length
  }

  /** The machine stops here: from now on every call fails. */
  turnOff(): void {
    this.#isOff = true
  }

  /**
   * What is found by the next process when this one is killed: all that was written, synced or not. What was not is
   * still only in memory there, and a crash of that disk may take it. This disk goes on by itself.
   */
  killProcess(): SimulatedFileSystem {
    return SimulatedFileSystem.#over(cloned(this.#root), this.#order)
  }

  /** What one power cut leaves: of the changes that were not synced those that `keep` says. By default none. */
  crash(keep: (change: number) => Kept = () => 'none'): SimulatedFileSystem {
    const changes = new Map(pendingChanges(this.#root).map((change, at) => [change.order, keep(at)]))
    return SimulatedFileSystem.#over(
      survivor(this.#root, (order) => changes.get(order) ?? 'none'),
      0,
    )
  }

  /**
   * What a power cut now may leave: nothing of what was not synced, all of it, each beginning of it, all but one change,
   * each with tears in the change at the edge, and as many random ones as wanted.
   */
  *crashStates(options: CrashStateOptions = {}): Generator<CrashState> {
    const { random = 8, seed = 1, limit = Number.POSITIVE_INFINITY } = options
    const sizes = pendingChanges(this.#root).map(({ sizeInBytes }) => sizeInBytes)
    const choices = [...crashChoices(sizes, random, seed)]
    const dice = new Random(seed + this.#order)
    while (choices.length > Math.max(limit, 2)) choices.splice(2 + dice.below(choices.length - 2), 1)
    for (const { name, keep } of choices) yield { name, disk: this.crash(keep) }
  }

  /** The content of a file as a process reads it, or undefined where there is none. Not a call. */
  peek(path: string): Uint8Array | undefined {
    const node = this.#find(path)
    return node?.kind === 'file' ? node.content.slice(0, node.sizeInBytes) : undefined
  }

  /** Puts a file there, synced with its name. Not a call: it sets a stage, or damages what is on one. */
  place(path: string, content: Uint8Array): void {
    const node = newFile()
    writeFile(node, content, 0, 0)
    syncFile(node)
    const directory = this.#makePath(dirname(path))
    directory.entries.set(basename(path), node)
    directory.durable.set(basename(path), node)
  }

  /** Takes a file away, for good. Not a call. */
  displace(path: string): void {
    const directory = this.#find(dirname(path))
    if (directory?.kind !== 'directory') return
    directory.entries.delete(basename(path))
    directory.durable.delete(basename(path))
  }

  /** Every file below a directory, by its path there. Not a call. */
  files(directory: string): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>()
    const walk = (node: DirectoryNode, prefix: string): void => {
      for (const [name, child] of [...node.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (child.kind === 'directory') walk(child, `${prefix}${name}/`)
        else files.set(prefix + name, child.content.slice(0, child.sizeInBytes))
      }
    }
    const node = this.#find(directory)
    if (node?.kind === 'directory') walk(node, '')
    return files
  }

  /** How many calls of a kind were made to paths that end so. */
  count(act: DiskCall['act'], suffix: string = ''): number {
    return this.calls.filter((call) => call.act === act && call.path.endsWith(suffix)).length
  }

  /** As `FileSystem.open`. */
  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const call = this.#begin('open', path)
    this.#allow(call)
    const directory = this.#directory(dirname(path))
    const name = basename(path)
    let node = directory.entries.get(name)
    if (node?.kind === 'directory') throw failure('EISDIR', 'open', path)
    if (node !== undefined && mode === 'create') throw failure('EEXIST', 'open', path)
    if (node === undefined) {
      if (mode === 'read' || mode === 'update') throw failure('ENOENT', 'open', path)
      node = newFile()
      directory.entries.set(name, node)
      directory.changes.push({ order: this.#order++, removed: undefined, added: name, node, sizeInBytes: 0 })
    } else if (mode === 'replace') truncateFile(node, 0, this.#order++)
    this.#openFiles++
    this.#mostOpenFiles = Math.max(this.#mostOpenFiles, this.#openFiles)
    this.afterCall(call)
    return this.#fileOf(path, node, mode)
  }

  async stat(path: string): Promise<FileStatus | undefined> {
    this.#allow(this.#begin('stat', path))
    const node = this.#find(path)
    if (node === undefined) return undefined
    return node.kind === 'file'
      ? { sizeInBytes: node.sizeInBytes, isDirectory: false }
      : { sizeInBytes: 4096, isDirectory: true }
  }

  /** As `FileSystem.list`. */
  async list(directory: string): Promise<DirectoryEntry[]> {
    this.#allow(this.#begin('list', directory))
    const { entries } = this.#directory(directory)
    return Array.from(entries, ([name, { kind }]) => ({ name, isDirectory: kind === 'directory' }))
  }

  async makeDirectory(path: string): Promise<string | undefined> {
    const call = this.#begin('makeDirectory', path)
    this.#allow(call)
    let topmost: string | undefined
    this.#makePath(path, (made) => {
      topmost ??= made
    })
    this.afterCall(call)
    return topmost
  }

  /** As `FileSystem.removeDirectory`. */
  async removeDirectory(path: string): Promise<void> {
    const call = this.#begin('removeDirectory', path)
    if (this.#allow(call) === 'lies') return
    if (this.#directory(path).entries.size > 0) throw failure('ENOTEMPTY', 'rmdir', path)
    this.#change(dirname(path), basename(path), undefined, undefined)
    this.afterCall(call)
  }

  async rename(from: string, to: string): Promise<void> {
    const call = this.#begin('rename', from)
    if (this.#allow(call) === 'lies') return
    const node = this.#find(from)
    if (node === undefined) throw failure('ENOENT', 'rename', from)
    if (this.#find(to)?.kind === 'directory') throw failure('EISDIR', 'rename', to)
    if (dirname(from) === dirname(to)) this.#change(dirname(from), basename(from), basename(to), node)
    else {
      // Two directories: a power cut may keep the one change without the other.
      this.#change(dirname(to), undefined, basename(to), node)
      this.#change(dirname(from), basename(from), undefined, undefined)
    }
    this.afterCall(call)
  }

  /** As `FileSystem.unlink`. */
  async unlink(path: string): Promise<void> {
    const call = this.#begin('unlink', path)
    if (this.#allow(call) === 'lies') return
    const node = this.#find(path)
    if (node === undefined) throw failure('ENOENT', 'unlink', path)
    if (node.kind === 'directory') throw failure('EISDIR', 'unlink', path)
    this.#change(dirname(path), basename(path), undefined, undefined)
    this.afterCall(call)
  }

  async syncDirectory(path: string): Promise<void> {
    const call = this.#begin('syncDirectory', path)
    if (this.#allow(call) === 'lies') return
    const directory = this.#directory(path)
    directory.durable = new Map(directory.entries)
    directory.changes.length = 0
    this.afterCall(call)
  }

  async lock(directory: string, sinceMs: number): Promise<DirectoryLock> {
    this.#allow(this.#begin('lock', directory))
    const node = this.#directory(directory)
    const holder = this.#locks.get(node)
    if (holder !== undefined) {
      throw new OttlaError(
        'OTTLA_LOCKED',
        `The directory ${directory} is held by this process (${process.pid}) since ${holder}: close that broker first, or choose another directory.`,
      )
    }
    this.#locks.set(node, new Date(sinceMs).toISOString())
    return {
      release: async () => {
        this.#locks.delete(node)
      },
    }
  }

  static #over(root: DirectoryNode, order: number): SimulatedFileSystem {
    const disk = new SimulatedFileSystem()
    disk.#order = order
    disk.#root.entries = root.entries
    disk.#root.durable = root.durable
    disk.#root.changes = root.changes
    return disk
  }

  #fileOf(path: string, node: FileNode, mode: OpenMode): OpenFile {
    return {
      read: async (target, start, length, position) => {
        const most = bytesOf(this.#allow(this.#begin('read', path)))
        const end = Math.min(position + Math.min(length, most), node.sizeInBytes)
        const count = Math.max(end - position, 0)
        target.set(node.content.subarray(position, position + count), start)
        const wait = this.afterRead(path)
        if (wait !== undefined) await wait
        return count
      },
      write: (source, start, length, position) => {
        const call = this.#begin('write', path)
        const write = (): number => {
          const most = bytesOf(this.#allow(call))
          if (mode === 'read') throw failure('EBADF', 'write', path)
          const count = Math.min(length, most)
          writeFile(node, source.subarray(start, start + count), position, this.#order++)
          this.afterCall(call)
          return count
        }
        if (length <= SYNCHRONOUS_WRITE_BYTES) return write()
        return Promise.resolve().then(write)
      },
      truncate: async (sizeInBytes) => {
        const call = this.#begin('truncate', path)
        if (this.#allow(call) === 'lies') return
        if (mode === 'read') throw failure('EINVAL', 'ftruncate', path)
        truncateFile(node, sizeInBytes, this.#order++)
        this.afterCall(call)
      },
      dataSync: async () => {
        const call = this.#begin('dataSync', path)
        try {
          if (this.#allow(call) === 'lies') return
        } catch (error) {
          // The kernel marks the pages as clean although they never reached the disk.
          for (const change of node.changes.splice(0)) {
            if (change.kind === 'write') node.lost.push([change.position, change.position + change.sizeInBytes])
            else node.durable = node.durable.slice(0, change.length)
          }
          throw error
        }
        syncFile(node)
        this.afterCall(call)
      },
      close: async () => {
        this.#openFiles--
        this.#allow(this.#begin('close', path))
      },
    }
  }

  #begin(act: DiskCall['act'], path: string): DiskCall {
    const call = { act, path, number: this.calls.length, callers: this.recordsCallers ? callersInStorage() : [] }
    this.calls.push(call)
    return call
  }

  /** Throws what was planned for the call, or says how it is curtailed. */
  #allow(call: DiskCall): { readonly bytes: number } | 'lies' | undefined {
    if (this.#isOff) throw failure('EIO', call.act, call.path)
    const fault = this.plan(call)
    if (this.#isOff) throw failure('EIO', call.act, call.path)
    if (typeof fault === 'string') throw failure(fault, call.act, call.path)
    if (fault === undefined) return undefined
    return 'bytes' in fault ? fault : 'lies'
  }

  #change(
    directoryPath: string,
    removed: string | undefined,
    added: string | undefined,
    node: FileNode | DirectoryNode | undefined,
  ): void {
    const directory = this.#directory(directoryPath)
    if (removed !== undefined) directory.entries.delete(removed)
    if (added !== undefined && node !== undefined) directory.entries.set(added, node)
    directory.changes.push({ order: this.#order++, removed, added, node, sizeInBytes: 0 })
  }

  #find(path: string): FileNode | DirectoryNode | undefined {
    let node: FileNode | DirectoryNode | undefined = this.#root
    for (const name of namesIn(path)) {
      if (node?.kind !== 'directory') return undefined
      node = node.entries.get(name)
    }
    return node
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path)
    if (node === undefined) throw failure('ENOENT', 'open', path)
    if (node.kind === 'file') throw failure('ENOTDIR', 'open', path)
    return node
  }

  #makePath(path: string, onMade: (path: string) => void = () => undefined): DirectoryNode {
    const existing = this.#find(path)
    if (existing?.kind === 'directory') return existing
    if (existing?.kind === 'file') throw failure('EEXIST', 'mkdir', path)
    const parent = this.#makePath(dirname(path), onMade)
    const node = newDirectory()
    parent.entries.set(basename(path), node)
    parent.changes.push({ order: this.#order++, removed: undefined, added: basename(path), node, sizeInBytes: 0 })
    onMade(path)
    return node
  }
}

/** As with Node's own: up to this size the call has done its work when it returns. */
const SYNCHRONOUS_WRITE_BYTES = 64 * 1024

function bytesOf(allowed: { readonly bytes: number } | 'lies' | undefined): number {
  return allowed === undefined || allowed === 'lies' ? Number.POSITIVE_INFINITY : allowed.bytes
}

function namesIn(path: string): string[] {
  const names: string[] = []
  for (let at = path; dirname(at) !== at; at = dirname(at)) names.unshift(basename(at))
  return names
}

function failure(code: string, act: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${act} '${path}' (simulated)`), { code })
}

/** The functions between the call and whoever uses the storage, by name. */
function callersInStorage(): string[] {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 60
  const stack = new Error().stack ?? ''
  Error.stackTraceLimit = limit
  const callers: string[] = []
  for (const line of stack.split('\n').slice(3)) {
    const [, name] = /at (?:async )?(\S+(?: \[as \w+\])?) \(.*[/\\]storage[/\\]/.exec(line) ?? []
    if (name !== undefined) callers.push(name)
  }
  return callers
}
