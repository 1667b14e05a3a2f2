/** Changes single configs: operation 0 sets, 1 deletes, 2 appends to a list, 3 takes away from it. */
export const incrementalAlterConfigs = {
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: [0, 1],
  flexible: 1,
  request: {
    resources: {
      array: {
        resourceType: 'int8',
        resourceName: 'string',
        configs: {
          array: {
            name: 'string',
            configOperation: 'int8',
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
