import { OttlaError } from '../errors.js'

/*
 * Kafka's error numbers. What an engine refuses comes as an OttlaError, which knows its number; here are those that only
 * a protocol can need, since they speak of requests, of other brokers or of what Kafka has and ottla has not.
 */
export const KafkaError = {
  none: 0,
  unknownServerError: -1,
  unknownTopicOrPartition: 3,
  invalidRequiredAcks: 21,
  illegalGeneration: 22,
  unsupportedSaslMechanism: 33,
  illegalSaslState: 34,
  unsupportedVersion: 35,
  invalidPartitions: 37,
  invalidReplicationFactor: 38,
  invalidReplicaAssignment: 39,
  invalidConfig: 40,
  invalidRequest: 42,
  saslAuthenticationFailed: 58,
  fetchSessionIdNotFound: 70,
  topicDeletionDisabled: 73,
  unknownLeaderEpoch: 75,
  unsupportedCompressionType: 76,
  invalidRecord: 87,
  unknownTopicId: 100,
} as const

/** The number that a response carries for what a verb answered or threw; 0 where all went well. */
export function kafkaCodeOf(error: unknown): number {
  if (error === null || error === undefined) return KafkaError.none
  return OttlaError.is(error) ? error.kafkaCode : KafkaError.unknownServerError
}
