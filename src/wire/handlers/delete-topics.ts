import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { deleteTopics } from '../../protocol/messages/delete-topics.js'
import { type Handler, handler } from '../handler.js'

const BY_ID_FROM_VERSION = 6
/** Older clients do not know the error by its number. */
const DISABLED_FROM_VERSION = 3

export const onDeleteTopics: Handler = handler(deleteTopics, async ({ topics, topicNames }, context) => {
  const { engine, topicIds, version } = context
  if (version >= BY_ID_FROM_VERSION) await topicIds.refresh()
  const asked =
    version >= BY_ID_FROM_VERSION
      ? topics.map(({ name, topicId }) => ({ name: name ?? topicIds.nameOf(topicId), topicId }))
      : topicNames.map((name) => ({ name, topicId: '' }))
  if (!context.deleteTopics) return { responses: asked.map(({ name, topicId }) => disabled(name, topicId, version)) }
  const names = asked.flatMap(({ name }) => (name === undefined ? [] : [name]))
  const outcomes = (await engine.deleteTopics(names)).values()
  return {
    responses: asked.map(({ name, topicId }) => {
      if (name === undefined) {
        return { name: null, topicId, errorCode: KafkaError.unknownTopicId, errorMessage: 'No topic has this id' }
      }
      const outcome = outcomes.next().value
      const error = outcome?.error ?? null
      return {
        name,
        topicId: outcome?.topicId || topicId,
        errorCode: kafkaCodeOf(error),
        errorMessage: error === null ? null : error.message,
      }
    }),
  }
})

function disabled(name: string | undefined, topicId: string, version: number) {
  const errorCode = version < DISABLED_FROM_VERSION ? KafkaError.invalidRequest : KafkaError.topicDeletionDisabled
  return { name: name ?? null, topicId, errorCode, errorMessage: 'Topic deletion is disabled.' }
}
