import { OttlaError } from '../../errors.js'
import type { EncodedBatch } from '../../record/encoded-batch.js'
import type { RecordBatch } from '../../record/record-batch.js'
import { type IndexedPosition, SegmentIndex } from '../segment-index.js'
import type { Segment } from '../storage.js'
import { corruption, type Expected, type FoundDamage, scanBatches } from './batch-scan.js'
import type { SegmentMark } from './clean-mark.js'
import type { DurablePoint } from './durable-mark.js'
import { type FileSystem, type OpenFile, writeAll } from './file-system.js'
import type { HandlePool, PooledFile } from './handle-pool.js'
import { CRC_OF_NOTHING, crcWithHeader, headersCrcOf } from './headers-crc.js'
import { IndexFiles } from './index-files.js'
import { DURABLE_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, offsetPath, SUM_SUFFIX, TIME_INDEX_SUFFIX } from './layout.js'
import type { Limiter } from './limiter.js'
import { readChunk } from './segment-reading.js'

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
  /** A sealed segment does not grow, and has its index files. */
  isSealed = false
  /** Set when another begins to take its place; resolves when it has. */
  replaced: Promise<void> | undefined
  /** Offsets may be missing between its batches. Then only the checksum of all headers tells a wrong one. */
  hasGaps = false
  /** True in a log of Kafka's, whose leaders each had an epoch of their own. */
  anyEpoch = false
  /** CRC-32C of the headers of its batches; undefined where they would have to be read for that. */
  headersCrc32c: number | undefined = CRC_OF_NOTHING
  readonly #disk: Disk
  readonly #pathPrefix: string
  readonly #indexIntervalBytes: number | undefined
  readonly #indexFiles: IndexFiles
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
  /** What of a file with gaps was not looked at since it was opened. */
  #unverified: { readonly sizeInBytes: number; readonly crc: number } | undefined

  constructor(
    disk: Disk,
    directory: string,
    baseOffset: number,
    indexIntervalBytes: number | undefined,
    path?: string,
  ) {
    this.#disk = disk
    this.#pathPrefix = offsetPath(directory, baseOffset)
    this.#indexIntervalBytes = indexIntervalBytes
    this.path = path ?? this.#pathPrefix + LOG_SUFFIX
    this.#indexFiles = new IndexFiles(disk.fileSystem, this.indexPaths)
    this.baseOffset = baseOffset
    this.endOffset = baseOffset
  }

  get isDirty(): boolean {
    return this.#isDirty
  }

  get indexPaths(): readonly [offsetIndex: string, timeIndex: string] {
    return [this.#pathPrefix + INDEX_SUFFIX, this.#pathPrefix + TIME_INDEX_SUFFIX]
  }

  get sumPath(): string {
    return this.#pathPrefix + SUM_SUFFIX
  }

  get durablePath(): string {
    return this.#pathPrefix + DURABLE_SUFFIX
  }

  /** Sizes of the index files, undefined where they hold something else than they should. */
  get indexBytes(): number | undefined {
    return this.#indexFiles.known?.offsetBytes
  }

  get timeIndexBytes(): number | undefined {
    return this.#indexFiles.known?.timeBytes
  }

  get indexCrc32c(): number | undefined {
    return this.#indexFiles.known?.crc32c
  }

  /** Takes over what was known when the segment was closed or sealed. */
  restore(mark: SegmentMark): void {
    this.endOffset = mark.endOffset
    this.sizeInBytes = mark.sizeInBytes
    this.maxTimestamp = mark.maxTimestamp
    this.firstTimestamp = mark.firstTimestamp
    this.headersCrc32c = mark.headersCrc32c
    const { indexBytes: offsetBytes, timeIndexBytes: timeBytes, indexCrc32c } = mark
    this.#indexFiles.known =
      offsetBytes === undefined || timeBytes === undefined ? undefined : { offsetBytes, timeBytes, crc32c: indexCrc32c }
    this.#mustBeVerified()
  }

  /** Takes over what was known of the active segment when it was last said to be durable. */
  restorePoint(point: DurablePoint, index: SegmentIndex): void {
    this.endOffset = point.endOffset
    this.sizeInBytes = point.position
    this.maxTimestamp = point.maxTimestamp
    this.firstTimestamp = point.firstTimestamp
    this.headersCrc32c = point.headersCrc
    this.#index = index
    this.#indexIsSaved = false
    this.#mustBeVerified()
  }

  /** What is said of it once it is durable as it is now; undefined where that would take a read. */
  durablePoint(): DurablePoint | undefined {
    const index = this.#index
    if (index === undefined || this.headersCrc32c === undefined) return undefined
    return {
      endOffset: this.endOffset,
      position: this.sizeInBytes,
      maxTimestamp: this.maxTimestamp,
      offsetOfMaxTimestamp: index.offsetOfMaxTimestamp,
      firstTimestamp: this.firstTimestamp,
      headersCrc: this.headersCrc32c,
      offsetEntries: index.offsetEntryCount,
      timeEntries: index.timeEntryCount,
    }
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
    if (this.headersCrc32c !== undefined) this.headersCrc32c = crcWithHeader(this.headersCrc32c, batch.bytes(), 0)
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
    await this.use((file) => this.#dataSync(file))
  }

  /** Uses the file for one call to the disk. */
  use<T>(act: (file: OpenFile) => Promise<T>): Promise<T> {
    return this.#disk.handles.use(this, act)
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
      await this.#verifyWhole()
      const cuts = this.#cuts
      const index = await this.index()
      const isHinted = this.#nextRead.offset === offset
      const start = isHinted ? { position: this.#nextRead.position, lastOffset: -1 } : index.lookUp(offset)
      const found = await readChunk({
        path: this.path,
        from: start.position,
        expected: this.#expectedAt(start, isHinted ? offset : this.baseOffset),
        offset,
        maxBytes,
        endOffset,
        hasBatches: batches.length > 0,
        sizeInBytes: () => this.sizeInBytes,
        isValid: () => cuts === this.#cuts,
        use: (act) => this.use(act),
      })
      if (cuts !== this.#cuts) continue
      if (!('reason' in found)) {
        batches.push(...found.batches)
        // Without a batch there is none at that offset, and the next one may begin anywhere behind it.
        if (found.batches.length > 0) this.#nextRead = { offset: found.nextOffset, position: found.nextPosition }
        return found.room
      }
      // Bytes where no such batch begins: either the index lies, or the log is damaged, which rebuilding finds out.
      if (!mayLie || found.position !== start.position || start.position === 0) throw corruption(found)
      mayLie = false
      this.#nextRead = { offset: -1, position: 0 }
      await this.rebuildIndex()
    }
  }

  /** The base offset of its first batch whose largest timestamp is at or after `timestamp`. */
  async findOffset(timestamp: number): Promise<number | undefined> {
    for (let mayLie = true; ; mayLie = false) {
      await this.#verifyWhole()
      const cuts = this.#cuts
      const start = (await this.index()).lookUpTime(timestamp)
      let found: number | undefined
      const damage = await this.#scan(start, this.sizeInBytes, (batch) => {
        if (batch.maxTimestamp < timestamp) return true
        found = batch.baseOffset
        return false
      })
      if (cuts !== this.#cuts) continue
      if (damage === undefined) return found
      if (!mayLie || damage.position !== start.position || start.position === 0) throw corruption(damage)
      await this.rebuildIndex()
    }
  }

  /**
   * Cuts the batches that hold `offset` or a later one off, for good before it resolves. The segment may grow again.
   * When it rejects, the segment is in no state to be used.
   */
  async truncateTo(offset: number): Promise<void> {
    await this.#verifyWhole()
    const index = await this.index()
    await this.#loading
    const start = index.lookUp(offset - 1)
    let sizeInBytes = index.truncateTo(offset)
    let endOffset = this.baseOffset
    this.#indexIsSaved = false
    const damage = await this.#scan(start, this.sizeInBytes, (batch, at) => {
      if (batch.lastOffset >= offset) return false
      index.add(batch.lastOffset, at, batch.sizeInBytes, batch.maxTimestamp)
      sizeInBytes = at + batch.sizeInBytes
      endOffset = batch.lastOffset + 1
      return true
    })
    if (damage !== undefined) throw corruption(damage)
    // First here, so that no read goes for bytes that are about to go.
    this.#cuts++
    this.isSealed = false
    if (sizeInBytes < this.sizeInBytes) this.headersCrc32c = sizeInBytes === 0 ? CRC_OF_NOTHING : undefined
    this.sizeInBytes = sizeInBytes
    this.endOffset = endOffset
    this.maxTimestamp = index.maxTimestamp
    if (sizeInBytes === 0) this.firstTimestamp = -1
    this.#nextRead = { offset: -1, position: 0 }
    await this.use((file) => file.truncate(sizeInBytes))
    this.#isDirty = true
    await this.dataSync()
  }

  /** Makes the index from the log, which is checked on the way. Throws OTTLA_CORRUPTION where that is damaged. */
  async rebuildIndex(): Promise<void> {
    await this.#loadOnce(() => this.#rebuild())
    if (this.isSealed) await this.saveIndexes()
  }

  /**
   * Takes in the batches behind what it holds, of a file that holds `sizeInBytes`. Stops at the first bytes that are no
   * good batch, where the segment then ends.
   */
  async scanFile(sizeInBytes: number): Promise<FoundDamage | undefined> {
    const index = await this.index()
    const range = {
      path: this.path,
      from: this.sizeInBytes,
      to: sizeInBytes,
      expected: this.#expectedAt({ lastOffset: -1 }, this.endOffset),
    }
    return this.use((file) =>
      scanBatches(file, range, (batch) => {
        this.add(index, batch)
        return true
      }),
    )
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
    this.#indexIsSaved = await this.#indexFiles.save(index)
  }

  /** Reads the file where the checksum is not known. */
  async knowHeadersCrc(): Promise<number> {
    this.headersCrc32c ??= await this.#readHeadersCrc(this.sizeInBytes)
    return this.headersCrc32c
  }

  async #readHeadersCrc(sizeInBytes: number): Promise<number> {
    const found = await this.use((file) => headersCrcOf(file, this.path, this.baseOffset, sizeInBytes))
    if (typeof found === 'number') return found
    throw corruption(found)
  }

  #mustBeVerified(): void {
    if (!this.hasGaps || this.headersCrc32c === undefined || this.sizeInBytes === 0) return
    this.#unverified = { sizeInBytes: this.sizeInBytes, crc: this.headersCrc32c }
  }

  /** Where offsets may be missing, a wrong one shows only in the checksum of all headers. */
  async #verifyWhole(): Promise<void> {
    const unverified = this.#unverified
    if (unverified === undefined) return
    const { sizeInBytes, crc } = unverified
    if ((await this.#readHeadersCrc(sizeInBytes)) !== crc) {
      throw corruption({
        file: this.path,
        position: 0,
        expectedOffset: this.baseOffset,
        kind: 'sum',
        reason: `the batches in its first ${sizeInBytes} bytes are not those that were written, as the checksum of their headers shows`,
        cause: undefined,
      })
    }
    this.#unverified = undefined
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
    const { baseOffset, sizeInBytes, maxTimestamp } = this
    const index = await this.#indexFiles.load({ baseOffset, sizeInBytes, maxTimestamp }, this.#indexIntervalBytes)
    if (index === undefined) {
      const rebuilt = await this.#rebuild()
      if (this.isSealed) await this.saveIndexes()
      return rebuilt
    }
    this.#index = index
    return index
  }

  async #rebuild(): Promise<SegmentIndex> {
    await this.#verifyWhole()
    const index = new SegmentIndex(this.baseOffset, this.#indexIntervalBytes)
    const cuts = this.#cuts
    let scanned = 0
    let expectedOffset = this.baseOffset
    // The active segment may grow meanwhile, and what is appended belongs in the new index too.
    while (scanned < this.sizeInBytes) {
      const expected = this.#expectedAt({ lastOffset: -1 }, expectedOffset)
      const range = { path: this.path, from: scanned, to: this.sizeInBytes, expected }
      const damage = await this.use((file) =>
        scanBatches(file, range, (batch, position) => {
          index.add(batch.lastOffset, position, batch.sizeInBytes, batch.maxTimestamp)
          scanned = position + batch.sizeInBytes
          expectedOffset = batch.lastOffset + 1
          return true
        }),
      )
      if (cuts !== this.#cuts) return this.#rebuild()
      if (damage !== undefined) throw corruption(damage)
    }
    this.#index = index
    this.#indexIsSaved = false
    return index
  }

  #scan(
    start: IndexedPosition,
    to: number,
    visit: (batch: EncodedBatch, position: number) => boolean,
  ): Promise<FoundDamage | undefined> {
    const expected = this.#expectedAt(start)
    return this.use((file) => scanBatches(file, { path: this.path, from: start.position, to, expected }, visit))
  }

  #expectedAt({ lastOffset }: { readonly lastOffset: number }, offset: number = this.baseOffset): Expected {
    return { offset, lastOffset, hasGaps: this.hasGaps, anyEpoch: this.anyEpoch }
  }
}
