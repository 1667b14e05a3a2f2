/**
 * Brokers and topics. No topics are asked for by an empty array from version 1 on, all topics by null; version 0
 * asks for all by an empty array. From version 10 on topics have ids, from version 12 on they can be asked for by
 * id.
 */
export const metadata = {
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexible: 9,
  request: {
    topics: {
      is: 'null 1+',
      array: {
        topicId: 'uuid 10+',
        name: 'string null 10+',
      },
    },
    allowAutoTopicCreation: 'bool 4+ = true',
    includeClusterAuthorizedOperations: 'bool 8-10',
    includeTopicAuthorizedOperations: 'bool 8+',
  },
  response: {
    throttleTimeMs: 'int32 3+',
    brokers: {
      array: {
        nodeId: 'int32',
        host: 'string',
        port: 'int32',
        rack: 'string 1+ null = null',
      },
    },
    clusterId: 'string 2+ null = null',
    controllerId: 'int32 1+ = -1',
    topics: {
      array: {
        errorCode: 'int16',
        name: 'string null 12+',
        topicId: 'uuid 10+',
        isInternal: 'bool 1+ = false',
        partitions: {
          array: {
            errorCode: 'int16',
            partitionIndex: 'int32',
            leaderId: 'int32',
            leaderEpoch: 'int32 7+ = -1',
            replicaNodes: '[]int32',
            isrNodes: '[]int32',
            offlineReplicas: '[]int32 5+',
          },
        },
        topicAuthorizedOperations: 'int32 8+ = -2147483648',
      },
    },
    clusterAuthorizedOperations: 'int32 8-10 = -2147483648',
    errorCode: 'int16 13+',
  },
} as const
