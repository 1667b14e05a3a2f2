import { OttlaError } from '../../errors.js'
import { BATCH_HEADER_BYTES, batchSizeAt, type EncodedBatch } from '../../record/encoded-batch.js'
import type { RecordBatch } from '../../record/record-batch.js'
import { DEFAULT_INDEX_INTERVAL_BYTES, SegmentIndex } from '../segment-index.js'
import type { Segment } from '../storage.js'
import { corruption, type Damage, scanBatches, verifiedBatch } from './batch-scan.js'
import type { SegmentMark } from './clean-mark.js'
import { type FileSystem, type OpenFile, readAll, readFile, writeAll, writeFile } from './file-system.js'
import type { HandlePool, PooledFile } from './handle-pool.js'
import { INDEX_SUFFIX, LOG_SUFFIX, offsetPath, TIME_INDEX_SUFFIX } from './layout.js'
import type { Limiter } from './limiter.js'

/** What the partitions of one storage share of the disk. */
export interface Disk {
  readonly fileSystem: FileSystem
  readonly handles: HandlePool
  /** The thread pool has four threads, and a sync may hold one for long. */
  readonly syncLimiter: Limiter
  /** False where only the operating system decides when bytes reach the disk. */
  readonly syncsFiles: boolean
}

/** One log file with its indexes, which are caches: made from the log when they are missing or make no sense. */
export class FileSegment implements Segment, PooledFile {
  readonly baseOffset: number
  readonly path: string
  endOffset: number
  sizeInBytes = 0
  maxTimestamp = -1
  firstTimestamp = -1
  /** Sizes of the index files, undefined where they hold something else than they should. */
  indexBytes: number | undefined
  timeIndexBytes: number | undefined
  /** A sealed segment does not grow, and has its index files. */
  isSealed = false
  /** Set when another begins to take its place; resolves when it has. */
  replaced: Promise<void> | undefined
  readonly #disk: Disk
  readonly #pathPrefix: string
  readonly #indexIntervalBytes: number | undefined
  #index: SegmentIndex | undefined
  #loading: Promise<SegmentIndex> | undefined
  #indexIsSaved = true
  /** Written since the last sync. */
  #isDirty = false
  #eviction: Promise<void> = Promise.resolve()
  #syncFailure: unknown
  /** Rises when bytes are cut, for reads that began before. */
  #cuts = 0
  /** Where the last read ended: the next one most often begins there, and an index entry lies before it. */
  #nextRead = { offset: -1, position: 0 }

  constructor(disk: Disk, directory: string, baseOffset: number, indexIntervalBytes: number | undefined) {
    this.#disk = disk
    this.#pathPrefix = offsetPath(directory, baseOffset)
    this.#indexIntervalBytes = indexIntervalBytes
    this.path = this.#pathPrefix + LOG_SUFFIX
    this.baseOffset = baseOffset
    this.endOffset = baseOffset
  }

  get isDirty(): boolean {
    return this.#isDirty
  }

