import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { offsetDelete } from '../../protocol/messages/offset-delete.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

export const onOffsetDelete: Handler = handler(offsetDelete, async ({ groupId, topics }, { engine }) => {
  const partitions = topics.flatMap(({ name, partitions: asked }) =>
    asked.map(({ partitionIndex: partition }) => ({ topic: name, partition })),
  )
  try {
    const results = await engine.deleteOffsets({ groupId, partitions })
    let at = 0
    return {
      errorCode: 0,
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions: asked }) => ({
        name,
        partitions: asked.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: kafkaCodeOf(results[at++]?.error ?? null),
        })),
      })),
    }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return { errorCode: kafkaCodeOf(error), throttleTimeMs: 0, topics: [] }
  }
})
