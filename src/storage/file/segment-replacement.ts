import { join } from 'node:path'
import type { RecordBatch } from '../../record/record-batch.js'
import { encodeChecked } from './checked-json.js'
import { markOf } from './clean-mark.js'
import { removeIfThere, writeFileAtomically } from './file-system.js'
import { CLEANED_SUFFIX, REPLACEMENT_FILE, SWAP_SUFFIX } from './layout.js'
import type { Disk, FileSegment } from './segment.js'
import { putAway, unlinkAway } from './segment-removal.js'
import { type Replacement, writeSum } from './unfinished.js'

/**
 * One segment that takes the place of others, in Kafka's order:
 *
 *     write          .cleaned      means nothing yet
 *     decide         .swap         counts: opening after a crash brings it to its end
 *     takePlace      .log          the old ones are put away
 *     removeOld                    nothing of the old ones is left
 */
export class SegmentReplacement {
  readonly #disk: Disk
  readonly #directory: string
  readonly #segment: FileSegment
  readonly #old: readonly FileSegment[]
  readonly #endOffset: number

  /** `segment` is empty, `old` are those that it stands for, up to `endOffset`. */
  constructor(disk: Disk, directory: string, segment: FileSegment, old: readonly FileSegment[], endOffset: number) {
    this.#disk = disk
    this.#directory = directory
    this.#segment = segment
    this.#old = old
    this.#endOffset = endOffset
  }

  async write(batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>): Promise<void> {
    await this.#segment.writeAs(this.#cleanedPath, batches, this.#endOffset)
  }

  async decide(): Promise<void> {
    const { fileSystem } = this.#disk
    const { baseOffset } = this.#segment
    const replacement: Replacement = { baseOffset, endOffset: this.#endOffset, sum: markOf(this.#segment) }
    await writeFileAtomically(fileSystem, this.#replacementPath, encodeChecked(replacement))
    await fileSystem.syncDirectory(this.#directory)
    await fileSystem.rename(this.#cleanedPath, this.#swapPath)
  }

  /** Instead of all that follows, where it was not decided. */
  async discard(): Promise<void> {
    await removeIfThere(this.#disk.fileSystem, this.#cleanedPath)
  }

  async takePlace(): Promise<void> {
    const { fileSystem } = this.#disk
    await fileSystem.syncDirectory(this.#directory)
    for (const each of this.#old) await putAway(this.#disk, this.#directory, each)
    await writeSum(fileSystem, this.#segment.sumPath, markOf(this.#segment))
    await fileSystem.rename(this.#swapPath, this.#segment.path)
    await fileSystem.syncDirectory(this.#directory)
  }

  async removeOld(): Promise<void> {
    for (const each of this.#old) await unlinkAway(this.#disk, each)
    await this.#disk.fileSystem.unlink(this.#replacementPath)
  }

  get #cleanedPath(): string {
    return this.#segment.path + CLEANED_SUFFIX
  }

  get #swapPath(): string {
    return this.#segment.path + SWAP_SUFFIX
  }

  get #replacementPath(): string {
    return join(this.#directory, REPLACEMENT_FILE)
  }
}
