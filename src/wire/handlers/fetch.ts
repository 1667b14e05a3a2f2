import type { FetchResult } from '../../engine/engine.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { fetch } from '../../protocol/messages/fetch.js'
import { type Handler, handler } from '../handler.js'
import { LEADER_EPOCH } from './topic-response.js'

/*
 * Whole batches from the one that holds the offset, as they lie in the log: the client passes over what is before it.
 * Every answer declines a session (id 0), so that every request names all its partitions. There are no transactions, so
 * the last stable offset is the high watermark and nothing was aborted.
 */

export const onFetch: Handler = handler(fetch, async (request, context) => {
  const { engine, topicIds, version, signal } = context
  if (request.sessionId !== 0) return { errorCode: KafkaError.fetchSessionIdNotFound, throttleTimeMs: 0, responses: [] }
  if (version >= 13) await topicIds.refresh()

  /** Where each partition of the answer stands among what the engine is asked for; or why it is not. */
  const asked: { topic: string; partition: number; fetchOffset: number; maxBytes: number }[] = []
  const places = request.topics.map(({ topic, topicId, partitions }) => {
    const name = version >= 13 ? topicIds.nameOf(topicId) : topic
    return {
      topic,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch }) => {
        if (name === undefined) return { partition, refusal: KafkaError.unknownTopicId }
        if (currentLeaderEpoch > LEADER_EPOCH) return { partition, refusal: KafkaError.unknownLeaderEpoch }
        const index = asked.push({ topic: name, partition, fetchOffset, maxBytes: partitionMaxBytes }) - 1
        return { partition, index }
      }),
    }
  })
  const isRefused = places.some(({ partitions }) => partitions.some((place) => 'refusal' in place))
  const { maxBytes, minBytes } = request
  const maxWaitMs = isRefused ? 0 : request.maxWaitMs
  const results = await engine.fetch({ partitions: asked, maxBytes, minBytes, maxWaitMs }, { signal })

  return {
    throttleTimeMs: 0,
    responses: places.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map((place) =>
        'refusal' in place
          ? partitionResponse(place.partition, undefined, place.refusal)
          : partitionResponse(place.partition, results[place.index], KafkaError.unknownServerError),
      ),
    })),
  }
})

function partitionResponse(partitionIndex: number, result: FetchResult | undefined, refusal: number) {
  const { error, highWatermark, logStartOffset, batches } = result ?? NOTHING
  return {
    partitionIndex,
    errorCode: result === undefined ? refusal : kafkaCodeOf(error),
    highWatermark,
    lastStableOffset: highWatermark,
    logStartOffset,
    abortedTransactions: null,
    records: batches.map((batch) => batch.bytes()),
  }
}

const NOTHING: Omit<FetchResult, 'topic' | 'partition'> = {
  error: null,
  highWatermark: -1,
  logStartOffset: -1,
  batches: [],
}
