import type { CancelSignal } from '../cancellation.js'
import type { OttlaError } from '../errors.js'
import type { PartitionLog } from '../log/partition-log.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { FetchRequest, FetchResult, Waiting } from './engine.js'
import { asOttlaError, unknownPartition } from './engine-errors.js'

type FetchPartition = FetchRequest['partitions'][number]
type FindLog = (at: Readonly<TopicPartition>) => PartitionLog | undefined

/** The logs of an engine. */
export interface FetchSource {
  readonly clock: Clock
  readonly find: FindLog
  /** Throws where the engine has closed. */
  readonly mustBeOpen: () => void
}

/**
 * Reads what there is, and waits for more where the request asks for it. Not async: a wait for one log is what each batch
 * costs each of its groups (benchmark: growth-partitions).
 */
export function fetchFromLogs(
  request: FetchRequest,
  { clock, find, mustBeOpen }: FetchSource,
  options?: Waiting,
): Promise<FetchResult[]> {
  const { maxWaitMs } = request
  const hasTime = maxWaitMs > 0 && maxWaitMs < Number.POSITIVE_INFINITY
  const giveUpAt = hasTime ? clock.monotonic() + maxWaitMs : 0
  return new Promise((resolve, reject) => {
    const look = (): void => {
      try {
        const reading = readAll(request, find)
        if ('then' in reading) reading.then(answer).catch(reject)
        else answer(reading)
      } catch (error) {
        reject(error)
      }
    }
    const answer = (found: Found): void => {
      const isOver = isEnough(request, found) || options?.signal?.aborted === true
      const leftMs = isOver || !hasTime ? maxWaitMs : giveUpAt - clock.monotonic()
      if (!isOver && leftMs > 0) {
        void advance(request, found.results, find, clock, leftMs, options?.signal).then(look)
        return
      }
      mustBeOpen()
      resolve(found.results)
    }
    mustBeOpen()
    look()
  })
}

/** What was read of the partitions so far. */
interface Found {
  /** Room for all partitions, since a list that grows takes room for seventeen, and a fetch that waits keeps it. */
  readonly results: FetchResult[]
  readCount: number
  /** Batches that only a limit keeps out count as far as it reaches. */
  foundBytes: number
  leftBytes: number
  hasBatches: boolean
  hasErrors: boolean
}

function isEnough({ minBytes, maxBytes }: FetchRequest, { foundBytes, hasErrors }: Found): boolean {
  // No more than `maxBytes` can ever be given, so that is enough too (Kafka caps `minBytes` in the same way).
  return hasErrors || foundBytes >= Math.min(minBytes, maxBytes)
}

/** A promise only where a storage makes it wait: memory answers at once (benchmark: memory-ten-groups). */
function readAll(request: FetchRequest, findLog: FindLog): Found | Promise<Found> {
  const found: Found = {
    results: new Array(request.partitions.length),
    readCount: 0,
    foundBytes: 0,
    leftBytes: request.maxBytes,
    hasBatches: false,
    hasErrors: false,
  }
  for (let index = 0; index < request.partitions.length; index++) {
    const reading = readInto(found, request.partitions[index] as FetchPartition, findLog)
    if (reading !== undefined) return readRest(found, reading, request.partitions.slice(index + 1), findLog)
  }
  return found
}

async function readRest(
  found: Found,
  reading: Promise<void>,
  rest: readonly FetchPartition[],
  findLog: FindLog,
): Promise<Found> {
  await reading
  for (const wanted of rest) await readInto(found, wanted, findLog)
  return found
}

function readInto(found: Found, wanted: FetchPartition, findLog: FindLog): Promise<void> | undefined {
  const log = findLog(wanted)
  if (log === undefined) {
    addResult(found, wanted, [], -1, -1, unknownPartition(wanted))
    return undefined
  }
  // Taken before the read, so that what is appended during it is not waited for as if it had been seen.
  const { highWatermark } = log
  // The first partition that has something gives at least one batch, whatever its size (Kafka, KIP-74).
  if (found.leftBytes <= 0 && found.hasBatches) {
    addResult(found, wanted, [], highWatermark, log.logStartOffset, null)
    return undefined
  }
  const limit = Math.max(Math.min(wanted.maxBytes, found.leftBytes), 0)
  const failed = (cause: unknown): void => {
    addResult(found, wanted, [], highWatermark, log.logStartOffset, asFetchError(wanted, log, cause))
  }
  try {
    const read = log.read(wanted.fetchOffset, limit)
    if ('then' in read) {
      return read.then((batches) => addBatches(found, wanted, log, highWatermark, limit, batches), failed)
    }
    addBatches(found, wanted, log, highWatermark, limit, read)
  } catch (cause) {
    failed(cause)
  }
  return undefined
}

function addBatches(
  found: Found,
  wanted: FetchPartition,
  log: PartitionLog,
  highWatermark: number,
  limit: number,
  read: readonly RecordBatch[],
): void {
  const sizeInBytes = sizeOf(read)
  const batches = found.hasBatches && sizeInBytes > limit ? [] : read
  if (batches.length > 0) {
    found.hasBatches = true
    found.leftBytes -= sizeInBytes
  }
  const nextOffset = (batches[batches.length - 1]?.lastOffset ?? wanted.fetchOffset - 1) + 1
  found.foundBytes += nextOffset < highWatermark ? Math.max(sizeInBytes, limit) : sizeInBytes
  addResult(found, wanted, batches, highWatermark, log.logStartOffset, null)
}

function addResult(
  found: Found,
  { topic, partition }: FetchPartition,
  batches: readonly RecordBatch[],
  highWatermark: number,
  logStartOffset: number,
  error: OttlaError | null,
): void {
  found.results[found.readCount++] = { topic, partition, batches, highWatermark, logStartOffset, error }
  if (error !== null) found.hasErrors = true
}

function sizeOf(batches: readonly RecordBatch[]): number {
  let bytes = 0
  for (const batch of batches) bytes += batch.sizeInBytes
  return bytes
}

/** Resolves when one of the logs has moved since it was read, the time is over or the caller aborts. */
function advance(
  request: FetchRequest,
  seen: readonly FetchResult[],
  findLog: FindLog,
  clock: Clock,
  leftMs: number,
  signal: CancelSignal | undefined,
): Promise<void> {
  const logs = new Array<PartitionLog>(request.partitions.length)
  for (let index = 0; index < request.partitions.length; index++) {
    const log = findLog(request.partitions[index] as FetchPartition)
    // It moved, or went away, while another partition was read.
    if (log === undefined || log.highWatermark !== seen[index]?.highWatermark) return Promise.resolve()
    logs[index] = log
  }
  return new Promise((resolve) => {
    const wake = (): void => {
      for (const log of logs) log.offAdvance(wake)
      cancelTimer?.()
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    for (const log of logs) log.onAdvance(wake)
    const cancelTimer = leftMs < Number.POSITIVE_INFINITY ? clock.schedule(wake, leftMs) : undefined
    signal?.addEventListener('abort', wake)
  })
}

function asFetchError(at: Readonly<TopicPartition>, log: PartitionLog, cause: unknown): OttlaError {
  // A log closes under a reader when its topic is deleted.
  if (log.isClosed) return unknownPartition(at)
  return asOttlaError(cause)
}