  get indexPaths(): readonly [offsetIndex: string, timeIndex: string] {
    return [this.#pathPrefix + INDEX_SUFFIX, this.#pathPrefix + TIME_INDEX_SUFFIX]
  }

  /** Takes over what was known when the segment was closed. */
  restore(mark: SegmentMark): void {
    this.endOffset = mark.endOffset
    this.sizeInBytes = mark.sizeInBytes
    this.maxTimestamp = mark.maxTimestamp
    this.firstTimestamp = mark.firstTimestamp
    this.indexBytes = mark.indexBytes
    this.timeIndexBytes = mark.timeIndexBytes
  }

  /** At once where it is in memory. */
  index(): SegmentIndex | Promise<SegmentIndex> {
    if (this.#index !== undefined) return this.#index
    if (this.sizeInBytes === 0) {
      this.#index = new SegmentIndex(this.baseOffset, this.#indexIntervalBytes)
      return this.#index
    }
    return this.#loadOnce(() => this.#load())
  }

  /** Takes a batch that was written behind the last one into account. */
  add(index: SegmentIndex, batch: RecordBatch): void {
    const { lastOffset, maxTimestamp, sizeInBytes } = batch
    index.add(lastOffset, this.sizeInBytes, sizeInBytes, maxTimestamp)
    if (this.sizeInBytes === 0) this.firstTimestamp = maxTimestamp
    if (maxTimestamp > this.maxTimestamp) this.maxTimestamp = maxTimestamp
    this.sizeInBytes += sizeInBytes
    this.endOffset = lastOffset + 1
    this.#indexIsSaved = false
  }

  markDirty(): void {
    this.#isDirty = true
  }

  /** Makes durable what was written. Fails for good once any sync of this file has failed, whoever asked for it. */
  async dataSync(): Promise<void> {
    await this.#eviction
    if (this.#syncFailure !== undefined) throw this.#syncFailure
    if (!this.#isDirty) return
    this.#isDirty = false
    await this.#disk.handles.use(this, (file) => this.#dataSync(file))
  }

  /** A sync through a file that is opened anew might not hear of bytes that were lost before. */
  beforeEviction(file: OpenFile): Promise<void> {
    if (!this.#isDirty || !this.#disk.syncsFiles) return Promise.resolve()
    this.#isDirty = false
    // Whoever syncs next hears of the failure.
    this.#eviction = this.#dataSync(file).catch(() => undefined)
    return this.#eviction
  }

  /** A sealed segment was synced before, and loses nothing; any other fails the next sync. */
  onEvictionFailed(error: unknown): void {
    this.#syncFailure ??= error
  }

  /**
   * Adds the batches from the one that holds `offset` on to `batches`, as `PartitionStorage.read`. Returns how many
   * bytes may follow from the next segment, -1 for none.
   */
  async read(offset: number, maxBytes: number, endOffset: number, batches: EncodedBatch[]): Promise<number> {
    for (let mayLie = true; ; ) {
      const cuts = this.#cuts
      const index = await this.index()
      const isHinted = this.#nextRead.offset === offset
      const from = isHinted ? this.#nextRead.position : index.positionFor(offset)
      const chunk = await this.#readChunk(offset, from, maxBytes, endOffset, batches.length > 0)
      if (cuts !== this.#cuts) continue
      if (!('reason' in chunk) && (isHinted || from === 0 || chunk.firstLastOffset <= offset)) {
        batches.push(...chunk.batches)
        this.#nextRead = { offset: chunk.nextOffset, position: chunk.nextPosition }
        return chunk.room
      }
      const damage = 'reason' in chunk ? chunk : misplaced(chunk, from, offset, this.path)
      // Bytes where no batch begins: either the index lies, or the log is damaged, which rebuilding finds out.
      if (!mayLie || damage.position !== from || from === 0) throw corruption(damage)
      mayLie = false
      this.#nextRead = { offset: -1, position: 0 }
      await this.rebuildIndex()
    }
  }

  /** The base offset of its first batch whose largest timestamp is at or after `timestamp`. */
  async findOffset(timestamp: number): Promise<number | undefined> {
    for (let mayLie = true; ; mayLie = false) {
      const cuts = this.#cuts
      const from = (await this.index()).positionForTime(timestamp)
      let found: number | undefined
      const damage = await this.#scan(from, this.sizeInBytes, this.baseOffset, (batch) => {
        if (batch.maxTimestamp < timestamp) return true
        found = batch.baseOffset
        return false
      })
      if (cuts !== this.#cuts) continue
      if (damage === undefined) return found
      if (!mayLie || damage.position !== from || from === 0) throw corruption(damage)
      await this.rebuildIndex()
    }
  }

  /**
   * Cuts the batches that hold `offset` or a later one off, for good before it resolves. The segment may grow again.
   * When it rejects, the segment is in no state to be used.
   */
  async truncateTo(offset: number): Promise<void> {
    const index = await this.index()
    await this.#loading
    let sizeInBytes = index.truncateTo(offset)
    let endOffset = this.baseOffset
    this.#indexIsSaved = false
    const damage = await this.#scan(sizeInBytes, this.sizeInBytes, this.baseOffset, (batch, position) => {
      if (batch.lastOffset >= offset) return false
      index.add(batch.lastOffset, position, batch.sizeInBytes, batch.maxTimestamp)
      sizeInBytes = position + batch.sizeInBytes
      endOffset = batch.lastOffset + 1
      return true
    })
    if (damage !== undefined) throw corruption(damage)
    // First here, so that no read goes for bytes that are about to go.
    this.#cuts++
    this.isSealed = false
    this.sizeInBytes = sizeInBytes
    this.endOffset = endOffset
    this.maxTimestamp = index.maxTimestamp
    if (sizeInBytes === 0) this.firstTimestamp = -1
    this.#nextRead = { offset: -1, position: 0 }
    await this.#disk.handles.use(this, (file) => file.truncate(sizeInBytes))
    this.#isDirty = true
    await this.dataSync()
  }

  /** Makes the index from the log, which is checked on the way. Throws OTTLA_CORRUPTION where that is damaged. */
  async rebuildIndex(): Promise<void> {
    await this.#loadOnce(() => this.#rebuild())
    if (this.isSealed) await this.saveIndexes()
  }

  /**
   * Takes in the batches of a file that holds up to `sizeInBytes`, from nothing. Stops at the first bytes that are no
   * good batch, where the segment then ends.
   */
  async scanFile(sizeInBytes: number): Promise<Damage | undefined> {
    const index = new SegmentIndex(this.baseOffset, this.#indexIntervalBytes)
    this.restore({ ...EMPTY, baseOffset: this.baseOffset, endOffset: this.baseOffset })
    this.#index = index
    const damage = await this.#scan(0, sizeInBytes, this.baseOffset, (batch) => {
      this.add(index, batch)
      return true
    })
    return damage
  }

  /**
   * Takes in a sealed file of `sizeInBytes` by its first batch, its indexes and what lies behind their last entry. All
   * of it is read only where the indexes make no sense. Throws OTTLA_CORRUPTION where that finds damage.
   */
  async probeFile(sizeInBytes: number): Promise<void> {
    if (sizeInBytes > 0 && (await this.#probe(sizeInBytes))) return
    const damage = await this.scanFile(sizeInBytes)
    if (damage !== undefined) throw corruption(damage)
  }

  /** Fills the empty segment with batches that end at or before `endOffset`, in a file of another name, and syncs that. */
  async writeAs(
    path: string,
    batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>,
    endOffset: number,
  ): Promise<void> {
    const index = await this.index()
    const file = await this.#disk.fileSystem.open(path, 'replace')
    try {
      for await (const batch of batches) {
        if (batch.baseOffset < this.endOffset || batch.lastOffset >= endOffset) {
          throw new OttlaError(
            'OTTLA_INVALID_ARGUMENT',
            `What replaces ${this.path} goes on from ${this.endOffset} up to ${endOffset}: a batch from ${batch.baseOffset} to ${batch.lastOffset} has no place there.`,
          )
        }
        const bytes = batch.bytes()
        await writeAll(file, bytes, 0, bytes.length, this.sizeInBytes)
        this.add(index, batch)
      }
      await file.dataSync()
    } finally {
      await file.close()
    }
  }

  /** Adds the last time entry: what Kafka does to a segment that is rolled or closed. */
  async sealIndex(): Promise<void> {
    if (this.#index === undefined || this.#indexIsSaved) return
    this.#index.seal()
    await this.saveIndexes()
  }

  /** Writes the index files. That it fails loses nothing but the time to make them again. */
  async saveIndexes(): Promise<void> {
    const index = this.#index
    if (index === undefined) return
    if (this.isSealed) index.seal()
    const [offsetPath, timePath] = this.indexPaths
    const offsetIndex = index.encodeOffsetIndex()
    const timeIndex = index.encodeTimeIndex()
    this.indexBytes = undefined
    this.timeIndexBytes = undefined
    try {
      await writeFile(this.#disk.fileSystem, offsetPath, offsetIndex)
      await writeFile(this.#disk.fileSystem, timePath, timeIndex)
      this.indexBytes = offsetIndex.length
      this.timeIndexBytes = timeIndex.length
      this.#indexIsSaved = true
    } catch {
      // They are caches: without them the next open makes them from the log.
    }
  }

  async #dataSync(file: OpenFile): Promise<void> {
    try {
      await this.#disk.syncLimiter.run(() => file.dataSync())
    } catch (error) {
      this.#syncFailure = error
      throw error
    }
  }

  #loadOnce(load: () => Promise<SegmentIndex>): Promise<SegmentIndex> {
    this.#loading ??= load().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #load(): Promise<SegmentIndex> {
    const index = await this.#readIndexes(this.sizeInBytes)
    const isOurs =
      index !== undefined &&
      this.indexBytes === index.bytes.offsets &&
      this.timeIndexBytes === index.bytes.times &&
      index.index.maxTimestamp === this.maxTimestamp
    if (!isOurs) {
      const rebuilt = await this.#rebuild()
      if (this.isSealed) await this.saveIndexes()
      return rebuilt
    }
    this.#index = index.index
    return index.index
  }

  async #readIndexes(
    sizeInBytes: number,
  ): Promise<{ index: SegmentIndex; bytes: { offsets: number; times: number } } | undefined> {
    const [offsetPath, timePath] = this.indexPaths
    const offsets = await readFile(this.#disk.fileSystem, offsetPath)
    const times = await readFile(this.#disk.fileSystem, timePath)
    if (offsets === undefined || times === undefined) return undefined
    const index = SegmentIndex.decode(this.baseOffset, sizeInBytes, offsets, times, this.#indexIntervalBytes)
    return index && { index, bytes: { offsets: offsets.length, times: times.length } }
  }

  async #rebuild(): Promise<SegmentIndex> {
    const index = new SegmentIndex(this.baseOffset, this.#indexIntervalBytes)
    const cuts = this.#cuts
    let scanned = 0
    let expectedOffset = this.baseOffset
    // The active segment may grow meanwhile, and what is appended belongs in the new index too.
    while (scanned < this.sizeInBytes) {
      const damage = await this.#scan(scanned, this.sizeInBytes, expectedOffset, (batch, position) => {
        index.add(batch.lastOffset, position, batch.sizeInBytes, batch.maxTimestamp)
        scanned = position + batch.sizeInBytes
        expectedOffset = batch.lastOffset + 1
        return true
      })
      if (cuts !== this.#cuts) return this.#rebuild()
      if (damage !== undefined) throw corruption(damage)
    }
    this.#index = index
    this.#indexIsSaved = false
    return index
  }

  /** True where first batch, indexes and the batches behind the last entry fit together. */
  async #probe(sizeInBytes: number): Promise<boolean> {
    const indexes = await this.#readIndexes(sizeInBytes)
    if (indexes === undefined) return false
    const { index, bytes } = indexes
    const interval = this.#indexIntervalBytes ?? DEFAULT_INDEX_INTERVAL_BYTES
    let firstTimestamp = -1
    const headDamage = await this.#scan(0, sizeInBytes, this.baseOffset, (batch) => {
      firstTimestamp = batch.maxTimestamp
      return false
    })
    let bytesSinceEntry = 0
    let isStale = false
    let endOffset = this.baseOffset
    const tailDamage = await this.#scan(index.positionFor(Infinity), sizeInBytes, this.baseOffset, (batch) => {
      // There would be an entry here, or a later time, had the whole index reached the disk.
      if (bytesSinceEntry > interval || batch.maxTimestamp > index.maxTimestamp) isStale = true
      bytesSinceEntry += batch.sizeInBytes
      endOffset = batch.lastOffset + 1
      return true
    })
    if (headDamage !== undefined || tailDamage !== undefined || isStale) return false
    const { maxTimestamp } = index
    const { offsets: indexBytes, times: timeIndexBytes } = bytes
    this.restore({
      baseOffset: this.baseOffset,
      endOffset,
      sizeInBytes,
      maxTimestamp,
      firstTimestamp,
      indexBytes,
      timeIndexBytes,
    })
    this.#index = index
    return true
  }

  #scan(
    from: number,
    to: number,
    expectedOffset: number,
    visit: (batch: EncodedBatch, position: number) => boolean,
  ): Promise<Damage | undefined> {
    const range = { path: this.path, from, to, expectedOffset }
    return this.#disk.handles.use(this, (file) => scanBatches(file, range, visit))
  }

