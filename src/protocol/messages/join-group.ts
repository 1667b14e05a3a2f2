/**
 * Makes a client a member, or has it take part in the next generation. From version 4 on a member without an
 * instance id is first told its member id (error 79).
 */
export const joinGroup = {
  key: 11,
  name: 'JoinGroup',
  versions: [0, 9],
  flexible: 6,
  request: {
    groupId: 'string',
    sessionTimeoutMs: 'int32',
    rebalanceTimeoutMs: 'int32 1+ = -1',
    memberId: 'string',
    groupInstanceId: 'string 5+ null = null',
    protocolType: 'string',
    protocols: {
      array: {
        name: 'string',
        metadata: 'bytes',
      },
    },
    reason: 'string 8+ null = null',
  },
  response: {
    throttleTimeMs: 'int32 2+',
    errorCode: 'int16',
    generationId: 'int32 = -1',
    protocolType: 'string 7+ null = null',
    protocolName: 'string null 7+',
    leader: 'string',
    skipAssignment: 'bool 9+ = false',
    memberId: 'string',
    members: {
      array: {
        memberId: 'string',
        groupInstanceId: 'string 5+ null = null',
        metadata: 'bytes',
      },
    },
  },
} as const
