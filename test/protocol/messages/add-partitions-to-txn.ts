/** Versions 0 to 3 are of one transaction, the others of several. */
export const addPartitionsToTxn = {
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 5],
  flexible: 3,
  request: {
    transactions: {
      is: '4+',
      array: {
        transactionalId: 'string',
        producerId: 'int64',
        producerEpoch: 'int16',
        verifyOnly: 'bool = false',
        topics: {
          array: {
            name: 'string',
            partitions: '[]int32',
          },
        },
      },
    },
    v3AndBelowTransactionalId: 'string 0-3',
    v3AndBelowProducerId: 'int64 0-3',
    v3AndBelowProducerEpoch: 'int16 0-3',
    v3AndBelowTopics: {
      is: '0-3',
      array: {
        name: 'string',
        partitions: '[]int32',
      },
    },
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16 4+',
    resultsByTransaction: {
      is: '4+',
      array: {
        transactionalId: 'string',
        topicResults: {
          array: {
            name: 'string',
            resultsByPartition: {
              array: {
                partitionIndex: 'int32',
                partitionErrorCode: 'int16',
              },
            },
          },
        },
      },
    },
    resultsByTopicV3AndBelow: {
      is: '0-3',
      array: {
        name: 'string',
        resultsByPartition: {
          array: {
            partitionIndex: 'int32',
            partitionErrorCode: 'int16',
          },
        },
      },
    },
  },
} as const
