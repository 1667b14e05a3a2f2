import { ATTRIBUTES_AT, CONTROL_BIT, CRC_AT, LAST_OFFSET_DELTA_AT } from '../record/batch-layout.js'
import { writeInt16, writeInt32 } from '../record/big-endian.js'
import { EncodedBatch } from '../record/encoded-batch.js'
import type { RecordBatch } from '../record/record-batch.js'
import { type BatchProducer, RecordBatchBuilder } from '../record/record-batch-builder.js'
import type {
  PartitionOptions,
  PartitionStorage,
  RecoveryReport,
  Segment,
  Storage,
  TopicPartition,
} from '../storage/storage.js'
import { systemClock } from '../time/clock.js'
import { check, checkBytes, checkEqual } from './expect.js'

/** One test of the suite, with a partition of its own in a storage of its own. */
export type StorageTest = (log: LogUnderTest, place: StorageUnderTest) => Promise<void>

/** What a test asks for; the rest is chosen so that it does not matter. */
export interface BatchShape {
  /** Offsets left out in front of it. */
  readonly gap?: number
  readonly records?: number
  /** Of its first record; the others are a millisecond apart. */
  readonly timestamp?: number
  readonly valueBytes?: number
  readonly control?: boolean
  /** Offsets that it covers beyond its last record, as compaction leaves them. */
  readonly compactedAway?: number
  readonly producer?: BatchProducer
}

/** A batch as it must come back. */
export interface KeptBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly bytes: Uint8Array
}

/** One storage, open, with the logs that a test opened in it. */
export class StorageUnderTest {
  #storage: Storage
  readonly #logs: LogUnderTest[] = []

  private constructor(storage: Storage) {
    this.#storage = storage
  }

  static async open(storage: Storage): Promise<StorageUnderTest> {
    await storage.open(context())
    return new StorageUnderTest(storage)
  }

  get storage(): Storage {
    return this.#storage
  }

