import {
  type AnyTopic,
  Broker,
  type BrokerOptions,
  type ConsumerGroup,
  MemoryStorage,
  type Message,
  Topic,
} from 'ottla'
import { onTestFinished } from 'vitest'
import { EngineClient } from '../../src/client/client.js'
import { IdleWatch } from '../../src/client/idle.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { systemClock } from '../../src/time/clock.js'

/** A topic of text without a key. */
export const words: Topic<string> = new Topic<string>('words')

/** A broker that is closed when the test is over. */
export async function openBroker(options: BrokerOptions = {}, ...topics: readonly AnyTopic[]): Promise<Broker> {
  const broker = await Broker.open(options)
  onTestFinished(() => broker.close())
  for (const topic of topics) await broker.topic(topic)
  return broker
}

/** A client whose engine the test may reach, and change. */
export async function openClient(): Promise<{
  client: EngineClient
  engine: EmbeddedEngine
  idle: () => Promise<void>
}> {
  const storage = new MemoryStorage()
  const engine = await EmbeddedEngine.open({
    storage,
    clock: systemClock,
    settings: brokerSettings(undefined, storage),
  })
  const watch = new IdleWatch(systemClock, engine)
  const client = new EngineClient(engine, systemClock, 'id', watch)
  onTestFinished(() => client.close())
  return { client, engine, idle: () => watch.wait([], undefined) }
}

/** Sends values, one message each, to one partition or spread. */
export async function send(broker: Broker, topic: AnyTopic, values: readonly unknown[], partition = 0): Promise<void> {
  const messages = values.map((value) => ({ value, partition }))
  if (messages.length > 0) await broker.producer().send(topic, messages)
}

/** From one number up to and with another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

export interface Deferred<T = void> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** Collects what is handled, and tells when so much of it is there. */
export class Seen {
  readonly values: unknown[] = []
  #waiting: { count: number; resolve: () => void }[] = []

  readonly add = (message: { readonly value: unknown }): void => {
    this.values.push(message.value)
    for (const { count, resolve } of this.#waiting) if (this.values.length >= count) resolve()
  }

  /** Resolves when there are `count` values. */
  count(count: number): Promise<void> {
    const { promise, resolve } = deferred()
    this.#waiting.push({ count, resolve })
    if (this.values.length >= count) resolve()
    return promise
  }
}

/** Resolves with the partitions that the next such event names. */
export function next(
  // biome-ignore lint/suspicious/noExplicitAny: a group of any messages
  group: ConsumerGroup<any>,
  event: 'assigned' | 'revoked' | 'lost',
): Promise<number[]> {
  return new Promise((resolve) => {
    const listener = (partitions: { partition: number }[]): void => {
      group.off(event, listener)
      resolve(partitions.map(({ partition }) => partition).sort((a, b) => a - b))
    }
    group.on(event, listener)
  })
}

/** The group's offset in a partition, or null. */
export async function committed(broker: Broker, id: string, topic = 'words', partition = 0): Promise<number | null> {
  const { lag } = await broker.describeGroup(id)
  return lag.find((at) => at.topic === topic && at.partition === partition)?.committedOffset ?? null
}

/** What a fresh member of the group gets until it has nothing left to do. */
export async function drain(broker: Broker, id: string, topics: readonly AnyTopic[] = [words]): Promise<unknown[]> {
  const values: unknown[] = []
  const group = broker.consumerGroup(id, { topics })
  await group.run((message: Message) => {
    values.push(message.value)
  })
  await broker.idle({ groups: [id] })
  await group.close()
  return values
}
