import { OttlaError } from '../../errors.js'
import { reasonOf } from '../../reason-of.js'
import type { RecordBatch } from '../../record/record-batch.js'
import type { Clock } from '../../time/clock.js'
import type { SegmentIndex } from '../segment-index.js'
import type { PartitionStorage, Snapshot, TopicPartition } from '../storage.js'
import { EPOCH } from './batch-scan.js'
import { markOf, type PartitionMark, saySum } from './clean-mark.js'
import { DurableMark } from './durable-mark.js'
import { diskError, errorCode, writeAll } from './file-system.js'
import type { Gaps, Joint, NewGaps } from './gaps.js'
import type { Handle } from './handle-pool.js'
import { partitionName } from './layout.js'
import type { Limiter } from './limiter.js'
import { findInSegments, mayHold, readSegments } from './partition-reading.js'
import type { RecoveredPartition } from './recovery.js'
import { sayDurable } from './recovery-of-last.js'
import { type Disk, FileSegment } from './segment.js'
import { putAway, releaseFiles, removeSayings, renameAway, unlinkAway } from './segment-removal.js'
import { SegmentReplacement } from './segment-replacement.js'
import { SnapshotFiles } from './snapshot-files.js'
import { PartitionTail, type Stretch, type TailCache } from './tail-cache.js'

/** What a partition needs from the storage that opened it. */
export interface PartitionPlace {
  readonly at: TopicPartition
  readonly directory: string
  readonly disk: Disk
  /** Of partitions that close, so that ten thousand that do at once do not open ten thousand files. */
  readonly closing: Limiter
  readonly cache: TailCache
  readonly clock: Clock
  readonly indexIntervalBytes: number | undefined
  readonly topicId: string | undefined
  /** Makes the directory of the partition itself survive a power cut. */
  readonly syncRoot: () => Promise<void>
  /** Told after each append, where the storage and not the log decides when to sync. */
  readonly onAppended: ((partition: FilePartition) => void) | undefined
  /** Told once, when it is closed; without a mark where the next open has to look at the files. */
  readonly onClosed: (partition: FilePartition, mark: PartitionMark | undefined) => void
}

/** Kafka's .index holds positions in 32 bits. */
const LARGEST_SEGMENT_BYTES = 2 ** 31 - 1
const LARGEST_RELATIVE_OFFSET = 2 ** 31 - 1

/** How far the durable mark may lag behind: what a crash leaves to be looked at, and what damage there may pass for a torn end. */
export const MARK_LAG_BYTES: number = 256 * 1024
const MARK_LAG_MS = 1000

/** The log of one partition in a directory of its own. */
export class FilePartition implements PartitionStorage {
  readonly #place: PartitionPlace
  readonly #segments: FileSegment[]
  readonly #snapshots: SnapshotFiles
  readonly #tail = new PartitionTail()
  readonly #gaps: Gaps
  #durableMark: DurableMark
  /** Of the active segment, where its mark stands and since when. */
  #marked: { position: number; atMs: number }
  #durableEndOffset: number
  #status: 'open' | 'closed' = 'open'
  #closing: Promise<void> | undefined
  /** What a write or sync ended in that leaves unknown what the files hold. Nothing is written any more then. */
  #failure: OttlaError | undefined
  #failureIsKnown = false
  /** Files were added that a power cut may take with them. */
  #hasNewFiles: boolean
  /** Ends when the changes that were begun, except appends, are done: the storage's own syncs run beside the log. */
  #changes: Promise<void> = Promise.resolve()

  constructor(place: PartitionPlace, recovered: RecoveredPartition) {
    this.#place = place
    this.#segments = recovered.segments
    this.#snapshots = new SnapshotFiles(place.disk.fileSystem, place.directory, recovered.snapshots)
    this.#gaps = recovered.gaps
    this.#hasNewFiles = !recovered.isDurable
    this.#durableEndOffset = this.#active.endOffset
    this.#durableMark = recovered.durableMark ?? this.#newMark(this.#active)
    this.#marked = this.#markedNow()
  }

  get at(): TopicPartition {
    return this.#place.at
  }

