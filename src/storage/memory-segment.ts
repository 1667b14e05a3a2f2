import { batchSizeAt, EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { SegmentIndex } from './segment-index.js'
import type { Slab, SlabPool } from './slab-pool.js'
import type { Segment } from './storage.js'

/**
 * One segment in memory. Its batches lie one after the other in slabs, a position counts bytes of the segment, and a
 * slab at the edge may be shared with the next segment:
 *
 *     positions   0              1024                 3050
 *     starts      ^0             ^1000                ^3000
 *     slabs       [ ....#######] [ ################ ] [ ### next segment ]
 *     slabStarts        ^4         ^0                   ^0
 */
export class MemorySegment implements Segment {
  readonly baseOffset: number
  endOffset: number
  sizeInBytes = 0
  firstTimestamp = -1
  readonly #pool: SlabPool
  readonly #index: SegmentIndex
  #slabs: Slab[] = []
  #starts: number[] = []
  #slabStarts: number[] = []

  constructor(baseOffset: number, indexIntervalBytes: number | undefined, pool: SlabPool) {
    this.baseOffset = baseOffset
    this.endOffset = baseOffset
    this.#pool = pool
    this.#index = new SegmentIndex(baseOffset, indexIntervalBytes)
  }

  get maxTimestamp(): number {
    return this.#index.maxTimestamp
  }

  /** The slab that holds the last batch and where that batch ends in it, unless the segment is empty. */
  get tail(): { slab: Slab; position: number } | undefined {
    const last = this.#slabs.length - 1
    const slab = this.#slabs[last]
    if (slab === undefined) return undefined
    return { slab, position: (this.#slabStarts[last] ?? 0) + this.sizeInBytes - (this.#starts[last] ?? 0) }
  }

  /** Takes in `batch`, which was copied to `slab` at `slabPosition`, right behind the one before it if that has room. */
  add(batch: RecordBatch, slab: Slab, slabPosition: number): void {
    if (this.#slabs[this.#slabs.length - 1] !== slab) {
      this.#pool.share(slab)
      this.#slabs = withNext(this.#slabs, slab)
      this.#starts = withNext(this.#starts, this.sizeInBytes)
      this.#slabStarts = withNext(this.#slabStarts, slabPosition)
    }
    const { lastOffset, maxTimestamp, sizeInBytes } = batch
    this.#index.add(lastOffset, this.sizeInBytes, sizeInBytes, maxTimestamp)
    if (this.sizeInBytes === 0) this.firstTimestamp = maxTimestamp
    this.sizeInBytes += sizeInBytes
    this.endOffset = lastOffset + 1
  }

  seal(): void {
    this.#index.seal()
  }

  /** The position of the batch that holds `offset` or of the first one after it; the size if there is none. */
  positionOf(offset: number): number {
    let position = this.#index.positionFor(offset)
    while (position < this.sizeInBytes) {
      const batch = this.#batchAt(position)
      if (batch.lastOffset >= offset) break
      position += batch.sizeInBytes
    }
    return position
  }

  /**
   * Adds the batches from `position` on to `batches`, up to `maxBytes` or one if `batches` is empty, none that holds
   * `endOffset` or a later one. Returns how many bytes may follow from the next segment, -1 for none.
   */
  read(position: number, maxBytes: number, endOffset: number, batches: EncodedBatch[]): number {
    let room = maxBytes
    let end = position
    while (end < this.sizeInBytes) {
      const batch = this.#batchAt(end)
      if (batch.lastOffset >= endOffset || (batch.sizeInBytes > room && batches.length > 0)) {
        room = -1
        break
      }
      batches.push(batch)
      end += batch.sizeInBytes
      room = Math.max(room - batch.sizeInBytes, 0)
    }
    if (end > position) this.#expose(position, end)
    return room
  }

  /** The base offset of its first batch whose largest timestamp is at or after `timestamp`. */
  findOffset(timestamp: number): number | undefined {
    let position = this.#index.positionForTime(timestamp)
    while (position < this.sizeInBytes) {
      const batch = this.#batchAt(position)
      if (batch.maxTimestamp >= timestamp) return batch.baseOffset
      position += batch.sizeInBytes
    }
    return undefined
  }

  /** Removes the batches that hold `offset` or a later one and lets go of their slabs. Unseals. */
  truncateTo(offset: number): void {
    let endOffset = this.baseOffset
    let position = this.#index.truncateTo(offset)
    while (position < this.sizeInBytes) {
      const { lastOffset, sizeInBytes, maxTimestamp } = this.#batchAt(position)
      if (lastOffset >= offset) break
      this.#index.add(lastOffset, position, sizeInBytes, maxTimestamp)
      position += sizeInBytes
      endOffset = lastOffset + 1
    }
    this.endOffset = endOffset
    this.sizeInBytes = position
    if (position === 0) this.firstTimestamp = -1
    while ((this.#starts[this.#starts.length - 1] ?? -1) >= position) this.#dropLastSlab()
  }

  /** Lets go of all slabs. The segment is not to be used after it. */
  release(): void {
    while (this.#slabs.length > 0) this.#dropLastSlab()
  }

  #batchAt(position: number): EncodedBatch {
    const part = this.#partAt(position)
    const bytes = this.#slabAt(part).bytes
    const at = (this.#slabStarts[part] ?? 0) + position - (this.#starts[part] ?? 0)
    return new EncodedBatch(bytes, at, batchSizeAt(bytes, at))
  }

  /** Which of the slabs `position` lies in: most often the last one. */
  #partAt(position: number): number {
    let high = this.#starts.length - 1
    if (position >= (this.#starts[high] ?? 0)) return high
    let low = 0
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#starts[middle] ?? 0) <= position) low = middle
      else high = middle - 1
    }
    return low
  }

  #slabAt(part: number): Slab {
    const slab = this.#slabs[part]
    if (slab === undefined) throw new RangeError(`A segment of ${this.#slabs.length} slabs has none at ${part}.`)
    return slab
  }

  /** Notes that views of [position, end) are handed out. */
  #expose(position: number, end: number): void {
    for (let part = this.#partAt(position); (this.#starts[part] ?? end) < end; part++) this.#slabAt(part).exposed = true
  }

  #dropLastSlab(): void {
    this.#starts.pop()
    this.#slabStarts.pop()
    const slab = this.#slabs.pop()
    if (slab !== undefined) this.#pool.release(slab)
  }
}

/** An empty array has room for 17 as soon as something is pushed to it, and most logs have one slab (benchmark: growth-topics). */
function withNext<Item>(list: Item[], next: Item): Item[] {
  if (list.length === 0) return [next]
  list.push(next)
  return list
}
