/**
 * Appends batches. Versions 0 to 2 carry messages of formats v0 and v1, the others one batch of format v2 per
 * partition; version 13 names topics by id. Nothing answers a request with acks 0. Version 0 has to be offered, or
 * librdkafka sends uncompressed what it was told to compress.
 */
export const produce = {
  key: 0,
  name: 'Produce',
  versions: [0, 13],
  flexible: 9,
  request: {
    transactionalId: 'string 3+ null = null',
    acks: 'int16',
    timeoutMs: 'int32',
    topicData: {
      array: {
        name: 'string 0-12',
        topicId: 'uuid 13+',
        partitionData: {
          array: {
            index: 'int32',
            records: 'records null',
          },
        },
      },
    },
  },
  response: {
    responses: {
      array: {
        name: 'string 0-12',
        topicId: 'uuid 13+',
        partitionResponses: {
          array: {
            index: 'int32',
            errorCode: 'int16',
            baseOffset: 'int64',
            logAppendTimeMs: 'int64 2+ = -1',
            logStartOffset: 'int64 5+ = -1',
            recordErrors: {
              is: '8+',
              array: {
                batchIndex: 'int32',
                batchIndexErrorMessage: 'string null = null',
              },
            },
            errorMessage: 'string 8+ null = null',
            currentLeader: {
              is: '10+ tag 0',
              struct: {
                leaderId: 'int32 = -1',
                leaderEpoch: 'int32 = -1',
              },
            },
          },
        },
      },
    },
    throttleTimeMs: 'int32 1+ = 0',
    nodeEndpoints: {
      is: '10+ tag 0',
      array: {
        nodeId: 'int32',
        host: 'string',
        port: 'int32',
        rack: 'string null = null',
      },
    },
  },
} as const
