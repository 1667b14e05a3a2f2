import type { Snapshot } from '../storage.js'
import { type FileSystem, readFile, removeIfThere, writeFile } from './file-system.js'
import { offsetPath, SNAPSHOT_SUFFIX, TEMPORARY_SUFFIX } from './layout.js'

/** The newest ones stay: one may lie beyond what a crash leaves of the log. */
const SNAPSHOTS_KEPT = 2

/** Kafka's NNN.snapshot files of one partition. Caches: never synced. */
export class SnapshotFiles {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  /** Rising. */
  readonly #offsets: number[]

  constructor(fileSystem: FileSystem, directory: string, offsets: number[]) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#offsets = offsets
  }

  async save(offset: number, bytes: Uint8Array): Promise<void> {
    const path = this.#path(offset)
    await writeFile(this.#fileSystem, path + TEMPORARY_SUFFIX, bytes)
    await this.#fileSystem.rename(path + TEMPORARY_SUFFIX, path)
    if (!this.#offsets.includes(offset)) this.#offsets.push(offset)
    this.#offsets.sort((a, b) => a - b)
    while (this.#offsets.length > SNAPSHOTS_KEPT) await this.#remove(this.#offsets[0] ?? 0)
  }

  async load(offset: number): Promise<Snapshot | undefined> {
    const newest = this.#offsets.filter((each) => each <= offset).at(-1)
    if (newest === undefined) return undefined
    const bytes = await readFile(this.#fileSystem, this.#path(newest))
    return bytes && { offset: newest, bytes }
  }

  async removeAbove(offset: number): Promise<void> {
    for (const each of this.#offsets.filter((each) => each > offset)) await this.#remove(each)
  }

  async #remove(offset: number): Promise<void> {
    this.#offsets.splice(this.#offsets.indexOf(offset), 1)
    await removeIfThere(this.#fileSystem, this.#path(offset))
  }

  #path(offset: number): string {
    return offsetPath(this.#directory, offset) + SNAPSHOT_SUFFIX
  }
}
