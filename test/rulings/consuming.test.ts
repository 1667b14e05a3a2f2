import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  bytes,
  type Client,
  type ConsumerGroup,
  FileStorage,
  MemoryStorage,
  type Message,
  type Storage,
  Topic,
} from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { ATTRIBUTES_AT, CONTROL_BIT, LAST_OFFSET_DELTA_AT } from '../../src/record/batch-layout.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import {
  committed,
  deferred,
  drain,
  next,
  openBroker,
  openClient,
  range,
  Seen,
  send,
  words,
} from '../client/consuming.js'
import { runModule } from './child-process.js'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ottla-ruling-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

const storages = [
  ['memory', async (): Promise<Storage> => new MemoryStorage()],
  ['files', async (): Promise<Storage> => new FileStorage(await folder(), { durability: 'os' })],
] as const

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** Awaits a failure's coming through as an uncaught exception, in place of the test runner. */
function uncaught(): Promise<unknown> {
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  return new Promise((resolve) => {
    process.once('uncaughtException', (error) => {
      for (const listener of listeners) process.on('uncaughtException', listener)
      resolve(error)
    })
  })
}

describe.each(storages)('promise: order (%s)', (_, makeStorage) => {
  it('per partition, offsets are dense and rising, and handled so, one at a time', async () => {
    const topic = new Topic<number>('numbers', { partitions: 3 })
    const broker = await openBroker({ storage: await makeStorage() }, topic)
    const offsets = new Map<number, number[]>()
    const running = new Set<number>()
    await broker.consumerGroup('g', { topics: [topic] }).run(async ({ partition, offset }) => {
      expect(running.has(partition)).toBe(false)
      running.add(partition)
      if (offset % 3 === 0) await turn()
      offsets.set(partition, [...(offsets.get(partition) ?? []), offset])
      running.delete(partition)
    })
    await Promise.all(range(0, 2).map((partition) => send(broker, topic, range(1, 200), partition)))
    await broker.idle()
    for (const partition of range(0, 2)) expect(offsets.get(partition)).toEqual(range(0, 199))
  })
})

describe.each(storages)('promise: at least once (%s)', (_, makeStorage) => {
  it('an offset is committed only after its handler resolved, and it is the next one', async () => {
    const broker = await openBroker({ storage: await makeStorage() }, words)
    await send(broker, words, ['a', 'b'])
    const [started, release] = [deferred(), deferred()]
    const group = broker.consumerGroup('g', { topics: [words], autoCommitIntervalMs: 1 })
    const handled = new Seen()
    await group.run(async (message) => {
      if (message.value === 'b') {
        started.resolve()
        await release.promise
      }
      handled.add(message)
    })
    await started.promise
    while ((await committed(broker, 'g')) !== 1) await turn()
    expect(handled.values).toEqual(['a'])
    release.resolve()
    await broker.idle()
    expect(await committed(broker, 'g')).toBe(2)
  })

  it('what was not done is delivered again, to the next member', async () => {
    const broker = await openBroker({ storage: await makeStorage() }, words)
    await send(broker, words, ['a', 'b', 'c'])
    const group = broker.consumerGroup('g', { topics: [words] })
    group.on('error', () => {})
    await group.run(({ value }) => {
      if (value === 'b') throw new Error('no')
    })
    await group.closed.catch(() => {})
    expect(await drain(broker, 'g')).toEqual(['b', 'c'])
  })
})

