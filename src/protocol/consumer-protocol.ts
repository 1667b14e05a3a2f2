import { OttlaError } from '../errors.js'

/*
 * What the members of a classic consumer group say to each other through the coordinator, to which it is opaque.
 * Versions 0 to 3 are written, Java's 3 by default: clients that know fewer fields stop reading before the new ones.
 *
 *   Subscription => version:int16 [topic:string] userData:bytes? [owned]v1+ generationId:int32 v2+ rackId:string? v3+
 *   Assignment   => version:int16 [assigned] userData:bytes?
 *   owned, assigned => topic:string [partition:int32]
 *
 *   string => length:int16 UTF-8    bytes => length:int32 content    [x] => count:int32 x...    ?: length -1 is null
 *
 * A reader takes any version: Kafka only ever appends fields, and those after the known ones are ignored. Fields that
 * are missing at the end get their defaults, since some clients write version 1 without its owned partitions.
 */

export interface TopicPartitions {
  topic: string
  partitions: readonly number[]
}

/** What a member sends when it joins. */
export interface Subscription {
  topics: readonly string[]
  /** Bytes of the assignor's own. */
  userData: Uint8Array | null
  /** What the member held when it joined. Empty under an eager assignor, which gives everything up first. */
  ownedPartitions: readonly TopicPartitions[]
  /** The generation in which it got them, -1 where it has none or the client does not say. */
  generationId: number
  rackId: string | null
}

/** What the leader sends to one member. */
export interface Assignment {
  assigned: readonly TopicPartitions[]
  /** Bytes of the assignor's own. */
  userData: Uint8Array | null
}

/** The version that Java 4.2 writes. */
const CURRENT_VERSION = 3

/**
 * Topics and partitions are written sorted, as Java does: the coordinator rebalances when the bytes of a member
 * change, so the same subscription must always give the same bytes.
 */
export function encodeSubscription(subscription: Subscription, version: number = CURRENT_VERSION): Uint8Array {
  const { userData, generationId, rackId } = subscription
  const topics = [...subscription.topics].sort()
  const owned = subscription.ownedPartitions
    .map(({ topic, partitions }) => ({ topic, partitions: [...partitions].sort((a, b) => a - b) }))
    .sort((a, b) => (a.topic < b.topic ? -1 : 1))
  let size = 2 + 4 + sizeOfBytes(userData)
  for (const topic of topics) size += sizeOfString(topic)
  if (version >= 1) size += sizeOfTopicPartitions(owned)
  if (version >= 2) size += 4
  if (version >= 3) size += sizeOfString(rackId)

  const writer = new Writer(size)
  writer.int16(version)
  writer.int32(topics.length)
  for (const topic of topics) writer.string(topic)
  writer.bytes(userData)
  if (version >= 1) writer.topicPartitions(owned)
  if (version >= 2) writer.int32(generationId)
  if (version >= 3) writer.string(rackId)
  return writer.target
}

/** Throws OTTLA_INVALID_ARGUMENT where the bytes are not a subscription. `userData` is a view into `bytes`. */
export function decodeSubscription(bytes: Uint8Array): Subscription {
  const reader = new Reader(bytes, 'subscription')
  const version = reader.version()
  return {
    topics: reader.array('topics', SMALLEST_STRING, () => reader.string('topics')),
    userData: reader.nullableBytes('userData'),
    ownedPartitions: version >= 1 && reader.hasMore ? reader.topicPartitions('ownedPartitions') : [],
    generationId: version >= 2 && reader.hasMore ? reader.int32('generationId') : -1,
    rackId: version >= 3 && reader.hasMore ? reader.nullableString('rackId') : null,
  }
}

export function encodeAssignment(assignment: Assignment, version: number = CURRENT_VERSION): Uint8Array {
  const { assigned, userData } = assignment
  const writer = new Writer(2 + sizeOfTopicPartitions(assigned) + sizeOfBytes(userData))
  writer.int16(version)
  writer.topicPartitions(assigned)
  writer.bytes(userData)
  return writer.target
}

/**
 * Throws OTTLA_INVALID_ARGUMENT where the bytes are not an assignment. No bytes at all are an empty assignment, which
 * is what the coordinator sends to a member that the leader left out. `userData` is a view into `bytes`.
 */
export function decodeAssignment(bytes: Uint8Array): Assignment {
  if (bytes.length === 0) return { assigned: [], userData: null }
  const reader = new Reader(bytes, 'assignment')
  reader.version()
  return {
    assigned: reader.topicPartitions('assigned'),
    userData: reader.hasMore ? reader.nullableBytes('userData') : null,
  }
}

