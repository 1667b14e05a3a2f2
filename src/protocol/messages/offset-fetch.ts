/**
 * What a group has committed. From version 2 on null asks for all topics, from version 8 on several groups in one
 * request, in version 10 topics by id.
 */
export const offsetFetch = {
  key: 9,
  name: 'OffsetFetch',
  versions: [0, 10],
  flexible: 6,
  request: {
    groupId: 'string 0-7',
    topics: {
      is: '0-7 null 2-7',
      array: {
        name: 'string',
        partitionIndexes: '[]int32',
      },
    },
    groups: {
      is: '8+',
      array: {
        groupId: 'string',
        memberId: 'string 9+ null = null',
        memberEpoch: 'int32 9+ = -1',
        topics: {
          is: 'null',
          array: {
            name: 'string 8-9',
            topicId: 'uuid 10+',
            partitionIndexes: '[]int32',
          },
        },
      },
    },
    requireStable: 'bool 7+ = false',
  },
  response: {
    throttleTimeMs: 'int32 3+',
    topics: {
      is: '0-7',
      array: {
        name: 'string',
        partitions: {
          array: {
            partitionIndex: 'int32',
            committedOffset: 'int64',
            committedLeaderEpoch: 'int32 5+ = -1',
            metadata: 'string null',
            errorCode: 'int16',
          },
        },
      },
    },
    errorCode: 'int16 2-7 = 0',
    groups: {
      is: '8+',
      array: {
        groupId: 'string',
        topics: {
          array: {
            name: 'string 8-9',
            topicId: 'uuid 10+',
            partitions: {
              array: {
                partitionIndex: 'int32',
                committedOffset: 'int64',
                committedLeaderEpoch: 'int32 = -1',
                metadata: 'string null',
                errorCode: 'int16',
              },
            },
          },
        },
        errorCode: 'int16 = 0',
      },
    },
  },
} as const
