/** The heartbeat of the newer consumer groups. */
export const consumerGroupHeartbeat = {
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  flexible: 0,
  request: {
    groupId: 'string',
    memberId: 'string',
    memberEpoch: 'int32',
    instanceId: 'string null = null',
    rackId: 'string null = null',
    rebalanceTimeoutMs: 'int32 = -1',
    subscribedTopicNames: '[]string null = null',
    subscribedTopicRegex: 'string 1+ null = null',
    serverAssignor: 'string null = null',
    topicPartitions: {
      is: 'null = null',
      array: {
        topicId: 'uuid',
        partitions: '[]int32',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string null = null',
    memberId: 'string null = null',
    memberEpoch: 'int32',
    heartbeatIntervalMs: 'int32',
    assignment: {
      is: 'null = null',
      struct: {
        topicPartitions: {
          array: {
            topicId: 'uuid',
            partitions: '[]int32',
          },
        },
      },
    },
  },
} as const
