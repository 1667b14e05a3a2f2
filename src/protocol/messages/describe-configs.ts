/** Configs of topics (resource type 2) and brokers (4), with where each value comes from. */
export const describeConfigs = {
  key: 32,
  name: 'DescribeConfigs',
  versions: [0, 4],
  flexible: 4,
  request: {
    resources: {
      array: {
        resourceType: 'int8',
        resourceName: 'string',
        configurationKeys: '[]string null',
      },
    },
    includeSynonyms: 'bool 1+ = false',
    includeDocumentation: 'bool 3+ = false',
  },
  response: {
    throttleTimeMs: 'int32',
    results: {
      array: {
        errorCode: 'int16',
        errorMessage: 'string null',
        resourceType: 'int8',
        resourceName: 'string',
        configs: {
          array: {
            name: 'string',
            value: 'string null',
            readOnly: 'bool',
            isDefault: 'bool 0',
            configSource: 'int8 1+ = -1',
            isSensitive: 'bool',
            synonyms: {
              is: '1+',
              array: {
                name: 'string',
                value: 'string null',
                source: 'int8',
              },
            },
            configType: 'int8 3+ = 0',
            documentation: 'string 3+ null',
          },
        },
      },
    },
  },
} as const