describe('promise: nothing silent', () => {
  it('a failed handler stops the member: closed rejects, error is emitted, and the message is kept', async () => {
    const broker = await openBroker({}, words)
    await send(broker, words, ['a'])
    const group = broker.consumerGroup('g', { topics: [words] })
    const errors: unknown[] = []
    group.on('error', (error) => errors.push(error))
    await group.run(() => {
      throw new Error('no')
    })
    await expect(group.closed).rejects.toEqual(code('OTTLA_HANDLER_FAILED'))
    expect(errors).toEqual([code('OTTLA_HANDLER_FAILED')])
    expect(await drain(broker, 'g')).toEqual(['a'])
  })

  it('a failure after run has resolved, with nobody to hear it, is an uncaught exception', async () => {
    const broker = await openBroker({}, words)
    await broker.consumerGroup('g', { topics: [words] }).run(() => {
      throw new Error('unheard')
    })
    const thrown = uncaught()
    await send(broker, words, ['a'])
    expect(await thrown).toMatchObject({ code: 'OTTLA_HANDLER_FAILED', message: /unheard/ })
  })

  it('a failure that idle alone hears of is thrown by idle, though other members take over', async () => {
    const broker = await openBroker({}, words)
    await broker.consumerGroup('g', { topics: [words] }).run(() => {
      throw new Error('unheard')
    })
    await broker.consumerGroup('g', { topics: [words] }).run(() => {})
    const idle = broker.idle()
    void broker.producer().send(words, { value: 'a' })
    await expect(idle).rejects.toEqual(code('OTTLA_GROUP_STOPPED'))
    await broker.idle()
  })

  it('a failure that idle does not come to tell, because it tells another, is an uncaught exception', async () => {
    const broker = await openBroker({}, words)
    for (const id of ['a', 'b']) {
      await broker.consumerGroup(id, { topics: [words] }).run(() => {
        throw new Error('unheard')
      })
    }
    const idle = broker.idle().catch((error) => error)
    const thrown = uncaught()
    void broker.producer().send(words, { value: 'a' })
    const told = await idle
    expect(told).toEqual(code('OTTLA_GROUP_STOPPED'))
    expect(await thrown).toEqual(code('OTTLA_HANDLER_FAILED'))
    expect(await thrown).not.toBe(told.cause)
  })

  it('a listener that throws is an uncaught exception, and stops nothing', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    group.on('assigned', () => {
      throw new Error('listener')
    })
    const thrown = uncaught()
    const seen = new Seen()
    await group.run(seen.add)
    expect(await thrown).toMatchObject({ message: 'listener' })
    await send(broker, words, ['a'])
    await broker.idle()
    expect(seen.values).toEqual(['a'])
  })

  it('a value that cannot be decoded stops the member, naming the message', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', {
      topics: [
        new Topic('words', {
          value: {
            name: 'broken',
            encode: () => new Uint8Array(),
            decode: () => {
              throw new Error('broken')
            },
          },
        }),
      ],
    })
    // Listened for first: the member may have stopped before the send is acknowledged.
    const stopped = expect(group.closed).rejects.toMatchObject({
      code: 'OTTLA_DECODE',
      message: /words-0 offset 0.*broken/,
    })
    await Promise.all([group.run(() => {}), send(broker, words, ['a'])])
    await stopped
  })
})

describe('promise: quiet', () => {
  const script = (autoCommitIntervalMs: number, body: string): string => `
    import { Broker, Topic } from 'ottla'
    const words = new Topic('words')
    const broker = await Broker.open()
    await broker.topic(words)
    const producer = broker.producer()
    const group = broker.consumerGroup('g', { topics: [words], autoCommitIntervalMs: ${autoCommitIntervalMs} })
    ${body}`

  it('a caught-up group does not hold the process', async () => {
    const ended = await runModule(
      script(
        60_000,
        `await group.run(() => {})
        await producer.send(words, { value: 'a' })
        await broker.idle()
        console.log('caught up')`,
      ),
    )
    expect(ended).toEqual({ exitCode: 0, stderr: '', stdout: 'caught up\n' })
  })

  it('a for await that waits for messages does not, either', async () => {
    const ended = await runModule(script(60_000, 'void group.messages().next()'))
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('keepAlive: true holds it until the member closes', async () => {
    const ended = await runModule(
      script(
        60_000,
        `const alive = broker.consumerGroup('alive', { topics: [words], keepAlive: true })
        await alive.run(() => {})
        // Not held, the process would be gone before this timer.
        setTimeout(() => {
          console.log('held')
          void alive.close()
        }, 50).unref()`,
      ),
    )
    expect(ended).toEqual({ exitCode: 0, stderr: '', stdout: 'held\n' })
  })

  it('a running handler does, and a due commit', async () => {
    const ended = await runModule(
      script(
        200,
        `
      await group.run(async () => {
        // What it waits for would let the process end.
        await new Promise((resolve) => setTimeout(resolve, 50).unref())
        console.log('handled')
      })
      await producer.send(words, { value: 'a' })
      process.on('beforeExit', async () => {
        const { lag } = await broker.describeGroup('g')
        console.log('committed ' + lag[0].committedOffset)
        process.exit(0)
      })`,
      ),
    )
    expect(ended).toMatchObject({ exitCode: 0, stdout: 'handled\ncommitted 1\n' })
  })
})

describe('ruling: Groups', () => {
  it('members speak with the bytes of the consumer protocol, and offer what any client may share', async () => {
    const topic = new Topic<number>('numbers', { partitions: 4 })
    const broker = await openBroker({}, topic)
    for (const assignor of ['cooperativeSticky', 'range', 'roundRobin'] as const) {
      await broker.consumerGroup('g', { topics: [topic], assignor }).run(() => {})
    }
    await broker.idle()
    const { state, members } = await broker.describeGroup('g')
    expect(state).toBe('Stable')
    const held = members.flatMap(({ assignment }) => assignment.map((at) => at.partition))
    expect(held.sort()).toEqual([0, 1, 2, 3])
  })

  it('in-process members have no session time-out, however long the clock runs', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const [started, release] = [deferred(), deferred()]
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, words, ['a'])
    await started.promise
    await clock.advance(24 * 3_600_000)
    expect((await broker.describeGroup('g')).members).toHaveLength(1)
    release.resolve()
    await broker.idle()
    expect(await committed(broker, 'g')).toBe(1)
  })

  it('a member that holds up a rebalance for too long loses its partitions, and comes back', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const [started, release] = [deferred(), deferred()]
    const slow = broker.consumerGroup('g', { topics: [words], assignor: 'range' })
    await slow.run(async () => {
      started.resolve()
      await release.promise
    })
    await send(broker, words, ['a'])
    await started.promise
    const seen = new Seen()
    const other = broker.consumerGroup('g', { topics: [words], assignor: 'range' })
    const running = other.run(seen.add)
    await clock.advance(300_000)
    await running
    await seen.count(1)
    release.resolve()
    await broker.idle()
    await other.close()
    await broker.idle()
    const { members } = await broker.describeGroup('g')
    expect(members.map(({ assignment }) => assignment.length)).toEqual([1])
  })
})

