import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { heartbeat } from '../../protocol/messages/heartbeat.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

export const onHeartbeat: Handler = handler(heartbeat, async (request, { engine }) => {
  const { groupId, generationId, memberId, groupInstanceId } = request
  try {
    await engine.heartbeat({ groupId, generationId, memberId, instanceId: groupInstanceId })
    return { errorCode: 0 }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return { errorCode: kafkaCodeOf(error) }
  }
})
