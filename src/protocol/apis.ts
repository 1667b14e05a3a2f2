import type { Api } from './message-table.js'
import { alterConfigs } from './messages/alter-configs.js'
import { apiVersions } from './messages/api-versions.js'
import { createPartitions } from './messages/create-partitions.js'
import { createTopics } from './messages/create-topics.js'
import { deleteGroups } from './messages/delete-groups.js'
import { deleteRecords } from './messages/delete-records.js'
import { deleteTopics } from './messages/delete-topics.js'
import { describeCluster } from './messages/describe-cluster.js'
import { describeConfigs } from './messages/describe-configs.js'
import { describeGroups } from './messages/describe-groups.js'
import { describeTopicPartitions } from './messages/describe-topic-partitions.js'
import { fetch } from './messages/fetch.js'
import { findCoordinator } from './messages/find-coordinator.js'
import { heartbeat } from './messages/heartbeat.js'
import { incrementalAlterConfigs } from './messages/incremental-alter-configs.js'
import { initProducerId } from './messages/init-producer-id.js'
import { joinGroup } from './messages/join-group.js'
import { leaveGroup } from './messages/leave-group.js'
import { listGroups } from './messages/list-groups.js'
import { listOffsets } from './messages/list-offsets.js'
import { metadata } from './messages/metadata.js'
import { offsetCommit } from './messages/offset-commit.js'
import { offsetDelete } from './messages/offset-delete.js'
import { offsetFetch } from './messages/offset-fetch.js'
import { offsetForLeaderEpoch } from './messages/offset-for-leader-epoch.js'
import { produce } from './messages/produce.js'
import { saslAuthenticate } from './messages/sasl-authenticate.js'
import { saslHandshake } from './messages/sasl-handshake.js'
import { syncGroup } from './messages/sync-group.js'

/**
 * The APIs that ottla speaks, by Kafka's numbers, in exactly the versions that real clients need. A range that starts
 * at 0 often does so because some client gives up without it: librdkafka up to 2.11 looks for single old versions,
 * kafka-python guesses the broker's age from them, and old sarama sends them whatever it is told. Transactions and
 * Kafka's newer group protocol are not spoken.
 */
export const APIS: readonly Api[] = [
  produce,
  fetch,
  listOffsets,
  metadata,
  offsetCommit,
  offsetFetch,
  findCoordinator,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  saslHandshake,
  apiVersions,
  createTopics,
  deleteTopics,
  deleteRecords,
  initProducerId,
  offsetForLeaderEpoch,
  describeConfigs,
  alterConfigs,
  saslAuthenticate,
  createPartitions,
  deleteGroups,
  incrementalAlterConfigs,
  offsetDelete,
  describeCluster,
  describeTopicPartitions,
]
