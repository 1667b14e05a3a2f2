import type { GroupDescription } from '../../group/group-requests.js'
import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { describeGroups } from '../../protocol/messages/describe-groups.js'
import { type Handler, handler } from '../handler.js'
import { GROUP_OPERATIONS, OPERATIONS_NOT_ASKED } from './topic-response.js'

/** Until then a group that is not there is one that is dead. */
const NOT_FOUND_FROM_VERSION = 6

export const onDescribeGroups: Handler = handler(describeGroups, async (request, { engine, version }) => {
  const authorizedOperations = request.includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_ASKED
  const groups = await engine.describeGroups(request.groups)
  return { groups: groups.map((group) => ({ ...groupResponse(group, version), authorizedOperations })) }
})

function groupResponse(
  { groupId, state, protocolType, protocolName, members, error }: GroupDescription,
  version: number,
) {
  return {
    errorCode: version >= NOT_FOUND_FROM_VERSION ? kafkaCodeOf(error) : 0,
    errorMessage: error === null ? null : error.message,
    groupId,
    groupState: state,
    protocolType,
    protocolData: protocolName,
    members: members.map(({ memberId, instanceId, clientId, clientHost, metadata, assignment }) => ({
      memberId,
      groupInstanceId: instanceId,
      clientId,
      clientHost,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
  }
}