  /** Reads on from `position` until there are batches to hand out, damage, or the end. */
  async #readChunk(
    offset: number,
    from: number,
    maxBytes: number,
    endOffset: number,
    hasBatches: boolean,
  ): Promise<Chunk | Damage> {
    const cuts = this.#cuts
    const chunk: Chunk = { batches: [], firstLastOffset: -1, room: maxBytes, nextOffset: offset, nextPosition: from }
    let expectedOffset = this.baseOffset
    let needed = Math.min(Math.max(maxBytes + READ_SLACK_BYTES, SMALLEST_READ_BYTES), LARGEST_READ_BYTES)
    while (chunk.nextPosition < this.sizeInBytes) {
      const position = chunk.nextPosition
      const length = Math.min(needed, this.sizeInBytes - position)
      // Never from a pool, since views of it are handed out, nor zeroed, since every byte handed out was read.
      const buffer = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
      const filled = await this.#disk.handles.use(this, (file) => readAll(file, buffer, length, position))
      if (cuts !== this.#cuts) return chunk
      let at = 0
      while (at < filled) {
        const batch = verifiedBatch(buffer, at, filled, expectedOffset, this.path, position + at)
        if (batch === undefined) break
        if ('reason' in batch) return batch
        if (chunk.firstLastOffset < 0) chunk.firstLastOffset = batch.lastOffset
        expectedOffset = batch.lastOffset + 1
        const isWanted = batch.lastOffset >= offset
        const isTooMuch = batch.sizeInBytes > chunk.room && (hasBatches || chunk.batches.length > 0)
        if (isWanted && (batch.lastOffset >= endOffset || isTooMuch)) return { ...chunk, room: -1 }
        at += batch.sizeInBytes
        chunk.nextPosition = position + at
        if (!isWanted) continue
        chunk.batches.push(batch)
        chunk.nextOffset = batch.lastOffset + 1
        chunk.room = Math.max(chunk.room - batch.sizeInBytes, 0)
      }
      const isAtEnd = chunk.nextPosition >= this.sizeInBytes
      if (chunk.batches.length > 0) return isAtEnd ? chunk : { ...chunk, room: -1 }
      if (at > 0) continue
      needed = filled < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchSizeAt(buffer, 0)
      if (filled < length || position + needed > this.sizeInBytes) {
        const reason = `the file ends inside a batch of ${needed} bytes`
        return { path: this.path, position, expectedOffset, reason, cause: undefined }
      }
    }
    return chunk
  }
}

/** What one read of a file gave. */
interface Chunk {
  readonly batches: EncodedBatch[]
  /** The last offset of the first batch that was met, -1 for none. */
  firstLastOffset: number
  /** How many bytes may follow from the next segment, -1 for none. */
  room: number
  nextOffset: number
  nextPosition: number
}

const EMPTY: SegmentMark = {
  baseOffset: 0,
  endOffset: 0,
  sizeInBytes: 0,
  maxTimestamp: -1,
  firstTimestamp: -1,
  indexBytes: undefined,
  timeIndexBytes: undefined,
}

/** A read begins at an index entry, most often less than this before what is wanted. */
const READ_SLACK_BYTES = 2 * DEFAULT_INDEX_INTERVAL_BYTES
const SMALLEST_READ_BYTES = 64 * 1024
const LARGEST_READ_BYTES = 1024 * 1024

/** An index entry names a batch that ends at or before the offset that was looked up; another batch there is a lie. */
function misplaced(chunk: Chunk, from: number, offset: number, path: string): Damage {
  const reason = `the index names a batch there that ends at ${chunk.firstLastOffset}`
  return { path, position: from, expectedOffset: offset, reason, cause: undefined }
}
