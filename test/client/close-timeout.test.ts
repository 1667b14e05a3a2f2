import { type ConsumerGroup, type Message, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { runModule } from '../rulings/child-process.js'
import { committed, deferred, drain, openBroker, range, send } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers')

/** A member whose handler hangs at the message 13, until `release`. */
async function hanging(options: { closeTimeoutMs?: number; maxPollIntervalMs?: number; ordering?: 'key' } = {}) {
  const { ordering = 'partition', ...more } = options
  const clock = new ManualClock()
  const broker = await openBroker({ clock }, numbers)
  const member: ConsumerGroup<Message<number>> = broker.consumerGroup('g', { topics: [numbers], ...more })
  const [started, release] = [deferred(), deferred()]
  const told: string[] = []
  member.on('lost', (partitions) => void told.push(`lost ${partitions.length}`))
  member.on('revoked', (partitions) => void told.push(`revoked ${partitions.length}`))
  await member.run(
    async ({ value }) => {
      if (value !== 13) return
      started.resolve()
      await release.promise
    },
    { ordering },
  )
  await send(broker, numbers, [1, 2, 13, 4])
  await started.promise
  return { clock, broker, member, release, told }
}

describe('close', () => {
  it.each(['partition', 'key'] as const)(
    'waits closeTimeoutMs for a handler, by %s, and leaves without it',
    async (by) => {
      const { clock, broker, member, told } = await hanging({
        closeTimeoutMs: 5_000,
        ...(by === 'key' && { ordering: by }),
      })
      const stopped = expect(member.closed).rejects.toMatchObject({
        code: 'OTTLA_CLOSE_TIMEOUT',
        message: expect.stringContaining('numbers-0 offset 2'),
      })
      let hasClosed = false
      const closing = member.close().then(() => {
        hasClosed = true
      })
      await clock.advance(4_999)
      expect(hasClosed).toBe(false)
      await clock.advance(1)
      await Promise.all([closing, stopped])
      expect(told).toEqual(['lost 1'])
      expect(await committed(broker, 'g', 'numbers', 0)).toBe(2)
      expect(await drain(broker, 'g', [numbers])).toEqual([13, 4])
    },
  )

  it('waits for half a minute by default, and for ever if it is told to', async () => {
    const { clock, member } = await hanging()
    const stopped = expect(member.closed).rejects.toMatchObject({ code: 'OTTLA_CLOSE_TIMEOUT' })
    void member.close()
    await clock.advance(30_000)
    await stopped

    const patient = await hanging({ closeTimeoutMs: Number.POSITIVE_INFINITY })
    const closing = patient.member.close()
    await patient.clock.advance(86_400_000)
    patient.release.resolve()
    await closing
    await patient.member.closed
    expect(patient.told).toEqual(['revoked 1'])
    expect(await committed(patient.broker, 'g', 'numbers', 0)).toBe(3)
  })

  it('settles each time that it is called, in a handler too, and so does the broker’s', async () => {
    const { clock, broker, member } = await hanging({ closeTimeoutMs: 1_000 })
    const stopped = expect(member.closed).rejects.toMatchObject({ code: 'OTTLA_CLOSE_TIMEOUT' })
    const closings = [member.close(), member.close(), broker.close(), member[Symbol.asyncDispose]()]
    await clock.advance(1_000)
    await Promise.all([...closings, stopped, member.close()])
  })

  it('is bounded too while a handler is waited for that was lost', async () => {
    const { clock, broker, member, told } = await hanging({ closeTimeoutMs: 1_000, maxPollIntervalMs: 500 })
    await clock.advance(600)
    expect(told).toEqual(['lost 1'])
    const stopped = expect(member.closed).rejects.toMatchObject({
      code: 'OTTLA_CLOSE_TIMEOUT',
      message: expect.stringContaining('numbers-0 offset 2'),
    })
    const closing = member.close()
    await clock.advance(1_000)
    await Promise.all([closing, stopped])
    expect((await broker.describeGroup('g')).members).toEqual([])
  })

  it('is bounded too in a rebalance that the handler holds up', async () => {
    const { clock, broker, member } = await hanging({ closeTimeoutMs: 1_000 })
    const stopped = expect(member.closed).rejects.toMatchObject({ code: 'OTTLA_CLOSE_TIMEOUT' })
    const seen: number[] = []
    const others = range(1, 3).map(() => broker.consumerGroup('g', { topics: [numbers], assignor: 'range' }))
    const joining = others.map((other) => other.run(({ value }) => void seen.push(value)))
    await clock.advance(10)
    const closing = member.close()
    await clock.advance(1_000)
    await Promise.all([closing, stopped, ...joining])
    await broker.idle()
    expect(seen).toEqual([13, 4])
  })

  it('with a time of 0 waits for nothing, and handlers that are at rest need none', async () => {
    const { clock, member } = await hanging({ closeTimeoutMs: 0 })
    const stopped = expect(member.closed).rejects.toMatchObject({ code: 'OTTLA_CLOSE_TIMEOUT' })
    void member.close()
    await clock.advance(0)
    await stopped
  })
})

describe('a process whose broker is closed', () => {
  it('ends by itself, though a handler hangs and members are static', async () => {
    const { exitCode, stdout, stderr } = await runModule(`
      import { Broker, json, Topic } from 'ottla'
      const orders = new Topic('orders', { partitions: 3, value: json() })
      const broker = await Broker.open({ config: { offsetsRetentionMs: 1000 } })
      await broker.topic(orders)
      const options = { topics: [orders], closeTimeoutMs: 50, maxPollIntervalMs: 60_000, keepAlive: true }
      const members = ['a', 'b'].map((instanceId) => broker.consumerGroup('g', { ...options, instanceId }))
      let started
      const hangs = new Promise((resolve) => { started = resolve })
      members.push(broker.consumerGroup('other', { ...options, assignor: 'range' }))
      for (const member of members) await member.run(() => { started(); return new Promise(() => {}) })
      for (const member of members) member.closed.catch((error) => console.log(error.code))
      await broker.producer().send(orders, { value: 1 })
      await hangs
      await broker.close()
      console.log('closed', process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate'))
    `)
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^(OTTLA_CLOSE_TIMEOUT\n){1,2}closed \[\]\n$/)
  })
})
