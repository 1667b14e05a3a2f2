/** Elects leaders of partitions. */
export const electLeaders = {
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexible: 2,
  request: {
    electionType: 'int8 1+',
    topicPartitions: {
      is: 'null',
      array: {
        topic: 'string',
        partitions: '[]int32',
      },
    },
    timeoutMs: 'int32 = 60000',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16 1+',
    replicaElectionResults: {
      array: {
        topic: 'string',
        partitionResult: {
          array: {
            partitionId: 'int32',
            errorCode: 'int16',
            errorMessage: 'string null',
          },
        },
      },
    },
  },
} as const
