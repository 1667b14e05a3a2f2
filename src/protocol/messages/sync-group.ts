/** Hands in the leader's assignments, and answers each member with its own. */
export const syncGroup = {
  key: 14,
  name: 'SyncGroup',
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: 'string',
    generationId: 'int32',
    memberId: 'string',
    groupInstanceId: 'string 3+ null = null',
    protocolType: 'string 5+ null = null',
    protocolName: 'string 5+ null = null',
    assignments: {
      array: {
        memberId: 'string',
        assignment: 'bytes',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32 1+',
    errorCode: 'int16',
    protocolType: 'string 5+ null = null',
    protocolName: 'string 5+ null = null',
    assignment: 'bytes',
  },
} as const
