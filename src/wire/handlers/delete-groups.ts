import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { deleteGroups } from '../../protocol/messages/delete-groups.js'
import { type Handler, handler } from '../handler.js'

export const onDeleteGroups: Handler = handler(deleteGroups, async ({ groupsNames }, { engine }) => {
  const deleted = await engine.deleteGroups(groupsNames)
  return {
    throttleTimeMs: 0,
    results: deleted.map(({ groupId, error }) => ({ groupId, errorCode: kafkaCodeOf(error) })),
  }
})
