import { batchSizeAt, EncodedBatch } from '../../record/encoded-batch.js'
import type { RecordBatch } from '../../record/record-batch.js'
import { LARGEST_POOLED_SLAB_BYTES, type Slab, SlabPool } from '../slab-pool.js'

/** Batches of one append that lie behind one another in a slab. */
export interface Stretch {
  readonly slab: CachedSlab
  readonly baseOffset: number
  endOffset: number
  readonly start: number
  end: number
}

interface CachedSlab {
  readonly slab: Slab
  usedBytes: number
  isEvicted: boolean
  /** The tails that have stretches in it. */
  readonly tails: Set<PartitionTail>
}

/** A partition whose end nobody read for so long is written without a copy in the cache, where a write is large in itself. */
const UNREAD_BYTES = 8 << 20
const LARGE_WRITE_BYTES = 32 * 1024

/** A read walks a stretch from its start, so it stays short; one large append is one all the same. */
const LONGEST_MERGED_BYTES = 4096

/**
 * The bytes that were written last, of all partitions of a storage, in the slabs from which they were written:
 *
 *     oldest slab                               current slab
 *     [ orders-0 | orders-1 |orders-0| ... ]    [ orders-1 | orders-0 | free      ]
 *
 * So a consumer that keeps up never waits for a disk. Whole slabs leave at the old end, and those of which no view was
 * handed out are used again.
 */
export class TailCache {
  readonly #pool = new SlabPool(4 * LARGEST_POOLED_SLAB_BYTES)
  readonly #maxBytes: number
  readonly #slabs: CachedSlab[] = []
  #cachedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * Copies batches from `from` on to one slab, as many as fit, one at least. The slab is held until `letGo`, so that it
   * outlives the write even if it leaves the cache meanwhile. One that is larger than a slab stays where it is and is
   * not cached, and so does a large one of a partition that nobody reads (benchmark: append-raw).
   */
  gather(batches: readonly RecordBatch[], from: number, tail: PartitionTail): { stretch: Stretch; next: number } {
    const first = batches[from]
    if (first === undefined) throw new RangeError(`There is no batch at index ${from}.`)
    const isUnread = batches.length === 1 && tail.unreadBytes > UNREAD_BYTES
    if (first.sizeInBytes > (isUnread ? LARGE_WRITE_BYTES : LARGEST_POOLED_SLAB_BYTES)) {
      return { stretch: uncached(first), next: from + 1 }
    }
    const cached = this.#slabWithRoomFor(first.sizeInBytes)
    const { bytes } = cached.slab
    const start = cached.usedBytes
    let end = start
    let next = from
    let lastOffset = first.lastOffset
    for (let batch: RecordBatch | undefined = first; batch !== undefined; batch = batches[next]) {
      if (batch.sizeInBytes > bytes.length - end) break
      // Not copyTo: that may leave the checksum out.
      bytes.set(batch.bytes(), end)
      lastOffset = batch.lastOffset
      end += batch.sizeInBytes
      next++
    }
    cached.usedBytes = end
    this.#pool.share(cached.slab)
    return { stretch: { slab: cached, baseOffset: first.baseOffset, endOffset: lastOffset + 1, start, end }, next }
  }

  letGo(stretch: Stretch): void {
    this.#pool.release(stretch.slab.slab)
  }

  clear(): void {
    while (this.#slabs.length > 0) this.#evictOldest()
    this.#pool.clear()
  }

  #slabWithRoomFor(size: number): CachedSlab {
    const current = this.#slabs[this.#slabs.length - 1]
    if (current !== undefined && size <= current.slab.bytes.length - current.usedBytes) return current
    const slab = this.#pool.acquire(LARGEST_POOLED_SLAB_BYTES)
    const cached: CachedSlab = { slab, usedBytes: 0, isEvicted: false, tails: new Set() }
    this.#slabs.push(cached)
    this.#cachedBytes += slab.bytes.length
    while (this.#cachedBytes > this.#maxBytes && this.#slabs.length > 1) this.#evictOldest()
    return cached
  }

  #evictOldest(): void {
    const cached = this.#slabs.shift()
    if (cached === undefined) return
    cached.isEvicted = true
    this.#cachedBytes -= cached.slab.bytes.length
    for (const tail of cached.tails) tail.forget(cached)
    this.#pool.release(cached.slab)
  }
}

function uncached(batch: RecordBatch): Stretch {
  const bytes = batch.bytes()
  const slab: CachedSlab = {
    slab: { bytes, exposed: true, holders: 1 },
    usedBytes: bytes.length,
    isEvicted: true,
    tails: new Set(),
  }
  return { slab, baseOffset: batch.baseOffset, endOffset: batch.lastOffset + 1, start: 0, end: bytes.length }
}

/** What the cache holds of one partition: always a whole end of its log, without a hole. */
export class PartitionTail {
  readonly #stretches: Stretch[] = []
  /** What was added since the last read. */
  unreadBytes = 0

  /** Takes in what follows on the last stretch in the log. */
  add(stretch: Stretch): void {
    const { slab } = stretch
    this.unreadBytes += stretch.end - stretch.start
    if (slab.isEvicted) {
      this.clear()
      return
    }
    const last = this.#stretches[this.#stretches.length - 1]
    if (last?.slab === slab && last.end === stretch.start && stretch.end - last.start <= LONGEST_MERGED_BYTES) {
      last.end = stretch.end
      last.endOffset = stretch.endOffset
      return
    }
    this.#stretches.push(stretch)
    slab.tails.add(this)
  }

  /** As `PartitionStorage.read`, or undefined where `offset` lies before what the cache holds. */
  read(offset: number, maxBytes: number, endOffset: number): EncodedBatch[] | undefined {
    this.unreadBytes = 0
    const stretches = this.#stretches
    const oldest = stretches[0]
    if (oldest === undefined || offset < oldest.baseOffset) return undefined
    const batches: EncodedBatch[] = []
    let room = maxBytes
    for (let at = this.#firstEndingAfter(offset); at < stretches.length; at++) {
      const stretch = stretches[at]
      if (stretch === undefined) break
      const { bytes } = stretch.slab.slab
      for (let position = stretch.start; position < stretch.end; ) {
        const batch = new EncodedBatch(bytes, position, batchSizeAt(bytes, position))
        position += batch.sizeInBytes
        if (batch.lastOffset < offset) continue
        if (batch.lastOffset >= endOffset || (batch.sizeInBytes > room && batches.length > 0)) return batches
        batches.push(batch)
        stretch.slab.slab.exposed = true
        room = Math.max(room - batch.sizeInBytes, 0)
      }
    }
    return batches
  }

  /** Forgets what lies before `offset`. */
  dropBefore(offset: number): void {
    let count = 0
    while (count < this.#stretches.length && (this.#stretches[count]?.baseOffset ?? offset) < offset) count++
    this.#stretches.splice(0, count)
  }

  /** Called when `slab`, the oldest one, leaves the cache. */
  forget(slab: CachedSlab): void {
    let count = 0
    while (this.#stretches[count]?.slab === slab) count++
    this.#stretches.splice(0, count)
  }

  clear(): void {
    for (const { slab } of this.#stretches) slab.tails.delete(this)
    this.#stretches.length = 0
  }

  #firstEndingAfter(offset: number): number {
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#stretches[middle]?.endOffset ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
