import { type Broker, type ConsumerGroup, type Message, OttlaError, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { committed, deferred, openBroker, send } from '../client/consuming.js'
import { runModule } from './child-process.js'

const words: Topic<string> = new Topic<string>('words', { partitions: 2 })

interface Scene {
  readonly clock: ManualClock
  readonly broker: Broker
  readonly member: ConsumerGroup<Message<string>>
  readonly abort: AbortController
  readonly handled: string[]
}

/** What a member is in the middle of when it is told to stop. */
const states: Record<string, (scene: Scene) => Promise<unknown>> = {
  'before run': async () => {},
  'while it has nothing to do': async ({ member, abort }) => {
    await member.run(() => {}, { signal: abort.signal })
  },
  'in a handler': async ({ broker, member, abort, handled }) => {
    const [started, release] = [deferred(), deferred()]
    await member.run(
      async ({ value }) => {
        started.resolve()
        await release.promise
        handled.push(value)
      },
      { signal: abort.signal },
    )
    await send(broker, words, ['a', 'b'])
    await started.promise
    setImmediate(release.resolve)
  },
  "in a retry's wait": async ({ broker, member, abort }) => {
    const retried = new Promise((resolve) => member.on('retry', resolve))
    await member.run(
      () => {
        throw new Error('no')
      },
      { signal: abort.signal, retry: { attempts: 5 } },
    )
    await send(broker, words, ['a', 'b'])
    await retried
  },
  "in a retry's wait while it is paused": async (scene) => {
    await states["in a retry's wait"]?.(scene)
    scene.member.pause()
  },
  'while messages are parked': async ({ broker, member, abort }) => {
    const parked = new Promise((resolve) => member.on('deadLetter', resolve))
    await member.run(
      () => {
        throw new Error('no')
      },
      { signal: abort.signal, deadLetter: 'dead' },
    )
    await send(broker, words, ['a', 'b'])
    await parked
  },
  'during a rebalance': async ({ broker, member, abort }) => {
    await member.run(() => {}, { signal: abort.signal })
    const other = broker.consumerGroup('g', { topics: [words] })
    void other.run(() => {}).catch(() => {})
  },
  'before it has joined': async ({ member, abort }) => {
    void member.run(() => {}, { signal: abort.signal }).catch(() => {})
  },
  'in a batch that waits to fill': async ({ broker, member, abort }) => {
    await member.runBatches(() => {}, { signal: abort.signal, maxWaitMs: 60_000 })
    await send(broker, words, ['a'])
  },
  'in a for await that waits': async ({ member, abort }) => {
    void member.messages({ signal: abort.signal }).next()
    await member.ready
  },
}

/** Ways to tell it. */
const closers: Record<string, (scene: Scene) => Promise<unknown>> = {
  close: ({ member }) => member.close(),
  'close, twice': ({ member }) => Promise.all([member.close(), member.close()]).then(() => member.close()),
  'close of the broker': ({ broker }) => broker.close(),
  'an abort': ({ abort, member }) => {
    abort.abort()
    return member.closed
  },
}

describe.each(Object.entries(states))('a member that stops %s', (state, prepare) => {
  it.each(Object.entries(closers).filter(([name]) => name !== 'an abort' || state !== 'before run'))(
    'by %s settles without time passing, keeps the offset, and leaves no timer',
    async (way, stop) => {
      const clock = new ManualClock()
      const broker = await openBroker({ clock }, words)
      const member = broker.consumerGroup('g', { topics: [words] })
      const scene: Scene = { clock, broker, member, abort: new AbortController(), handled: [] }
      await prepare(scene)
      await stop(scene)
      await member.closed
      if (way !== 'close of the broker') {
        expect((await broker.describeGroup('g').catch(() => undefined))?.members.length ?? 0).toBeLessThan(2)
        const offset = await committed(broker, 'g').catch(() => null)
        if (state.startsWith("in a retry's wait")) expect(offset).toBe(null)
        if (state === 'in a handler') expect([offset, scene.handled]).toEqual([1, ['a']])
      }
      await broker.close()
      expect(clock.pendingTimers).toBe(0)
      await expect(member.run(() => {})).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
    },
  )
})

describe('a handler that fails', () => {
  it.each([
    ['member', (_: Broker, member: ConsumerGroup<Message<string>>) => member.close()],
    ['broker', (broker: Broker) => broker.close()],
  ])('may close its %s before it fails, with tries left: its message is given back', async (_, close) => {
    const broker = await openBroker({}, words)
    const member = broker.consumerGroup('g', { topics: [words] })
    await member.run(
      async () => {
        await close(broker, member)
        throw new Error('no')
      },
      { retry: { attempts: 2 } },
    )
    void send(broker, words, ['a']).catch((error) => {
      if (!OttlaError.is(error)) throw error
    })
    await member.closed
  })
})

describe('a process', () => {
  it('is held by a message that waits for its next try, until that or until the broker closes', async () => {
    const ended = await runModule(`
      import { Broker, Topic } from 'ottla'
      const open = async (backoffMs) => {
        const broker = await Broker.open()
        const words = await broker.topic(new Topic('words'))
        const member = broker.consumerGroup('g', { topics: [words] })
        const retried = new Promise((resolve) => member.on('retry', resolve))
        await member.run((_, { attempt }) => {
          if (attempt < 3) throw new Error('no')
          console.log('handled by try', attempt)
        }, { retry: { attempts: 3, backoff: () => backoffMs } })
        void broker.producer().send(words, { value: 'a' })
        await retried
        return broker
      }
      const broker = await open(60_000)
      await broker.close()
      console.log('closed')
      await open(50)
    `)
    expect(ended).toEqual({ exitCode: 0, stderr: '', stdout: 'closed\nhandled by try 3\n' })
  })
})
