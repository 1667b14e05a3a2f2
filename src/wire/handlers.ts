import { APIS } from '../protocol/apis.js'
import type { Handler } from './handler.js'
import { onAlterConfigs, onIncrementalAlterConfigs } from './handlers/alter-configs.js'
import { onApiVersions } from './handlers/api-versions.js'
import { onCreatePartitions } from './handlers/create-partitions.js'
import { onCreateTopics } from './handlers/create-topics.js'
import { onDeleteGroups } from './handlers/delete-groups.js'
import { onDeleteRecords } from './handlers/delete-records.js'
import { onDeleteTopics } from './handlers/delete-topics.js'
import { onDescribeCluster } from './handlers/describe-cluster.js'
import { onDescribeConfigs } from './handlers/describe-configs.js'
import { onDescribeGroups } from './handlers/describe-groups.js'
import { onDescribeTopicPartitions } from './handlers/describe-topic-partitions.js'
import { onFetch } from './handlers/fetch.js'
import { onFindCoordinator } from './handlers/find-coordinator.js'
import { onHeartbeat } from './handlers/heartbeat.js'
import { onInitProducerId } from './handlers/init-producer-id.js'
import { onJoinGroup } from './handlers/join-group.js'
import { onLeaveGroup } from './handlers/leave-group.js'
import { onListGroups } from './handlers/list-groups.js'
import { onListOffsets } from './handlers/list-offsets.js'
import { onMetadata } from './handlers/metadata.js'
import { onOffsetCommit } from './handlers/offset-commit.js'
import { onOffsetDelete } from './handlers/offset-delete.js'
import { onOffsetFetch } from './handlers/offset-fetch.js'
import { onOffsetForLeaderEpoch } from './handlers/offset-for-leader-epoch.js'
import { onProduce } from './handlers/produce.js'
import { onSaslAuthenticate } from './handlers/sasl-authenticate.js'
import { onSaslHandshake } from './handlers/sasl-handshake.js'
import { onSyncGroup } from './handlers/sync-group.js'

const HANDLERS: readonly Handler[] = [
  onAlterConfigs,
  onApiVersions,
  onCreatePartitions,
  onCreateTopics,
  onDeleteGroups,
  onDeleteRecords,
  onDeleteTopics,
  onDescribeCluster,
  onDescribeConfigs,
  onDescribeGroups,
  onDescribeTopicPartitions,
  onFetch,
  onFindCoordinator,
  onHeartbeat,
  onIncrementalAlterConfigs,
  onInitProducerId,
  onJoinGroup,
  onLeaveGroup,
  onListGroups,
  onListOffsets,
  onMetadata,
  onOffsetCommit,
  onOffsetDelete,
  onOffsetFetch,
  onOffsetForLeaderEpoch,
  onProduce,
  onSaslAuthenticate,
  onSaslHandshake,
  onSyncGroup,
]

/** What the listener answers, and so what it says that it speaks: by Kafka's numbers, in their order. */
export function handlersByKey(): ReadonlyMap<number, Handler> {
  const byKey = new Map(HANDLERS.map((each) => [each.api.key, each]))
  const spoken = APIS.flatMap(({ key }) => byKey.get(key) ?? [])
  return new Map(spoken.map((each) => [each.api.key, each]))
}
