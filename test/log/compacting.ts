import type { LogSettings, PartitionLogOptions } from '../../src/log/partition-log.js'
import { PartitionLog } from '../../src/log/partition-log.js'
import type { EncodedBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import type { PartitionStorage, Storage } from '../../src/storage/storage.js'
import { ManualClock } from '../../src/testing/manual-clock.js'

/** Segments of any size: the log itself has no least one. */
export const COMPACTED: LogSettings = {
  segmentBytes: 1000,
  segmentMs: 1e12,
  retentionMs: -1,
  retentionBytes: -1,
  isCompacted: true,
  minCleanableDirtyRatio: 0.5,
  deleteRetentionMs: 10_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 2 ** 63,
  maxMessageBytes: 1 << 20,
  messageTimestampType: 'CreateTime',
}

/** A key and its value; null is a tombstone. */
export type Keyed = readonly [key: string | null, value: string | null]

export interface Kept {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

const AT = { topic: 'states', partition: 0 }

/** A compacted log, its storage and its clock. */
export class CompactedLog {
  readonly clock: ManualClock
  readonly place: Storage
  storage!: PartitionStorage
  log!: PartitionLog

  private constructor(clock: ManualClock, place: Storage) {
    this.clock = clock
    this.place = place
  }

  static async open(
    options: Partial<PartitionLogOptions> = {},
    place: Storage = new MemoryStorage(),
    clock: ManualClock = new ManualClock({ now: 1_000_000 }),
  ): Promise<CompactedLog> {
    const subject = new CompactedLog(clock, place)
    await place.open({ clock, onRecovery: () => undefined })
    subject.storage = await place.openPartition(AT)
    subject.log = await PartitionLog.open({
      at: AT,
      storage: subject.storage,
      acknowledgeAfter: place.acknowledgeAfter,
      settings: COMPACTED,
      clock,
      ...options,
    })
    return subject
  }

  async close(): Promise<void> {
    await this.log.close()
    await this.place.close()
  }

  /** One batch, with the clock's time. */
  async append(...records: readonly Keyed[]): Promise<number> {
    return (await this.log.append(batch(this.clock.now(), records))).baseOffset
  }

  /** Seals the active segment by a batch that is as large as one. The key of that batch is its own. */
  async seal(): Promise<void> {
    const filler = `filler-${this.log.highWatermark}`
    await this.append([filler, 'x'.repeat(this.log.settings.segmentBytes)])
  }

  compact(): Promise<number | undefined> {
    return this.log.cleaner.compact({ maxMapBytes: 1 << 20, onlyIfDue: false })
  }

  /** All that can be read, and not what seals segments. */
  async kept(): Promise<Kept[]> {
    const kept: Kept[] = []
    for (const each of await this.batches()) {
      const records = each.records()
      while (!each.isControl && records.next()) {
        const { offset, timestamp } = records
        const [key, value] = [textOf(records.key), textOf(records.value)]
        // The first batch may begin below the log start.
        if (key?.startsWith('filler-') !== true && offset >= this.log.logStartOffset)
          kept.push({ offset, key, value, timestamp })
      }
    }
    return kept
  }

  async batches(): Promise<EncodedBatch[]> {
    const { log } = this
    const found: EncodedBatch[] = []
    for (let offset = log.logStartOffset; offset < log.highWatermark; ) {
      const batches = await log.read(offset, 1 << 20)
      if (batches.length === 0) break
      found.push(...(batches as EncodedBatch[]))
      offset = (batches.at(-1)?.lastOffset ?? offset) + 1
    }
    return found
  }

  get segmentBases(): number[] {
    return this.storage.segments.map(({ baseOffset }) => baseOffset)
  }
}

export function batch(
  timestamp: number,
  records: readonly Keyed[],
  producer?: Parameters<RecordBatchBuilder['close']>[0],
): EncodedBatch {
  const builder = new RecordBatchBuilder()
  for (const [key, value] of records) builder.append(timestamp, bytesOf(key), bytesOf(value))
  return builder.close(producer)
}

function bytesOf(text: string | null): Uint8Array | null {
  return text === null ? null : new TextEncoder().encode(text)
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes)
}
