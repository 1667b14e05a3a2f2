import { errorCode, type FileSystem, type OpenFile, type OpenMode } from './file-system.js'
import { Limiter } from './limiter.js'

/** A file that the pool keeps open while there is room. */
export interface PooledFile {
  readonly path: string
  /** Called before the file is closed to make room; nobody uses it meanwhile. */
  beforeEviction(file: OpenFile): Promise<void>
  /** Told that closing it to make room failed: whoever the room was for has nothing to do with it. */
  onEvictionFailed(error: unknown): void
}

/** An open file in use: it stays open until it is released. All but `file` is the pool's own. */
export interface Handle {
  readonly file: OpenFile
  users: number
  isRetired: boolean
  whenClosed: ((error?: unknown) => void) | undefined
}

/**
 * Keeps a bounded number of files open, so that ten thousand partitions fit a process that may open a thousand files.
 * The one that was used longest ago is closed first. A handle is held for one call to the disk and nothing else is
 * waited for meanwhile, so whoever waits for room gets it.
 */
export class HandlePool {
  readonly #fileSystem: FileSystem
  readonly #maxOpen: number
  /** Open files, the longest unused first. */
  readonly #entries = new Map<PooledFile, Handle>()
  readonly #opening = new Map<PooledFile, Promise<void>>()
  /** Files on their way out to make room; one that is opened anew meanwhile may be there twice. */
  readonly #evictions = new Set<{ readonly owner: PooledFile; readonly done: Promise<void> }>()
  /** Counts files that are being opened or closed too. */
  #openCount = 0
  readonly #waiting: (() => void)[] = []

  constructor(fileSystem: FileSystem, maxOpen: number) {
    this.#fileSystem = fileSystem
    this.#maxOpen = maxOpen
  }

  get openCount(): number {
    return this.#openCount
  }

  /** At once where the file is open. */
  acquire(owner: PooledFile, mode: OpenMode = 'update'): Handle | Promise<Handle> {
    const entry = this.#entries.get(owner)
    if (entry === undefined) return this.#acquireLater(owner, mode)
    this.#entries.delete(owner)
    this.#entries.set(owner, entry)
    entry.users++
    return entry
  }

  release(handle: Handle): void {
    handle.users--
    if (handle.users > 0) return
    // Whoever retired it hears how closing went.
    if (handle.isRetired) void this.#close(handle)
    else this.#wakeOne()
  }

  /** Uses the file for one call to the disk. */
  async use<T>(owner: PooledFile, act: (file: OpenFile) => Promise<T>): Promise<T> {
    const handle = await this.acquire(owner)
    try {
      return await act(handle.file)
    } finally {
      this.release(handle)
    }
  }

