/** State and members of groups. An unknown group is Dead up to version 5, and error 69 in version 6. */
export const describeGroups = {
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 6],
  flexible: 5,
  request: {
    groups: '[]string',
    includeAuthorizedOperations: 'bool 3+',
  },
  response: {
    throttleTimeMs: 'int32 1+',
    groups: {
      array: {
        errorCode: 'int16',
        errorMessage: 'string 6+ null = null',
        groupId: 'string',
        groupState: 'string',
        protocolType: 'string',
        protocolData: 'string',
        members: {
          array: {
            memberId: 'string',
            groupInstanceId: 'string 4+ null = null',
            clientId: 'string',
            clientHost: 'string',
            memberMetadata: 'bytes',
            memberAssignment: 'bytes',
          },
        },
        authorizedOperations: 'int32 3+ = -2147483648',
      },
    },
  },
} as const
