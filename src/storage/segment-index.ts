/**
 * The two sparse indexes of one segment, with the entries that Kafka would write:
 *
 *     .index      = *( relative-offset:i32 position:i32 )       the last offset of the batch that starts at position
 *     .timeindex  = *( timestamp:i64 relative-offset:i32 )      the last offset of the first batch with that timestamp
 *
 * An offset entry comes before a batch when more than `indexIntervalBytes` were added since the last one; a time entry
 * with it when the largest timestamp so far lies beyond the last time entry, and once more when the segment is sealed.
 * So timestamps in it only rise, whatever the batches do. The entries live in typed arrays, outside V8's heap.
 */
export class SegmentIndex {
  readonly baseOffset: number
  readonly #indexIntervalBytes: number
  #bytesSinceLastEntry = 0
  #maxTimestamp = -1
  #offsetOfMaxTimestamp: number

  #offsetEntryCount = 0
  #offsets: Float64Array = NO_ENTRIES
  #positions: Float64Array = NO_ENTRIES

  #timeEntryCount = 0
  #timestamps: Float64Array = NO_ENTRIES
  #timeOffsets: Float64Array = NO_ENTRIES

  constructor(baseOffset: number, indexIntervalBytes: number = DEFAULT_INDEX_INTERVAL_BYTES) {
    this.baseOffset = baseOffset
    this.#indexIntervalBytes = indexIntervalBytes
    this.#offsetOfMaxTimestamp = baseOffset
  }

  /** The largest timestamp that was added, -1 where there is none. */
  get maxTimestamp(): number {
    return this.#maxTimestamp
  }

  /** The last offset of the first batch that has it. */
  get offsetOfMaxTimestamp(): number {
    return this.#offsetOfMaxTimestamp
  }

  get offsetEntryCount(): number {
    return this.#offsetEntryCount
  }

  get timeEntryCount(): number {
    return this.#timeEntryCount
  }

  /** Takes the next batch of the segment into account. `position` and `sizeInBytes` are bytes of the segment. */
  add(lastOffset: number, position: number, sizeInBytes: number, maxTimestamp: number): void {
    if (maxTimestamp > this.#maxTimestamp) {
      this.#maxTimestamp = maxTimestamp
      this.#offsetOfMaxTimestamp = lastOffset
    }
    if (this.#bytesSinceLastEntry > this.#indexIntervalBytes) {
      this.#addOffsetEntry(lastOffset, position)
      this.#addTimeEntryIfLater(this.#maxTimestamp, this.#offsetOfMaxTimestamp)
      this.#bytesSinceLastEntry = 0
    }
    this.#bytesSinceLastEntry += sizeInBytes
  }

  /** Adds the last time entry. Nothing is added after it, unless `truncateTo` comes first. */
  seal(): void {
    this.#addTimeEntryIfLater(this.#maxTimestamp, this.#offsetOfMaxTimestamp)
  }

