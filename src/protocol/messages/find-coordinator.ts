/** Who coordinates a group (key type 0) or a transactional id (1). From version 4 on several keys in one request. */
export const findCoordinator = {
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 6],
  flexible: 3,
  request: {
    key: 'string 0-3',
    keyType: 'int8 1+ = 0',
    coordinatorKeys: '[]string 4+',
  },
  response: {
    throttleTimeMs: 'int32 1+',
    errorCode: 'int16 0-3',
    errorMessage: 'string 1-3 null',
    nodeId: 'int32 0-3',
    host: 'string 0-3',
    port: 'int32 0-3',
    coordinators: {
      is: '4+',
      array: {
        key: 'string',
        nodeId: 'int32',
        host: 'string',
        port: 'int32',
        errorCode: 'int16',
        errorMessage: 'string null',
      },
    },
  },
} as const
