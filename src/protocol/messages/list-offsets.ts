/**
 * The offset at a time, or at -1 the end, -2 the start, -3 the largest timestamp (from version 7 on), -4 and -5
 * places of tiered storage. Version 0 answers with a list of segments' base offsets.
 */
export const listOffsets = {
  key: 2,
  name: 'ListOffsets',
  versions: [0, 11],
  flexible: 6,
  request: {
    replicaId: 'int32',
    isolationLevel: 'int8 2+',
    topics: {
      array: {
        name: 'string',
        partitions: {
          array: {
            partitionIndex: 'int32',
            currentLeaderEpoch: 'int32 4+ = -1',
            timestamp: 'int64',
            maxNumOffsets: 'int32 0 = 1',
          },
        },
      },
    },
    timeoutMs: 'int32 10+',
  },
  response: {
    throttleTimeMs: 'int32 2+',
    topics: {
      array: {
        name: 'string',
        partitions: {
          array: {
            partitionIndex: 'int32',
            errorCode: 'int16',
            oldStyleOffsets: '[]int64 0',
            timestamp: 'int64 1+ = -1',
            offset: 'int64 1+ = -1',
            leaderEpoch: 'int32 4+ = -1',
          },
        },
      },
    },
  },
} as const
