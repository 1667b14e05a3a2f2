import { join } from 'node:path'
import { corruption } from './batch-scan.js'
import { decodeChecked, encodeChecked } from './checked-json.js'
import { type FileSystem, readFile, writeFileAtomically } from './file-system.js'
import { GAPS_FILE } from './layout.js'

/** A segment that ends before the base of the next one: without this a lost segment would look the same. */
export type Joint = readonly [endOffset: number, nextBaseOffset: number]

export interface NewGaps {
  readonly joints?: readonly Joint[]
  /** Base offsets of segments. */
  readonly within?: readonly number[]
}

interface Content {
  readonly joints: readonly Joint[]
  /** The base offsets of segments in which offsets are missing between batches. */
  readonly within: readonly number[]
}

/** Where a log may lack offsets. Anywhere else that is damage. Written down, for good, before it is true. */
export class Gaps {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  #content: Content

  private constructor(fileSystem: FileSystem, directory: string, content: Content) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#content = content
  }

  /** Of a log in which nothing is missing. */
  static none(fileSystem: FileSystem, directory: string): Gaps {
    return new Gaps(fileSystem, directory, { joints: [], within: [] })
  }

  /** Throws OTTLA_CORRUPTION where the file is not the one that was written. */
  static async read(fileSystem: FileSystem, directory: string): Promise<Gaps> {
    const path = join(directory, GAPS_FILE)
    const bytes = await readFile(fileSystem, path)
    if (bytes === undefined) return Gaps.none(fileSystem, directory)
    const content = contentOf(bytes)
    if (content !== undefined) return new Gaps(fileSystem, directory, content)
    const reason = 'it is not the list of gaps that was written'
    throw corruption({ file: path, position: 0, expectedOffset: 0, kind: 'sidecar', reason, cause: undefined })
  }

  hasJoint(endOffset: number, nextBaseOffset: number): boolean {
    return this.#content.joints.some(([end, base]) => end === endOffset && base === nextBaseOffset)
  }

  isWithin(baseOffset: number): boolean {
    return this.#content.within.includes(baseOffset)
  }

  /** Adds gaps, for good, and forgets those below `logStart`. */
  async add(gaps: NewGaps, logStart: number): Promise<void> {
    await this.write(gaps, logStart)
    await this.#fileSystem.syncDirectory(this.#directory)
  }

  /** As `add`, save that it is for good only once the directory is synced. */
  async write(gaps: NewGaps, logStart: number): Promise<void> {
    const { joints, within } = this.#content
    const content: Content = {
      joints: [...joints.filter(([end]) => end >= logStart), ...(gaps.joints ?? [])],
      within: [...new Set([...within.filter((base) => base >= logStart), ...(gaps.within ?? [])])],
    }
    await this.#replace(content)
  }

  /** Forgets those of a log that was truncated to `offset`, where a lost segment would pass for them later. */
  async cut(offset: number): Promise<void> {
    const joints = this.#content.joints.filter(([, base]) => base <= offset)
    const within = this.#content.within.filter((base) => base <= offset)
    if (joints.length < this.#content.joints.length || within.length < this.#content.within.length) {
      await this.#replace({ joints, within })
    }
  }

  async #replace(content: Content): Promise<void> {
    await writeFileAtomically(this.#fileSystem, join(this.#directory, GAPS_FILE), encodeChecked(content))
    this.#content = content
  }
}

function contentOf(bytes: Uint8Array): Content | undefined {
  // What layout 1 had: the joints alone, without a checksum. Nothing compacted its segments yet.
  const text = Buffer.from(bytes).toString()
  if (text.startsWith('[')) {
    try {
      const joints: unknown = JSON.parse(text)
      return Array.isArray(joints) && joints.every(isJoint) ? { joints, within: [] } : undefined
    } catch {
      return undefined
    }
  }
  // The checksum says that these are the bytes of encodeChecked.
  return decodeChecked(bytes) as Content | undefined
}

function isJoint(value: unknown): value is Joint {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)
}