  async log(topic: string, partition: number, options?: PartitionOptions): Promise<LogUnderTest> {
    const log = new LogUnderTest({ topic, partition }, options, this.#storage.acknowledgeAfter)
    await log.open(this.#storage)
    this.#logs.push(log)
    return log
  }

  /** A second broker on the same storage, which must be refused. */
  async openAgain(): Promise<void> {
    await this.#storage.open(context())
  }

  async delete(log: LogUnderTest): Promise<void> {
    await log.storage.close()
    this.#logs.splice(this.#logs.indexOf(log), 1)
    await this.#storage.deletePartition(log.at)
  }

  async close(): Promise<void> {
    for (const log of this.#logs) await log.storage.close()
    await this.#storage.close()
  }

  /** Closes everything and opens it again in the storage that `reopen` gives. */
  async reopen(reopen: (storage: Storage) => Storage | Promise<Storage>): Promise<void> {
    await this.close()
    this.#storage = await reopen(this.#storage)
    await this.#storage.open(context())
    for (const log of this.#logs) await log.open(this.#storage)
  }
}

/** One partition and, beside it, what it must hold. */
export class LogUnderTest {
  readonly at: TopicPartition
  readonly #options: PartitionOptions | undefined
  readonly #acknowledgeAfter: 'append' | 'sync'
  #storage: PartitionStorage | undefined
  kept: KeptBatch[] = []

  constructor(at: TopicPartition, options: PartitionOptions | undefined, acknowledgeAfter: 'append' | 'sync') {
    this.at = at
    this.#options = options
    this.#acknowledgeAfter = acknowledgeAfter
  }

  async open(storage: Storage): Promise<void> {
    this.#storage = await storage.openPartition(this.at, this.#options)
  }

  get storage(): PartitionStorage {
    check(this.#storage !== undefined, 'The partition is not open.')
    return this.#storage
  }

  get endOffset(): number {
    return this.#active.endOffset
  }

  /** Appends batches of these shapes in one call, then writes over their memory. */
  async append(...shapes: readonly BatchShape[]): Promise<void> {
    const batches: EncodedBatch[] = []
    let next = this.endOffset
    for (const shape of shapes) {
      const batch = makeBatch(shape, next + (shape.gap ?? 0))
      next = batch.lastOffset + 1
      batches.push(batch)
    }
    const durableBefore = this.storage.durableEndOffset
    const kept = batches.map(keep)
    await this.storage.append(batches)
    for (const batch of batches) batch.buffer.fill(0xee)
    this.kept.push(...kept)
    checkEqual(this.endOffset, next, 'The log end offset after an append')
    if (this.#acknowledgeAfter === 'sync') {
      checkEqual(this.storage.durableEndOffset, durableBefore, 'The durable end offset after an append without a sync')
    }
  }

  async sync(): Promise<void> {
    const endOffset = this.endOffset
    await this.storage.sync()
    checkEqual(this.storage.durableEndOffset, endOffset, 'The durable end offset after a sync')
  }

  async roll(baseOffset: number = this.endOffset): Promise<void> {
    const basesBefore = this.storage.segments.map((segment) => segment.baseOffset)
    const nothingToDo = this.#active.endOffset === this.#active.baseOffset && this.#active.baseOffset === baseOffset
    await this.storage.roll(baseOffset)
    this.#checkBases(nothingToDo ? basesBefore : [...basesBefore, baseOffset], 'a roll')
  }

  async drop(count: number): Promise<void> {
    const bases = this.storage.segments.map((segment) => segment.baseOffset).slice(count)
    await this.storage.drop(count)
    this.#checkBases(bases, `dropping ${count}`)
    this.kept = this.kept.filter((batch) => batch.baseOffset >= (bases[0] ?? 0))
  }

  async truncate(offset: number): Promise<void> {
    await this.storage.truncate(offset)
    this.kept = this.kept.filter((batch) => batch.lastOffset < offset)
    // Where nothing was at or behind `offset`, the log already ended there.
    check(this.endOffset <= offset, `After truncating to ${offset} the log ends at ${this.endOffset}, behind that.`)
    check(
      this.storage.durableEndOffset <= this.endOffset,
      `After truncating to ${offset} the durable end ${this.storage.durableEndOffset} lies behind the end ${this.endOffset}.`,
    )
  }

  /** Replaces sealed segments by those of their batches for which `stays` is true. */
  async replace(
    first: number,
    count: number,
    stays: (batch: KeptBatch) => boolean,
    form: 'iterable' | 'async iterable',
  ): Promise<void> {
    const segments = this.storage.segments.slice()
    const bases = segments.map((segment) => segment.baseOffset)
    const from = bases[first] ?? 0
    const to = bases[first + count] ?? 0
    const isReplaced = (batch: KeptBatch): boolean => batch.baseOffset >= from && batch.baseOffset < to
    const replacement = this.kept.filter((batch) => isReplaced(batch) && stays(batch))
    const batches = replacement.map(({ bytes }) => new EncodedBatch(bytes.slice(), 0, bytes.length))
    await this.storage.replace(first, count, form === 'iterable' ? batches : asynchronously(batches))
    this.kept = this.kept.filter((batch) => !isReplaced(batch) || stays(batch))
    this.#checkBases(
      [...bases.slice(0, first + 1), ...bases.slice(first + count)],
      `replacing ${count} from ${first} on`,
    )
  }

  /**
   * Reads once and checks what came: batches without a hole between them, as many as may come or fewer, but one if
   * there is one. Returns where to read on, or undefined when there was nothing.
   */
  async checkRead(offset: number, maxBytes: number, endOffset: number = this.endOffset): Promise<number | undefined> {
    const expected = this.kept.filter((batch) => batch.lastOffset >= offset && batch.lastOffset < endOffset)
    const batches = await this.storage.read(offset, maxBytes, endOffset)
    return checkBatches(batches, expected, maxBytes, `read(${offset}, ${maxBytes}, ${endOffset})`)
  }

  /** Reads everything and looks at every segment. */
  async check(maxBytes: number = 64 * 1024): Promise<void> {
    this.checkSegments()
    for (let offset: number | undefined = 0; offset !== undefined; ) offset = await this.checkRead(offset, maxBytes)
  }

  async checkFindOffset(timestamp: number): Promise<void> {
    const expected = this.kept.find((batch) => batch.maxTimestamp >= timestamp)?.baseOffset
    checkEqual(await this.storage.findOffset(timestamp), expected, `findOffset(${timestamp})`)
  }

  checkSegments(): void {
    const { segments } = this.storage
    check(segments.length > 0, 'A log has no segments, not even an active one.')
    let held = 0
    segments.forEach((segment, index) => {
      const nextBase = segments[index + 1]?.baseOffset ?? Number.POSITIVE_INFINITY
      check(
        segment.baseOffset <= segment.endOffset && segment.endOffset <= nextBase,
        `Segment ${index} reaches from ${segment.baseOffset} to ${segment.endOffset}, the next one begins at ${nextBase}.`,
      )
      const batches = this.kept.filter(({ baseOffset }) => baseOffset >= segment.baseOffset && baseOffset < nextBase)
      held += batches.length
      checkSegment(segment, batches)
    })
    checkEqual(held, this.kept.length, 'The number of batches behind the base of the first segment')
    check(
      this.storage.durableEndOffset <= this.endOffset,
      `The durable end offset ${this.storage.durableEndOffset} lies behind the log end offset ${this.endOffset}.`,
    )
  }

  get #active(): Segment {
    const active = this.storage.segments[this.storage.segments.length - 1]
    check(active !== undefined, 'A log has no segments, not even an active one.')
    return active
  }

  #checkBases(expected: readonly number[], afterWhat: string): void {
    const bases = this.storage.segments.map((segment) => segment.baseOffset)
    checkEqual(bases.join(', '), expected.join(', '), `The list of base offsets of segments after ${afterWhat}`)
  }
}

/** Checks what a read gave against what it may give. Returns where to read on, or undefined when there was nothing. */
export function checkBatches(
  batches: readonly RecordBatch[],
  expected: readonly KeptBatch[],
  maxBytes: number,
  what: string,
): number | undefined {
  if (expected.length > 0) check(batches.length > 0, `${what} gave nothing, although there are batches to read.`)
  let bytes = 0
  let next: number | undefined
  batches.forEach((batch, index) => {
    const wanted = expected[index]
    check(wanted !== undefined, `${what} gave a batch at offset ${batch.baseOffset} that it should not give.`)
    checkEqual(batch.baseOffset, wanted.baseOffset, `The base offset of batch ${index} of ${what}`)
    checkEqual(batch.lastOffset, wanted.lastOffset, `The last offset of batch ${index} of ${what}`)
    checkBytes(batch.bytes(), wanted.bytes, `the batch at offset ${batch.baseOffset} of ${what}`)
    bytes += batch.sizeInBytes
    next = batch.lastOffset + 1
  })
  check(bytes <= maxBytes || batches.length === 1, `${what} gave ${batches.length} batches of ${bytes} bytes in all.`)
  return next
}

/** A closed batch in memory of its own. Its checksum is not computed yet, as with a batch from a producer. */
export function makeBatch(shape: BatchShape, baseOffset: number): EncodedBatch {
  const { records = 1, timestamp = 1_700_000_000_000 + baseOffset, valueBytes = 20 } = shape
  const builder = new RecordBatchBuilder()
  for (let record = 0; record < records; record++) {
    const value = new Uint8Array(valueBytes).fill((baseOffset + record) % 251)
    builder.append(timestamp + record, record % 2 === 0 ? null : Uint8Array.of(record % 256), value)
  }
  const closed = builder.close(shape.producer)
  const memory = new Uint8Array(closed.sizeInBytes)
  closed.copyTo(memory, 0)
  writeInt32(memory, CRC_AT, 0)
  if (shape.control === true) writeInt16(memory, ATTRIBUTES_AT, CONTROL_BIT)
  writeInt32(memory, LAST_OFFSET_DELTA_AT, records - 1 + (shape.compactedAway ?? 0))
  const batch = new EncodedBatch(memory, 0, memory.length)
  batch.assignOffsets(baseOffset, 0)
  return batch
}

function keep(batch: EncodedBatch): KeptBatch {
  const { baseOffset, lastOffset, maxTimestamp } = batch
  const bytes = new EncodedBatch(batch.buffer.slice(), 0, batch.sizeInBytes).bytes()
  return { baseOffset, lastOffset, maxTimestamp, bytes }
}

function checkSegment(segment: Segment, batches: readonly KeptBatch[]): void {
  const what = `of the segment at ${segment.baseOffset}`
  const size = batches.reduce((sum, { bytes }) => sum + bytes.length, 0)
  checkEqual(segment.endOffset, (batches.at(-1)?.lastOffset ?? segment.baseOffset - 1) + 1, `endOffset ${what}`)
  checkEqual(segment.sizeInBytes, size, `sizeInBytes ${what}`)
  const largest = batches.reduce((largest, { maxTimestamp }) => Math.max(largest, maxTimestamp), -1)
  checkEqual(segment.maxTimestamp, largest, `maxTimestamp ${what}`)
  checkEqual(segment.firstTimestamp, batches[0]?.maxTimestamp ?? -1, `firstTimestamp ${what}`)
}

async function* asynchronously(batches: readonly RecordBatch[]): AsyncGenerator<RecordBatch> {
  for (const batch of batches) yield await batch
}

function context(): { clock: typeof systemClock; onRecovery: (report: RecoveryReport) => void } {
  return { clock: systemClock, onRecovery: () => undefined }
}
