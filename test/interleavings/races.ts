import { EngineClient } from '../../src/client/client.js'
import type { ConsumerGroup } from '../../src/client/consumer-group.js'
import type { Delivery } from '../../src/client/delivery.js'
import { IdleWatch } from '../../src/client/idle.js'
import type { Message } from '../../src/client/message.js'
import { Topic } from '../../src/client/topic.js'
import { brokerSettings } from '../../src/engine/config.js'
import { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { MemoryStorage } from '../../src/storage/memory-storage.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { seededRandom } from './random.js'
import { type Choose, firstInFirstOut, Interleaving } from './seeded-engine.js'

const PARTITIONS = 4
const numbers: Topic<number> = new Topic<number>('numbers', { partitions: PARTITIONS })

export interface Outcome {
  /** What was promised and did not hold. */
  readonly violations: string[]
  /** Which request or answer went on after which. */
  readonly trace: string[]
}

/** How long a turn took is the machine's doing, and no run would be like another. */
class SteadyClock extends ManualClock {
  override turnIsSpent(): boolean {
    return false
  }
}

/**
 * Members of one group join and leave in order, while messages come and fail at times: each is to be handled once, and no partition by
 * two members at once. The seed decides on what happens; the order in which whatever is ready continues hangs on the
 * seed too, or is that of a queue.
 */
export async function race(seed: number, order: 'seeded' | 'first in, first out'): Promise<Outcome> {
  const script = seededRandom(seed)
  const pick = seededRandom(~seed)
  const choose: Choose = order === 'seeded' ? (count) => Math.floor(pick() * count) : firstInFirstOut
  const interleaving = new Interleaving(choose)
  const { random } = Math
  // Member ids are drawn, and decide on assignments.
  Math.random = seededRandom(seed)
  try {
    const violations = await play(interleaving, (count) => Math.floor(script() * count))
    return { violations, trace: [...interleaving.trace] }
  } finally {
    Math.random = random
  }
}

async function play(interleaving: Interleaving, any: (count: number) => number): Promise<string[]> {
  const clock = new SteadyClock({ now: 0 })
  const storage = new MemoryStorage()
  const engine = await EmbeddedEngine.open({ storage, clock, settings: brokerSettings(undefined, storage) })
  const watch = new IdleWatch(clock, engine)
  const client = new EngineClient(interleaving.around(engine), clock, 'races', watch)
  const violations: string[] = []
  const handled = new Map<string, number>()
  const running = new Set<number>()
  const handle = async ({ partition, offset }: Message<number>, { attempt }: Delivery): Promise<void> => {
    if (running.has(partition)) violations.push(`two handlers at once for partition ${partition}`)
    running.add(partition)
    await turns(any(3))
    running.delete(partition)
    if (attempt < 3 && any(4) === 0) throw new Error('to be tried again')
    const place = `${partition}/${offset}`
    handled.set(place, (handled.get(place) ?? 0) + 1)
  }
  await client.topic(numbers)
  const producer = client.producer()
  const members: ConsumerGroup<Message<number>>[] = []
  const pending: Promise<unknown>[] = []
  const sent: string[] = []
  for (let step = 0; step < 12; step++) {
    const action = any(3)
    if (action === 0 || members.length === 0) {
      const assignor = any(2) === 0 ? 'cooperativeSticky' : 'sticky'
      const member = client.consumerGroup('g', { topics: [numbers], assignor })
      members.push(member)
      // It may be closed before it is ready.
      pending.push(member.run(handle, { retry: { attempts: 3, backoff: () => 0 } }).catch(() => undefined))
    } else if (action === 1 && members.length > 1) {
      pending.push(...members.splice(any(members.length), 1).map((member) => member.close()))
    } else {
      const messages = Array.from({ length: 4 }, (_, value) => ({ value, partition: any(PARTITIONS) }))
      for (const { partition, offset } of await producer.send(numbers, messages)) sent.push(`${partition}/${offset}`)
    }
    await turns(any(12))
  }
  await watch.wait(['g'], undefined)
  await Promise.all(pending)
  for (const place of sent) {
    const times = handled.get(place) ?? 0
    if (times !== 1) violations.push(`${place} was handled ${times} times`)
  }
  await client.close()
  return violations
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
