import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { EncodedBatch } from '../../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../../src/record/record-batch-builder.js'
import { FileStorage, type FileStorageOptions } from '../../../src/storage/file/file-storage.js'
import type { FileSystem, OpenFile, OpenMode } from '../../../src/storage/file/file-system.js'
import type { DirectoryLock } from '../../../src/storage/file/lock.js'
import { nodeFileSystem } from '../../../src/storage/file/node-file-system.js'
import type { PartitionStorage, RecoveryReport, TopicPartition } from '../../../src/storage/storage.js'
import { systemClock } from '../../../src/time/clock.js'

/** Directories that go when the tests of the file are done. */
export function temporaryDirectories(): () => string {
  const root = mkdtempSync(join(tmpdir(), 'ottla-'))
  let count = 0
  afterAll(() => rmSync(root, { recursive: true }))
  return () => join(root, String(count++))
}

export const AT: TopicPartition = { topic: 'orders', partition: 0 }

export interface Opened {
  readonly storage: FileStorage
  readonly log: PartitionStorage
  readonly reports: RecoveryReport[]
}

/** Opens a directory and its partition orders-0, as a broker does. Nothing stays open when it fails. */
export async function open(
  directory: string,
  options?: FileStorageOptions,
  indexIntervalBytes: number = 512,
): Promise<Opened> {
  const storage = new FileStorage(directory, options)
  const reports: RecoveryReport[] = []
  await storage.open({ clock: systemClock, onRecovery: (report) => reports.push(report) })
  try {
    return { storage, reports, log: await storage.openPartition(AT, { indexIntervalBytes }) }
  } catch (error) {
    await storage.close()
    throw error
  }
}

/** A copy of what is in the files now: what the next process finds when this one is killed. */
export function crashCopy(directory: string, to: string): string {
  cpSync(directory, to, { recursive: true })
  return to
}

export function batchAt(
  baseOffset: number,
  records = 1,
  valueBytes = 100,
  timestamp: number = 1_000 + baseOffset,
): EncodedBatch {
  const builder = new RecordBatchBuilder()
  for (let record = 0; record < records; record++) {
    builder.append(timestamp + record, null, new Uint8Array(valueBytes).fill(baseOffset + record))
  }
  const closed = builder.close()
  const batch = new EncodedBatch(closed.bytes().slice(), 0, closed.sizeInBytes)
  batch.assignOffsets(baseOffset, 0)
  return batch
}

/** Appends `count` batches of one record, one by one, and syncs. */
export async function fill(log: PartitionStorage, count: number, valueBytes = 100): Promise<void> {
  for (let left = count; left > 0; left--) await log.append([batchAt(endOf(log), 1, valueBytes)])
  await log.sync()
}

export function endOf(log: PartitionStorage): number {
  return log.segments.at(-1)?.endOffset ?? -1
}

/** The base offsets of all batches, read from the files and the cache as a consumer would. */
export async function offsetsIn(log: PartitionStorage): Promise<number[]> {
  const offsets: number[] = []
  for (let from = 0; ; ) {
    const batches = await log.read(from, 64 * 1024, Number.MAX_SAFE_INTEGER)
    if (batches.length === 0) return offsets
    offsets.push(...batches.map(({ baseOffset }) => baseOffset))
    from = (batches.at(-1)?.lastOffset ?? 0) + 1
  }
}

export function upTo(end: number): number[] {
  return Array.from({ length: end }, (_, offset) => offset)
}

/** Every file below a directory, by its path there. */
export function filesIn(directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(directory, name)
    // Who held it, which says nothing about what it holds.
    if (name !== '.lock' && statSync(path).isFile()) files.set(name, readFileSync(path))
  }
  return files
}

export function logPath(directory: string, baseOffset: number, suffix = '.log'): string {
  return join(directory, 'orders-0', String(baseOffset).padStart(20, '0') + suffix)
}

export interface DiskCall {
  readonly act: 'open' | 'read' | 'write' | 'truncate' | 'dataSync' | 'close' | 'rename' | 'unlink' | 'syncDirectory'
  readonly path: string
}

/** What a disk does instead of what it was asked: an error with that code, or taking only so many bytes. */
export type Fault = string | { readonly bytes: number } | undefined

/**
 * The machine's disk, save for what `plan` says to a call. Counts what it sees. Syncs and locks do nothing: no power
 * is cut and nobody else is there, and they take longer than all the rest.
 */
export class FaultyFileSystem implements FileSystem {
  plan: (call: DiskCall) => Fault = () => undefined
  /** Waited for before what was read is given to the reader. */
  afterRead: (path: string) => Promise<void> = async () => undefined
  readonly calls: DiskCall[] = []
  openFiles = 0
  mostOpenFiles = 0

  readonly stat: FileSystem['stat'] = nodeFileSystem.stat
  readonly list: FileSystem['list'] = nodeFileSystem.list
  readonly makeDirectory: FileSystem['makeDirectory'] = nodeFileSystem.makeDirectory
  readonly removeDirectory: FileSystem['removeDirectory'] = nodeFileSystem.removeDirectory

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    this.check({ act: 'open', path })
    this.openFiles++
    this.mostOpenFiles = Math.max(this.mostOpenFiles, this.openFiles)
    try {
      return new FaultyFile(this, path, await nodeFileSystem.open(path, mode))
    } catch (error) {
      this.openFiles--
      throw error
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.check({ act: 'rename', path: from })
    await nodeFileSystem.rename(from, to)
  }

  async unlink(path: string): Promise<void> {
    this.check({ act: 'unlink', path })
    await nodeFileSystem.unlink(path)
  }

  async syncDirectory(path: string): Promise<void> {
    this.check({ act: 'syncDirectory', path })
  }

  async lock(): Promise<DirectoryLock> {
    return { release: async () => undefined }
  }

  /** Throws the planned error; returns how many bytes may pass. */
  check(call: DiskCall): number {
    this.calls.push(call)
    const fault = this.plan(call)
    if (typeof fault === 'string') throw Object.assign(new Error(`${fault}: planned`), { code: fault })
    return fault?.bytes ?? Number.POSITIVE_INFINITY
  }

  count(act: DiskCall['act'], suffix = ''): number {
    return this.calls.filter((call) => call.act === act && call.path.endsWith(suffix)).length
  }
}

class FaultyFile implements OpenFile {
  readonly #disk: FaultyFileSystem
  readonly #path: string
  readonly #file: OpenFile

  constructor(disk: FaultyFileSystem, path: string, file: OpenFile) {
    this.#disk = disk
    this.#path = path
    this.#file = file
  }

  async read(target: Uint8Array, start: number, length: number, position: number): Promise<number> {
    const most = this.#disk.check({ act: 'read', path: this.#path })
    const count = await this.#file.read(target, start, Math.min(length, most), position)
    await this.#disk.afterRead(this.#path)
    return count
  }

  write(source: Uint8Array, start: number, length: number, position: number): number | Promise<number> {
    const most = this.#disk.check({ act: 'write', path: this.#path })
    return this.#file.write(source, start, Math.min(length, most), position)
  }

  async truncate(sizeInBytes: number): Promise<void> {
    this.#disk.check({ act: 'truncate', path: this.#path })
    await this.#file.truncate(sizeInBytes)
  }

  async dataSync(): Promise<void> {
    this.#disk.check({ act: 'dataSync', path: this.#path })
  }

  async close(): Promise<void> {
    this.#disk.openFiles--
    await this.#file.close()
    this.#disk.check({ act: 'close', path: this.#path })
  }
}
