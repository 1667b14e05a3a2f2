import { Broker, type BrokerOptions } from 'ottla'
import { type Listener, type ListenOptions, listen } from 'ottla/wire'
import { afterEach } from 'vitest'
import { WireClient } from './wire-client.js'

export interface Door {
  broker: Broker
  listener: Listener
  /** What the listener had to say about connections that it closed. */
  lines: string[]
  client(): Promise<WireClient>
}

/** Opens brokers with a listener, and clients to it; all are closed when the test is over. */
export function doors(): (options?: ListenOptions, brokerOptions?: BrokerOptions) => Promise<Door> {
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  return async (options, brokerOptions) => {
    const broker = await Broker.open(brokerOptions)
    closers.push(() => broker.close())
    const lines: string[] = []
    const listener = await listen(broker, { log: (line) => lines.push(line), ...options })
    closers.push(() => listener.close())
    const client = async (): Promise<WireClient> => {
      const opened = await WireClient.to(listener.port)
      closers.push(() => opened[Symbol.asyncDispose]())
      return opened
    }
    return { broker, listener, lines, client }
  }
}
