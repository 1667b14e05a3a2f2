import { OttlaError } from '../errors.js'
import type { RecordBatch, RecordCursor } from '../record/record-batch.js'
import { emptiedBatch, RetainedBatchBuilder } from '../record/retained-batch.js'
import { isRetained, type RecordRules, tombstonesMayGo } from './compaction.js'
import type { OffsetMap } from './offset-map.js'

/** Called between two pieces of work, which last about as long as two looks at the clock. */
export type Pace = () => void | Promise<void>

export interface CleaningRules extends RecordRules {
  /** When tombstones that are met for the first time may go. */
  readonly deleteHorizonMs: number
  /** A batch that is kept without records, for what its header says: the last one of its producer, or of all. */
  readonly keepsHeader: (batch: RecordBatch) => boolean
}

const RECORDS_BETWEEN_PACES = 64
/** To copy so many takes about as long as to look at a record. */
const BYTES_LIKE_A_RECORD = 1024

/** Takes the keys of `batch` from `firstOffset` on into `map`. False where that is full. */
export async function mapKeys(batch: RecordBatch, firstOffset: number, map: OffsetMap, pace: Pace): Promise<boolean> {
  const records = recordsToJudge(batch)
  let count = 0
  while (records?.next()) {
    const { key, offset } = records
    if (offset < firstOffset) continue
    if (key !== null && !map.put(key, offset)) return false
    if (++count % RECORDS_BETWEEN_PACES === 0) await pace()
  }
  map.reach(batch.lastOffset)
  return true
}

/** Reduces batches, which come in the order of the log, to what compaction keeps. */
export class BatchCleaner {
  readonly #rules: CleaningRules
  readonly #pace: Pace
  /** An older value of its key may stand in a batch that is not looked into: without it that would be back. */
  #keepsTombstones = false

  constructor(rules: CleaningRules, pace: Pace) {
    this.#rules = rules
    this.#pace = pace
  }

  /** The batch as it is where it loses nothing, what is left of it, or undefined for nothing. */
  async clean(batch: RecordBatch): Promise<RecordBatch | undefined> {
    if (batch.isControl) return batch
    if (batch.recordCount === 0) return this.#rules.keepsHeader(batch) ? batch : undefined
    if (recordsToJudge(batch) === undefined) {
      this.#keepsTombstones = true
      return batch
    }
    const tombstonesGo = !this.#keepsTombstones && tombstonesMayGo(batch, this.#rules)
    const kept = await this.#look(batch, tombstonesGo)
    if (kept.offsets.size === 0) return this.#rules.keepsHeader(batch) ? emptiedBatch(batch) : undefined
    const meetsTombstones = kept.hasTombstones && batch.deleteHorizonMs === undefined
    if (kept.offsets.size === batch.recordCount && !meetsTombstones) return batch
    return this.#rebuild(batch, kept.offsets, meetsTombstones ? this.#rules.deleteHorizonMs : batch.deleteHorizonMs)
  }

  async #look(batch: RecordBatch, tombstonesGo: boolean): Promise<{ offsets: Set<number>; hasTombstones: boolean }> {
    const offsets = new Set<number>()
    let hasTombstones = false
    const records = batch.records()
    for (let count = 1; records.next(); count++) {
      if (isRetained(records, tombstonesGo, this.#rules)) {
        offsets.add(records.offset)
        if (!records.hasValue) hasTombstones = true
      }
      if (count % RECORDS_BETWEEN_PACES === 0) await this.#pace()
    }
    return { offsets, hasTombstones }
  }

  async #rebuild(
    batch: RecordBatch,
    offsets: ReadonlySet<number>,
    deleteHorizonMs: number | undefined,
  ): Promise<RecordBatch> {
    const builder = new RetainedBatchBuilder(batch, deleteHorizonMs)
    const records = batch.records()
    let work = 0
    while (records.next()) {
      work++
      if (offsets.has(records.offset)) {
        builder.append(records)
        work += records.bodySizeInBytes / BYTES_LIKE_A_RECORD
      }
      if (work < RECORDS_BETWEEN_PACES) continue
      work = 0
      await this.#pace()
    }
    // The checksum of all that was copied is one piece of work more.
    await this.#pace()
    return builder.close()
  }
}

/**
 * Undefined for a batch that is kept whole, whatever is in it: one whose compression is not read, and one of a
 * transaction, of which its records do not tell how it ended.
 */
function recordsToJudge(batch: RecordBatch): RecordCursor | undefined {
  if (batch.isControl || batch.isTransactional) return undefined
  try {
    return batch.records()
  } catch (error) {
    const code = OttlaError.is(error) ? error.code : undefined
    if (code === 'OTTLA_UNSUPPORTED_COMPRESSION' || code === 'OTTLA_MESSAGE_TOO_LARGE') return undefined
    throw error
  }
}
