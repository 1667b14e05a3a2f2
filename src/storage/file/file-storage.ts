import { resolve } from 'node:path'
import { OttlaError } from '../../errors.js'
import type { PartitionOptions, PartitionStorage, Storage, StorageContext, TopicPartition } from '../storage.js'
import { checkFileStorageOptions, type FileStorageOptions } from './file-storage-options.js'
import type { HeldWith, OpenDirectory } from './open-directory.js'

const DEFAULTS = { durability: 'fsync', syncIntervalMs: 100 } as const

/**
 * Keeps logs in a directory, in Kafka's own files. One broker at a time has it: another gets OTTLA_LOCKED, naming who
 * does.
 *
 * Throws OTTLA_INVALID_ARGUMENT for an option that is unknown or out of range. `open` rejects with OTTLA_LOCKED, with
 * OTTLA_UNSUPPORTED_FORMAT for a directory of a newer release, with OTTLA_INVALID_ARGUMENT for one that holds something
 * else, and with OTTLA_STORAGE_FAILED for one that cannot be used; `openPartition` with OTTLA_CORRUPTION for damage
 * that is no torn end, naming file and position.
 *
 * @example
 * const broker = await Broker.open({ storage: new FileStorage('./data') })
 */
export class FileStorage implements Storage {
  /** The absolute path. */
  readonly directory: string
  readonly acknowledgeAfter: 'append' | 'sync'
  readonly segmentBytes: number | undefined
  readonly readOnly: boolean
  readonly #heldWith: HeldWith
  #status: 'closed' | 'opening' | 'open' | 'closing' = 'closed'
  #held: OpenDirectory | undefined
  #opening: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #openedCleanly = true

  constructor(directory: string, options: FileStorageOptions = {}) {
    checkFileStorageOptions(directory, options)
    const { durability = DEFAULTS.durability, syncIntervalMs = DEFAULTS.syncIntervalMs } = options
    const { repair, fileSystem, segmentBytes, readOnly: isReadOnly = false } = options
    this.directory = resolve(directory)
    this.readOnly = isReadOnly
    this.acknowledgeAfter = durability === 'fsync' && !isReadOnly ? 'sync' : 'append'
    this.segmentBytes = segmentBytes
    this.#heldWith = { durability, syncIntervalMs, isReadOnly, repair, fileSystem }
  }

  /** False once it was opened after a crash. */
  get openedCleanly(): boolean {
    return this.#openedCleanly
  }

  async open(context: StorageContext): Promise<void> {
    if (this.#status !== 'closed') {
      throw new OttlaError(
        'OTTLA_LOCKED',
        `This FileStorage of ${this.directory} is open in another broker: close that one first, or give each broker a directory of its own.`,
      )
    }
    this.#status = 'opening'
    this.#opening = this.#open(context)
    try {
      await this.#opening
      this.#status = 'open'
    } catch (error) {
      this.#status = 'closed'
      throw error
    }
  }

  async partitions(): Promise<TopicPartition[]> {
    return this.#assertOpen().partitions()
  }

  async openPartition(at: TopicPartition, options: PartitionOptions = {}): Promise<PartitionStorage> {
    return this.#assertOpen().openPartition(at, options)
  }

  async deletePartition(at: TopicPartition): Promise<void> {
    return this.#assertOpen().deletePartition(at)
  }

  async close(options: { readonly clean?: boolean } = {}): Promise<void> {
    // One that fails has told its caller, and leaves nothing to close.
    if (this.#status === 'opening') await Promise.allSettled([this.#opening])
    if (this.#status === 'open') {
      this.#status = 'closing'
      this.#closing = this.#assertHeld()
        .close(options.clean !== false)
        .finally(() => {
          this.#status = 'closed'
          this.#held = undefined
          this.#closing = undefined
        })
    }
    await this.#closing
  }

  /** What works on files is loaded here: a program that stays in memory starts without it. */
  async #open(context: StorageContext): Promise<void> {
    const { OpenDirectory } = await import('./open-directory.js')
    this.#held = await OpenDirectory.open(this.directory, this.#heldWith, context)
    this.#openedCleanly = this.#held.openedCleanly
  }

  #assertOpen(): OpenDirectory {
    if (this.#status !== 'open') throw this.#notOpen()
    return this.#assertHeld()
  }

  #assertHeld(): OpenDirectory {
    if (this.#held === undefined) throw this.#notOpen()
    return this.#held
  }

  #notOpen(): OttlaError {
    return new OttlaError('OTTLA_CLOSED', `The FileStorage of ${this.directory} is closed: open it before it is used.`)
  }
}
