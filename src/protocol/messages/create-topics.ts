/**
 * Creates topics. From version 4 on -1 partitions or replicas are the broker's defaults, from version 5 on the
 * answer has the configs.
 */
export const createTopics = {
  key: 19,
  name: 'CreateTopics',
  versions: [0, 7],
  flexible: 5,
  request: {
    topics: {
      array: {
        name: 'string',
        numPartitions: 'int32',
        replicationFactor: 'int16',
        assignments: {
          array: {
            partitionIndex: 'int32',
            brokerIds: '[]int32',
          },
        },
        configs: {
          array: {
            name: 'string',
            value: 'string null',
          },
        },
      },
    },
    timeoutMs: 'int32 = 60000',
    validateOnly: 'bool 1+ = false',
  },
  response: {
    throttleTimeMs: 'int32 2+',
    topics: {
      array: {
        name: 'string',
        topicId: 'uuid 7+',
        errorCode: 'int16',
        errorMessage: 'string 1+ null',
        topicConfigErrorCode: 'int16 5+ tag 0',
        numPartitions: 'int32 5+ = -1',
        replicationFactor: 'int16 5+ = -1',
        configs: {
          is: '5+ null',
          array: {
            name: 'string',
            value: 'string null',
            readOnly: 'bool',
            configSource: 'int8 = -1',
            isSensitive: 'bool',
          },
        },
      },
    },
  },
} as const
