import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import type { TopicPartition } from '../storage/storage.js'
import type { Delivery } from './delivery.js'
import type { Batch, Dispatch } from './dispatch.js'
import { headersOf } from './encode-message.js'
import type { Message, OutgoingMessage, SendResult } from './message.js'

/** A message on its way to `send`, whose headers can still be added to. */
export interface TracedMessage extends Omit<OutgoingMessage<unknown, unknown>, 'headers'> {
  /** In order: those that were given, as bytes, and those that subscribers add. */
  headers: [name: string, value: string | Uint8Array | null][]
}

/**
 * What the tracing channel 'ottla:send' tells of one call of `send`: one object for all its events. `start` comes
 * during the call, before anything is encoded, and `asyncEnd` last, when all is settled.
 */
export interface SendDiagnostics {
  /** The topic's name. */
  topic: string
  /** Copies of the messages. A header that a subscriber of `start` adds is sent, such as `traceparent`. */
  messages: TracedMessage[]
  /** From `asyncStart` on, where it went well: where each message went. */
  result?: SendResult[]
  /** From `error` on: why it was refused. */
  error?: unknown
}

/**
 * What the tracing channel 'ottla:deliver' tells of one call of a handler, or of one message of a `for await`: one
 * object for all its events. `start` comes right before the handler is called, and `asyncEnd` last, when it is done.
 * Stores that are bound to `start` hold in the handler.
 */
export interface DeliverDiagnostics extends TopicPartition {
  /** The group's id. */
  group: string
  /** One, or the batch of `runBatches`. Their headers hold what the sender's side put in. */
  messages: readonly Message[]
  /** 1 for the first try. */
  attempt: number
  /**
   * A subscriber of `start` may set it: the handler is then called inside, as in the context of a span. It calls what it
   * is given, once, and returns what that returns. Not for a `for await`, whose body is not called.
   */
  around?: <Result>(handle: () => Result) => Result
  /** From `error` on: what the handler threw. */
  error?: unknown
}

const sendChannel: TracingChannel<unknown, SendDiagnostics> = tracingChannel('ottla:send')
const deliverChannel: TracingChannel<unknown, DeliverDiagnostics> = tracingChannel('ottla:deliver')

/** Each is false by one look at a constant while nobody listens. TracingChannel has it itself from Node 20.13 on. */
function isHeard<Diagnostics extends object>({
  start,
  end,
  asyncStart,
  asyncEnd,
  error,
}: TracingChannel<unknown, Diagnostics>): boolean {
  return (
    start.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers
  )
}

export function isSendHeard(): boolean {
  return isHeard(sendChannel)
}

type Outgoing = OutgoingMessage<unknown, unknown>

/** Sends copies of the messages that subscribers have seen. */
export async function traceSend(
  topic: string,
  given: readonly Outgoing[],
  send: (messages: readonly Outgoing[]) => Promise<SendResult[]>,
): Promise<SendResult[]> {
  const diagnostics: SendDiagnostics = { topic, messages: given.map(copyOf) }
  return sendChannel.tracePromise(() => send(diagnostics.messages), diagnostics)
}

/** What is no message stays what it is, for `send` to refuse. */
function copyOf(message: Outgoing): TracedMessage {
  if (typeof message !== 'object' || message === null) return message
  return { ...message, headers: [...(headersOf(message) ?? [])].map(([name, value]) => [name, value]) }
}

/** The same dispatch, each call of whose handler is told. */
export function traced(dispatch: Dispatch): Dispatch {
  if (dispatch.kind === 'each') {
    const { handler, kind, ordering, lookahead } = dispatch
    const traceEach = (message: Message, delivery: Delivery): unknown =>
      traceHandler(message, [message], delivery, () => handler(message, delivery))
    return {
      kind,
      ordering,
      lookahead,
      // Without a closure of its own, which V8 would make room for at each message.
      handler: (message, delivery) =>
        isHeard(deliverChannel) ? traceEach(message, delivery) : handler(message, delivery),
    }
  }
  const { handler, kind, maxMessages, maxWaitMs } = dispatch
  const traceBatch = (batch: Batch<Message>, delivery: Delivery): unknown =>
    traceHandler(batch, batch.messages, delivery, () => handler(batch, delivery))
  return {
    kind,
    maxMessages,
    maxWaitMs,
    handler: (batch, delivery) => (isHeard(deliverChannel) ? traceBatch(batch, delivery) : handler(batch, delivery)),
  }
}

/** An async function calls the handler, so that `asyncEnd` comes after one that throws at once, too. */
function traceHandler(
  { topic, partition }: TopicPartition,
  messages: readonly Message[],
  { group, attempt }: Delivery,
  handle: () => unknown,
): Promise<unknown> {
  const diagnostics: DeliverDiagnostics = { group, topic, partition, messages, attempt }
  return deliverChannel.tracePromise(async () => {
    const { around } = diagnostics
    return await (around === undefined ? handle() : around(handle))
  }, diagnostics)
}
