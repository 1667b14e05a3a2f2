import { dirname, join } from 'node:path'
import { OttlaError } from '../../errors.js'
import { randomId } from '../../random-id.js'
import type { PartitionOptions, PartitionStorage, StorageContext, TopicPartition } from '../storage.js'
import { decodeMarks, encodeMarks, type Marks, type PartitionMark } from './clean-mark.js'
import { FilePartition, type PartitionPlace } from './file-partition.js'
import type { FileStorageOptions } from './file-storage-options.js'
import { diskError, errorCode, type FileSystem, readFile, writeFile, writeFileAtomically } from './file-system.js'
import { HandlePool, withRoom } from './handle-pool.js'
import {
  CLEAN_FILE,
  checkPartitionName,
  deletedName,
  EPOCH_FILE,
  isDeletedName,
  KAFKA_FILE,
  KAFKA_METADATA_TOPIC,
  LAYOUT,
  LAYOUT_FILE,
  LOCK_FILE,
  METADATA_FILE,
  parsePartitionName,
  partitionName,
  TEMPORARY_SUFFIX,
} from './layout.js'
import { Limiter } from './limiter.js'
import type { DirectoryLock } from './lock.js'
import { readOnlyFileSystem } from './read-only-file-system.js'
import { ReadOnlyPartition, readOnlyError } from './read-only-partition.js'
import { checkTopicId, recoverPartition } from './recovery.js'
import { repairPartition } from './repair.js'
import { type Disk, FileSegment } from './segment.js'
import { TailCache } from './tail-cache.js'

/** A process may open 1024 files by default on Linux, and 256 on macOS, where the app has some of its own. */
const MAX_OPEN_FILES = process.platform === 'darwin' ? 128 : 256
const MAX_SYNCS = 2
const MAX_OPENING_OR_CLOSING = 32
/** What was written last is read from memory, by all consumers that keep up. */
const CACHE_BYTES = 16 * 1024 * 1024

/** What a directory is held with: the options of its FileStorage. */
export interface HeldWith {
  readonly durability: 'fsync' | 'interval' | 'os'
  readonly syncIntervalMs: number
  readonly isReadOnly: boolean
  readonly repair: FileStorageOptions['repair']
  /** Undefined: the machine's own. */
  readonly fileSystem: FileSystem | undefined
}

/** One directory of logs for as long as it is held: from the lock to the marks of a clean close. */
export class OpenDirectory {
  readonly directory: string
  /** False where it was left by a crash, or is repaired: what repair takes out of a log is lost as in one. */
  openedCleanly: boolean
  readonly #context: StorageContext
  readonly #durability: 'fsync' | 'interval' | 'os'
  readonly #syncIntervalMs: number
  readonly #isReadOnly: boolean
  /** An Apache Kafka wrote it, whose logs can be read. */
  #isKafkas = false
  readonly #repair: FileStorageOptions['repair']
  readonly #disk: Disk
  readonly #cache = new TailCache(CACHE_BYTES)
  /** So that ten thousand partitions that open or close at once do not open ten thousand files. */
  readonly #limiter = new Limiter(MAX_OPENING_OR_CLOSING)
  #lock: DirectoryLock | undefined
  /** What closed partitions held. */
  #marks: Marks = new Map()
  readonly #partitions = new Map<string, TopicPartition>()
  readonly #opened = new Map<string, Promise<FilePartition | ReadOnlyPartition>>()
  readonly #unsynced = new Set<FilePartition>()
  #cancelSync: (() => void) | undefined
  /** Counts the changes of names in the root, and those of them that were synced. */
  #rootChanges = 0
  #rootChangesSynced = 0
  #rootSync: Promise<void> | undefined
  #rootFailure: unknown

