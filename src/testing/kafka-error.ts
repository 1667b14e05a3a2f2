import { OttlaError } from '../errors.js'
import { check } from './expect.js'

/** Kafka's error numbers that the engine suite asks for, by Kafka's names. */
const KAFKA_ERRORS = {
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  OFFSET_METADATA_TOO_LARGE: 12,
  INVALID_TOPIC_EXCEPTION: 17,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_CONFIG: 40,
  INVALID_REQUEST: 42,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
  GROUP_SUBSCRIBED_TO_TOPIC: 86,
  INVALID_RECORD: 87,
} as const

export type KafkaErrorName = keyof typeof KAFKA_ERRORS

export function isKafkaError(error: unknown, name: KafkaErrorName): error is OttlaError {
  return OttlaError.is(error) && error.kafkaCode === KAFKA_ERRORS[name]
}

/** `error`, as a verb about many answers it, must be an OttlaError with Kafka's number. */
export function checkKafkaError(error: unknown, name: KafkaErrorName, what: string): asserts error is OttlaError {
  const wanted = `${name} (${KAFKA_ERRORS[name]})`
  check(error !== null && error !== undefined, `${what} should be answered with ${wanted}, but went well.`)
  if (isKafkaError(error, name)) return
  const got = OttlaError.is(error) ? `${error.code} (${error.kafkaCode})` : String(error)
  throw new Error(`${what} should be answered with ${wanted}, but was with ${got}.`, { cause: error })
}

/** `act`, a verb about one thing, must reject with an OttlaError with Kafka's number. Returns the error. */
export async function checkKafkaRefusal(
  name: KafkaErrorName,
  act: () => Promise<unknown>,
  what: string,
): Promise<OttlaError> {
  const error: unknown = await act().then(
    () => null,
    (reason: unknown) => reason,
  )
  checkKafkaError(error, name, what)
  return error
}

/** `error` must be null. */
export function checkNoError(error: OttlaError | null, what: string): void {
  if (error !== null) throw new Error(`${what} should go well, but was answered with ${error.code}.`, { cause: error })
}
