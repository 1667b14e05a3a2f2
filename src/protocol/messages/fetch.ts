/**
 * Reads batches, and waits for them. Versions 0 to 3 would need batches in older formats, and Kafka has dropped
 * them too. From version 7 on a client may ask for a session, which an answer with session id 0 declines; from
 * version 13 on topics are named by id.
 */
export const fetch = {
  key: 1,
  name: 'Fetch',
  versions: [4, 18],
  flexible: 12,
  request: {
    clusterId: 'string 12+ null tag 0 = null',
    replicaId: 'int32 4-14 = -1',
    replicaState: {
      is: '15+ tag 1',
      struct: {
        replicaId: 'int32 = -1',
        replicaEpoch: 'int64 = -1',
      },
    },
    maxWaitMs: 'int32',
    minBytes: 'int32',
    maxBytes: 'int32 = 0x7fffffff',
    isolationLevel: 'int8 = 0',
    sessionId: 'int32 7+ = 0',
    sessionEpoch: 'int32 7+ = -1',
    topics: {
      array: {
        topic: 'string 4-12',
        topicId: 'uuid 13+',
        partitions: {
          array: {
            partition: 'int32',
            currentLeaderEpoch: 'int32 9+ = -1',
            fetchOffset: 'int64',
            lastFetchedEpoch: 'int32 12+ = -1',
            logStartOffset: 'int64 5+ = -1',
            partitionMaxBytes: 'int32',
            replicaDirectoryId: 'uuid 17+ tag 0',
            highWatermark: 'int64 18+ tag 1 = 9223372036854775807',
          },
        },
      },
    },
    forgottenTopicsData: {
      is: '7+',
      array: {
        topic: 'string 7-12',
        topicId: 'uuid 13+',
        partitions: '[]int32',
      },
    },
    rackId: 'string 11+ =',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16 7+',
    sessionId: 'int32 7+ = 0',
    responses: {
      array: {
        topic: 'string 4-12',
        topicId: 'uuid 13+',
        partitions: {
          array: {
            partitionIndex: 'int32',
            errorCode: 'int16',
            highWatermark: 'int64',
            lastStableOffset: 'int64 = -1',
            logStartOffset: 'int64 5+ = -1',
            divergingEpoch: {
              is: '12+ tag 0',
              struct: {
                epoch: 'int32 = -1',
                endOffset: 'int64 = -1',
              },
            },
            currentLeader: {
              is: '12+ tag 1',
              struct: {
                leaderId: 'int32 = -1',
                leaderEpoch: 'int32 = -1',
              },
            },
            snapshotId: {
              is: '12+ tag 2',
              struct: {
                endOffset: 'int64 = -1',
                epoch: 'int32 = -1',
              },
            },
            abortedTransactions: {
              is: 'null',
              array: {
                producerId: 'int64',
                firstOffset: 'int64',
              },
            },
            preferredReadReplica: 'int32 11+ = -1',
            records: 'records null',
          },
        },
      },
    },
    nodeEndpoints: {
      is: '16+ tag 0',
      array: {
        nodeId: 'int32',
        host: 'string',
        port: 'int32',
        rack: 'string null = null',
      },
    },
  },
} as const
