import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import type { FetchedOffset, OffsetToCommit } from './group-requests.js'
import {
  type CommittedOffset,
  decodeOffsetKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
} from './offset-records.js'

/** Where committed offsets are kept: the log of __consumer_offsets. */
export interface OffsetsLog {
  /**
   * Appends records of one group as one batch and resolves at the log's durability. Those of one group take their
   * places in the order of the calls. Where it rejects, none of the records is in the log.
   */
  append(groupId: string, records: readonly OffsetRecord[]): Promise<void>
}

/** A value of null is a tombstone. */
export interface OffsetRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/**
 * What each group has committed: at every moment what a replay of the log would give, less what is not durable yet.
 */
export class CommittedOffsets {
  readonly #log: OffsetsLog
  readonly #clock: Clock
  readonly #groups = new Map<string, GroupOffsets>()

  constructor(options: { log: OffsetsLog; clock: Clock }) {
    this.#log = options.log
    this.#clock = options.clock
  }

  /** Groups that have committed an offset. */
  *groupIds(): IterableIterator<string> {
    for (const [groupId, { committed }] of this.#groups) if (committed.size > 0) yield groupId
  }

  /** Topics for which some group has committed an offset. */
  topics(): Set<string> {
    const topics = new Set<string>()
    for (const { committed } of this.#groups.values()) for (const topic of committed.keys()) topics.add(topic)
    return topics
  }

  has(groupId: string): boolean {
    return (this.#groups.get(groupId)?.committed.size ?? 0) > 0
  }

  /** Takes a record in from the log, at start. Records of other kinds are skipped. */
  replay(key: Uint8Array, value: Uint8Array | null): void {
    const at = decodeOffsetKey(key)
    if (at === undefined) return
    const { groupId, topic, partition } = at
    this.#apply(groupId, [{ topic, partition, committed: value === null ? null : decodeOffsetValue(value) }])
    this.#forgetUnused(groupId)
  }

  fetch(groupId: string, partitions: readonly Readonly<TopicPartition>[] | null): FetchedOffset[] {
    const committed = this.#groups.get(groupId)?.committed
    return (partitions ?? partitionsOf(committed)).map(({ topic, partition }) => {
      const { offset, leaderEpoch, metadata } = committed?.get(topic)?.get(partition) ?? NONE_COMMITTED
      return { topic, partition, offset, leaderEpoch, metadata }
    })
  }

  /** Resolves once the offsets are in the log and can be fetched; where the append fails, nothing has changed. */
  async commit(groupId: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    const commitTimestamp = this.#clock.now()
    await this.#write(
      groupId,
      offsets.map(({ topic, partition, offset, leaderEpoch = -1, metadata }) => ({
        topic,
        partition,
        committed: { offset, leaderEpoch, metadata: metadata ?? '', commitTimestamp },
      })),
    )
  }

  /** Forgets all that a group has committed, also what is on its way into the log. */
  async removeGroup(groupId: string): Promise<void> {
    await this.#remove(groupId, () => true)
  }

  /** Forgets what a group has committed for these partitions, also what is on its way into the log. */
  async removePartitions(groupId: string, partitions: readonly Readonly<TopicPartition>[]): Promise<void> {
    const named = new Set(partitions.map(({ topic, partition }) => `${topic}-${partition}`))
    await this.#remove(groupId, ({ topic, partition }) => named.has(`${topic}-${partition}`))
  }

  /** Forgets what any group has committed for a topic, also what is on its way into the log. */
  async removeTopic(topic: string): Promise<void> {
    const groupIds = [...this.#groups.keys()]
    await Promise.all(groupIds.map((groupId) => this.#remove(groupId, (at) => at.topic === topic)))
  }

  /**
   * Forgets those of a group's offsets that `isExpired` names, but for one that a commit is on its way for. Resolves
   * with true where none is left.
   */
  async expire(
    groupId: string,
    isExpired: (at: Readonly<TopicPartition>, commitTimestamp: number) => boolean,
  ): Promise<boolean> {
    const group = this.#groups.get(groupId)
    if (group === undefined) return true
    const pending = new Set([...group.inFlight].flat().map(({ topic, partition }) => `${topic}-${partition}`))
    const expired = partitionsOf(group.committed).filter(({ topic, partition }) => {
      const committed = group.committed.get(topic)?.get(partition)
      if (committed === undefined || pending.has(`${topic}-${partition}`)) return false
      return isExpired({ topic, partition }, committed.commitTimestamp)
    })
    await this.#write(
      groupId,
      expired.map(({ topic, partition }) => ({ topic, partition, committed: null })),
    )
    return !this.#groups.has(groupId)
  }

  async #remove(groupId: string, chosen: (at: Readonly<TopicPartition>) => boolean): Promise<void> {
    const group = this.#groups.get(groupId)
    if (group === undefined) return
    const doomed = new Map<string, OffsetChange>()
    for (const { topic, partition } of [...partitionsOf(group.committed), ...[...group.inFlight].flat()]) {
      if (chosen({ topic, partition })) doomed.set(`${topic}-${partition}`, { topic, partition, committed: null })
    }
    await this.#write(groupId, [...doomed.values()])
  }

  /**
   * Appends at once, so that commits share a sync, and applies in the order of the calls, whichever append resolves
   * first.
   */
  async #write(groupId: string, changes: readonly OffsetChange[]): Promise<void> {
    if (changes.length === 0) return
    const records = changes.map(({ topic, partition, committed }) => ({
      key: encodeOffsetKey({ groupId, topic, partition }),
      value: committed === null ? null : encodeOffsetValue(committed),
    }))
    const appended = this.#log.append(groupId, records)
    const group = this.#group(groupId)
    group.inFlight.add(changes)
    const written = this.#applyInTurn(groupId, changes, group.lastWrite, appended)
    // Whoever asked for this write hears that it failed; the next one only needs to know that it is over.
    group.lastWrite = written.catch(() => {})
    await written
  }

  async #applyInTurn(
    groupId: string,
    changes: readonly OffsetChange[],
    earlier: Promise<void>,
    appended: Promise<void>,
  ): Promise<void> {
    const [, outcome] = await Promise.allSettled([earlier, appended])
    this.#group(groupId).inFlight.delete(changes)
    if (outcome.status === 'fulfilled') this.#apply(groupId, changes)
    this.#forgetUnused(groupId)
    if (outcome.status === 'rejected') throw outcome.reason
  }

  #apply(groupId: string, changes: readonly OffsetChange[]): void {
    const { committed } = this.#group(groupId)
    for (const { topic, partition, committed: offset } of changes) {
      const partitions = committed.get(topic) ?? new Map<number, CommittedOffset>()
      if (offset === null) partitions.delete(partition)
      else partitions.set(partition, offset)
      if (partitions.size === 0) committed.delete(topic)
      else committed.set(topic, partitions)
    }
  }