  /**
   * Makes a call that opens a file which the pool does not keep. The app has files of its own, so the process may have no
   * more to give long before the pool is full: then one of the pool's makes room.
   */
  async makingRoom<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call()
      } catch (error) {
        const code = errorCode(error)
        if ((code !== 'EMFILE' && code !== 'ENFILE') || !(await this.#evictOne())) throw error
      }
    }
  }

  /** Closes the file, once those who use it have released it. Resolves when it is closed. */
  async retire(owner: PooledFile): Promise<void> {
    // One that is being opened would stay open behind our back.
    await this.#opening.get(owner)
    const entry = this.#entries.get(owner)
    const evictions = [...this.#evictions].filter((each) => each.owner === owner)
    await Promise.all([this.#retire(owner, entry), ...evictions.map(({ done }) => done)])
  }

  /** Closes every file, whatever fails on the way; the first failure is told. */
  async closeAll(): Promise<void> {
    const evicted = Array.from(this.#evictions, ({ owner }) => owner)
    const owners = new Set([...this.#entries.keys(), ...this.#opening.keys(), ...evicted])
    const retired = await Promise.allSettled(Array.from(owners, (owner) => this.retire(owner)))
    for (const each of retired) if (each.status === 'rejected') throw each.reason
  }

  async #retire(owner: PooledFile, entry: Handle | undefined): Promise<void> {
    if (entry === undefined) return
    this.#entries.delete(owner)
    entry.isRetired = true
    if (entry.users === 0) return this.#close(entry)
    return new Promise((resolve, reject) => {
      entry.whenClosed = (error) => (error === undefined ? resolve() : reject(error))
    })
  }

  async #acquireLater(owner: PooledFile, mode: OpenMode): Promise<Handle> {
    for (;;) {
      const opening = this.#opening.get(owner)
      if (opening === undefined) break
      await opening
      const entry = this.#entries.get(owner)
      if (entry !== undefined) return this.acquire(owner)
    }
    let opened: () => void = () => undefined
    this.#opening.set(
      owner,
      new Promise((resolve) => {
        opened = resolve
      }),
    )
    try {
      await this.#takeRoom()
      try {
        const file = await this.makingRoom(() => this.#fileSystem.open(owner.path, mode))
        const entry: Handle = { file, users: 1, isRetired: false, whenClosed: undefined }
        this.#entries.set(owner, entry)
        return entry
      } catch (error) {
        this.#openCount--
        this.#wakeOne()
        throw error
      }
    } finally {
      this.#opening.delete(owner)
      opened()
    }
  }

  async #takeRoom(): Promise<void> {
    while (this.#openCount >= this.#maxOpen) {
      if (await this.#evictOne()) continue
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    this.#openCount++
  }

  /** Closes the file that was used longest ago; false where all are in use. */
  async #evictOne(): Promise<boolean> {
    const idle = this.#longestIdle()
    if (idle === undefined) return false
    const [owner, entry] = idle
    // Out of the map at once: whoever wants it meanwhile opens it anew.
    this.#entries.delete(owner)
    const eviction = { owner, done: this.#evict(owner, entry) }
    this.#evictions.add(eviction)
    await eviction.done
    this.#evictions.delete(eviction)
    return true
  }

  /** Never rejects. */
  async #evict(owner: PooledFile, entry: Handle): Promise<void> {
    try {
      try {
        await owner.beforeEviction(entry.file)
      } finally {
        await this.#close(entry)
      }
    } catch (error) {
      owner.onEvictionFailed(error)
    }
  }

  #longestIdle(): [PooledFile, Handle] | undefined {
    for (const [owner, entry] of this.#entries) if (entry.users === 0) return [owner, entry]
    return undefined
  }

  async #close(entry: Handle): Promise<void> {
    let failure: unknown
    try {
      await entry.file.close()
    } catch (error) {
      failure = error
    }
    this.#openCount--
    this.#wakeOne()
    if (entry.whenClosed !== undefined) entry.whenClosed(failure)
    else if (failure !== undefined) throw failure
  }

  #wakeOne(): void {
    this.#waiting.shift()?.()
  }
}

/** As many as Node has threads for: more would only be open, each with a file of its own. */
const MAX_DIRECTORY_SYNCS = 4

/** The same file system, of which files that are opened for a moment are given room by the pool. */
export function withRoom(fileSystem: FileSystem, handles: HandlePool): FileSystem {
  const directories = new Limiter(MAX_DIRECTORY_SYNCS)
  return {
    open: (path, mode) => handles.makingRoom(() => fileSystem.open(path, mode)),
    stat: (path) => fileSystem.stat(path),
    list: (directory) => handles.makingRoom(() => fileSystem.list(directory)),
    makeDirectory: (path) => fileSystem.makeDirectory(path),
    removeDirectory: (path) => fileSystem.removeDirectory(path),
    rename: (from, to) => fileSystem.rename(from, to),
    unlink: (path) => fileSystem.unlink(path),
    // The one error of these comes from opening the directory, so nothing was synced yet.
    syncDirectory: (path) => directories.run(() => handles.makingRoom(() => fileSystem.syncDirectory(path))),
    lock: (directory, sinceMs) => fileSystem.lock(directory, sinceMs),
  }
}
