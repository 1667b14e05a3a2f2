import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Broker, FileStorage, MemoryStorage, type Storage, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { committed, deferred, openBroker, range, Seen, send, words } from './consuming.js'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ottla-idle-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

const neverIdle = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'OTTLA_NEVER_IDLE', message: expect.stringMatching(message) })

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

describe.each([
  ['memory', async (): Promise<Storage> => new MemoryStorage()],
  ['files', async (): Promise<Storage> => new FileStorage(await folder(), { durability: 'os' })],
])('idle over %s', (_, makeStorage) => {
  /** Each message goes on through all the stages; each stage has two groups. */
  async function chain(broker: Broker, stages: number, wait: () => unknown): Promise<Map<string, number>> {
    const topics = range(0, stages).map((stage) => new Topic<number>(`stage-${stage}`, { partitions: 3 }))
    const producer = broker.producer()
    const counts = new Map<string, number>()
    for (const [stage, topic] of topics.entries()) {
      await broker.topic(topic)
      for (const name of ['a', 'b']) {
        const group = broker.consumerGroup(`${name}-${stage}`, { topics: [topic] })
        await group.run(async ({ value }) => {
          await wait()
          const onward = topics[stage + 1]
          if (name === 'a' && onward !== undefined) await producer.send(onward, { key: `${value}`, value })
          counts.set(group.id, (counts.get(group.id) ?? 0) + 1)
        })
      }
    }
    await producer.send(
      topics[0] as Topic<number>,
      range(1, 50).map((value) => ({ key: `${value}`, value })),
    )
    return counts
  }

  it.each([
    ['at once', () => undefined],
    ['after a turn', turn],
  ])('means that chains of topics are handled to their end (handlers that send %s)', async (_, wait) => {
    const broker = await openBroker({ storage: await makeStorage() })
    const counts = await chain(broker, 4, wait)
    await broker.idle()
    expect([...counts.values()]).toEqual(Array.from({ length: 10 }, () => 50))
    for (const id of counts.keys()) {
      const { lag } = await broker.describeGroup(id)
      expect(lag.every((at) => at.lag === 0)).toBe(true)
    }
  })

  it('waits for sends that a handler did not wait for', async () => {
    const broker = await openBroker({ storage: await makeStorage() }, words, new Topic('onward'))
    const producer = broker.producer()
    const seen = new Seen()
    await broker.consumerGroup('a', { topics: [words] }).run((message) => {
      void producer.send(new Topic('onward'), { value: message.value })
    })
    await broker.consumerGroup('b', { topics: [new Topic('onward')] }).run(seen.add)
    await send(broker, words, range(1, 20))
    await broker.idle()
    expect(seen.values).toEqual(range(1, 20))
  })

  it('is exact again and again, with new members and topics in between', async () => {
    const broker = await openBroker({ storage: await makeStorage() })
    let handled = 0
    let sent = 0
    for (const round of range(1, 10)) {
      const topic = await broker.topic<number>(`events.${round}`, { partitions: 2 })
      void broker.consumerGroup('all', { topics: [/^events\./] }).run(() => {
        handled++
      })
      for (const partition of [0, 1]) await send(broker, topic, range(1, 10), partition)
      sent += 20
      await broker.idle()
      expect(handled).toBe(sent)
    }
  })
})

