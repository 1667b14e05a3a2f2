import { KafkaError } from '../../protocol/kafka-errors.js'
import { findCoordinator } from '../../protocol/messages/find-coordinator.js'
import { type Handler, handler } from '../handler.js'

const GROUP = 0

/** This broker coordinates every group. Of transactions it says at once that there are none: waiting would not help. */
export const onFindCoordinator: Handler = handler(findCoordinator, ({ key, keyType, coordinatorKeys }, context) => {
  const answer =
    keyType === GROUP
      ? { ...context.node, errorCode: KafkaError.none, errorMessage: null }
      : { nodeId: -1, host: '', port: -1, errorCode: KafkaError.invalidRequest, errorMessage: ONLY_GROUPS }
  return context.version >= 4
    ? { coordinators: coordinatorKeys.map((coordinatorKey) => ({ key: coordinatorKey, ...answer })) }
    : { key, ...answer }
})

const ONLY_GROUPS = 'Only groups have a coordinator here: transactions and share groups are not supported.'
