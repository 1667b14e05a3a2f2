/** Cluster id, controller and brokers: what every admin tool of Kafka's asks first. */
export const describeCluster = {
  key: 60,
  name: 'DescribeCluster',
  versions: [0, 2],
  flexible: 0,
  request: {
    includeClusterAuthorizedOperations: 'bool',
    endpointType: 'int8 1+ = 1',
    includeFencedBrokers: 'bool 2+',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string null = null',
    endpointType: 'int8 1+ = 1',
    clusterId: 'string',
    controllerId: 'int32 = -1',
    brokers: {
      array: {
        brokerId: 'int32',
        host: 'string',
        port: 'int32',
        rack: 'string null = null',
        isFenced: 'bool 2+',
      },
    },
    clusterAuthorizedOperations: 'int32 = -2147483648',
  },
} as const
