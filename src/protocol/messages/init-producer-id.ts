/** Gives an idempotent producer its id. Version 6 is not stable in Kafka either. */
export const initProducerId = {
  key: 22,
  name: 'InitProducerId',
  versions: [0, 5],
  flexible: 2,
  request: {
    transactionalId: 'string null',
    transactionTimeoutMs: 'int32',
    producerId: 'int64 3+ = -1',
    producerEpoch: 'int16 3+ = -1',
  },
  response: {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    producerId: 'int64 = -1',
    producerEpoch: 'int16',
  },
} as const
