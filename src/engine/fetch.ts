import type { CancelSignal } from '../cancellation.js'
import type { OttlaError } from '../errors.js'
import type { PartitionLog } from '../log/partition-log.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { FetchRequest, FetchResult, Waiting } from './engine.js'
import { asOttlaError, unknownPartition } from './engine-errors.js'

type FindLog = (at: Readonly<TopicPartition>) => PartitionLog | undefined

/** Reads what there is, and waits for more where the request asks for it. */
export async function fetchFromLogs(
  request: FetchRequest,
  findLog: FindLog,
  clock: Clock,
  options?: Waiting,
): Promise<FetchResult[]> {
  const giveUpAt = request.maxWaitMs > 0 ? clock.monotonic() + request.maxWaitMs : 0
  for (;;) {
    const { results, isEnough } = await readOnce(request, findLog)
    if (isEnough || options?.signal?.aborted === true) return results
    const leftMs = request.maxWaitMs > 0 ? giveUpAt - clock.monotonic() : 0
    if (leftMs <= 0) return results
    await advance(request, results, findLog, clock, leftMs, options?.signal)
  }
}

/** An error, or `minBytes` of what there is, is enough: batches that only a limit keeps out count as far as it reaches. */
async function readOnce(
  request: FetchRequest,
  findLog: FindLog,
): Promise<{ results: FetchResult[]; isEnough: boolean }> {
  const results: FetchResult[] = []
  let foundBytes = 0
  let leftBytes = request.maxBytes
  let isFirst = true
  for (const wanted of request.partitions) {
    const { topic, partition } = wanted
    const log = findLog(wanted)
    if (log === undefined) {
      results.push({
        topic,
        partition,
        batches: [],
        highWatermark: -1,
        logStartOffset: -1,
        error: unknownPartition(wanted),
      })
      continue
    }
    // Taken before the read, so that what is appended during it is not waited for as if it had been seen.
    const { highWatermark } = log
    let batches: readonly RecordBatch[] = []
    let error: OttlaError | null = null
    // The first partition that has something gives at least one batch, whatever its size (Kafka, KIP-74).
    if (leftBytes > 0 || isFirst) {
      try {
        const limit = Math.max(Math.min(wanted.maxBytes, leftBytes), 0)
        const read = log.read(wanted.fetchOffset, limit)
        batches = 'then' in read ? await read : read
        const sizeInBytes = sizeOf(batches)
        if (!isFirst && sizeInBytes > limit) batches = []
        else leftBytes -= sizeInBytes
        if (batches.length > 0) isFirst = false
        const nextOffset = (batches.at(-1)?.lastOffset ?? wanted.fetchOffset - 1) + 1
        foundBytes += nextOffset < highWatermark ? Math.max(sizeInBytes, limit) : sizeInBytes
      } catch (cause) {
        error = asFetchError(wanted, log, cause)
      }
    }
    results.push({ topic, partition, batches, highWatermark, logStartOffset: log.logStartOffset, error })
  }
  // No more than `maxBytes` can ever be given, so that is enough too (Kafka caps `minBytes` in the same way).
  const minBytes = Math.min(request.minBytes, request.maxBytes)
  return { results, isEnough: foundBytes >= minBytes || results.some(({ error }) => error !== null) }
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
  const logs: PartitionLog[] = []
  for (const [index, wanted] of request.partitions.entries()) {
    const log = findLog(wanted)
    // It moved, or went away, while another partition was read.
    if (log === undefined || log.highWatermark !== seen[index]?.highWatermark) return Promise.resolve()
    logs.push(log)
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
