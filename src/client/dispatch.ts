import type { TopicPartition } from '../storage/storage.js'
import type { Delivery } from './delivery.js'
import type { Message } from './message.js'

/** Messages of one partition, in order. */
export interface Batch<M> extends Readonly<TopicPartition> {
  /** One at least, in the order of their offsets. */
  readonly messages: readonly M[]
  /** Everything up to and including this message is done, whatever becomes of the rest. */
  resolve(through: M): void
}

export type MessageHandler = (message: Message, delivery: Delivery) => unknown

export interface EachDispatch {
  readonly kind: 'each'
  readonly handler: MessageHandler
  readonly ordering: 'partition' | 'key' | 'none'
  /** Messages that wait behind others of their key, at most. */
  readonly lookahead: number
}

export interface BatchDispatch {
  readonly kind: 'batch'
  readonly handler: (batch: Batch<Message>, delivery: Delivery) => unknown
  readonly maxMessages: number
  readonly maxWaitMs: number
}

/** How messages reach the user: one by one or by the batch. */
export type Dispatch = EachDispatch | BatchDispatch

/** What a handler of ours returns for a message that is to be delivered again. */
export const NOT_HANDLED: unique symbol = Symbol('not handled')

/** Who hands messages out looks at the time once in so many. */
export const MESSAGES_PER_TIME_CHECK = 8

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
