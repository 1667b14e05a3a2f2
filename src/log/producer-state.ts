import { OttlaError } from '../errors.js'
import { crc32c } from '../record/crc32c.js'
import type { RecordBatch } from '../record/record-batch.js'

/** Kafka keeps as many as a producer may have in flight: an older one cannot come again. */
const REMEMBERED_BATCHES = 5
const LAST_SEQUENCE = 2 ** 31 - 1
const NO_SEQUENCE = -1
const NO_EPOCH = -1

/** A batch that is in the log, and comes again. */
export interface AppendedBatch {
  readonly baseOffset: number
  readonly timestamp: number
}

/**
 * What one partition knows of its idempotent producers, as Kafka's ProducerStateManager has it: the epoch of each and
 * the sequences of its last five batches. A batch that comes twice is found here, one that leaves a gap is refused.
 * `check` knows only what `update` took; of batches that are written together only the first of a producer is checked,
 * and each further one must follow on the one before (`follows`).
 */
export class ProducerState {
  readonly #producers = new Map<number, ProducerEntry>()
  /** Who was looked up last: most often it is asked for again, to be checked and then updated (benchmark: latency). */
  #latest: ProducerEntry | undefined

  /** How many producers are known. */
  get size(): number {
    return this.#producers.size
  }

  /**
   * Where the same batch already is, or undefined when it can be appended. Throws OTTLA_INVALID_PRODUCER_EPOCH when a
   * newer epoch has fenced the producer, and OTTLA_OUT_OF_ORDER_SEQUENCE when batches are missing before this one.
   */
  check(batch: RecordBatch): AppendedBatch | undefined {
    const { producerId, producerEpoch, baseSequence } = batch
    if (producerId < 0) return undefined
    if (baseSequence < 0) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A batch of producer ${producerId} has the sequence ${baseSequence}; an idempotent producer counts from 0.`,
      )
    }
    const entry = this.#find(producerId)
    if (entry === undefined) return undefined

    // Any sequence begins a producer that is not known (its earlier batches may have been dropped), 0 a new epoch.
    const expected = producerEpoch === entry.epoch ? next(entry.last?.lastSequence ?? NO_SEQUENCE) : 0
    if (baseSequence === expected && producerEpoch >= entry.epoch) return undefined
    if (producerEpoch === entry.epoch) {
      const lastSequence = lastSequenceOf(batch)
      for (const known of entry.batches) {
        if (known?.lastSequence === lastSequence && baseSequenceOf(known) === baseSequence) {
          return { baseOffset: known.lastOffset - known.offsetDelta, timestamp: known.timestamp }
        }
      }
    }
    if (producerEpoch < entry.epoch) {
      throw new OttlaError(
        'OTTLA_INVALID_PRODUCER_EPOCH',
        `Producer ${producerId} was fenced: it wrote with epoch ${producerEpoch}, and epoch ${entry.epoch} has begun. Open a new producer.`,
      )
    }
    if (entry.epoch === NO_EPOCH) return undefined
    throw new OttlaError(
      'OTTLA_OUT_OF_ORDER_SEQUENCE',
      `Producer ${producerId}, epoch ${producerEpoch}, sent sequence ${baseSequence} where ${expected} is next: ` +
        'batches before it are missing, or it is a repeat too old to be known. Open a new producer.',
    )
  }

  /**
   * Takes a batch whose offsets are set into the state: one that passed `check`, or one that is replayed. True where
   * nothing was known of its producer.
   */
  update(batch: RecordBatch): boolean {
    const { producerId, producerEpoch } = batch
    if (producerId < 0) return false
    const known = this.#find(producerId)
    const entry = known ?? this.#begin(producerId)
    entry.isUsed = true
    if (entry.epoch !== producerEpoch) entry.beginEpoch(producerEpoch)
    // The end of a transaction has no sequence of its own.
    if (batch.isControl) {
      entry.timestamp = batch.maxTimestamp
      entry.transactionFirstOffset = -1
    } else {
      entry.take(batch)
      if (batch.isTransactional && entry.transactionFirstOffset < 0) entry.transactionFirstOffset = batch.baseOffset
    }
    return known === undefined
  }

  /** True for the last batch of a producer, without which a restart would not know its epoch and sequence. */
  isLast({ producerId, lastOffset }: RecordBatch): boolean {
    return producerId >= 0 && this.#find(producerId)?.last?.lastOffset === lastOffset
  }

  /** Where the first transaction begins that has not ended; Infinity where there is none. */
  get firstOpenTransactionOffset(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { transactionFirstOffset } of this.#producers.values()) {
      if (transactionFirstOffset >= 0) first = Math.min(first, transactionFirstOffset)
    }
    return first
  }

  /**
   * Forgets the producers that sent nothing for `expirationMs` and have no open transaction, as Kafka does. No batch
   * costs a look at the clock: one that sent since the last call counts as having sent `now`, so none goes too early.
   */
  expire(now: number, expirationMs: number, ageOf: (timestamp: number) => number): void {
    for (const [producerId, entry] of this.#producers) {
      if (entry.isUsed) {
        entry.isUsed = false
        entry.usedAt = now
      } else if (entry.transactionFirstOffset < 0 && ageOf(entry.usedAt) >= expirationMs) {
        this.#producers.delete(producerId)
        this.#latest = undefined
      }
    }
  }

  /** What was restored and replayed was used when its batches say, not now. */
  countFromTimestamps(): void {
    for (const entry of this.#producers.values()) {
      entry.isUsed = false
      entry.usedAt = entry.timestamp
    }
  }

  /** The bytes of Kafka's snapshot file, producers in the order of their ids. */
  snapshot(): Uint8Array {
    return encodeSnapshot(this.#producers)
  }

  /** Puts a snapshot in the place of all that is known. Throws OTTLA_CORRUPTION, and changes nothing, on other bytes. */
  restore(bytes: Uint8Array): void {
    const producers = decodeSnapshot(bytes)
    this.#producers.clear()
    this.#latest = undefined
    for (const [producerId, entry] of producers) this.#producers.set(producerId, entry)
  }

  #begin(producerId: number): ProducerEntry {
    const entry = new ProducerEntry(producerId)
    this.#producers.set(producerId, entry)
    this.#latest = entry
    return entry
  }

  #find(producerId: number): ProducerEntry | undefined {
    if (this.#latest?.producerId === producerId) return this.#latest
    const entry = this.#producers.get(producerId)
    if (entry !== undefined) this.#latest = entry
    return entry
  }
}

/** True where `batch` is what the producer of `before` sends next, in the same epoch. */
export function follows(before: RecordBatch, batch: RecordBatch): boolean {
  return batch.producerEpoch === before.producerEpoch && batch.baseSequence === next(lastSequenceOf(before))
}

class ProducerEntry {
  readonly producerId: number
  epoch = NO_EPOCH
  /** The last five of its epoch. Room for those, where an array that begins empty takes room for seventeen with its first. */
  readonly batches: (BatchMetadata | undefined)[] = new Array(REMEMBERED_BATCHES)
  last: BatchMetadata | undefined
  /** Of the last batch or marker. */
  timestamp = -1
  coordinatorEpoch = -1
  /** First offset of the open transaction, or -1. */
  transactionFirstOffset = -1
  /** It sent something since the expiry last looked, which notes when that was. */
  isUsed = false
  usedAt = -1

  /** Where in `batches` the next one goes. */
  #next = 0

  constructor(producerId: number) {
    this.producerId = producerId
  }

  beginEpoch(epoch: number): void {
    this.epoch = epoch
    this.batches.fill(undefined)
    this.last = undefined
    this.#next = 0
  }

  take(batch: RecordBatch): void {
    const { baseOffset, lastOffset, maxTimestamp } = batch
    const offsetDelta = lastOffset - baseOffset
    this.remember(sequenceAfter(batch.baseSequence, offsetDelta), lastOffset, offsetDelta, maxTimestamp)
    this.timestamp = maxTimestamp
  }

  /** In the place of the oldest of them. */
  remember(lastSequence: number, lastOffset: number, offsetDelta: number, timestamp: number): void {
    const oldest = this.batches[this.#next]
    if (oldest === undefined) {
      this.last = { lastSequence, lastOffset, offsetDelta, timestamp }
      this.batches[this.#next] = this.last
    } else {
      oldest.lastSequence = lastSequence
      oldest.lastOffset = lastOffset
      oldest.offsetDelta = offsetDelta
      oldest.timestamp = timestamp
      this.last = oldest
    }
    this.#next = this.#next === REMEMBERED_BATCHES - 1 ? 0 : this.#next + 1
  }
}

interface BatchMetadata {
  lastSequence: number
  lastOffset: number
  offsetDelta: number
  timestamp: number
}

function next(sequence: number): number {
  return sequence === LAST_SEQUENCE ? 0 : sequence + 1
}

/** Sequences wrap from 2^31 - 1 to 0, within a batch as well. */
function lastSequenceOf(batch: RecordBatch): number {
  return sequenceAfter(batch.baseSequence, batch.lastOffset - batch.baseOffset)
}

function sequenceAfter(sequence: number, count: number): number {
  const after = sequence + count
  return after > LAST_SEQUENCE ? after - LAST_SEQUENCE - 1 : after
}

function baseSequenceOf(batch: BatchMetadata): number {
  const sequence = batch.lastSequence - batch.offsetDelta
  return sequence < 0 ? sequence + LAST_SEQUENCE + 1 : sequence
}

/*
 * Kafka's NNN.snapshot, big-endian:
 *
 *   version i16 = 1 | crc u32 | count i32 | entry * count
 *   entry = producerId i64 | epoch i16 | lastSequence i32 | lastOffset i64 | offsetDelta i32 | timestamp i64
 *         | coordinatorEpoch i32 | currentTxnFirstOffset i64
 *
 * The checksum is CRC-32C of all that follows it. Of a producer's batches only the last is kept, so after a restart
 * only that one is known when it comes again. A producer without batches has -1, -1 and 0 in its place.
 */
const VERSION = 1
const CRC_POSITION = 2
const CRC_COVERS_FROM = 6
const HEADER_BYTES = 10
const ENTRY_BYTES = 46
const NO_BATCH: BatchMetadata = { lastSequence: NO_SEQUENCE, lastOffset: -1, offsetDelta: 0, timestamp: -1 }

function encodeSnapshot(producers: ReadonlyMap<number, ProducerEntry>): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + producers.size * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, VERSION)
  view.setInt32(6, producers.size)
  let position = HEADER_BYTES
  for (const [producerId, entry] of [...producers].sort(([a], [b]) => a - b)) {
    const last = entry.last ?? NO_BATCH
    view.setBigInt64(position, BigInt(producerId))
    view.setInt16(position + 8, entry.epoch)
    view.setInt32(position + 10, last.lastSequence)
    view.setBigInt64(position + 14, BigInt(last.lastOffset))
    view.setInt32(position + 22, last.offsetDelta)
    view.setBigInt64(position + 26, BigInt(entry.timestamp))
    view.setInt32(position + 34, entry.coordinatorEpoch)
    view.setBigInt64(position + 38, BigInt(entry.transactionFirstOffset))
    position += ENTRY_BYTES
  }
  view.setUint32(CRC_POSITION, crc32c(bytes, CRC_COVERS_FROM, bytes.length))
  return bytes
}

function decodeSnapshot(bytes: Uint8Array): Map<number, ProducerEntry> {
  if (bytes.length < HEADER_BYTES) throw corrupt(`it has ${bytes.length} bytes, fewer than its header`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getInt16(0)
  if (version !== VERSION) throw corrupt(`its version is ${version}, not ${VERSION}`)
  if (view.getUint32(CRC_POSITION) !== crc32c(bytes, CRC_COVERS_FROM, bytes.length)) {
    throw corrupt('its checksum does not match')
  }
  const count = view.getInt32(6)
  if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) {
    throw corrupt(`its ${bytes.length} bytes do not hold ${count} producers`)
  }

  const producers = new Map<number, ProducerEntry>()
  for (let position = HEADER_BYTES; position < bytes.length; position += ENTRY_BYTES) {
    const timestamp = int53(view, position + 26)
    const entry = new ProducerEntry(int53(view, position))
    entry.epoch = view.getInt16(position + 8)
    const lastOffset = int53(view, position + 14)
    if (lastOffset >= 0) {
      entry.remember(view.getInt32(position + 10), lastOffset, view.getInt32(position + 22), timestamp)
    }
    entry.timestamp = timestamp
    entry.coordinatorEpoch = view.getInt32(position + 34)
    entry.transactionFirstOffset = int53(view, position + 38)
    producers.set(entry.producerId, entry)
  }
  return producers
}

function int53(view: DataView, position: number): number {
  const value = Number(view.getBigInt64(position))
  if (!Number.isSafeInteger(value)) throw corrupt(`it has a number beyond 2^53 at byte ${position}`)
  return value
}

function corrupt(reason: string): OttlaError {
  return new OttlaError(
    'OTTLA_CORRUPTION',
    `The snapshot of the producers cannot be used: ${reason}. It is a cache: read the log from its start instead.`,
  )
}
