import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { deleteRecords } from '../../protocol/messages/delete-records.js'
import { type Handler, handler } from '../handler.js'

export const onDeleteRecords: Handler = handler(deleteRecords, async ({ topics }, { engine }) => {
  const asked = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, offset }) => ({ topic: name, partition: partitionIndex, beforeOffset: offset })),
  )
  const outcomes = (await engine.deleteRecords(asked)).values()
  return {
    throttleTimeMs: 0,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const { lowWatermark = -1, error = null } = outcomes.next().value ?? {}
        return { partitionIndex, lowWatermark, errorCode: kafkaCodeOf(error) }
      }),
    })),
  }
})