describe('ruling: Commits', () => {
  it('what is done is written when the interval is over: one record for many', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const group = broker.consumerGroup('g', { topics: [words], autoCommitIntervalMs: 500 })
    await group.run(() => {})
    await send(broker, words, range(1, 100))
    await clock.advance(499)
    expect(await committed(broker, 'g')).toBe(null)
    await clock.advance(1)
    expect(await committed(broker, 'g')).toBe(100)
    const offsets: number[] = []
    for await (const { offset } of broker.reader(internal, { until: 'end' })) offsets.push(offset)
    expect(offsets).toEqual([0])
    expect(clock.pendingTimers).toBeLessThan(2)
  })

  it('goes on after commits by hand that were ahead', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const topic = new Topic<string>('second')
    await broker.topic(topic)
    const group = broker.consumerGroup('g', { topics: [words, topic] })
    await send(broker, words, ['a'])
    await send(broker, topic, ['x'])
    await group.run(async (message) => {
      if (words.is(message)) await group.commit(message)
    })
    await clock.advance(1000)
    await send(broker, words, ['b'])
    await clock.advance(1000)
    expect([await committed(broker, 'g'), await committed(broker, 'g', 'second')]).toEqual([2, 1])
  })

  it('is written when partitions are revoked and when the member closes', async () => {
    const clock = new ManualClock()
    const broker = await openBroker({ clock }, words)
    const first = broker.consumerGroup('g', { topics: [words], assignor: 'range' })
    await first.run(() => {})
    await send(broker, words, ['a'])
    await clock.advance(0)
    const revoked = next(first, 'revoked')
    const second = broker.consumerGroup('g', { topics: [words], assignor: 'range' })
    const running = second.run(() => {})
    await revoked
    expect(await committed(broker, 'g')).toBe(1)
    await running
    await send(broker, words, ['b'])
    await clock.advance(0)
    await Promise.all([first.close(), second.close()])
    expect(await committed(broker, 'g')).toBe(2)
  })

  it('resolves at the durability of the log: it outlives the broker', async () => {
    const directory = await folder()
    const first = await openBroker({ storage: new FileStorage(directory) }, words)
    await send(first, words, ['a', 'b'])
    const group = first.consumerGroup('g', { topics: [words], commit: 'manual' })
    await group.run(async (message) => {
      if (message.offset === 0) await group.commit(message)
    })
    await first.idle()
    await first.close()
    const second = await openBroker({ storage: new FileStorage(directory) })
    expect(await drain(second, 'g')).toEqual(['b'])
  })
})

const internal = new Topic('__consumer_offsets', { value: bytes(), key: bytes() })

