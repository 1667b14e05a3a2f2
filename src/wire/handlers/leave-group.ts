import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { leaveGroup } from '../../protocol/messages/leave-group.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

/** Up to version 2 one member leaves, and its error is the whole answer. */
const SEVERAL_FROM_VERSION = 3

export const onLeaveGroup: Handler = handler(leaveGroup, async ({ groupId, memberId, members }, context) => {
  const isSeveral = context.version >= SEVERAL_FROM_VERSION
  const leaving = isSeveral
    ? members.map((member) => ({ memberId: member.memberId, instanceId: member.groupInstanceId }))
    : [{ memberId, instanceId: null }]
  try {
    const left = await context.engine.leaveGroup({ groupId, members: leaving })
    return {
      errorCode: isSeveral ? 0 : kafkaCodeOf(left[0]?.error),
      members: left.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        errorCode: kafkaCodeOf(member.error),
      })),
    }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return { errorCode: kafkaCodeOf(error) }
  }
})
