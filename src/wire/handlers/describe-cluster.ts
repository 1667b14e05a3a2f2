import { KafkaError } from '../../protocol/kafka-errors.js'
import { describeCluster } from '../../protocol/messages/describe-cluster.js'
import { type Handler, handler } from '../handler.js'
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED } from './topic-response.js'

const BROKERS = 1

export const onDescribeCluster: Handler = handler(describeCluster, async (request, { engine, node }) => {
  const { endpointType, includeClusterAuthorizedOperations } = request
  const { clusterId } = await engine.metadata({ topics: [] })
  const { nodeId, host, port } = node
  const isOfBrokers = endpointType === BROKERS
  return {
    throttleTimeMs: 0,
    errorCode: isOfBrokers ? KafkaError.none : KafkaError.invalidRequest,
    errorMessage: isOfBrokers ? null : 'Only brokers listen here: ask for endpoints of type 1',
    endpointType,
    clusterId,
    controllerId: nodeId,
    brokers: [{ brokerId: nodeId, host, port, isFenced: false }],
    clusterAuthorizedOperations: includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_ASKED,
  }
})
