import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { EncodedBatch } from '../../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../../src/record/record-batch-builder.js'
import { FileStorage } from '../../../src/storage/file/file-storage.js'
import type { FileStorageOptions } from '../../../src/storage/file/file-storage-options.js'
import type { PartitionStorage, RecoveryReport, TopicPartition } from '../../../src/storage/storage.js'
import type { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
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

/** Opens the partition orders-0 of a directory on a simulated disk. */
export function openOn(disk: SimulatedFileSystem, options?: FileStorageOptions): Promise<Opened> {
  return open(PLACE, { ...options, fileSystem: disk })
}

/** Changes a file behind the back of everybody: in place, or to what is returned. */
export function damage(disk: SimulatedFileSystem, path: string, act: (content: Buffer) => unknown): void {
  const content = disk.peek(path)
  if (content === undefined) throw new Error(`There is no ${path}.`)
  const buffer = Buffer.from(content)
  const changed = act(buffer)
  disk.place(path, Buffer.isBuffer(changed) ? changed : buffer)
}

/** Tells disks with other content apart. What is unsynced on them counts as little as names of no meaning. */
export function contentOf(disk: SimulatedFileSystem): string {
  const hash = createHash('sha1')
  for (const [path, bytes] of disk.files(PLACE)) hash.update(`${path} ${bytes.length} `).update(bytes)
  return hash.digest('base64')
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

/** Where tests have their directory on a simulated disk. */
export const PLACE = '/data'

export function logPath(directory: string, baseOffset: number, suffix = '.log'): string {
  return join(directory, 'orders-0', String(baseOffset).padStart(20, '0') + suffix)
}
