import { join, resolve } from 'node:path'
import { OttlaError } from '../../errors.js'
import { randomId } from '../../random-id.js'
import type { PartitionOptions, PartitionStorage, Storage, StorageContext, TopicPartition } from '../storage.js'
import { FileStorage } from './file-storage.js'
import type { FileStorageOptions } from './file-storage-options.js'
import { diskError, type FileSystem, readFile, writeFileAtomically } from './file-system.js'
import { checkPartitionName, LOG_DIRS_FILE, partitionName } from './layout.js'

/**
 * Keeps logs in several directories, each a FileStorage of its own: Kafka's log.dirs. A new partition goes to the
 * directory that holds the fewest, the first of those, and stays there.
 *
 * Each directory knows the others, so that a broker which is opened without one of them is refused with
 * OTTLA_INVALID_ARGUMENT: the partitions in it would begin anew, empty. A directory that is added takes new partitions.
 */
export class LogDirectories implements Storage {
  /** The absolute paths. */
  readonly directories: readonly string[]
  readonly acknowledgeAfter: 'append' | 'sync'
  readonly segmentBytes: number | undefined
  readonly #storages: readonly FileStorage[]
  readonly #fileSystem: FileSystem | undefined
  /** Where each partition lies, by its name. */
  #homes = new Map<string, FileStorage>()
  #opening: Promise<void> = Promise.resolve()

  constructor(directories: readonly string[], options: FileStorageOptions = {}) {
    this.directories = [...new Set(directories.map((directory) => resolve(directory)))]
    this.#storages = this.directories.map((directory) => new FileStorage(directory, options))
    const [first] = this.#storages
    if (first === undefined)
      throw new OttlaError('OTTLA_INVALID_ARGUMENT', 'LogDirectories takes at least one directory.')
    this.acknowledgeAfter = first.acknowledgeAfter
    this.segmentBytes = first.segmentBytes
    this.#fileSystem = options.fileSystem
  }

  open(context: StorageContext): Promise<void> {
    const opening = this.#opening.then(() => this.#open(context))
    // One that fails has told its caller, and leaves nothing to close.
    this.#opening = opening.catch(() => undefined)
    return opening
  }

  async partitions(): Promise<TopicPartition[]> {
    return (await Promise.all(this.#storages.map((storage) => storage.partitions()))).flat()
  }

  async openPartition(at: TopicPartition, options?: PartitionOptions): Promise<PartitionStorage> {
    checkPartitionName(at)
    const name = partitionName(at)
    const home = this.#homes.get(name) ?? this.#emptiest()
    // Also when it fails: what it may have left there is found by the next call, and not made again elsewhere.
    this.#homes.set(name, home)
    return home.openPartition(at, options)
  }

  async deletePartition(at: TopicPartition): Promise<void> {
    const name = partitionName(at)
    await (this.#homes.get(name) ?? this.#emptiest()).deletePartition(at)
    this.#homes.delete(name)
  }

  async close(): Promise<void> {
    await this.#opening
    await closeAll(this.#storages)
  }

  async #open(context: StorageContext): Promise<void> {
    const opened: FileStorage[] = []
    try {
      for (const storage of this.#storages) {
        await storage.open(context)
        opened.push(storage)
      }
      await this.#checkSiblings()
      this.#homes = await this.#findHomes()
    } catch (error) {
      await Promise.allSettled(opened.map((storage) => storage.close()))
      throw error
    }
  }

  #emptiest(): FileStorage {
    const counts = new Map(this.#storages.map((storage) => [storage, 0]))
    for (const home of this.#homes.values()) counts.set(home, (counts.get(home) ?? 0) + 1)
    return this.#storages.reduce((least, other) =>
      (counts.get(other) ?? 0) < (counts.get(least) ?? 0) ? other : least,
    )
  }

  async #findHomes(): Promise<Map<string, FileStorage>> {
    const homes = new Map<string, FileStorage>()
    for (const storage of this.#storages) {
      for (const at of await storage.partitions()) {
        const name = partitionName(at)
        const other = homes.get(name)
        if (other !== undefined) {
          throw invalid(
            `${name} lies in ${other.directory} and in ${storage.directory}: they belong to two brokers, or one is a copy. Give the directories of one.`,
          )
        }
        homes.set(name, storage)
      }
    }
    return homes
  }

  /**
   * A directory gets its id before any other names it, so that a crash in between leaves no name of one that is not
   * there.
   */
  async #checkSiblings(): Promise<void> {
    const fileSystem = this.#fileSystem ?? (await import('./node-file-system.js')).nodeFileSystem
    const known = new Map<string, Siblings | undefined>()
    for (const directory of this.directories) known.set(directory, await readSiblings(fileSystem, directory))
    const present = new Set(Array.from(known.values(), (siblings) => siblings?.id))
    for (const siblings of known.values()) {
      const missing = siblings?.directories.find(({ id }) => !present.has(id))
      if (missing === undefined) continue
      throw invalid(
        `${missing.path} holds partitions of the broker whose other directories are ${this.directories.join(', ')}: ` +
          `name it too. If it is lost for good, remove ${LOG_DIRS_FILE} from the others: what was in it then begins anew, empty.`,
      )
    }
    const ids = new Map<string, string>()
    for (const [path, siblings] of known) {
      const id = siblings?.id ?? randomId()
      ids.set(path, id)
      if (siblings === undefined) await writeSiblings(fileSystem, path, { id, directories: [{ id, path }] })
    }
    const directories = Array.from(ids, ([path, id]) => ({ id, path }))
    for (const { id, path } of directories) {
      const before = JSON.stringify(known.get(path)?.directories)
      if (before !== JSON.stringify(directories)) await writeSiblings(fileSystem, path, { id, directories })
    }
  }
}

/** The content of log-dirs.json: the directory's own id, and all directories of its broker. Paths are there to be shown. */
interface Siblings {
  readonly id: string
  readonly directories: readonly { readonly id: string; readonly path: string }[]
}

/** Undefined where there is none yet. */
async function readSiblings(fileSystem: FileSystem, directory: string): Promise<Siblings | undefined> {
  const path = join(directory, LOG_DIRS_FILE)
  try {
    const bytes = await readFile(fileSystem, path)
    if (bytes === undefined) return undefined
    const siblings: unknown = JSON.parse(Buffer.from(bytes).toString())
    if (isSiblings(siblings)) return siblings
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw diskError(error, `Reading ${path}`)
  }
  throw new OttlaError(
    'OTTLA_CORRUPTION',
    `${path} does not say which directories belong together: restore it from a copy.`,
  )
}

function isSiblings(value: unknown): value is Siblings {
  if (typeof value !== 'object' || value === null || !('id' in value && 'directories' in value)) return false
  return (
    Array.isArray(value.directories) &&
    value.directories.every(
      (each: unknown) => typeof each === 'object' && each !== null && 'id' in each && 'path' in each,
    )
  )
}

async function writeSiblings(fileSystem: FileSystem, directory: string, siblings: Siblings): Promise<void> {
  const path = join(directory, LOG_DIRS_FILE)
  try {
    await writeFileAtomically(fileSystem, path, Buffer.from(`${JSON.stringify(siblings)}\n`))
    await fileSystem.syncDirectory(directory)
  } catch (error) {
    throw diskError(error, `Writing ${path}`)
  }
}

/** Closes all, then throws the first failure. */
async function closeAll(storages: readonly FileStorage[]): Promise<void> {
  const outcomes = await Promise.allSettled(storages.map((storage) => storage.close()))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

function invalid(sentence: string): OttlaError {
  return new OttlaError('OTTLA_INVALID_ARGUMENT', sentence)
}
