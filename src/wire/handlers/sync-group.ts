import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { syncGroup } from '../../protocol/messages/sync-group.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

/** The assignments are copied: the group keeps them, and the frame is much larger. */
export const onSyncGroup: Handler = handler(syncGroup, async (request, { engine, signal }) => {
  const { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName } = request
  const assignments = request.assignments.map((each) => ({
    memberId: each.memberId,
    assignment: Uint8Array.from(each.assignment),
  }))
  try {
    const member = { groupId, generationId, memberId, instanceId: groupInstanceId }
    const synced = await engine.syncGroup({ ...member, protocolType, protocolName, assignments }, { signal })
    return { errorCode: 0, ...synced }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return { errorCode: kafkaCodeOf(error), protocolType: null, protocolName: null, assignment: new Uint8Array(0) }
  }
})
