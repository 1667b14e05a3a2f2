import { type Broker, type ConsumerGroup, type GroupOptions, type Message, type RunOptions, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { committed, deferred, drain, next, openBroker, range, Seen, send, words } from './consuming.js'

const twice: Topic<string> = new Topic<string>('twice', { partitions: 2 })
const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const backoff = { initialMs: 1000, factor: 2 }

/** Fails at a message so often, or always. */
function failing(times: Record<string, number>): {
  handler: (message: Message<string>) => void
  handled: string[]
  seen: Seen
} {
  const left = new Map(Object.entries(times))
  const handled: string[] = []
  const seen = new Seen()
  const handler = (message: Message<string>): void => {
    const { value } = message
    handled.push(value)
    const failures = left.get(value) ?? 0
    left.set(value, failures - 1)
    if (failures > 0) throw new Error(`no ${value}`)
    seen.add(message)
  }
  return { handler, handled, seen }
}

interface Scene {
  readonly clock: ManualClock
  readonly broker: Broker
  readonly member: ConsumerGroup<Message<string>>
  readonly told: string[]
}

async function scene(
  topic: Topic<string> = words,
  options: Omit<GroupOptions<unknown>, 'topics'> = {},
): Promise<Scene> {
  const clock = new ManualClock()
  const broker = await openBroker({ clock }, topic)
  const member = broker.consumerGroup('g', { ...options, topics: [topic] })
  return { clock, broker, member, told: listen(member) }
}

function listen(member: ConsumerGroup<Message<string>>): string[] {
  const told: string[] = []
  member.on('retry', ({ value }, error, attempt) => void told.push(`retry ${value} after ${attempt}: ${reason(error)}`))
  member.on('skipped', ({ value }, error) => void told.push(`skipped ${value}: ${reason(error)}`))
  member.on('stalled', ({ offset }) => void told.push(`stalled ${offset}`))
  member.on('error', () => {})
  return told
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a handler that fails', () => {
  it('gets its message again after each wait, and the number of the try', async () => {
    const { clock, broker, member, told } = await scene()
    const attempts: [string, number][] = []
    await member.run(
      async ({ value }, { attempt }) => {
        attempts.push([value, attempt])
        if (value === 'b' && attempt < 4) throw new Error('no')
      },
      { retry: { attempts: 4, backoff } },
    )
    await send(broker, words, ['a', 'b', 'c'])
    await clock.advance(999)
    expect(attempts).toEqual([
      ['a', 1],
      ['b', 1],
    ])
    await clock.advance(1)
    expect(attempts).toHaveLength(3)
    await clock.advance(1999)
    expect(attempts).toHaveLength(3)
    await clock.advance(4001)
    await broker.idle()
    expect(attempts).toEqual([
      ['a', 1],
      ['b', 1],
      ['b', 2],
      ['b', 3],
      ['b', 4],
      ['c', 1],
    ])
    expect(told).toEqual(['retry b after 1: no', 'retry b after 2: no', 'retry b after 3: no'])
    expect(await committed(broker, 'g')).toBe(3)
  })

  it('stops its member when the tries are used up: closed rejects with the cause, and the offset stays', async () => {
    const { clock, broker, member } = await scene()
    const { handler, handled } = failing({ b: 9 })
    await member.run(handler, { retry: { attempts: 3, backoff } })
    await send(broker, words, ['a', 'b', 'c'])
    await clock.advance(10_000)
    await expect(member.closed).rejects.toMatchObject({
      code: 'OTTLA_HANDLER_FAILED',
      message: expect.stringContaining('words-0 offset 1, 3 times: no b'),
      cause: new Error('no b'),
    })
    expect(handled).toEqual(['a', 'b', 'b', 'b'])
    expect(await drain(broker, 'g')).toEqual(['b', 'c'])
  })

  it("goes on without the message under 'skip', and says so", async () => {
    const { clock, broker, member, told } = await scene()
    const { handler, handled } = failing({ b: 9, c: 9 })
    await member.run(handler, { retry: { attempts: 2, backoff }, onExhausted: 'skip' })
    await send(broker, words, ['a', 'b', 'c', 'd'])
    await clock.advance(2000)
    await broker.idle()
    expect(handled).toEqual(['a', 'b', 'b', 'c', 'c', 'd'])
    expect(told.filter((what) => what.startsWith('skipped'))).toEqual(['skipped b: no b', 'skipped c: no c'])
    expect(await committed(broker, 'g')).toBe(4)
  })

  it('is not called again for an error that retryIf refuses', async () => {
    const { broker, member } = await scene()
    const { handler, handled } = failing({ a: 9 })
    await member.run(handler, { retry: { attempts: 5, retryIf: () => false } })
    await send(broker, words, ['a'])
    await expect(member.closed).rejects.toEqual(code('OTTLA_HANDLER_FAILED'))
    expect(handled).toEqual(['a'])
  })

  it('stops its member where the backoff is no time to wait', async () => {
    const { broker, member } = await scene()
    await member.run(failing({ a: 9 }).handler, { retry: { attempts: 5, backoff: () => Number.NaN } })
    await send(broker, words, ['a'])
    await expect(member.closed).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('lets the event loop go on, however often it is called again at once', async () => {
    const broker = await openBroker({}, words)
    const member = broker.consumerGroup('g', { topics: [words] })
    let isOver = false
    await member.run(
      () => {
        if (!isOver) throw new Error('no')
      },
      { retry: { attempts: Number.POSITIVE_INFINITY, backoff: () => 0 } },
    )
    await send(broker, words, ['a'])
    await turns(3)
    isOver = true
    await broker.idle()
  })
})

describe('options for failures', () => {
  it.each([
    ['no attempts', { retry: {} }, /retry has no attempts/],
    ['no try at all', { retry: { attempts: 0 } }, /attempts of retry is a whole number of at least 1/],
    ['half a try', { retry: { attempts: 1.5 } }, /attempts of retry/],
    ['a number of tries', { retry: 3 }, /retry of run is an object/],
    ['another option', { retry: { attempts: 2, retries: 1 } }, /retry has no option retries/],
    ['a number as backoff', { retry: { attempts: 2, backoff: 100 } }, /backoff of retry is a function or/],
    ['a backoff without a first wait', { retry: { attempts: 2, backoff: { factor: 2 } } }, /no initialMs/],
    ['a wait that shrinks', { retry: { attempts: 2, backoff: { initialMs: 1, factor: 0.5 } } }, /factor of backoff/],
    ['a negative wait', { retry: { attempts: 2, backoff: { initialMs: -1 } } }, /initialMs of backoff/],
    [
      'more jitter than there is',
      { retry: { attempts: 2, backoff: { initialMs: 1, jitter: 2 } } },
      /jitter of backoff/,
    ],
    ['no time', { retry: { attempts: 2, backoff: { initialMs: Number.NaN } } }, /initialMs of backoff/],
    ['a text as retryIf', { retry: { attempts: 2, retryIf: 'never' } }, /retryIf of retry is a function/],
    ['another end', { onExhausted: 'ignore' }, /onExhausted of run is one of 'stop', 'skip'/],
    ['a number as topic', { deadLetter: 7 }, /deadLetter of run is a Topic or its name/],
  ])('are refused at once: %s', async (_, options, message) => {
    const { broker, member } = await scene()
    const expected = { code: 'OTTLA_INVALID_ARGUMENT', message: expect.stringMatching(message) }
    await expect(member.run(() => {}, options as never)).rejects.toMatchObject(expected)
    await member.run(() => {})
    expect(await broker.topics()).toEqual(['words'])
  })
})

describe('while a message waits for its next try', () => {
  it("its partition waits under ordering 'partition', and the others go on", async () => {
    const { clock, broker, member } = await scene(twice)
    const { handler, seen } = failing({ a: 1 })
    await member.run(handler, { retry: { attempts: 2, backoff }, concurrency: 1 })
    await send(broker, twice, ['a', 'b'], 0)
    await send(broker, twice, ['x', 'y'], 1)
    await seen.count(2)
    await turns()
    expect(seen.values).toEqual(['x', 'y'])
    await clock.advance(1000)
    await broker.idle()
    expect(seen.values).toEqual(['x', 'y', 'a', 'b'])
  })

  it("its key waits under ordering 'key', and the others go on", async () => {
    const { clock, broker, member } = await scene()
    const { handler, seen } = failing({ a1: 1 })
    await member.run(handler, { retry: { attempts: 2, backoff }, ordering: 'key', concurrency: 1 })
    await broker.producer().send(
      words,
      ['a1', 'b1', 'a2', 'b2', 'c1', 'a3'].map((value) => ({ key: value[0] ?? '', value })),
    )
    await seen.count(3)
    await turns()
    expect(seen.values).toEqual(['b1', 'b2', 'c1'])
    await clock.advance(1000)
    await broker.idle()
    expect(seen.values).toEqual(['b1', 'b2', 'c1', 'a1', 'a2', 'a3'])
    expect(await committed(broker, 'g')).toBe(6)
  })

  it("others go on under ordering 'key' though thousands wait behind it", async () => {
    const { clock, broker, member } = await scene()
    const { handler, seen } = failing({ 0: 1 })
    await member.run(handler, { retry: { attempts: 2, backoff }, ordering: 'key' })
    await broker.producer().send(
      words,
      range(0, 2999).map((number) => ({ key: number % 3 === 0 ? 'bad' : `k${number % 7}`, value: `${number}` })),
    )
    await seen.count(2000)
    await turns()
    expect(seen.values.filter((value) => Number(value) % 3 === 0)).toEqual([])
    await clock.advance(1000)
    await broker.idle()
    expect(seen.values.slice(2000).map(Number)).toEqual(range(0, 999).map((number) => number * 3))
  })

  it.each(['key', 'none'] as const)(
    "others go on under ordering '%s' while less than 16 MiB wait",
    async (ordering) => {
      const { clock, broker, member } = await scene()
      const seen = new Seen()
      const handler = (message: Message<string>): void => {
        if (message.key === 'bad' && clock.now() === start) throw new Error('no')
        seen.add(message)
      }
      const start = clock.now()
      await member.run(handler, { retry: { attempts: 2, backoff }, ordering })
      const large = 'x'.repeat(2 ** 20 - 100)
      const producer = broker.producer()
      const sendBad = async (count: number): Promise<void> => {
        for (let sent = 0; sent < count; sent++) await producer.send(words, { key: 'bad', value: large })
      }
      await sendBad(16)
      await producer.send(words, { key: 'good', value: 'before' })
      await seen.count(1)
      await sendBad(1)
      await producer.send(words, { key: 'good', value: 'after' })
      await turns()
      expect(seen.values).toEqual(['before'])
      await clock.advance(1000)
      await broker.idle()
      expect(seen.values.filter((value) => value !== large)).toEqual(['before', 'after'])
      expect(seen.values).toHaveLength(19)
    },
  )

  it("others go on under ordering 'key' though as many as are read ahead wait behind it when it fails", async () => {
    const { clock, broker, member } = await scene()
    const [started, gate] = [deferred(), deferred()]
    const seen = new Seen()
    await member.run(
      async (message, { attempt }) => {
        if (message.value === '0' && attempt === 1) {
          started.resolve()
          await gate.promise
          throw new Error('no')
        }
        seen.add(message)
      },
      { retry: { attempts: 2, backoff }, ordering: 'key' },
    )
    const bad = range(0, 299).map((number) => ({ key: 'bad', value: `${number}` }))
    await broker.producer().send(words, [...bad, { key: 'good', value: 'good' }])
    await started.promise
    await turns()
    gate.resolve()
    await turns()
    expect(seen.values).toEqual(['good'])
    await clock.advance(1000)
    await broker.idle()
    expect(seen.values.slice(1).map(Number)).toEqual(range(0, 299))
  })

  it.each(['key', 'none'] as const)(
    'it is tried again, and those behind it handled, before its partition is reset (ordering %s)',
    async (ordering) => {
      const { clock, broker, member } = await scene(words, { onOutOfRange: 'earliest' })
      const resets: [number, number][] = []
      member.on('outOfRange', ({ offset, resetTo }) => void resets.push([offset, resetTo]))
      const { handler, seen } = failing({ a1: 1 })
      await member.run(handler, { retry: { attempts: 2, backoff }, ordering })
      const keyed = (values: string[]) => values.map((value) => ({ key: value[0] ?? '', value }))
      await broker.producer().send(words, keyed(['a1', 'a2']))
      await turns()
      member.pause()
      await broker.producer().send(words, keyed(['b1', 'b2']))
      await broker.deleteRecords([{ topic: 'words', partition: 0, beforeOffset: 3 }])
      member.resume()
      await turns()
      await expect(broker.idle()).rejects.toEqual(code('OTTLA_NEVER_IDLE'))
      expect(await committed(broker, 'g')).toBe(null)
      await clock.advance(1000)
      await broker.idle()
      expect([...seen.values].sort()).toEqual(['a1', 'a2', 'b2'])
      expect(resets).toEqual([[2, 3]])
      expect(await committed(broker, 'g')).toBe(4)
    },
  )

  it.each([
    ['is at its next try', 'a0', 1],
    ['was handled at its next try', 'a1', 2],
  ])(
    "those that gathered behind it under ordering 'key' are given back where the member closes while it %s",
    async (_, gated, done) => {
      const { clock, broker, member } = await scene()
      const [started, gate] = [deferred(), deferred()]
      const seen = new Seen()
      await member.run(
        async (message, { attempt }) => {
          if (message.value === 'a0' && attempt === 1) throw new Error('no')
          if (message.value === gated) {
            started.resolve()
            await gate.promise
          }
          seen.add(message)
        },
        { retry: { attempts: 2, backoff }, ordering: 'key' },
      )
      const values = range(0, 9).map((number) => `a${number}`)
      await broker.producer().send(
        words,
        [...values, 'b'].map((value) => ({ key: value[0] ?? '', value })),
      )
      await seen.count(1)
      await clock.advance(1000)
      await started.promise
      const closing = member.close()
      gate.resolve()
      await closing
      expect(seen.values).toEqual(['b', ...values.slice(0, done)])
      expect(await committed(broker, 'g')).toBe(done)
      expect(await drain(broker, 'g')).toEqual([...values.slice(done), 'b'])
    },
  )

  it("it alone waits under ordering 'none'", async () => {
    const { clock, broker, member } = await scene()
    const { handler, seen } = failing({ a: 1 })
    await member.run(handler, { retry: { attempts: 2, backoff }, ordering: 'none', concurrency: 1 })
    await send(broker, words, ['a', 'b', 'c'])
    await seen.count(2)
    await clock.advance(999)
    expect(seen.values).toEqual(['b', 'c'])
    expect(await committed(broker, 'g')).toBe(null)
    await clock.advance(1)
    await broker.idle()
    expect(seen.values).toEqual(['b', 'c', 'a'])
    expect(await committed(broker, 'g')).toBe(3)
  })
})

describe('a message whose next try is due, and waits for a handler to be free,', () => {
  /** One handler at a time, which is at work in partition 1 when the message of partition 0 is due. */
  async function due(): Promise<Scene & { handled: string[]; release: () => void }> {
    const made = await scene(twice)
    const [started, gate] = [deferred(), deferred()]
    const handled: string[] = []
    await made.member.run(
      async ({ value }, { attempt }) => {
        handled.push(`${value}${attempt}`)
        if (value === 'long') {
          started.resolve()
          await gate.promise
        }
        if (value === 'a' && attempt === 1) throw new Error('no')
      },
      { concurrency: 1, retry: { attempts: 2, backoff } },
    )
    await send(made.broker, twice, ['a'], 0)
    await turns()
    await send(made.broker, twice, ['long'], 1)
    await started.promise
    await made.clock.advance(1000)
    expect(handled).toEqual(['a1', 'long1'])
    return { ...made, handled, release: gate.resolve }
  }

  it('goes on when one is', async () => {
    const { broker, handled, release } = await due()
    release()
    await broker.idle()
    expect(handled).toEqual(['a1', 'long1', 'a2'])
  })

  it('does not go on where its partition was paused meanwhile, until that is resumed', async () => {
    const { broker, member, handled, release } = await due()
    member.pause([{ topic: 'twice', partition: 0 }])
    release()
    await broker.idle()
    expect(handled).toEqual(['a1', 'long1'])
    member.resume()
    await broker.idle()
    expect(handled).toEqual(['a1', 'long1', 'a2'])
  })

  it('is given back where the member closes meanwhile', async () => {
    const { broker, member, handled, release } = await due()
    const closing = member.close()
    release()
    await closing
    expect(handled).toEqual(['a1', 'long1'])
    expect(await committed(broker, 'g', 'twice', 0)).toBe(null)
    expect(await committed(broker, 'g', 'twice', 1)).toBe(1)
  })
})

const ways: [string, Pick<RunOptions, 'ordering'>][] = [
  ['partition', {}],
  ['key', { ordering: 'key' }],
  ['none', { ordering: 'none' }],
]

describe.each(ways)('a message that waits for its next try, by %s,', (_, way) => {
  const options: RunOptions = { ...way, retry: { attempts: 5, backoff } }

  async function waiting(
    settings: Omit<GroupOptions<unknown>, 'topics'> = {},
  ): Promise<Scene & ReturnType<typeof failing>> {
    const made = await scene(words, settings)
    const handlers = failing({ a: 1 })
    await made.member.run(handlers.handler, options)
    const retried = new Promise((resolve) => made.member.on('retry', resolve))
    await send(made.broker, words, ['a'])
    await retried
    return { ...made, ...handlers }
  }

  it('is given back by close at once, which is no failure', async () => {
    const { broker, clock, member } = await waiting()
    await member.close()
    await member.closed
    expect(clock.pendingTimers).toBeLessThan(2)
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('is given back to the member that gets its partition', async () => {
    const { broker, member, told } = await waiting()
    const revoked = next(member, 'revoked')
    const second = broker.consumerGroup('g', { topics: [words] })
    await second.run(() => {})
    const third = broker.consumerGroup('g', { topics: [words] })
    const seen = new Seen()
    await third.run(seen.add)
    await member.close()
    await revoked
    await broker.idle()
    expect(await committed(broker, 'g')).toBe(1)
    expect(told).toHaveLength(1)
  })

  it('waits for the end of a pause, and keeps the number of its try', async () => {
    const { broker, clock, member, handled, seen } = await waiting()
    member.pause()
    await clock.advance(5000)
    expect(handled).toEqual(['a'])
    await broker.idle()
    member.resume()
    await broker.idle()
    expect(seen.values).toEqual(['a'])
  })

  it('goes on waiting when a pause ends before its time', async () => {
    const { clock, member, handled } = await waiting()
    member.pause()
    await clock.advance(500)
    member.resume()
    await clock.advance(499)
    expect(handled).toEqual(['a'])
    await clock.advance(1)
    expect(handled).toEqual(['a', 'a'])
  })

  it('is given up by a seek', async () => {
    const { broker, clock, member, handled } = await waiting()
    await send(broker, words, ['b', 'c'])
    await member.seek({ offset: 2 })
    await clock.advance(5000)
    await broker.idle()
    expect(handled).not.toContain('aa')
    expect(handled.filter((value) => value === 'a')).toEqual(['a'])
    expect(handled.at(-1)).toBe('c')
    expect(await committed(broker, 'g')).toBe(3)
  })

  it('comes anew where a seek goes back to it', async () => {
    const { broker, member, handled, seen } = await waiting()
    await member.seek('earliest')
    await broker.idle()
    expect([handled, seen.values]).toEqual([['a', 'a'], ['a']])
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('is what idle says only time could help', async () => {
    const { broker, clock, seen } = await waiting()
    await expect(broker.idle()).rejects.toMatchObject({
      code: 'OTTLA_NEVER_IDLE',
      message: expect.stringMatching(/group g: words-0: 1 failed, and are to be tried again/),
    })
    await clock.advance(1000)
    await broker.idle()
    expect(seen.values).toEqual(['a'])
  })

  it('does not count as handled for too long', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const member = broker.consumerGroup('g', { topics: [words], maxPollIntervalMs: 1000 })
    const told = listen(member)
    const release = deferred()
    let blocked = 0
    await member.run(
      async ({ value }, { attempt }) => {
        if (value === 'a' && attempt < 4) throw new Error('no')
        if (value !== 'b') return
        blocked++
        await release.promise
      },
      { ...way, retry: { attempts: 5, backoff: () => 3000 } },
    )
    await send(broker, words, ['a'])
    await clock.advance(9001)
    await broker.idle()
    expect(told.filter((what) => what.startsWith('stalled'))).toEqual([])
    await send(broker, words, ['b'])
    await clock.advance(1300)
    expect(told.filter((what) => what.startsWith('stalled'))).toEqual(['stalled 1'])
    release.resolve()
    await broker.idle()
    expect(blocked).toBe(2)
  })
})

describe('the time that a handler may take', () => {
  it('is counted for each try of a message', async () => {
    const { clock, broker, member, told } = await scene(words, { maxPollIntervalMs: 1000 })
    const seen = new Seen()
    await member.run(
      async (message, { attempt }) => {
        await new Promise<void>((resolve) => clock.schedule(resolve, 650))
        if (attempt < 4) throw new Error('no')
        seen.add(message)
      },
      { retry: { attempts: 4, backoff: () => 1 } },
    )
    await send(broker, words, ['a'])
    await clock.advance(4000)
    await broker.idle()
    expect(seen.values).toEqual(['a'])
    expect(told.filter((what) => what.startsWith('stalled'))).toEqual([])
  })

  it('is not counted for a message that waits for its next try, while others are handled', async () => {
    const { clock, broker, member, told } = await scene(words, { maxPollIntervalMs: 1000 })
    const seen = new Seen()
    await member.run(
      async (message, { attempt }) => {
        if (message.value === 'a' && attempt === 1) throw new Error('no')
        await new Promise<void>((resolve) => clock.schedule(resolve, 500))
        seen.add(message)
      },
      { ordering: 'none', concurrency: 1, retry: { attempts: 2, backoff: () => 3000 } },
    )
    await send(broker, words, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    await clock.advance(4000)
    await broker.idle()
    expect(seen.values).toEqual(['b', 'c', 'd', 'e', 'f', 'g', 'a'])
    expect(told.filter((what) => what.startsWith('stalled'))).toEqual([])
  })
})

describe.each(ways)('a message that fails when its partition was lost, by %s,', (_, way) => {
  it.each([
    ['parked', { deadLetter: 'dead' }],
    ['skipped', { onExhausted: 'skip' }],
    ['tried again', { retry: { attempts: 2, backoff: () => 0 }, deadLetter: 'dead' }],
  ] as const)('is not %s: whoever has the partition now has the message too', async (_, end) => {
    const { clock, broker, member, told } = await scene(words, { maxPollIntervalMs: 1000 })
    const parked: unknown[] = []
    member.on('deadLetter', (message) => parked.push(message))
    const lost = next(member, 'lost')
    const [started, release] = [deferred(), deferred()]
    await member.run(
      async () => {
        started.resolve()
        await release.promise
        throw new Error('too late')
      },
      { ...way, ...end },
    )
    await send(broker, words, ['a'])
    await started.promise
    const other = broker.consumerGroup('g', { topics: [words] })
    const seen = new Seen()
    const running = other.run(seen.add)
    await clock.advance(1300)
    await lost
    await running
    await seen.count(1)
    release.resolve()
    await broker.idle()
    expect([told, parked, seen.values]).toEqual([['stalled 0'], [], ['a']])
  })
})

describe('runBatches, where its handler fails,', () => {
  it('tries what is left of the batch again, in the end each message alone, and stops at the one that fails', async () => {
    const { clock, broker, member, told } = await scene()
    await send(broker, words, ['a', 'b', 'c', 'd'])
    const calls: [string, number][] = []
    await member.runBatches(
      (batch, { attempt }) => {
        const values = batch.messages.map(({ value }) => value)
        calls.push([values.join(''), attempt])
        if (values[0] === 'a' && values.length > 1) batch.resolve(batch.messages[0] as Message<string>)
        if (values.includes('c')) throw new Error('no c')
      },
      { retry: { attempts: 3, backoff } },
    )
    await clock.advance(5000)
    await expect(member.closed).rejects.toMatchObject({
      code: 'OTTLA_HANDLER_FAILED',
      message: expect.stringContaining('words-0 offset 2, 3 times'),
    })
    expect(calls).toEqual([
      ['abcd', 1],
      ['bcd', 2],
      ['b', 3],
      ['c', 3],
    ])
    expect(told).toEqual(['retry b after 1: no c', 'retry b after 2: no c'])
    expect(await drain(broker, 'g')).toEqual(['c', 'd'])
  })

  it('goes on without the one that fails under skip, and with the others', async () => {
    const { clock, broker, member, told } = await scene()
    await send(broker, words, ['a', 'b', 'c', 'd'])
    const done: string[] = []
    await member.runBatches(
      ({ messages }) => {
        const values = messages.map(({ value }) => value)
        if (values.includes('b')) throw new Error('no b')
        done.push(...values)
      },
      { retry: { attempts: 2, backoff }, onExhausted: 'skip' },
    )
    await clock.advance(1000)
    await broker.idle()
    expect(done).toEqual(['a', 'c', 'd'])
    expect(told).toEqual(['retry a after 1: no b', 'skipped b: no b'])
    expect(await committed(broker, 'g')).toBe(4)
  })

  it('skips all that was not resolved where there is no second try', async () => {
    const { broker, member, told } = await scene()
    await send(broker, words, ['a', 'b', 'c'])
    await member.runBatches(
      (batch) => {
        batch.resolve(batch.messages[0] as Message<string>)
        throw new Error('no')
      },
      { onExhausted: 'skip' },
    )
    await broker.idle()
    expect(told).toEqual(['skipped b: no', 'skipped c: no'])
  })

  it('tries each message alone at once where retryIf says that the batch need not be tried again', async () => {
    const { broker, member, told } = await scene()
    await send(broker, words, ['a', 'b', 'c'])
    const calls: string[] = []
    await member.runBatches(
      ({ messages }) => {
        const values = messages.map(({ value }) => value).join('')
        calls.push(values)
        if (values.includes('b')) throw new Error('no b')
      },
      { retry: { attempts: 9, backoff, retryIf: () => false }, onExhausted: 'skip' },
    )
    await broker.idle()
    expect(calls).toEqual(['abc', 'a', 'b', 'c'])
    expect(told.at(-1)).toBe('skipped b: no b')
  })

  it('gives back what waits when the member closes', async () => {
    const { broker, member } = await scene()
    await send(broker, words, ['a', 'b'])
    const retried = new Promise((resolve) => member.on('retry', resolve))
    await member.runBatches(
      (batch) => {
        batch.resolve(batch.messages[0] as Message<string>)
        throw new Error('no')
      },
      { retry: { attempts: 5, backoff } },
    )
    await retried
    await member.close()
    await member.closed
    expect(await drain(broker, 'g')).toEqual(['b'])
  })
})

describe('messages, whose body says that a message failed,', () => {
  it('gives the message again after its wait, and those of other partitions meanwhile', async () => {
    const { clock, broker, member, told } = await scene(twice)
    await send(broker, twice, ['a', 'b'], 0)
    const seen = new Seen()
    const isOver = deferred()
    const messages = member.messages({ retry: { attempts: 3, backoff } })
    const looped = (async () => {
      for await (const message of messages) {
        seen.add(message)
        if (message.value === 'a' && seen.values.length === 1) messages.fail(new Error('no'))
        if (message.value === 'end') break
      }
      isOver.resolve()
    })()
    await seen.count(1)
    await send(broker, twice, ['x'], 1)
    await seen.count(2)
    await clock.advance(999)
    expect(seen.values).toEqual(['a', 'x'])
    await clock.advance(1)
    await seen.count(4)
    expect(seen.values).toEqual(['a', 'x', 'a', 'b'])
    expect(told).toEqual(['retry a after 1: no'])
    await send(broker, twice, ['end'], 0)
    await looped
    await isOver.promise
    expect([await committed(broker, 'g', 'twice', 0), await committed(broker, 'g', 'twice', 1)]).toEqual([2, 1])
  })

  it('throws in the end what stopped the member', async () => {
    const { broker, member } = await scene()
    await send(broker, words, ['a', 'b'])
    const messages = member.messages()
    const looped = (async () => {
      for await (const _ of messages) messages.fail(new Error('no'))
    })()
    await expect(looped).rejects.toEqual(code('OTTLA_HANDLER_FAILED'))
    expect(await drain(broker, 'g')).toEqual(['a', 'b'])
  })

  it('skips it or parks it, as it was told to', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a', 'b', 'c'])
    for (const options of [{ onExhausted: 'skip' }, { deadLetter: 'dead' }] as const) {
      const member = broker.consumerGroup(Object.keys(options).join(), { topics: [words] })
      const messages = member.messages(options)
      const values: string[] = []
      for await (const { value } of messages) {
        values.push(value)
        if (value === 'b') messages.fail(new Error('no'))
        if (value === 'c') break
      }
      expect(values).toEqual(['a', 'b', 'c'])
      expect(await committed(broker, member.id)).toBe(2)
    }
    for await (const { value } of broker.reader(new Topic<string>('dead'), { until: 'end' })) expect(value).toBe('b')
  })

  it('leaves the message uncommitted where the body breaks off after all', async () => {
    const { broker, member, told } = await scene()
    await send(broker, words, ['a'])
    const messages = member.messages({ retry: { attempts: 2 }, onExhausted: 'skip' })
    for await (const _ of messages) {
      messages.fail(new Error('no'))
      break
    }
    expect(told).toEqual([])
    messages.fail(new Error('too late, and the message comes again anyway'))
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('ends while it waits for the next try, when the member closes', async () => {
    const { broker, member } = await scene()
    await send(broker, words, ['a'])
    const messages = member.messages({ retry: { attempts: 2, backoff } })
    const retried = new Promise((resolve) => member.on('retry', resolve))
    const looped = (async () => {
      for await (const _ of messages) messages.fail(new Error('no'))
    })()
    await retried
    await member.close()
    await looped
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('refuses to take a failure of no message', async () => {
    const { member } = await scene()
    expect(() => member.messages().fail(new Error('no'))).toThrow(/No message is out/)
  })
})

describe('many messages that fail beside each other', () => {
  it('are all handled in the end, each key in its order', async () => {
    const { clock, broker, member } = await scene()
    const failed = new Set<string>()
    const seen = new Seen()
    await member.run(
      async (message) => {
        const { value } = message
        await turns(Number(value) % 2)
        if (Number(value) % 3 === 0 && !failed.has(value)) {
          failed.add(value)
          throw new Error('no')
        }
        seen.add(message)
      },
      { ordering: 'key', concurrency: 3, retry: { attempts: 2, backoff: { initialMs: 10 } } },
    )
    await broker.producer().send(
      words,
      range(1, 200).map((number) => ({ key: `k${number % 17}`, value: `${number}` })),
    )
    await clock.advance(600)
    await broker.idle()
    for (const key of range(0, 16)) {
      const ofKey = seen.values.map(Number).filter((number) => number % 17 === key)
      expect(ofKey).toEqual(range(1, 200).filter((number) => number % 17 === key))
    }
    expect(await committed(broker, 'g')).toBe(200)
  })
})
