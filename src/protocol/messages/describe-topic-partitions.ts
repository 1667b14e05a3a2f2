/** Topics with their partitions, page by page: a cursor says where the next page begins. */
export const describeTopicPartitions = {
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: [0, 0],
  flexible: 0,
  request: {
    topics: {
      array: {
        name: 'string',
      },
    },
    responsePartitionLimit: 'int32 = 2000',
    cursor: {
      is: 'null = null',
      struct: {
        topicName: 'string',
        partitionIndex: 'int32',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32',
    topics: {
      array: {
        errorCode: 'int16',
        name: 'string null',
        topicId: 'uuid',
        isInternal: 'bool = false',
        partitions: {
          array: {
            errorCode: 'int16',
            partitionIndex: 'int32',
            leaderId: 'int32',
            leaderEpoch: 'int32 = -1',
            replicaNodes: '[]int32',
            isrNodes: '[]int32',
            eligibleLeaderReplicas: '[]int32 null = null',
            lastKnownElr: '[]int32 null = null',
            offlineReplicas: '[]int32',
          },
        },
        topicAuthorizedOperations: 'int32 = -2147483648',
      },
    },
    nextCursor: {
      is: 'null = null',
      struct: {
        topicName: 'string',
        partitionIndex: 'int32',
      },
    },
  },
} as const