describe('idle', () => {
  it('resolves where nothing ever happened', async () => {
    const broker = await openBroker()
    await broker.idle()
    await broker.idle({ groups: [] })
  })

  it('counts from the call of run on, before the member has its partitions', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const seen = new Seen()
    const running = broker.consumerGroup('g', { topics: [words] }).run(seen.add)
    await broker.idle()
    expect(seen.values).toEqual(['a'])
    await running
  })

  it('waits for a handler that is at work', async () => {
    const broker = await openBroker({}, words)
    const [started, release] = [deferred(), deferred()]
    await broker.consumerGroup('g', { topics: [words] }).run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, words, ['a'])
    await started.promise
    let isIdle = false
    const idle = broker.idle().then(() => {
      isIdle = true
    })
    for (let count = 0; count < 5; count++) await turn()
    expect(isIdle).toBe(false)
    release.resolve()
    await idle
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('does not wait for paused partitions, nor for commits by hand', async () => {
    const broker = await openBroker({}, words)
    const seen = new Seen()
    const group = broker.consumerGroup('g', { topics: [words], commit: 'manual' })
    await group.run(seen.add)
    await send(broker, words, ['a'])
    await broker.idle()
    expect(seen.values).toEqual(['a'])
    group.pause()
    await send(broker, words, ['b'])
    await broker.idle()
    expect(seen.values).toEqual(['a'])
    expect(await committed(broker, 'g')).toBe(null)
  })

  it('waits for the groups that it is told of to have a member', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const seen = new Seen()
    const idle = broker.idle({ groups: ['later'] })
    await turn()
    void broker.consumerGroup('later', { topics: [words] }).run(seen.add)
    await idle
    expect(seen.values).toEqual(['a'])
  })

  it('commits without waiting for the interval', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    await broker.consumerGroup('g', { topics: [words] }).run(() => {})
    await send(broker, words, ['a'])
    await broker.idle()
    expect([await committed(broker, 'g'), clock.monotonic()]).toEqual([1, 0])
  })

  it('rejects inside a handler, at once and after awaits, directly and called through others', async () => {
    const broker = await openBroker({}, words)
    const errors: unknown[] = []
    const attempt = async (): Promise<void> => {
      await broker.idle().catch((error) => errors.push(error))
    }
    for (const ordering of ['partition', 'key'] as const) {
      await broker.consumerGroup(ordering, { topics: [words] }).run(
        async () => {
          await attempt()
          await turn()
          await Promise.all([turn(), attempt()])
        },
        { ordering },
      )
    }
    await broker.consumerGroup('batches', { topics: [words] }).runBatches(attempt)
    await send(broker, words, ['a'])
    await broker.idle()
    expect(errors).toEqual(Array.from({ length: 5 }, () => neverIdle(/inside a handler/)))
  })

  it.each([
    { how: 'the only batch', sends: 1, options: {} },
    { how: 'the first of several', sends: 3, options: {} },
    { how: 'one in a slot', sends: 1, options: { concurrency: 1 } },
    { how: 'one that was given time to fill', sends: 1, options: { maxWaitMs: 1 } },
    { how: 'one of several calls', sends: 1, options: { maxMessages: 1 } },
  ])('rejects inside a handler of batches that has waited for something: $how', async ({ sends, options }) => {
    const broker = await openBroker({}, words)
    // Gathered before anybody reads, so that one fetch brings all of them.
    for (let sent = 0; sent < sends; sent++) await send(broker, words, ['a', 'b'])
    const errors: unknown[] = []
    const handled = new Promise<void>((resolve) => {
      void broker.consumerGroup('g', { topics: [words] }).runBatches(async () => {
        await null
        await broker.idle().catch((error) => errors.push(error))
        resolve()
      }, options)
    })
    await handled
    expect(errors[0]).toEqual(neverIdle(/inside a handler/))
  })

  it('rejects when a failure stopped a group that has messages left, until a member takes over', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run((message) => {
      if (message.value === 'b') throw new Error('no b')
    })
    const idle = send(broker, words, ['a', 'b', 'c']).then(() => broker.idle())
    const stopped = expect.objectContaining({ code: 'OTTLA_GROUP_STOPPED', message: expect.stringMatching(/no b/) })
    group.on('error', () => {})
    await expect(idle).rejects.toEqual(stopped)
    await expect(broker.idle()).rejects.toEqual(stopped)
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [words] }).run(seen.add)
    await broker.idle()
    expect(seen.values).toEqual(['b', 'c'])
  })

  it('resolves when a failed member left its messages to another one of the group', async () => {
    const broker = await openBroker({}, words)
    const first = broker.consumerGroup('g', { topics: [words] })
    first.on('error', () => {})
    await first.run(() => {
      throw new Error('no')
    })
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [words] }).run(seen.add)
    await send(broker, words, ['a'])
    await broker.idle()
    expect(seen.values).toEqual(['a'])
  })

  it('rejects on abort and names what is outstanding', async () => {
    const broker = await openBroker({}, words)
    const [started, release] = [deferred(), deferred()]
    await broker.consumerGroup('g', { topics: [words] }).run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, words, ['a'])
    await started.promise
    const controller = new AbortController()
    const idle = broker.idle({ signal: controller.signal, groups: ['other'] })
    await turn()
    controller.abort(new Error('enough'))
    await expect(idle).rejects.toEqual(
      neverIdle(/group g: words-0 offset 0 is being handled; group other has no member yet/),
    )
    await expect(idle).rejects.toMatchObject({ cause: { message: 'enough' } })
    release.resolve()
  })

  it('rejects when only a manual clock could help, naming a producer that lingers', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const sending = broker.producer({ lingerMs: 50 }).send(words, { value: 'a' })
    await expect(broker.idle()).rejects.toEqual(neverIdle(/advance it.*1 messages are being sent/))
    await clock.advance(50)
    await sending
    await broker.idle()
  })

  it('rejects when only a manual clock could help, naming a batch that waits to fill', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const sizes: number[] = []
    await broker
      .consumerGroup('g', { topics: [words] })
      .runBatches((batch) => void sizes.push(batch.messages.length), { maxMessages: 5, maxWaitMs: 50 })
    await send(broker, words, ['a', 'b'])
    await expect(broker.idle()).rejects.toEqual(neverIdle(/group g: words-0 offset 0 is to be handled up to 2/))
    await clock.advance(50)
    await broker.idle()
    expect(sizes).toEqual([2])
  })

  it('rejects when the broker closes, which ends what it waits for', async () => {
    const broker = await openBroker({}, words)
    const idle = broker.idle({ groups: ['later'] })
    await turn()
    await broker.close()
    await expect(idle).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
  })

  it('forgets the failure of a group that was deleted', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const group = broker.consumerGroup('g', { topics: [words] })
    group.on('error', () => {})
    await group.run(() => {
      throw new Error('no')
    })
    await expect(broker.idle()).rejects.toMatchObject({ code: 'OTTLA_GROUP_STOPPED' })
    await broker.resetOffsets('g', 'earliest', { topics: [words] })
    await broker.deleteGroup('g')
    await broker.idle()
  })

  it('finds the handler it is called in where stack traces are prepared, and leaves their settings alone', async () => {
    const broker = await openBroker({}, words)
    const { prepareStackTrace, stackTraceLimit } = Error
    const outcome = deferred<unknown>()
    await broker.consumerGroup('g', { topics: [words] }).run(async () => {
      const prepare = (): string => 'hidden'
      Error.prepareStackTrace = prepare
      await broker.idle().catch(outcome.resolve)
      outcome.resolve([Error.prepareStackTrace === prepare, Error.stackTraceLimit === stackTraceLimit])
    })
    await send(broker, words, ['a'])
    try {
      await expect(outcome.promise).resolves.toEqual(neverIdle(/inside a handler/))
    } finally {
      Error.prepareStackTrace = prepareStackTrace
    }
  })

  it('waits for a producer that lingers on the real clock', async () => {
    const broker = await openBroker({}, words)
    const seen = new Seen()
    await broker.consumerGroup('g', { topics: [words] }).run(seen.add)
    void broker.producer({ lingerMs: 20 }).send(words, { value: 'a' })
    await broker.idle()
    expect(seen.values).toEqual(['a'])
  })
})
