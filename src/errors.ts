/**
 * One row per error code: Kafka's number for it on the wire (-1, UNKNOWN_SERVER_ERROR, where Kafka has no such
 * error) and whether the same call may succeed when it is made again. Each code has a heading in docs/errors.md.
 */
const ERRORS = {
  OTTLA_ALREADY_RUNNING: { kafkaCode: -1, retriable: false },
  OTTLA_ASSIGNOR_FAILED: { kafkaCode: -1, retriable: false },
  OTTLA_CLOSED: { kafkaCode: -1, retriable: false },
  OTTLA_CLOSE_TIMEOUT: { kafkaCode: -1, retriable: false },
  OTTLA_CODEC_MISMATCH: { kafkaCode: -1, retriable: false },
  OTTLA_CORRUPTION: { kafkaCode: 2, retriable: false },
  OTTLA_DEAD_LETTER_FAILED: { kafkaCode: -1, retriable: false },
  OTTLA_DECODE: { kafkaCode: -1, retriable: false },
  OTTLA_ENCODE: { kafkaCode: -1, retriable: false },
  OTTLA_FENCED_INSTANCE_ID: { kafkaCode: 82, retriable: false },
  OTTLA_GROUP_NOT_EMPTY: { kafkaCode: 68, retriable: false },
  OTTLA_GROUP_NOT_FOUND: { kafkaCode: 69, retriable: false },
  OTTLA_GROUP_STOPPED: { kafkaCode: -1, retriable: false },
  OTTLA_GROUP_SUBSCRIBED_TO_TOPIC: { kafkaCode: 86, retriable: false },
  OTTLA_HANDLER_FAILED: { kafkaCode: -1, retriable: false },
  OTTLA_ILLEGAL_GENERATION: { kafkaCode: 22, retriable: false },
  OTTLA_INCONSISTENT_GROUP_PROTOCOL: { kafkaCode: 23, retriable: false },
  OTTLA_INVALID_ARGUMENT: { kafkaCode: 42, retriable: false },
  OTTLA_INVALID_CONFIG: { kafkaCode: 40, retriable: false },
  OTTLA_INVALID_GROUP_ID: { kafkaCode: 24, retriable: false },
  OTTLA_INVALID_PARTITIONS: { kafkaCode: 37, retriable: false },
  OTTLA_INVALID_PRODUCER_EPOCH: { kafkaCode: 47, retriable: false },
  OTTLA_INVALID_RECORD: { kafkaCode: 87, retriable: false },
  OTTLA_INVALID_SESSION_TIMEOUT: { kafkaCode: 26, retriable: false },
  OTTLA_INVALID_TOPIC: { kafkaCode: 17, retriable: false },
  OTTLA_LOCKED: { kafkaCode: -1, retriable: true },
  OTTLA_MALFORMED_FRAME: { kafkaCode: 42, retriable: false },
  OTTLA_MEMBER_ID_REQUIRED: { kafkaCode: 79, retriable: true },
  OTTLA_MESSAGE_TOO_LARGE: { kafkaCode: 10, retriable: false },
  OTTLA_NEVER_IDLE: { kafkaCode: -1, retriable: false },
  OTTLA_OFFSET_METADATA_TOO_LARGE: { kafkaCode: 12, retriable: false },
  OTTLA_OFFSET_OUT_OF_RANGE: { kafkaCode: 1, retriable: false },
  OTTLA_OUT_OF_ORDER_SEQUENCE: { kafkaCode: 45, retriable: false },
  OTTLA_POLICY_VIOLATION: { kafkaCode: 44, retriable: false },
  OTTLA_QUEUE_FULL: { kafkaCode: -1, retriable: true },
  OTTLA_READ_ONLY: { kafkaCode: -1, retriable: false },
  OTTLA_REBALANCE_IN_PROGRESS: { kafkaCode: 27, retriable: true },
  OTTLA_STORAGE_FAILED: { kafkaCode: 56, retriable: false },
  OTTLA_STORAGE_FULL: { kafkaCode: 56, retriable: true },
  OTTLA_TOPIC_EXISTS: { kafkaCode: 36, retriable: false },
  OTTLA_TOPIC_MISMATCH: { kafkaCode: -1, retriable: false },
  OTTLA_UNKNOWN_MEMBER_ID: { kafkaCode: 25, retriable: false },
  OTTLA_UNKNOWN_TOPIC_OR_PARTITION: { kafkaCode: 3, retriable: true },
  OTTLA_UNSUPPORTED_COMPRESSION: { kafkaCode: 76, retriable: false },
  OTTLA_UNSUPPORTED_FORMAT: { kafkaCode: 43, retriable: false },
  OTTLA_UNSUPPORTED_VERSION: { kafkaCode: 35, retriable: false },
} as const

/** The stable name of what went wrong; docs/errors.md has a heading for each. */
export type ErrorCode = keyof typeof ERRORS

/** Every code that an `OttlaError` may have, in alphabetical order. */
export const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERRORS) as ErrorCode[]

/** Where a file of a log is damaged, and how. */
export interface Damage {
  /** The path of the file. */
  readonly file: string
  /** Where in it, in bytes. */
  readonly position: number
  /** The offset that was to be found there. */
  readonly expectedOffset: number
  /**
   * - `'checksum'`: bytes that are no batch, or one that does not match its checksum or header
   * - `'offset'`: a whole batch in the place of another
   * - `'cut-short'`: the file ends before it should
   * - `'missing-file'`: a file is not there, or lies elsewhere
   * - `'sum'`: the file is not the one that was sealed
   * - `'sidecar'`: a small file of ottla's own says nothing that makes sense
   */
  readonly kind: 'checksum' | 'offset' | 'cut-short' | 'missing-file' | 'sum' | 'sidecar'
}

const BRAND: unique symbol = Symbol.for('ottla.error') as never

/**
 * The one error class, told apart by `code`: never by `instanceof`, since an app may load ottla as ESM and as CJS.
 * `retriable` says that the same call may succeed when made again; `cause` holds what lies beneath.
 *
 * @example
 * try { await producer.send(orders, message) } catch (error) {
 *   if (OttlaError.is(error) && error.code === 'OTTLA_STORAGE_FULL') ...
 * }
 */
export class OttlaError extends Error {
  /** What to tell errors apart by. It is stable; the message is not. */
  readonly code: ErrorCode
  /** True where the same call may succeed when it is made again. */
  readonly retriable: boolean
  /** Kafka's number for this error, as the wire carries it; -1 where Kafka has none. */
  readonly kafkaCode: number
  /** With OTTLA_CORRUPTION of a log file: which, where and how. */
  readonly damage: Damage | undefined

  /** `retriable` where it is not what the code says by itself. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; damage?: Damage; retriable?: boolean }) {
    super(message, options)
    this.damage = options?.damage
    this.code = code
    this.retriable = options?.retriable ?? ERRORS[code].retriable
    this.kafkaCode = ERRORS[code].kafkaCode
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for an error of any loaded copy of ottla. */
  static is(error: unknown): error is OttlaError {
    return typeof error === 'object' && error !== null && BRAND in error
  }
}

Object.defineProperty(OttlaError.prototype, 'name', { value: 'OttlaError', configurable: true, writable: true })