  private constructor(directory: string, held: HeldWith, machine: FileSystem, context: StorageContext) {
    this.directory = directory
    this.openedCleanly = held.repair === undefined
    this.#context = context
    this.#durability = held.durability
    this.#syncIntervalMs = held.syncIntervalMs
    this.#isReadOnly = held.isReadOnly
    this.#repair = held.repair
    const fileSystem = held.isReadOnly ? readOnlyFileSystem(machine) : machine
    const handles = new HandlePool(fileSystem, MAX_OPEN_FILES)
    this.#disk = {
      fileSystem: withRoom(fileSystem, handles),
      handles,
      syncLimiter: new Limiter(MAX_SYNCS),
      syncsFiles: held.durability !== 'os',
    }
  }

  /** Takes hold of the directory and lists what is in it. One that fails holds nothing. */
  static async open(directory: string, held: HeldWith, context: StorageContext): Promise<OpenDirectory> {
    // Node's files come with its streams and the lock with sockets: only the machine's own disk needs them.
    const machine = held.fileSystem ?? (await import('./node-file-system.js')).nodeFileSystem
    const opened = new OpenDirectory(directory, held, machine, context)
    try {
      await opened.#takeHold()
    } catch (error) {
      await opened.#lock?.release()
      throw diskError(error, `Opening ${directory}`)
    }
    return opened
  }

  partitions(): TopicPartition[] {
    return Array.from(this.#partitions.values(), (at) => ({ ...at }))
  }

  async openPartition(at: TopicPartition, options: PartitionOptions): Promise<PartitionStorage> {
    checkPartitionName(at)
    const name = partitionName(at)
    const open = this.#opened.get(name)
    if (open !== undefined) return open
    const opening = this.#limiter.run<FilePartition | ReadOnlyPartition>(() =>
      this.#isReadOnly ? this.#lookAtPartition({ ...at }, options) : this.#openPartition({ ...at }, options),
    )
    this.#opened.set(name, opening)
    try {
      return await opening
    } catch (error) {
      this.#opened.delete(name)
      throw diskError(error, `Opening ${join(this.directory, name)}`)
    }
  }

  async deletePartition(at: TopicPartition): Promise<void> {
    checkPartitionName(at)
    const name = partitionName(at)
    if (this.#isReadOnly) throw readOnlyError(`${name} cannot be deleted`)
    const opened = await this.#opened.get(name)
    if (opened instanceof FilePartition) await opened.abandon()
    if (!this.#partitions.has(name)) return
    const { fileSystem } = this.#disk
    const deleted = join(this.directory, deletedName(at, randomId()))
    try {
      await fileSystem.rename(join(this.directory, name), deleted)
      this.#partitions.delete(name)
      this.#marks.delete(name)
      this.#rootChanges++
      await this.#syncRoot()
      await this.#removeDirectory(deleted)
    } catch (error) {
      throw diskError(error, `Deleting ${join(this.directory, name)}`)
    }
  }

  /** Everything is let go of, whatever fails on the way; the first failure is told. */
  async close(isClean: boolean): Promise<void> {
    this.#cancelSync?.()
    this.#cancelSync = undefined
    this.#unsynced.clear()
    const failures: unknown[] = []
    const note = (error: unknown): void => {
      failures.push(error)
    }
    // An opening that fails has told its caller.
    const opened = await Promise.allSettled(this.#opened.values())
    const partitions = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    await Promise.all(partitions.map((each) => each.close().catch(note)))
    await this.#disk.handles.closeAll().catch(note)
    if (!this.#isReadOnly) await this.#writeMarks(isClean).catch(note)
    this.#cache.clear()
    await this.#lock?.release().catch(note)
    if (failures.length > 0) throw diskError(failures[0], `Closing ${this.directory}`)
  }

  async #takeHold(): Promise<void> {
    const { fileSystem } = this.#disk
    if (this.#isReadOnly) await this.#checkHoldsLogs()
    else await this.#takeDirectory()
    for (const { name, isDirectory } of await fileSystem.list(this.directory)) {
      if (!isDirectory) continue
      const at = parsePartitionName(name)
      if (this.#isKafkas && at?.topic === KAFKA_METADATA_TOPIC) continue
      if (at !== undefined) this.#partitions.set(name, at)
      else if (isDeletedName(name) && !this.#isReadOnly) await this.#removeDirectory(join(this.directory, name))
    }
    // One without a mark was damaged when the others were closed.
    for (const name of this.#partitions.keys()) if (!this.#marks.has(name)) this.openedCleanly = false
  }

  async #takeDirectory(): Promise<void> {
    const { fileSystem } = this.#disk
    await this.#makeDirectory()
    // Looked at before the lock file is made: a directory that is not ours is not touched.
    await this.#checkLayout()
    this.#lock = await fileSystem.lock(this.directory, this.#context.clock.now())
    if ((await this.#checkLayout()) !== LAYOUT) {
      const layout = `${JSON.stringify({ layout: LAYOUT })}\n`
      await writeFileAtomically(fileSystem, join(this.directory, LAYOUT_FILE), Buffer.from(layout))
    }
    await this.#takeMarks()
  }

  async #checkHoldsLogs(): Promise<void> {
    const { fileSystem } = this.#disk
    const status = await fileSystem.stat(this.directory)
    const isOurs = (await fileSystem.stat(join(this.directory, LAYOUT_FILE))) !== undefined
    this.#isKafkas = !isOurs && (await fileSystem.stat(join(this.directory, KAFKA_FILE))) !== undefined
    if (this.#isKafkas) return
    if (status?.isDirectory !== true || (await this.#checkLayout()) === undefined) {
      throw readOnlyError(`The directory ${this.directory} holds no log yet and none can be made`)
    }
  }

  /**
   * Makes the directory and those above it, each when the one above is there for good. So of those that an opening before
   * this one made and did not come to sync, there is one at most: the last, and nothing is in it yet.
   */
  async #makeDirectory(): Promise<void> {
    const { fileSystem } = this.#disk
    const status = await fileSystem.stat(this.directory)
    if (status !== undefined && !status.isDirectory) throw this.#invalid('is a file: give the path of a directory')
    const missing: string[] = []
    let there = this.directory
    for (let found = status; found === undefined && dirname(there) !== there; found = await fileSystem.stat(there)) {
      missing.unshift(there)
      there = dirname(there)
    }
    if (missing.length === 0 && (await fileSystem.stat(join(this.directory, LAYOUT_FILE))) !== undefined) return
    try {
      await fileSystem.syncDirectory(dirname(there))
    } catch (error) {
      // Who may not read it has made nothing in it either.
      if (!['EACCES', 'EPERM'].includes(errorCode(error) ?? '')) throw error
    }
    for (const directory of missing) {
      await fileSystem.makeDirectory(directory)
      await fileSystem.syncDirectory(dirname(directory))
    }
  }

  /** The layout of a directory of ours, undefined for an empty one; throws for all others. */
  async #checkLayout(): Promise<number | undefined> {
    const { fileSystem } = this.#disk
    const bytes = await readFile(fileSystem, join(this.directory, LAYOUT_FILE))
    if (bytes === undefined) {
      const ours = [LOCK_FILE, LAYOUT_FILE + TEMPORARY_SUFFIX]
      const foreign = (await fileSystem.list(this.directory)).find(({ name }) => !ours.includes(name))
      if (foreign === undefined) return undefined
      if ((await fileSystem.stat(join(this.directory, KAFKA_FILE))) !== undefined) {
        throw this.#invalid('belongs to an Apache Kafka: open it with readOnly: true, or give another directory')
      }
      throw this.#invalid(`holds ${foreign.name} but no ${LAYOUT_FILE}: give an empty directory or one that ottla made`)
    }
    const layout = layoutIn(bytes)
    if (layout !== undefined && layout >= 1 && layout <= LAYOUT) return layout
    throw new OttlaError(
      'OTTLA_UNSUPPORTED_FORMAT',
      layout === undefined
        ? `${join(this.directory, LAYOUT_FILE)} does not say which layout the directory has: restore it from a copy.`
        : `${this.directory} has layout ${layout}, this release knows up to ${LAYOUT}: open it with the release that wrote it. Nothing was changed.`,
    )
  }

  /** The marks go before anything is written, so that they are never believed after a crash. */
  async #takeMarks(): Promise<void> {
    const { fileSystem } = this.#disk
    const path = join(this.directory, CLEAN_FILE)
    const bytes = await readFile(fileSystem, path)
    this.#marks = bytes === undefined ? new Map() : decodeMarks(bytes)
    if (bytes !== undefined) await fileSystem.unlink(path)
    await fileSystem.syncDirectory(this.directory)
  }

  async #openPartition(at: TopicPartition, options: PartitionOptions): Promise<FilePartition> {
    const name = partitionName(at)
    const directory = join(this.directory, name)
    const mark = this.#marks.get(name)
    const { indexIntervalBytes } = options
    if (!this.#partitions.has(name)) {
      await this.#disk.fileSystem.makeDirectory(directory)
      this.#partitions.set(name, at)
      this.#rootChanges++
    }
    const topicId = await this.#topicIdOf(directory, options.topicId, mark)
    const place: PartitionPlace = {
      at,
      directory,
      disk: this.#disk,
      closing: this.#limiter,
      cache: this.#cache,
      clock: this.#context.clock,
      indexIntervalBytes,
      topicId,
      syncRoot: () => this.#syncRoot(),
      onAppended: this.#durability === 'interval' ? (partition) => this.#syncLater(partition) : undefined,
      onClosed: (_, closedMark) => this.#onClosed(name, closedMark),
    }
    const { onRecovery, clock } = this.#context
    const recovery = { disk: this.#disk, at, directory, indexIntervalBytes, mark, onRecovery }
    if (this.#repair !== undefined) await repairPartition(recovery, this.#repair, clock.now())
    // What was repaired is no longer what the mark speaks of.
    const recovered = await recoverPartition(this.#repair === undefined ? recovery : { ...recovery, mark: undefined })
    if (recovered.segments.length === 0) recovered.segments.push(await this.#fill(directory, indexIntervalBytes))
    this.#marks.delete(name)
    return new FilePartition(place, recovered)
  }

  /** Beside a writer a partition may be in its records before its directory is made. */
  async #lookAtPartition(at: TopicPartition, { indexIntervalBytes }: PartitionOptions): Promise<ReadOnlyPartition> {
    const { clock } = this.#context
    const name = partitionName(at)
    const directory = join(this.directory, name)
    const status = await this.#disk.fileSystem.stat(directory)
    const isHidden = this.#isKafkas && at.topic === KAFKA_METADATA_TOPIC
    if (status === undefined || isHidden) return ReadOnlyPartition.empty(at, this.#disk, directory)
    const isKafkas = this.#isKafkas
    return ReadOnlyPartition.open({ at, disk: this.#disk, directory, indexIntervalBytes, clock, isKafkas })
  }

  /** Writes the topic id down where it is not yet, and refuses the log of another topic of that name. */
  async #topicIdOf(
    directory: string,
    topicId: string | undefined,
    mark: PartitionMark | undefined,
  ): Promise<string | undefined> {
    if (topicId === undefined || mark?.topicId === topicId) return topicId ?? mark?.topicId
    const path = join(directory, METADATA_FILE)
    const bytes = await readFile(this.#disk.fileSystem, path)
    if (bytes !== undefined) checkTopicId(bytes, topicId, directory)
    const metadata = Buffer.from(`version: 0\ntopic_id: ${topicId}`)
    if (bytes === undefined || !metadata.equals(bytes)) await writeFile(this.#disk.fileSystem, path, metadata)
    return topicId
  }

  /** The files of a partition that was never written to. */
  async #fill(directory: string, indexIntervalBytes: number | undefined): Promise<FileSegment> {
    await writeFile(this.#disk.fileSystem, join(directory, EPOCH_FILE), Buffer.from('0\n1\n0 0\n'))
    const segment = new FileSegment(this.#disk, directory, 0, indexIntervalBytes)
    this.#disk.handles.release(await this.#disk.handles.acquire(segment, 'create'))
    return segment
  }

  #onClosed(name: string, mark: PartitionMark | undefined): void {
    this.#opened.delete(name)
    if (mark === undefined) this.#marks.delete(name)
    else this.#marks.set(name, mark)
  }

  /** One sync of the root for all partitions that were made meanwhile. */
  async #syncRoot(): Promise<void> {
    const wanted = this.#rootChanges
    while (this.#rootChangesSynced < wanted) {
      // As with files: a second sync could succeed without what the first one lost.
      if (this.#rootFailure !== undefined) throw this.#rootFailure
      if (this.#rootSync !== undefined) {
        await this.#rootSync
        continue
      }
      const covered = this.#rootChanges
      this.#rootSync = this.#disk.fileSystem.syncDirectory(this.directory)
      try {
        await this.#rootSync
        this.#rootChangesSynced = covered
      } catch (error) {
        this.#rootFailure = error
        throw error
      } finally {
        this.#rootSync = undefined
      }
    }
  }

  #syncLater(partition: FilePartition): void {
    this.#unsynced.add(partition)
    this.#cancelSync ??= this.#context.clock.schedule(() => {
      this.#cancelSync = undefined
      const partitions = [...this.#unsynced]
      this.#unsynced.clear()
      for (const each of partitions) void each.syncInBackground()
    }, this.#syncIntervalMs)
  }

  async #removeDirectory(directory: string): Promise<void> {
    const { fileSystem } = this.#disk
    for (const { name } of await fileSystem.list(directory)) await fileSystem.unlink(join(directory, name))
    await fileSystem.removeDirectory(directory)
  }

  async #writeMarks(isClean: boolean): Promise<void> {
    const { fileSystem } = this.#disk
    await this.#syncRoot()
    if (!isClean) return
    await writeFileAtomically(fileSystem, join(this.directory, CLEAN_FILE), encodeMarks(this.#marks))
    await fileSystem.syncDirectory(this.directory)
  }

  #invalid(problem: string): OttlaError {
    return new OttlaError('OTTLA_INVALID_ARGUMENT', `The directory ${this.directory} ${problem}.`)
  }
}

function layoutIn(bytes: Uint8Array): number | undefined {
  try {
    const content: unknown = JSON.parse(Buffer.from(bytes).toString())
    if (typeof content !== 'object' || content === null || !('layout' in content)) return undefined
    return typeof content.layout === 'number' ? content.layout : undefined
  } catch {
    return undefined
  }
}