describe('ruling: run and closed', () => {
  it('run resolves once assigned and delivering, closed settles at the end', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {})
    expect((await broker.describeGroup('g')).members[0]?.assignment).toEqual([{ topic: 'words', partition: 0 }])
    let isClosed = false
    const closed = group.closed.then(() => {
      isClosed = true
    })
    await turn()
    expect(isClosed).toBe(false)
    await group.close()
    await closed
  })

  const failing = (listening: string): string => `
    import { Broker, Topic } from 'ottla'
    const broker = await Broker.open()
    const words = await broker.topic('words')
    const group = broker.consumerGroup('g', { topics: [words] })
    ${listening}
    await group.run(() => { throw new Error('no') })
    await broker.producer().send(words, { value: 'a' })`

  it('a failure that nobody listens for ends the process as any uncaught exception', async () => {
    const ended = await runModule(failing(''))
    expect(ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('OTTLA_HANDLER_FAILED') })
  })

  it.each([
    ['an error listener', `group.on('error', (error) => console.log('heard', error.code))`],
    ['somebody who read closed', `group.closed.catch((error) => console.log('heard', error.code))`],
  ])('%s hears of it, and the process goes on', async (_, listening) => {
    const ended = await runModule(failing(listening))
    expect(ended).toMatchObject({ exitCode: 0, stdout: 'heard OTTLA_HANDLER_FAILED\n', stderr: '' })
  })

  it('closed that is read and not caught is an unhandled rejection', async () => {
    const ended = await runModule(failing('void group.closed'))
    expect(ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('OTTLA_HANDLER_FAILED') })
  })

  it('a failure before the first assignment rejects run, and that is enough', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words], from: { offset: 0 } })
    await broker.close()
    await expect(group.run(() => {})).rejects.toEqual(code('OTTLA_CLOSED'))
    await turn()
  })
})

describe('ruling: idle()', () => {
  it('is handled up to the high watermark and committed, for every group with a member', async () => {
    const broker = await openBroker({}, words)
    const groups = ['a', 'b', 'c'].map((id) => broker.consumerGroup(id, { topics: [words] }))
    await Promise.all(groups.map((group) => group.run(turn)))
    await send(broker, words, range(1, 20))
    await broker.idle()
    for (const group of groups) expect((await group.lag())[0]).toMatchObject({ committedOffset: 20, lag: 0 })
  })

  it('a group whose members have all closed in order is not waited for', async () => {
    const broker = await openBroker({}, words)
    const group = broker.consumerGroup('g', { topics: [words] })
    await group.run(() => {})
    await group.close()
    await send(broker, words, ['a'])
    await broker.idle()
  })
})

describe.each(['partition', 'key', 'batches'] as const)('ruling: Gaps (%s)', (way) => {
  async function open(): ReturnType<typeof openClient> {
    const opened = await openClient()
    await opened.client.topic(words)
    return opened
  }

  /** A batch as a transaction's end or compaction leaves it: with a mark that no consumer sees, or fewer records than offsets. */
  async function append(engine: EmbeddedEngine, edit: (bytes: Uint8Array) => void): Promise<void> {
    const builder = new RecordBatchBuilder()
    builder.append(1, null, words.value.encode('in the gap'))
    const closed = builder.close()
    const bytes = new Uint8Array(closed.sizeInBytes)
    closed.copyTo(bytes, 0)
    edit(bytes)
    await engine.produce({ topic: 'words', partition: 0, batch: new EncodedBatch(bytes, 0, bytes.length) })
  }

  const control = (bytes: Uint8Array): void => {
    bytes[ATTRIBUTES_AT + 1] = CONTROL_BIT
  }
  const gap = (bytes: Uint8Array): void => {
    bytes[LAST_OFFSET_DELTA_AT + 3] = 9
  }

  async function consume(client: Client): Promise<{ seen: Seen; group: ConsumerGroup<Message<string>> }> {
    const seen = new Seen()
    const group = client.consumerGroup('g', { topics: [words] })
    if (way === 'batches') await group.runBatches(({ messages }) => messages.forEach(seen.add))
    else await group.run(seen.add, { ordering: way })
    return { seen, group }
  }

  it('a trailing control batch leaves no lag', async () => {
    const { client, engine, idle } = await open()
    const { seen, group } = await consume(client)
    await client.producer().send(words, { value: 'a' })
    await append(engine, control)
    await idle()
    expect(seen.values).toEqual(['a'])
    expect(await group.lag()).toMatchObject([{ committedOffset: 2, logEndOffset: 2, lag: 0 }])
    await append(engine, control)
    await idle()
    expect(await group.lag()).toMatchObject([{ committedOffset: 3, lag: 0 }])
  })

  it('a gap at the end of a batch is stepped over', async () => {
    const { client, engine, idle } = await open()
    await append(engine, gap)
    const { seen, group } = await consume(client)
    await idle()
    expect(seen.values).toEqual(['in the gap'])
    expect(await group.lag()).toMatchObject([{ committedOffset: 10, logEndOffset: 10, lag: 0 }])
    await client.producer().send(words, { value: 'b' })
    await idle()
    expect(seen.values).toEqual(['in the gap', 'b'])
    await group.seek({ offset: 5 })
    await idle()
    expect(seen.values).toEqual(['in the gap', 'b', 'b'])
    expect(await group.lag()).toMatchObject([{ committedOffset: 11, lag: 0 }])
  })
})
