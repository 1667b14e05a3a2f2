/** Takes members out of a group. From version 3 on several at once, also by their instance ids. */
export const leaveGroup = {
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: 'string',
    memberId: 'string 0-2',
    members: {
      is: '3+',
      array: {
        memberId: 'string',
        groupInstanceId: 'string null = null',
        reason: 'string 5+ null = null',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32 1+',
    errorCode: 'int16',
    members: {
      is: '3+',
      array: {
        memberId: 'string',
        groupInstanceId: 'string null',
        errorCode: 'int16',
      },
    },
  },
} as const
