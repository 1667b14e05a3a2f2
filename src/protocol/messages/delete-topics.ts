/** Deletes topics, in version 6 by name or id. */
export const deleteTopics = {
  key: 20,
  name: 'DeleteTopics',
  versions: [0, 6],
  flexible: 4,
  request: {
    topics: {
      is: '6+',
      array: {
        name: 'string null = null',
        topicId: 'uuid',
      },
    },
    topicNames: '[]string 0-5',
    timeoutMs: 'int32',
  },
  response: {
    throttleTimeMs: 'int32 1+',
    responses: {
      array: {
        name: 'string null 6+',
        topicId: 'uuid 6+',
        errorCode: 'int16',
        errorMessage: 'string 5+ null = null',
      },
    },
  },
} as const
