export { Broker, type BrokerMetrics, type BrokerOptions, type IdleOptions } from './broker.js'
export type { AssignableMember, CustomAssignor } from './client/assignors/custom-assignor.js'
export type { Client, GroupDescription, ResetOptions } from './client/client.js'
export type { CommitDiagnostics } from './client/commit-channel.js'
export type { ConsumerGroup } from './client/consumer-group.js'
export { type DeadLetter, deadLetterOf } from './client/dead-letters.js'
export type { Delivery } from './client/delivery.js'
export type { Batch } from './client/dispatch.js'
export type { GroupEvents } from './client/events.js'
export type { GroupCounts } from './client/group-counters.js'
export type { PartitionLag } from './client/group-lag.js'
export type { BatchOptions, GroupOptions, MessagesOptions, RunOptions } from './client/group-options.js'
export type { Histogram } from './client/latency-histogram.js'
export type { Message, MessageHeaders, MessageOf, OutgoingMessage, SendResult } from './client/message.js'
export type { MessageStream } from './client/message-iterator.js'
export type { GroupMetrics, ProducerMetrics } from './client/metrics.js'
export type { Partitioner } from './client/partitioner.js'
export type { Position } from './client/position.js'
export type { Abortable, Producer } from './client/producer.js'
export type { ProducerCounts } from './client/producer-counters.js'
export type { ProducerOptions } from './client/producer-options.js'
export type { ReaderOptions } from './client/reader.js'
export type { RedriveOptions, RedriveResult } from './client/redrive.js'
export type { Backoff, FailureOptions, RetryOptions } from './client/retry.js'
export { type AnyTopic, Topic, type TopicArguments, type TopicConfig, type TopicOptions } from './client/topic.js'
export type { DeliverDiagnostics, SendDiagnostics, TracedMessage } from './client/tracing.js'
export { bytes } from './codec/bytes.js'
export type { Codec, StandardSchema } from './codec/codec.js'
export { json } from './codec/json.js'
export { msgpack } from './codec/msgpack.js'
export { schema } from './codec/schema.js'
export { string } from './codec/string.js'
export type { PartitionExtent } from './engine/embedded-engine.js'
export { type Damage, ERROR_CODES, type ErrorCode, OttlaError } from './errors.js'
export { decodeBatches } from './record/encoded-batch.js'
export type { CompressionType, RecordBatch, RecordCursor, RecordHeader } from './record/record-batch.js'
export { FileStorage } from './storage/file/file-storage.js'
export type { FileStorageOptions } from './storage/file/file-storage-options.js'
export { MemoryStorage, type MemoryStorageOptions } from './storage/memory-storage.js'
export type {
  MovedOffset,
  PartitionOptions,
  PartitionStorage,
  RecoveryReport,
  Repair,
  RewrittenTail,
  Segment,
  Snapshot,
  Storage,
  StorageContext,
  TopicPartition,
  TornTail,
} from './storage/storage.js'
export type { Clock } from './time/clock.js'
