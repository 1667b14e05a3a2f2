/**
 * Commits offsets of a group. Version 0 belongs to a group without members; version 1 has a time for each offset,
 * versions 2 to 4 how long to keep them, both without effect. Version 10 names topics by id.
 */
export const offsetCommit = {
  key: 8,
  name: 'OffsetCommit',
  versions: [0, 10],
  flexible: 8,
  request: {
    groupId: 'string',
    generationIdOrMemberEpoch: 'int32 1+ = -1',
    memberId: 'string 1+',
    groupInstanceId: 'string 7+ null = null',
    retentionTimeMs: 'int64 2-4 = -1',
    topics: {
      array: {
        name: 'string 0-9',
        topicId: 'uuid 10+',
        partitions: {
          array: {
            partitionIndex: 'int32',
            committedOffset: 'int64',
            committedLeaderEpoch: 'int32 6+ = -1',
            commitTimestamp: 'int64 1 = -1',
            committedMetadata: 'string null',
          },
        },
      },
    },
  },
  response: {
    throttleTimeMs: 'int32 3+',
    topics: {
      array: {
        name: 'string 0-9',
        topicId: 'uuid 10+',
        partitions: {
          array: {
            partitionIndex: 'int32',
            errorCode: 'int16',
          },
        },
      },
    },
  },
} as const
