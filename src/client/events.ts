import { EventEmitter } from 'node:events'
import type { OttlaError } from '../errors.js'
import type { RecoveryReport, TopicPartition } from '../storage/storage.js'
import type { PartitionLag } from './group-lag.js'
import type { Message } from './message.js'

/** A message of any topic. */
// biome-ignore lint/suspicious/noExplicitAny: the topics' types are known to the listener alone
type AnyMessage = Message<any, any>

/** What a member of a group tells. A listener that throws does not reach the engine: it is an uncaught exception. */
export interface GroupEvents {
  /** Partitions were given to this member. Of its first assignment it is told though that may bring none. */
  assigned: [partitions: TopicPartition[]]
  /** Partitions were given up in order: their handlers finished and their offsets are committed. */
  revoked: [partitions: TopicPartition[]]
  /** Partitions were taken away: another member may already have them, and a late commit is refused. */
  lost: [partitions: TopicPartition[]]
  /**
   * A handler takes longer than `maxPollIntervalMs`, or holds a rebalance up for longer than `rebalanceTimeoutMs`. The
   * member loses its partitions, of which 'lost' tells next, and comes back when the handler is done.
   */
  stalled: [at: TopicPartition & { offset: number }]
  /** Offsets were committed: each is that of the next message to be handled. */
  commit: [offsets: (TopicPartition & { offset: number })[]]
  /** How far the group is behind in partitions of which offsets were just committed. Asked for only while somebody listens. */
  lag: [partitions: PartitionLag[]]
  /**
   * Messages were removed before this member read them, and it goes on where `onOutOfRange` said: those from `offset`, the
   * one it would have read next, up to `resetTo` were never handled. Where that is 'error' the member stops instead.
   */
  outOfRange: [at: TopicPartition & { offset: number; resetTo: number }]
  /**
   * Try number `attempt` of a message failed with `error`, and another is going to be made. Of a batch it names the first
   * message that is not done.
   */
  retry: [message: AnyMessage, error: unknown, attempt: number]
  /** The tries of a message are used up, and it was put in the dead-letter topic. One that cannot be decoded has bytes. */
  deadLetter: [message: AnyMessage, error: unknown]
  /** The tries of a message are used up, and `onExhausted: 'skip'` says to go on without it. It is not delivered again. */
  skipped: [message: AnyMessage, error: unknown]
  /**
   * Opening the broker had to mend something in partitions that were just assigned, or in the group's offsets of them:
   * those of `broker.recovery`, once for each member.
   */
  recovery: [reports: RecoveryReport[]]
  /** What stopped the member. `closed` rejects with the same error. */
  error: [error: OttlaError]
}

/** One member's events. Node's emitter keeps the listeners; the telling is ours, since a listener may throw. */
export class GroupEmitter {
  readonly #events = new EventEmitter()

  on<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): void {
    this.#events.on(event, listener as (...given: unknown[]) => void)
  }

  off<Event extends keyof GroupEvents>(event: Event, listener: (...args: GroupEvents[Event]) => void): void {
    this.#events.off(event, listener as (...given: unknown[]) => void)
  }

  isHeard(event: keyof GroupEvents): boolean {
    return this.#events.listenerCount(event) > 0
  }

  /** True where anybody listens. */
  emit<Event extends keyof GroupEvents>(event: Event, ...args: GroupEvents[Event]): boolean {
    const listeners = this.#events.listeners(event)
    for (const listener of listeners) {
      try {
        ;(listener as (...given: unknown[]) => void)(...args)
      } catch (error) {
        throwUncaught(error)
      }
    }
    return listeners.length > 0
  }
}

/** Node's own rule for an error that nobody listens for. */
export function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