  get segments(): readonly FileSegment[] {
    return this.#segments
  }

  get durableEndOffset(): number {
    return this.#durableEndOffset
  }

  append(batches: readonly RecordBatch[]): void | Promise<void> {
    this.#assertWritable()
    if (batches.length === 0) return
    const active = this.#active
    if (this.#checkFollows(active, batches) && !active.hasGaps) return this.#appendWithGaps(batches, active)
    const index = active.index()
    const handle = this.#place.disk.handles.acquire(active)
    if (index instanceof Promise || handle instanceof Promise) return this.#appendWhenReady(batches, index, handle)
    return this.#write(batches, index, handle)
  }

  sync(): void | Promise<void> {
    this.#assertWritable()
    if (this.#durableEndOffset === this.#active.endOffset && !this.#active.isDirty) return
    return this.#exclusively(() => this.#makeDurable())
  }

  /** A sync that nobody waits for: the next append tells of a failure. */
  async syncInBackground(): Promise<void> {
    if (this.#status !== 'open' || this.#failure !== undefined) return
    try {
      await this.#exclusively(() => this.#makeDurable())
    } catch {
      this.#failureIsKnown = false
    }
  }

  read(offset: number, maxBytes: number, endOffset: number): readonly RecordBatch[] | Promise<readonly RecordBatch[]> {
    this.#assertOpen()
    if (offset >= this.#active.endOffset || offset >= endOffset) return []
    return this.#tail.read(offset, maxBytes, endOffset) ?? this.#readFiles(offset, maxBytes, endOffset)
  }

  findOffset(timestamp: number): number | undefined | Promise<number | undefined> {
    this.#assertOpen()
    if (!this.#segments.some((segment) => mayHold(segment, timestamp))) return undefined
    return findInSegments(this.#segments, timestamp)
  }

  roll(baseOffset: number): void | Promise<void> {
    this.#assertWritable()
    const active = this.#active
    if (baseOffset < active.endOffset) {
      throw this.#invalid(`cannot be rolled at ${baseOffset}, which lies before its end ${active.endOffset}`)
    }
    if (active.sizeInBytes === 0 && active.baseOffset === baseOffset) return
    return this.#exclusively(() => this.#roll(baseOffset))
  }

  drop(count: number): void | Promise<void> {
    this.#assertWritable()
    if (count >= this.#segments.length) {
      throw this.#invalid(`has ${this.#segments.length} segments: ${count} cannot be dropped, the active one stays`)
    }
    if (count === 0) return
    return this.#exclusively(() => this.#drop(count))
  }

  truncate(offset: number): void | Promise<void> {
    this.#assertWritable()
    if (offset >= this.#active.endOffset && offset >= this.#active.baseOffset) return
    return this.#exclusively(() => this.#truncate(offset))
  }

  replace(
    first: number,
    count: number,
    batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>,
  ): void | Promise<void> {
    this.#assertWritable()
    if (first < 0 || count < 1 || first + count >= this.#segments.length) {
      throw this.#invalid(`has no ${count} sealed segments from index ${first} on to replace`)
    }
    return this.#replace(first, count, batches)
  }

  async saveSnapshot(offset: number, bytes: Uint8Array): Promise<void> {
    this.#assertOpen()
    await this.#attempt('Writing a snapshot to', this.#place.directory, () => this.#snapshots.save(offset, bytes))
  }

  async loadSnapshot(offset: number): Promise<Snapshot | undefined> {
    this.#assertOpen()
    return this.#attempt('Reading a snapshot from', this.#place.directory, () => this.#snapshots.load(offset))
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#status = 'closed'
      this.#closing = this.#place.closing.run(() => this.#close())
    }
    return this.#closing
  }

  /** Lets go of the files without a last write, since they are about to be removed. */
  async abandon(): Promise<void> {
    this.#failure ??= new OttlaError('OTTLA_CLOSED', `The log of ${this.#name} was deleted.`)
    this.#failureIsKnown = true
    await this.close()
  }

  get #active(): FileSegment {
    return this.#segmentAt(this.#segments.length - 1)
  }

  get #name(): string {
    return partitionName(this.#place.at)
  }

  #segmentAt(index: number): FileSegment {
    const segment = this.#segments[index]
    if (segment === undefined) throw this.#invalid(`has no segment at index ${index}`)
    return segment
  }

  /** True where offsets are missing between the batches or before them. */
  #checkFollows(active: FileSegment, batches: readonly RecordBatch[]): boolean {
    let { endOffset, sizeInBytes } = active
    let hasGaps = false
    for (const { baseOffset, lastOffset, sizeInBytes: batchBytes, partitionLeaderEpoch } of batches) {
      if (partitionLeaderEpoch !== EPOCH) {
        throw this.#invalid(`has epoch ${EPOCH} only: a batch of epoch ${partitionLeaderEpoch} does not belong in it`)
      }
      if (baseOffset > endOffset) hasGaps = true
      if (baseOffset < endOffset || lastOffset < baseOffset) {
        throw this.#invalid(`ends at ${endOffset}: a batch from ${baseOffset} to ${lastOffset} does not follow`)
      }
      endOffset = lastOffset + 1
      sizeInBytes += batchBytes
    }
    if (sizeInBytes > LARGEST_SEGMENT_BYTES || endOffset - 1 - active.baseOffset > LARGEST_RELATIVE_OFFSET) {
      throw this.#invalid(
        `cannot grow its segment at ${active.baseOffset} to ${sizeInBytes} bytes and offset ${endOffset}, since an index has 32 bits for each: roll it first`,
      )
    }
    return hasGaps
  }

  /** The gaps are written down first, or they would be taken for damage. */
  async #appendWithGaps(batches: readonly RecordBatch[], active: FileSegment): Promise<void> {
    await this.#addGaps({ within: [active.baseOffset] })
    active.hasGaps = true
    await this.append(batches)
  }

  async #appendWhenReady(
    batches: readonly RecordBatch[],
    index: SegmentIndex | Promise<SegmentIndex>,
    handle: Handle | Promise<Handle>,
  ): Promise<void> {
    const { path } = this.#active
    const [loaded, opened] = await Promise.allSettled([index, handle])
    if (opened.status === 'rejected') throw diskError(opened.reason, `Opening ${path}`, true)
    if (loaded.status === 'rejected') {
      this.#place.disk.handles.release(opened.value)
      throw diskError(loaded.reason, `Opening the index of ${path}`, true)
    }
    return this.#write(batches, loaded.value, opened.value)
  }

