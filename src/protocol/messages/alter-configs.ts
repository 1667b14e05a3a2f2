/** Replaces all configs of a resource: what is not named goes back to its default. */
export const alterConfigs = {
  key: 33,
  name: 'AlterConfigs',
  versions: [0, 2],
  flexible: 2,
  request: {
    resources: {
      array: {
        resourceType: 'int8',
        resourceName: 'string',
        configs: {
          array: {
            name: 'string',
            value: 'string null',
          },
        },
      },
    },
    validateOnly: 'bool',
  },
  response: {
    throttleTimeMs: 'int32',
    responses: {
      array: {
        errorCode: 'int16',
        errorMessage: 'string null',
        resourceType: 'int8',
        resourceName: 'string',
      },
    },
  },
} as const