  #forgetUnused(groupId: string): void {
    const group = this.#groups.get(groupId)
    if (group?.inFlight.size === 0 && group.committed.size === 0) this.#groups.delete(groupId)
  }

  #group(groupId: string): GroupOffsets {
    const present = this.#groups.get(groupId)
    if (present !== undefined) return present
    const group = { committed: new Map(), inFlight: new Set<readonly OffsetChange[]>(), lastWrite: Promise.resolve() }
    this.#groups.set(groupId, group)
    return group
  }
}

interface GroupOffsets {
  /** By topic, by partition. No topic is empty. */
  readonly committed: Map<string, Map<number, CommittedOffset>>
  readonly inFlight: Set<readonly OffsetChange[]>
  /** Settles when the newest write is applied or has failed; never rejects. */
  lastWrite: Promise<void>
}

/** Null takes the offset away. */
interface OffsetChange extends Readonly<TopicPartition> {
  readonly committed: CommittedOffset | null
}

const NONE_COMMITTED = { offset: -1, leaderEpoch: -1, metadata: '' }

function partitionsOf(committed: GroupOffsets['committed'] | undefined): TopicPartition[] {
  const at: TopicPartition[] = []
  for (const [topic, partitions] of committed ?? []) {
    for (const partition of partitions.keys()) at.push({ topic, partition })
  }
  return at
}
