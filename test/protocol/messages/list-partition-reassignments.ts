/** Reassignments that are going on. */
export const listPartitionReassignments = {
  key: 46,
  name: 'ListPartitionReassignments',
  versions: [0, 0],
  flexible: 0,
  request: {
    timeoutMs: 'int32 = 60000',
    topics: {
      is: 'null = null',
      array: {
        name: 'string',
        partitionIndexes: '[]int32',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string null',
    topics: {
      array: {
        name: 'string',
        partitions: {
          array: {
            partitionIndex: 'int32',
            replicas: '[]int32',
            addingReplicas: '[]int32',
            removingReplicas: '[]int32',
          },
        },
      },
    },
  },
} as const
