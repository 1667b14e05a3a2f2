/** All groups, from version 4 on by state, in version 5 by type. */
export const listGroups = {
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexible: 3,
  request: {
    statesFilter: '[]string 4+',
    typesFilter: '[]string 5+',
  },
  response: {
    throttleTimeMs: 'int32 1+',
    errorCode: 'int16',
    groups: {
      array: {
        groupId: 'string',
        protocolType: 'string',
        groupState: 'string 4+',
        groupType: 'string 5+',
      },
    },
  },
} as const