  /** One write call where the batches fit a slab, and done when it returns where that is small. */
  #write(batches: readonly RecordBatch[], index: SegmentIndex, handle: Handle): void | Promise<void> {
    const stretches: Stretch[] = []
    try {
      for (let next = 0; next < batches.length; ) {
        const gathered = this.#place.cache.gather(batches, next, this.#tail)
        stretches.push(gathered.stretch)
        next = gathered.next
      }
    } catch (error) {
      this.#letGo(stretches, handle)
      throw error
    }
    const [first] = stretches
    if (first === undefined || stretches.length > 1) return this.#writeRest(batches, index, stretches, handle, 0)
    const length = first.end - first.start
    let written: number | Promise<number>
    try {
      written = handle.file.write(first.slab.slab.bytes, first.start, length, this.#active.sizeInBytes)
    } catch (error) {
      return this.#takeBack(error, stretches, handle)
    }
    if (written === length) return this.#finishAppend(batches, index, stretches, handle)
    return this.#writeRest(batches, index, stretches, handle, written)
  }

  async #writeRest(
    batches: readonly RecordBatch[],
    index: SegmentIndex,
    stretches: readonly Stretch[],
    handle: Handle,
    firstWritten: number | Promise<number>,
  ): Promise<void> {
    try {
      let done = await firstWritten
      let position = this.#active.sizeInBytes
      for (const { slab, start, end } of stretches) {
        await writeAll(handle.file, slab.slab.bytes, start + done, end, position + done)
        position += end - start
        done = 0
      }
    } catch (error) {
      return this.#takeBack(error, stretches, handle)
    }
    this.#finishAppend(batches, index, stretches, handle)
  }

  #finishAppend(
    batches: readonly RecordBatch[],
    index: SegmentIndex,
    stretches: readonly Stretch[],
    handle: Handle,
  ): void {
    const active = this.#active
    for (const batch of batches) active.add(index, batch)
    active.markDirty()
    for (const stretch of stretches) this.#tail.add(stretch)
    this.#letGo(stretches, handle)
    this.#place.onAppended?.(this)
  }

  #letGo(stretches: readonly Stretch[], handle: Handle): void {
    for (const stretch of stretches) this.#place.cache.letGo(stretch)
    this.#place.disk.handles.release(handle)
  }

  /** What part of the batches was written goes again, so that a later append finds the log as it was. */
  async #takeBack(error: unknown, stretches: readonly Stretch[], handle: Handle): Promise<never> {
    const { path, sizeInBytes } = this.#active
    try {
      await handle.file.truncate(sizeInBytes)
    } catch (cause) {
      throw this.#fail(cause, `Cutting ${path} back to ${sizeInBytes} bytes after a write that failed`)
    } finally {
      this.#letGo(stretches, handle)
    }
    throw diskError(error, `Writing to ${path}`, true)
  }

  /** Syncs are never made again once one has failed: the kernel may have dropped what it could not write. */
  async #makeDurable(): Promise<void> {
    const active = this.#active
    const { endOffset } = active
    const point = this.#markIsDue(active) ? active.durablePoint() : undefined
    try {
      await this.#syncNames()
      await active.dataSync()
    } catch (cause) {
      throw this.#fail(cause, `Syncing ${active.path}`)
    }
    this.#durableEndOffset = Math.max(this.#durableEndOffset, endOffset)
    if (point === undefined) return
    this.#marked = { position: point.position, atMs: this.#place.clock.monotonic() }
    try {
      await this.#durableMark.write(point, await active.index())
    } catch {
      // An older mark says less, and is as true.
    }
  }

  #markIsDue({ sizeInBytes }: FileSegment): boolean {
    const { position, atMs } = this.#marked
    if (sizeInBytes === position) return false
    return sizeInBytes - position >= MARK_LAG_BYTES || this.#place.clock.monotonic() - atMs >= MARK_LAG_MS
  }

  #newMark(segment: FileSegment): DurableMark {
    const { fileSystem, handles } = this.#place.disk
    return new DurableMark(fileSystem, handles, segment.durablePath)
  }

  #markedNow(): { position: number; atMs: number } {
    return { position: this.#active.sizeInBytes, atMs: this.#place.clock.monotonic() }
  }

  async #syncNames(): Promise<void> {
    if (!this.#hasNewFiles) return
    this.#hasNewFiles = false
    await this.#place.disk.fileSystem.syncDirectory(this.#place.directory)
    await this.#place.syncRoot()
  }

  async #readFiles(offset: number, maxBytes: number, endOffset: number): Promise<readonly RecordBatch[]> {
    const batches = await readSegments(this.#segments, offset, maxBytes, endOffset)
    this.#assertOpen()
    return batches
  }

  /** A sealed segment is durable whatever the durability, so that a power cut takes an end of the log and no middle. */
  async #roll(baseOffset: number): Promise<void> {
    await this.#makeDurable()
    const sealed = this.#active
    if (sealed.endOffset < baseOffset) await this.#addGaps({ joints: [[sealed.endOffset, baseOffset]] })
    const segment = await this.#create(baseOffset)
    sealed.isSealed = true
    this.#segments.push(segment)
    await sealed.sealIndex()
    await saySum(this.#place.disk.fileSystem, sealed)
    const mark = this.#durableMark
    this.#durableMark = this.#newMark(segment)
    this.#marked = this.#markedNow()
    // The sum says it all, and a mark that is left says nothing else.
    await mark.remove().catch(() => undefined)
  }

  async #create(baseOffset: number): Promise<FileSegment> {
    const { disk, directory, indexIntervalBytes } = this.#place
    const segment = new FileSegment(disk, directory, baseOffset, indexIntervalBytes)
    await this.#attempt('Making', segment.path, async () => {
      disk.handles.release(await disk.handles.acquire(segment, 'create'))
    })
    this.#hasNewFiles = true
    return segment
  }

  /** Oldest first, each before the next, so that a crash leaves a log without a hole. */
  async #drop(count: number): Promise<void> {
    const { disk, directory } = this.#place
    try {
      // A power cut that kept the removals and not the segment begun before them would leave no log at all.
      await this.#syncNames()
    } catch (cause) {
      throw this.#fail(cause, `Syncing ${directory}`)
    }
    for (let left = count; left > 0; left--) {
      const segment = this.#segmentAt(0)
      await this.#attempt('Removing', segment.path, () => renameAway(disk, segment))
      // Its file is gone whatever comes next.
      this.#segments.shift()
      this.#tail.dropBefore(this.#segmentAt(0).baseOffset)
      try {
        await disk.fileSystem.syncDirectory(directory)
      } catch (cause) {
        // A power cut may bring it back, which must not happen behind one that is dropped after it.
        throw this.#fail(cause, `Removing ${segment.path}`)
      }
      await this.#attempt('Removing', segment.path, async () => {
        await releaseFiles(disk, segment)
        await unlinkAway(disk, segment)
      })
    }
  }

  async #truncate(offset: number): Promise<void> {
    const { disk, directory } = this.#place
    this.#tail.clear()
    try {
      await this.#snapshots.removeAbove(offset)
      await this.#durableMark.remove()
      for (const segment of this.#segments) if (segment.endOffset > offset) await removeSayings(disk, segment)
      await removeSayings(disk, this.#active)
      await disk.fileSystem.syncDirectory(directory)
      // Newest first, each before the next, so that a crash leaves a log without a hole.
      while (this.#active.baseOffset > offset) {
        const segment = this.#active
        if (this.#segments.length === 1) {
          // For a while both are there.
          await this.#gaps.add({ joints: [[offset, segment.baseOffset]] }, offset)
          this.#segments.unshift(await this.#create(offset))
          // As in a drop: there must be a log at any moment.
          await this.#syncNames()
        }
        await putAway(disk, directory, segment)
        this.#segments.pop()
        this.#durableEndOffset = Math.min(this.#durableEndOffset, this.#active.endOffset)
        await unlinkAway(disk, segment)
      }
      await removeSayings(disk, this.#active)
      await this.#active.truncateTo(offset)
      await this.#gaps.cut(offset)
      await disk.fileSystem.syncDirectory(directory)
    } catch (cause) {
      throw this.#fail(cause, `Truncating the log of ${this.#name} to ${offset}`)
    }
    this.#durableMark = this.#newMark(this.#active)
    this.#marked = { position: 0, atMs: this.#place.clock.monotonic() }
    this.#durableEndOffset = Math.min(this.#durableEndOffset, this.#active.endOffset)
  }

  /** Written beside appends and syncs; only to take its place it waits for its turn. */
  async #replace(
    first: number,
    count: number,
    batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>,
  ): Promise<void> {
    const { disk, directory, indexIntervalBytes } = this.#place
    const old = this.#segments.slice(first, first + count)
    const { baseOffset: endOffset } = this.#segmentAt(first + count)
    const segment = new FileSegment(disk, directory, this.#segmentAt(first).baseOffset, indexIntervalBytes)
    const replacement = new SegmentReplacement(disk, directory, segment, old, endOffset)
    try {
      await replacement.write(batches)
      await this.#exclusively(async () => {
        this.#assertWritable()
        const joints: readonly Joint[] = segment.endOffset < endOffset ? [[segment.endOffset, endOffset]] : []
        // Known for good before the decision is.
        await this.#gaps.write({ joints, within: [segment.baseOffset] }, this.#segmentAt(0).baseOffset)
        segment.hasGaps = true
        await replacement.decide()
        await this.#takePlace(replacement, segment, old, endOffset)
      })
    } catch (error) {
      if (error === this.#failure) throw error
      // What is left of it means nothing, and goes at the next open.
      await replacement.discard().catch(() => undefined)
      // The batches may fail to come for reasons of their own.
      throw errorCode(error) === undefined ? error : diskError(error, `Replacing ${segment.path}`)
    }
  }

  async #takePlace(
    replacement: SegmentReplacement,
    segment: FileSegment,
    old: readonly FileSegment[],
    endOffset: number,
  ): Promise<void> {
    let settle: (failure?: OttlaError) => void = () => undefined
    // From here on a file of an old segment may be gone, or be the new one: whoever reads them looks again afterwards.
    const replaced = new Promise<void>((resolve, reject) => {
      settle = (failure) => (failure === undefined ? resolve() : reject(failure))
    })
    replaced.catch(() => undefined)
    for (const each of old) each.replaced = replaced
    try {
      await replacement.takePlace()
    } catch (cause) {
      // Some of the files have their new names: only opening again brings it to its end.
      const failure = this.#fail(cause, `Replacing ${segment.path}`)
      settle(failure)
      throw failure
    }
    segment.isSealed = true
    this.#segments.splice(this.#segments.indexOf(old[0] ?? segment), old.length, segment)
    this.#tail.dropBefore(endOffset)
    settle()
    await segment.saveIndexes()
    await this.#attempt('Removing what was replaced by', segment.path, () => replacement.removeOld())
  }

  async #addGaps(gaps: NewGaps): Promise<void> {
    const { directory } = this.#place
    await this.#attempt('Writing down the gaps of', directory, () =>
      this.#gaps.add(gaps, this.#segmentAt(0).baseOffset),
    )
  }

  async #close(): Promise<void> {
    await this.#changes
    let unheard: OttlaError | undefined
    if (this.#failure === undefined) {
      try {
        await this.#makeDurable()
      } catch (error) {
        unheard = this.#fail(error, `Closing the log of ${this.#name}`)
      }
    } else if (!this.#failureIsKnown) unheard = this.#failure
    if (this.#failure === undefined) {
      for (const segment of this.#segments) await segment.sealIndex()
      const isMarked = this.#marked.position === this.#active.sizeInBytes
      if (!isMarked) await sayDurable(this.#active, this.#durableMark)
    }
    await this.#durableMark.close().catch(() => undefined)
    for (const segment of this.#segments) await this.#place.disk.handles.retire(segment)
    this.#tail.clear()
    const { topicId } = this.#place
    this.#place.onClosed(this, this.#failure ? undefined : { topicId, segments: this.#segments.map(markOf) })
    if (unheard !== undefined) throw unheard
  }

  /** Changes run one after the other; each hears of its own failure only. */
  #exclusively(change: () => Promise<void>): Promise<void> {
    const changed = this.#changes.then(() => {
      if (this.#failure !== undefined) throw this.#failure
      return change()
    })
    this.#changes = changed.catch(() => undefined)
    return changed
  }

  async #attempt<T>(act: string, path: string, attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt()
    } catch (error) {
      throw diskError(error, `${act} ${path}`, true)
    }
  }

  #fail(cause: unknown, what: string): OttlaError {
    if (this.#failure !== undefined) return this.#failure
    if (OttlaError.is(cause) && cause.code === 'OTTLA_CORRUPTION') this.#failure = cause
    else {
      const reason = errorCode(cause) ?? reasonOf(cause)
      this.#failure = new OttlaError(
        'OTTLA_STORAGE_FAILED',
        `${what} failed (${reason}). The log of ${this.#name} takes no more writes: check the disk, close the broker and open it again.`,
        { cause },
      )
    }
    this.#failureIsKnown = true
    return this.#failure
  }

  #assertOpen(): void {
    if (this.#status === 'open') return
    throw new OttlaError('OTTLA_CLOSED', `The log of ${this.#name} is closed: open the partition before it is used.`)
  }

  #assertWritable(): void {
    this.#assertOpen()
    if (this.#failure === undefined) return
    this.#failureIsKnown = true
    throw this.#failure
  }

  #invalid(problem: string): OttlaError {
    return new OttlaError('OTTLA_INVALID_ARGUMENT', `The log of ${this.#name} ${problem}.`)
  }
}
