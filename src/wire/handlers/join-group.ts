import { requiredMemberId } from '../../group/group-errors.js'
import type { JoinGroupRequest } from '../../group/group-requests.js'
import { kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { joinGroup } from '../../protocol/messages/join-group.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

/** From this version on a member without an instance id is told its member id before it joins. */
const MEMBER_ID_REQUIRED_FROM_VERSION = 4
const SKIP_ASSIGNMENT_FROM_VERSION = 9
const NULLABLE_PROTOCOL_FROM_VERSION = 7

export const onJoinGroup: Handler = handler(joinGroup, async (request, context) => {
  const { engine, version, clientId, clientHost, signal } = context
  const joining: JoinGroupRequest = {
    groupId: request.groupId,
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    protocolType: request.protocolType,
    protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: Uint8Array.from(metadata) })),
    sessionTimeoutMs: request.sessionTimeoutMs,
    // Version 0 has one time-out for both.
    rebalanceTimeoutMs: version === 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
    clientId,
    clientHost,
    requireMemberId: version >= MEMBER_ID_REQUIRED_FROM_VERSION,
    supportSkippingAssignment: version >= SKIP_ASSIGNMENT_FROM_VERSION,
    reason: request.reason,
  }
  try {
    const joined = await engine.joinGroup(joining, { signal })
    return {
      errorCode: 0,
      generationId: joined.generationId,
      protocolType: joined.protocolType,
      protocolName: joined.protocolName ?? (version >= NULLABLE_PROTOCOL_FROM_VERSION ? null : ''),
      leader: joined.leader,
      skipAssignment: joined.skipAssignment,
      memberId: joined.memberId,
      members: joined.members.map(({ memberId, instanceId, metadata }) => ({
        memberId,
        groupInstanceId: instanceId,
        metadata,
      })),
    }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return {
      errorCode: kafkaCodeOf(error),
      generationId: -1,
      protocolType: null,
      protocolName: version >= NULLABLE_PROTOCOL_FROM_VERSION ? null : '',
      leader: '',
      memberId: requiredMemberId(error) ?? request.memberId,
      members: [],
    }
  }
})
