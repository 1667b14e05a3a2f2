import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { offsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.js'
import { type Handler, handler } from '../handler.js'
import { LEADER_EPOCH } from './topic-response.js'

/** There is one epoch, which ends where the log does; of a later one nothing is known. */
export const onOffsetForLeaderEpoch: Handler = handler(offsetForLeaderEpoch, async ({ topics }, { engine }) => {
  const asked = topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition }) => ({ topic, partition, at: 'latest' as const })),
  )
  const ends = (await engine.listOffsets(asked)).values()
  return {
    topics: topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, leaderEpoch, currentLeaderEpoch }) => {
        const { offset = -1, error = null } = ends.next().value ?? {}
        const isAhead = error === null && currentLeaderEpoch > LEADER_EPOCH
        const isKnown = error === null && !isAhead && leaderEpoch === LEADER_EPOCH
        return {
          errorCode: isAhead ? KafkaError.unknownLeaderEpoch : kafkaCodeOf(error),
          partition,
          leaderEpoch: isKnown ? LEADER_EPOCH : -1,
          endOffset: isKnown ? offset : -1,
        }
      }),
    })),
  }
})
