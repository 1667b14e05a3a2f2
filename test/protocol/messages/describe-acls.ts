/** Access rules that a filter finds. */
export const describeAcls = {
  key: 29,
  name: 'DescribeAcls',
  versions: [0, 3],
  flexible: 2,
  request: {
    resourceTypeFilter: 'int8',
    resourceNameFilter: 'string null',
    patternTypeFilter: 'int8 1+ = 3',
    principalFilter: 'string null',
    hostFilter: 'string null',
    operation: 'int8',
    permissionType: 'int8',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string null',
    resources: {
      array: {
        resourceType: 'int8',
        resourceName: 'string',
        patternType: 'int8 1+ = 3',
        acls: {
          array: {
            principal: 'string',
            host: 'string',
            operation: 'int8',
            permissionType: 'int8',
          },
        },
      },
    },
  },
} as const
