import { OttlaError } from '../errors.js'
import type { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { MemorySegment } from './memory-segment.js'
import { LARGEST_POOLED_SLAB_BYTES, type Slab, type SlabPool, SMALLEST_SLAB_BYTES } from './slab-pool.js'
import type { PartitionStorage, Snapshot, TopicPartition } from './storage.js'

/** What limits the partitions of one memory storage together. */
export interface MemoryBudget {
  /** Throws OTTLA_STORAGE_FULL unless `bytes` more fit, or can be made to fit. */
  makeRoom(bytes: number, partition: MemoryPartition): void
  /** Counts `bytes` that were added, or removed where it is negative. */
  count(bytes: number): void
}

/** The log of one partition in memory. Keeps its contents when it is closed. Everything in it is done when it returns. */
export class MemoryPartition implements PartitionStorage {
  readonly at: TopicPartition
  readonly #pool: SlabPool
  readonly #budget: MemoryBudget | undefined
  readonly #indexIntervalBytes: number | undefined
  readonly #segments: MemorySegment[]
  readonly #writer: SlabWriter
  #status: 'open' | 'closed' | 'deleted' = 'closed'

  /** Where the last append began, since that is what waiting consumers read next. */
  #lastAppendOffset = -1
  #lastAppendPosition = 0
  /** What the first reader of it got. */
  #lastAppendRead:
    | { readonly maxBytes: number; readonly endOffset: number; readonly batches: EncodedBatch[] }
    | undefined
  /** True where the last append that anybody read was read more than once: consumer groups side by side. */
  #hasManyReaders = false

  constructor(at: TopicPartition, pool: SlabPool, budget?: MemoryBudget, indexIntervalBytes?: number) {
    this.at = at
    this.#pool = pool
    this.#budget = budget
    this.#indexIntervalBytes = indexIntervalBytes
    this.#writer = new SlabWriter(pool)
    this.#segments = [new MemorySegment(0, indexIntervalBytes, pool)]
  }

  get segments(): readonly MemorySegment[] {
    return this.#segments
  }

  /** The log end: an append has done all that memory can do. */
  get durableEndOffset(): number {
    return this.#active.endOffset
  }

  open(): void {
    this.#status = 'open'
  }

  append(batches: readonly RecordBatch[]): void {
    this.#assertOpen()
    const active = this.#active
    const { endOffset: endBefore, sizeInBytes: sizeBefore } = active
    const size = sizeOf(batches, endBefore)
    this.#budget?.makeRoom(size, this)
    try {
      for (const batch of batches) {
        this.#writer.append(batch, active)
        this.#budget?.count(batch.sizeInBytes)
      }
    } catch (error) {
      this.truncate(endBefore)
      throw error
    }
    this.#lastAppendOffset = batches[0]?.baseOffset ?? -1
    this.#lastAppendPosition = sizeBefore
    this.#lastAppendRead = undefined
  }

  sync(): void {
    this.#assertOpen()
  }

  read(offset: number, maxBytes: number, endOffset: number): readonly RecordBatch[] {
    this.#assertOpen()
    const batches: EncodedBatch[] = []
    const active = this.#active
    if (offset >= active.endOffset || offset >= endOffset) return batches
    if (offset === this.#lastAppendOffset) return this.#readLastAppend(maxBytes, endOffset)
    const from = this.#segmentIndexFor(offset)
    let room = maxBytes
    for (let at = from; at < this.#segments.length && room >= 0; at++) {
      const segment = this.#segmentAt(at)
      room = segment.read(at === from ? segment.positionOf(offset) : 0, room, endOffset, batches)
    }
    return batches
  }

  /** Groups that keep up with the log get the same batches, and share their views of the values (benchmark: memory-ten-groups). */
  #readLastAppend(maxBytes: number, endOffset: number): readonly RecordBatch[] {
    const known = this.#lastAppendRead
    if (known?.maxBytes === maxBytes && known.endOffset === endOffset) {
      if (!this.#hasManyReaders) for (const batch of known.batches) batch.shareValues()
      this.#hasManyReaders = true
      return known.batches
    }
    const batches: EncodedBatch[] = []
    this.#active.read(this.#lastAppendPosition, maxBytes, endOffset, batches)
    if (this.#hasManyReaders) for (const batch of batches) batch.shareValues()
    // Until the next one comes: that there were many yesterday is no reason to keep views today.
    this.#hasManyReaders = false
    this.#lastAppendRead = { maxBytes, endOffset, batches }
    return batches
  }

  findOffset(timestamp: number): number | undefined {
    this.#assertOpen()
    for (const segment of this.#segments) {
      if (segment.maxTimestamp < timestamp) continue
      const offset = segment.findOffset(timestamp)
      if (offset !== undefined) return offset
    }
    return undefined
  }

  roll(baseOffset: number): void {
    this.#assertOpen()
    const active = this.#active
    if (baseOffset < active.endOffset) {
      throw this.#invalid(`cannot be rolled at ${baseOffset}, which lies before its end ${active.endOffset}`)
    }
    if (active.sizeInBytes === 0 && active.baseOffset === baseOffset) return
    active.seal()
    this.#segments.push(new MemorySegment(baseOffset, this.#indexIntervalBytes, this.#pool))
    this.#forgetLastAppend()
  }

  drop(count: number): void {
    this.#assertOpen()
    if (count >= this.#segments.length) {
      throw this.#invalid(
        `has ${this.#segments.length} segments, of which the active one stays: ${count} cannot be dropped`,
      )
    }
    this.discard(count)
  }

  truncate(offset: number): void {
    this.#assertOpen()
    this.#forgetLastAppend()
    while (this.#active.baseOffset > offset) {
      this.#forget(this.#active)
      this.#segments.pop()
      if (this.#segments.length === 0) {
        this.#segments.push(new MemorySegment(offset, this.#indexIntervalBytes, this.#pool))
      }
    }
    const active = this.#active
    const sizeBefore = active.sizeInBytes
    active.truncateTo(offset)
    this.#budget?.count(active.sizeInBytes - sizeBefore)
    // What was cut may be held by a reader: its slab is written again only if nothing of it was ever handed out.
    const { tail } = active
    if (tail === undefined || tail.slab.exposed) this.#writer.release()
    else this.#writer.continueIn(tail.slab, tail.position)
  }

  replace(
    first: number,
    count: number,
    batches: Iterable<RecordBatch> | AsyncIterable<RecordBatch>,
  ): void | Promise<void> {
    this.#assertOpen()
    if (first < 0 || count < 1 || first + count >= this.#segments.length) {
      throw this.#invalid(`has no ${count} sealed segments from index ${first} on to replace`)
    }
    const replaced = this.#segments.slice(first, first + count)
    const segment = new MemorySegment(this.#segmentAt(first).baseOffset, this.#indexIntervalBytes, this.#pool)
    const writer = new SlabWriter(this.#pool)
    const putInPlace = (): void => {
      writer.release()
      segment.seal()
      this.#assertOpen()
      // A lossy storage may have dropped some of them while the batches came.
      const at = this.#segments.indexOf(replaced[0] ?? segment)
      if (at < 0) throw this.#dropped(count)
      this.#budget?.count(segment.sizeInBytes)
      for (const old of this.#segments.splice(at, count, segment)) this.#forget(old)
    }
    const giveUp = (error: unknown): never => {
      writer.release()
      segment.release()
      throw error
    }
    if (Symbol.asyncIterator in batches) return appendAll(batches, writer, segment).then(putInPlace).catch(giveUp)
    try {
      for (const batch of batches) writer.append(batch, segment)
      putInPlace()
    } catch (error) {
      giveUp(error)
    }
  }

  /** Forgets it: what it would save is reading memory once. */
  saveSnapshot(): void {
    this.#assertOpen()
  }

  loadSnapshot(): Snapshot | undefined {
    this.#assertOpen()
    return undefined
  }

  close(): void {
    this.#lastAppendRead = undefined
    if (this.#status === 'open') this.#status = 'closed'
  }

  /** Lets go of everything. A handle that is still held is then closed for good. */
  delete(): void {
    for (const segment of this.#segments) this.#forget(segment)
    this.#forgetLastAppend()
    this.#writer.release()
    this.#status = 'deleted'
  }

  /** Drops the `count` oldest segments, sealed ones, whether open or not: how a lossy storage makes room. */
  discard(count: number): void {
    for (const segment of this.#segments.splice(0, count)) this.#forget(segment)
  }

  get #active(): MemorySegment {
    return this.#segmentAt(this.#segments.length - 1)
  }

  #segmentAt(index: number): MemorySegment {
    const segment = this.#segments[index]
    if (segment === undefined) throw this.#invalid(`has no segment at index ${index}`)
    return segment
  }

  /** The last segment that begins at or before `offset`, or the first one. */
  #segmentIndexFor(offset: number): number {
    let low = 0
    let high = this.#segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#segmentAt(middle).baseOffset <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  #forgetLastAppend(): void {
    this.#lastAppendOffset = -1
    this.#lastAppendRead = undefined
  }

  #forget(segment: MemorySegment): void {
    segment.release()
    this.#budget?.count(-segment.sizeInBytes)
  }

  #assertOpen(): void {
    if (this.#status === 'open') return
    throw new OttlaError(
      'OTTLA_CLOSED',
      `The storage of ${nameOf(this.at)} is ${this.#status}: open the partition before it is used.`,
    )
  }

  #dropped(count: number): OttlaError {
    return new OttlaError(
      'OTTLA_STORAGE_FULL',
      `Some of the ${count} segments of ${nameOf(this.at)} that were to be replaced were dropped meanwhile to make room. Raise maxBytes.`,
    )
  }

  #invalid(problem: string): OttlaError {
    return new OttlaError('OTTLA_INVALID_ARGUMENT', `The log of ${nameOf(this.at)} ${problem}.`)
  }
}

/** The size of `batches`, which follow on what ends at `endOffset`. */
function sizeOf(batches: readonly RecordBatch[], endOffset: number): number {
  let size = 0
  let end = endOffset
  for (const batch of batches) {
    const { baseOffset } = batch
    if (baseOffset < end) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A batch at offset ${baseOffset} cannot be appended to a log that ends at ${end}: assign offsets at or after the end.`,
      )
    }
    end = batch.lastOffset + 1
    size += batch.sizeInBytes
  }
  return size
}

async function appendAll(
  batches: AsyncIterable<RecordBatch>,
  writer: SlabWriter,
  segment: MemorySegment,
): Promise<void> {
  for await (const batch of batches) writer.append(batch, segment)
}

function nameOf(at: TopicPartition): string {
  return `${at.topic}-${at.partition}`
}

/** Copies batches to slabs, one behind the other; none spans two. Slabs double in size, up to 1 MiB. */
class SlabWriter {
  readonly #pool: SlabPool
  #slab: Slab | undefined
  #position = 0
  #nextSlabBytes = SMALLEST_SLAB_BYTES

  constructor(pool: SlabPool) {
    this.#pool = pool
  }

  append(batch: RecordBatch, segment: MemorySegment): void {
    const { sizeInBytes } = batch
    let slab = this.#slab
    if (slab === undefined || sizeInBytes > slab.bytes.length - this.#position) {
      slab = this.#pool.acquire(Math.max(sizeInBytes, this.#nextSlabBytes))
      this.#nextSlabBytes = Math.min(slab.bytes.length * 2, LARGEST_POOLED_SLAB_BYTES)
      this.release()
      this.#slab = slab
    }
    batch.copyTo(slab.bytes, this.#position)
    segment.add(batch, slab, this.#position)
    this.#position += sizeInBytes
  }

  /** Goes on behind the last batch of a segment that was cut. */
  continueIn(slab: Slab, position: number): void {
    this.#pool.share(slab)
    this.release()
    this.#slab = slab
    this.#position = position
  }

  /** Lets go of the slab, so that the next batch gets another one. */
  release(): void {
    if (this.#slab !== undefined) this.#pool.release(this.#slab)
    this.#slab = undefined
    this.#position = 0
  }
}
