import type { ListOffsetsOutcome, OffsetSpec } from '../../engine/engine.js'
import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { listOffsets } from '../../protocol/messages/list-offsets.js'
import { type Handler, handler } from '../handler.js'
import { LEADER_EPOCH } from './topic-response.js'

/** Kafka's names for places: earliest local is the start, and nothing lies in tiered storage. */
const PLACES: { readonly [timestamp: number]: OffsetSpec | 'nowhere' } = {
  [-1]: 'latest',
  [-2]: 'earliest',
  [-3]: 'maxTimestamp',
  [-4]: 'earliest',
  [-5]: 'nowhere',
  [-6]: 'nowhere',
}

export const onListOffsets: Handler = handler(listOffsets, async ({ topics }, { engine, version }) => {
  const asked = topics.flatMap(({ name, partitions }) =>
    partitions.flatMap(({ partitionIndex, timestamp }) => {
      const at = PLACES[timestamp] ?? { timestamp }
      return at === 'nowhere' ? [] : [{ topic: name, partition: partitionIndex, at }]
    }),
  )
  const outcomes = (await engine.listOffsets(asked)).values()
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }) => {
        const outcome = PLACES[timestamp] === 'nowhere' ? NOWHERE : (outcomes.next().value ?? NOWHERE)
        const { offset, error } = outcome
        return {
          partitionIndex,
          errorCode: kafkaCodeOf(error),
          timestamp: outcome.timestamp,
          offset,
          leaderEpoch: offset < 0 ? -1 : LEADER_EPOCH,
          oldStyleOffsets: version === 0 && offset >= 0 ? [offset] : [],
        }
      }),
    })),
  }
})

const NOWHERE: Pick<ListOffsetsOutcome, 'offset' | 'timestamp' | 'error'> = { offset: -1, timestamp: -1, error: null }
