import { crc32c } from '../../record/crc32c.js'
import { SegmentIndex } from '../segment-index.js'
import { type FileSystem, readFile, writeFile } from './file-system.js'

/** What the index files of a segment must be to be believed. */
export interface KnownIndexes {
  readonly offsetBytes: number
  readonly timeBytes: number
  /** CRC-32C of both, one behind the other; undefined where an earlier release wrote them. */
  readonly crc32c: number | undefined
}

/** The .index and .timeindex of one segment: caches, which are never synced. */
export class IndexFiles {
  readonly #fileSystem: FileSystem
  readonly #paths: readonly [offsetIndex: string, timeIndex: string]
  /** Undefined where there are none, or something else than they should be. */
  known: KnownIndexes | undefined

  constructor(fileSystem: FileSystem, paths: readonly [offsetIndex: string, timeIndex: string]) {
    this.#fileSystem = fileSystem
    this.#paths = paths
  }

  /** True where both were written; where not, the next open makes them from the log. */
  async save(index: SegmentIndex): Promise<boolean> {
    const [offsetPath, timePath] = this.#paths
    const offsets = index.encodeOffsetIndex()
    const times = index.encodeTimeIndex()
    this.known = undefined
    try {
      await writeFile(this.#fileSystem, offsetPath, offsets)
      await writeFile(this.#fileSystem, timePath, times)
    } catch {
      return false
    }
    this.known = { offsetBytes: offsets.length, timeBytes: times.length, crc32c: crcOf(offsets, times) }
    return true
  }

  /** The index of a segment, or undefined where the files are not those that were written for it. */
  async load(
    segment: { readonly baseOffset: number; readonly sizeInBytes: number; readonly maxTimestamp: number },
    indexIntervalBytes: number | undefined,
  ): Promise<SegmentIndex | undefined> {
    const { known } = this
    if (known === undefined) return undefined
    const [offsetPath, timePath] = this.#paths
    const offsets = await readFile(this.#fileSystem, offsetPath)
    const times = await readFile(this.#fileSystem, timePath)
    if (offsets?.length !== known.offsetBytes || times?.length !== known.timeBytes) return undefined
    if (known.crc32c !== undefined && known.crc32c !== crcOf(offsets, times)) return undefined
    const { baseOffset, sizeInBytes, maxTimestamp } = segment
    const index = SegmentIndex.decode(baseOffset, sizeInBytes, offsets, times, indexIntervalBytes)
    return index?.maxTimestamp === maxTimestamp ? index : undefined
  }
}

function crcOf(offsets: Uint8Array, times: Uint8Array): number {
  const both = Buffer.concat([offsets, times])
  return crc32c(both, 0, both.length)
}