  /** Where to begin a forward scan for the batch that holds `offset`, or the first one after it. */
  positionFor(offset: number): number {
    const entry = lastAtOrBelow(this.#offsets, this.#offsetEntryCount, offset)
    return entry < 0 ? 0 : (this.#positions[entry] ?? 0)
  }

  /** As `positionFor`, with the last offset of the batch there; -1 for the first batch, which has no entry. */
  lookUp(offset: number): IndexedPosition {
    const entry = lastAtOrBelow(this.#offsets, this.#offsetEntryCount, offset)
    return entry < 0
      ? { position: 0, lastOffset: -1 }
      : { position: this.#positions[entry] ?? 0, lastOffset: this.#offsets[entry] ?? 0 }
  }

  /** As `positionForTime`, with the last offset of the batch there; -1 for the first batch. */
  lookUpTime(timestamp: number): IndexedPosition {
    const entry = lastAtOrBelow(this.#timestamps, this.#timeEntryCount, timestamp)
    return entry < 0 ? { position: 0, lastOffset: -1 } : this.lookUp(this.#timeOffsets[entry] ?? 0)
  }

  /** Takes over the largest timestamp, which may lie beyond the last entry, where entries of an index in use were decoded. */
  resume(maxTimestamp: number, offsetOfMaxTimestamp: number): void {
    this.#maxTimestamp = maxTimestamp
    this.#offsetOfMaxTimestamp = offsetOfMaxTimestamp
  }

  /**
   * Where to begin a forward scan for the first batch whose largest timestamp is at or after `timestamp`. What lies
   * before is older, since an entry holds the largest timestamp up to it and the first batch that has it.
   */
  positionForTime(timestamp: number): number {
    const entry = lastAtOrBelow(this.#timestamps, this.#timeEntryCount, timestamp)
    return entry < 0 ? 0 : this.positionFor(this.#timeOffsets[entry] ?? 0)
  }

  /**
   * Forgets the batch that holds `offset` and all after it, and where the ones before it ended since the last entry.
   * Returns the position from which the caller must `add` the batches that are left once more; then the index is
   * what it would be had nothing else ever been added. Unseals.
   */
  truncateTo(offset: number): number {
    let kept = lastAtOrBelow(this.#offsets, this.#offsetEntryCount, offset)
    if (kept >= 0 && (this.#offsets[kept] ?? 0) >= offset) kept--
    const lastOffset = kept < 0 ? -1 : (this.#offsets[kept] ?? 0)
    const position = kept < 0 ? 0 : (this.#positions[kept] ?? 0)
    // The entry at `position` comes again with its batch; the time entry that came with it is already right.
    this.#offsetEntryCount = Math.max(kept, 0)
    this.#bytesSinceLastEntry = kept < 0 ? 0 : Number.POSITIVE_INFINITY
    while (this.#timeEntryCount > 0 && (this.#timeOffsets[this.#timeEntryCount - 1] ?? 0) > lastOffset) {
      this.#timeEntryCount--
    }
    this.#maxTimestamp = this.#timestamps[this.#timeEntryCount - 1] ?? -1
    this.#offsetOfMaxTimestamp = this.#timeOffsets[this.#timeEntryCount - 1] ?? this.baseOffset
    return position
  }

  /** The bytes of Kafka's .index, or of some of its entries. */
  encodeOffsetIndex(from: number = 0, to: number = this.#offsetEntryCount): Uint8Array {
    const bytes = new Uint8Array((to - from) * OFFSET_ENTRY_BYTES)
    const view = new DataView(bytes.buffer)
    for (let entry = from, at = 0; entry < to; entry++, at += OFFSET_ENTRY_BYTES) {
      view.setInt32(at, (this.#offsets[entry] ?? 0) - this.baseOffset)
      view.setInt32(at + 4, this.#positions[entry] ?? 0)
    }
    return bytes
  }

  /** The bytes of Kafka's .timeindex, or of some of its entries. */
  encodeTimeIndex(from: number = 0, to: number = this.#timeEntryCount): Uint8Array {
    const bytes = new Uint8Array((to - from) * TIME_ENTRY_BYTES)
    const view = new DataView(bytes.buffer)
    for (let entry = from, at = 0; entry < to; entry++, at += TIME_ENTRY_BYTES) {
      const timestamp = this.#timestamps[entry] ?? 0
      view.setInt32(at, Math.floor(timestamp / 2 ** 32))
      view.setUint32(at + 4, timestamp >>> 0)
      view.setInt32(at + 8, (this.#timeOffsets[entry] ?? 0) - this.baseOffset)
    }
    return bytes
  }

  /**
   * The index of a sealed segment of `sizeInBytes` from the bytes of Kafka's two files, or undefined where they
   * cannot be its indexes (a length that is no multiple, entries that do not rise, a position beyond the segment):
   * the caller then makes a new one and adds every batch.
   */
  static decode(
    baseOffset: number,
    sizeInBytes: number,
    offsetIndex: Uint8Array,
    timeIndex: Uint8Array,
    indexIntervalBytes?: number,
  ): SegmentIndex | undefined {
    if (offsetIndex.length % OFFSET_ENTRY_BYTES !== 0 || timeIndex.length % TIME_ENTRY_BYTES !== 0) return undefined
    const index = new SegmentIndex(baseOffset, indexIntervalBytes)
    return index.#decodeOffsetIndex(offsetIndex, sizeInBytes) && index.#decodeTimeIndex(timeIndex) ? index : undefined
  }

  #decodeOffsetIndex(bytes: Uint8Array, sizeInBytes: number): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let lastOffset = -1
    let lastPosition = 0
    for (let at = 0; at < bytes.length; at += OFFSET_ENTRY_BYTES) {
      const relativeOffset = view.getInt32(at)
      const position = view.getInt32(at + 4)
      // No entry is for the first batch, so positions rise from above 0.
      if (relativeOffset <= lastOffset || position <= lastPosition || position >= sizeInBytes) return false
      this.#addOffsetEntry(this.baseOffset + relativeOffset, position)
      lastOffset = relativeOffset
      lastPosition = position
    }
    this.#bytesSinceLastEntry = sizeInBytes - lastPosition
    return true
  }

  #decodeTimeIndex(bytes: Uint8Array): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let lastTimestamp = -1
    let lastOffset = -1
    for (let at = 0; at < bytes.length; at += TIME_ENTRY_BYTES) {
      const timestamp = view.getInt32(at) * 2 ** 32 + view.getUint32(at + 4)
      const relativeOffset = view.getInt32(at + 8)
      if (timestamp <= lastTimestamp || relativeOffset <= lastOffset) return false
      this.#addTimeEntryIfLater(timestamp, this.baseOffset + relativeOffset)
      lastTimestamp = timestamp
      lastOffset = relativeOffset
    }
    if (this.#timeEntryCount > 0) {
      this.#maxTimestamp = lastTimestamp
      this.#offsetOfMaxTimestamp = this.baseOffset + lastOffset
    }
    return true
  }

  #addOffsetEntry(offset: number, position: number): void {
    const count = this.#offsetEntryCount
    if (count === this.#offsets.length) {
      this.#offsets = grown(this.#offsets)
      this.#positions = grown(this.#positions)
    }
    this.#offsets[count] = offset
    this.#positions[count] = position
    this.#offsetEntryCount = count + 1
  }

  #addTimeEntryIfLater(timestamp: number, offset: number): void {
    const count = this.#timeEntryCount
    if (timestamp <= (count === 0 ? -1 : (this.#timestamps[count - 1] ?? -1))) return
    if (count === this.#timestamps.length) {
      this.#timestamps = grown(this.#timestamps)
      this.#timeOffsets = grown(this.#timeOffsets)
    }
    this.#timestamps[count] = timestamp
    this.#timeOffsets[count] = offset
    this.#timeEntryCount = count + 1
  }
}

/** Where an index says that a batch starts. */
export interface IndexedPosition {
  readonly position: number
  readonly lastOffset: number
}

const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12

/** Shared by every index without entries, which most are: an empty topic should cost little. */
/** Kafka: index.interval.bytes. */
export const DEFAULT_INDEX_INTERVAL_BYTES = 4096

const NO_ENTRIES = new Float64Array(0)

function grown(entries: Float64Array): Float64Array {
  const larger = new Float64Array(Math.max(16, entries.length * 2))
  larger.set(entries)
  return larger
}

/** The index of the last of the first `count` rising values that is at or below `wanted`, or -1. */
function lastAtOrBelow(values: Float64Array, count: number, wanted: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((values[middle] ?? 0) <= wanted) low = middle + 1
    else high = middle
  }
  return low - 1
}
