import type { Api } from '../../src/protocol/message-table.js'
import { addOffsetsToTxn } from './messages/add-offsets-to-txn.js'
import { addPartitionsToTxn } from './messages/add-partitions-to-txn.js'
import { consumerGroupDescribe } from './messages/consumer-group-describe.js'
import { consumerGroupHeartbeat } from './messages/consumer-group-heartbeat.js'
import { describeAcls } from './messages/describe-acls.js'
import { describeClientQuotas } from './messages/describe-client-quotas.js'
import { describeLogDirs } from './messages/describe-log-dirs.js'
import { electLeaders } from './messages/elect-leaders.js'
import { endTxn } from './messages/end-txn.js'
import { getTelemetrySubscriptions } from './messages/get-telemetry-subscriptions.js'
import { listPartitionReassignments } from './messages/list-partition-reassignments.js'
import { listTransactions } from './messages/list-transactions.js'
import { txnOffsetCommit } from './messages/txn-offset-commit.js'

/**
 * APIs that ottla does not speak, but whose frames were captured beside those that it does. Their tables show that the
 * grammar holds for the whole protocol.
 */
export const OTHER_APIS: readonly Api[] = [
  addOffsetsToTxn,
  addPartitionsToTxn,
  consumerGroupDescribe,
  consumerGroupHeartbeat,
  describeAcls,
  describeClientQuotas,
  describeLogDirs,
  electLeaders,
  endTxn,
  getTelemetrySubscriptions,
  listPartitionReassignments,
  listTransactions,
  txnOffsetCommit,
]