const SMALLEST_STRING = 2
const SMALLEST_TOPIC_PARTITIONS = 6
const LONGEST_STRING = 32_767

function sizeOfString(value: string | null): number {
  return 2 + (value === null ? 0 : Buffer.byteLength(value))
}

function sizeOfBytes(value: Uint8Array | null): number {
  return 4 + (value === null ? 0 : value.length)
}

function sizeOfTopicPartitions(list: readonly TopicPartitions[]): number {
  let size = 4
  for (const { topic, partitions } of list) size += sizeOfString(topic) + 4 + 4 * partitions.length
  return size
}

/** Fills a target of the exact size. */
class Writer {
  readonly target: Buffer
  #position = 0

  constructor(size: number) {
    this.target = Buffer.allocUnsafe(size)
  }

  int16(value: number): void {
    this.#position = this.target.writeInt16BE(value, this.#position)
  }

  int32(value: number): void {
    this.#position = this.target.writeInt32BE(value, this.#position)
  }

  string(value: string | null): void {
    const length = value === null ? -1 : Buffer.byteLength(value)
    if (length > LONGEST_STRING) {
      throw new OttlaError(
        'OTTLA_INVALID_ARGUMENT',
        `A name of ${length} bytes does not fit into the consumer protocol: use at most ${LONGEST_STRING}.`,
      )
    }
    this.int16(length)
    if (value !== null) this.#position += this.target.write(value, this.#position)
  }

  bytes(value: Uint8Array | null): void {
    this.int32(value === null ? -1 : value.length)
    if (value === null) return
    this.target.set(value, this.#position)
    this.#position += value.length
  }

  topicPartitions(list: readonly TopicPartitions[]): void {
    this.int32(list.length)
    for (const { topic, partitions } of list) {
      this.string(topic)
      this.int32(partitions.length)
      for (const partition of partitions) this.int32(partition)
    }
  }
}

/** Checks every length against what is left before it reads or makes room for anything. */
class Reader {
  readonly #source: Buffer
  readonly #what: 'subscription' | 'assignment'
  #position = 0

  constructor(source: Uint8Array, what: 'subscription' | 'assignment') {
    this.#source = Buffer.from(source.buffer, source.byteOffset, source.length)
    this.#what = what
  }

  get hasMore(): boolean {
    return this.#position < this.#source.length
  }

  version(): number {
    const version = this.#int16('version')
    if (version < 0) throw this.#unreadable('version', `${version} is not a version`)
    return version
  }

  int32(field: string): number {
    return this.#source.readInt32BE(this.#take(4, field))
  }

  string(field: string): string {
    const value = this.nullableString(field)
    if (value === null) throw this.#unreadable(field, 'a name is missing')
    return value
  }

  nullableString(field: string): string | null {
    const length = this.#int16(field)
    if (length === -1) return null
    const start = this.#take(length, field)
    return this.#source.toString('utf8', start, start + length)
  }

  nullableBytes(field: string): Uint8Array | null {
    const length = this.int32(field)
    if (length === -1) return null
    const start = this.#take(length, field)
    return this.#source.subarray(start, start + length)
  }

  array<T>(field: string, smallestElement: number, read: () => T): T[] {
    const count = this.int32(field)
    if (count < 0 || count * smallestElement > this.#source.length - this.#position) {
      throw this.#unreadable(field, `${count} elements are announced`)
    }
    const elements: T[] = []
    for (let i = 0; i < count; i++) elements.push(read())
    return elements
  }

  topicPartitions(field: string): TopicPartitions[] {
    return this.array(field, SMALLEST_TOPIC_PARTITIONS, () => ({
      topic: this.string(field),
      partitions: this.array(field, 4, () => this.#partition(field)),
    }))
  }

  #partition(field: string): number {
    const partition = this.int32(field)
    if (partition < 0) throw this.#unreadable(field, `${partition} is not a partition`)
    return partition
  }

  #int16(field: string): number {
    return this.#source.readInt16BE(this.#take(2, field))
  }

  /** Moves past the next `length` bytes and returns where they begin. */
  #take(length: number, field: string): number {
    const start = this.#position
    if (length < 0 || length > this.#source.length - start) {
      throw this.#unreadable(field, `${length} bytes are announced`)
    }
    this.#position = start + length
    return start
  }

  #unreadable(field: string, reason: string): OttlaError {
    const left = this.#source.length - this.#position
    return new OttlaError(
      'OTTLA_INVALID_ARGUMENT',
      `The ${this.#what} of a group member cannot be read: ${reason} in ${field} with ${left} bytes left. ` +
        "Check that every member of the group speaks Kafka's consumer protocol.",
    )
  }
}
