/** Quotas by entity: the one message with a float64. */
export const describeClientQuotas = {
  key: 48,
  name: 'DescribeClientQuotas',
  versions: [0, 1],
  flexible: 1,
  request: {
    components: {
      array: {
        entityType: 'string',
        matchType: 'int8',
        match: 'string null',
      },
    },
    strict: 'bool',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string null',
    entries: {
      is: 'null',
      array: {
        entity: {
          array: {
            entityType: 'string',
            entityName: 'string null',
          },
        },
        values: {
          array: {
            key: 'string',
            value: 'float64',
          },
        },
      },
    },
  },
} as const
