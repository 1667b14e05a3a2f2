import { type AnyTopic, Broker, type BrokerOptions, type MessageOf, OttlaError } from 'ottla'
import { afterEach } from 'vitest'

/** Opens brokers that are closed when the test is over. */
export function brokers(): (options?: BrokerOptions) => Promise<Broker> {
  const open: Broker[] = []
  afterEach(async () => {
    for (const broker of open.splice(0)) await broker.close()
  })
  return async (options) => {
    const broker = await Broker.open(options)
    open.push(broker)
    return broker
  }
}

/** All that a topic holds now, each partition in order. */
export async function contentsOf<T extends AnyTopic>(broker: Broker, topic: T): Promise<MessageOf<T>[]> {
  const messages: MessageOf<T>[] = []
  for await (const message of broker.reader(topic, { until: 'end' })) messages.push(message)
  return messages.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

/** The error that a call throws or rejects with: an OttlaError, or the test fails. */
export async function refusal(call: () => unknown): Promise<OttlaError> {
  try {
    await call()
  } catch (error) {
    if (OttlaError.is(error)) return error
    throw error
  }
  throw new Error('The call was not refused')
}

export async function codeOf(call: () => unknown): Promise<string> {
  return (await refusal(call)).code
}

/** 'pending' where the promise does not settle within a few turns of the event loop. */
export async function outcomeNow(promise: Promise<unknown>, turns = 20): Promise<string> {
  let outcome = 'pending'
  promise.then(
    () => {
      outcome = 'resolved'
    },
    (error: unknown) => {
      outcome = OttlaError.is(error) ? error.code : String(error)
    },
  )
  for (let turn = 0; turn < turns && outcome === 'pending'; turn++) await nextTurn()
  return outcome
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
