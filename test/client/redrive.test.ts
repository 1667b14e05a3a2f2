import { type Broker, bytes, type Client, FileStorage, type Message, string, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { ENGINE } from '../../src/engine/engine-of.js'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { openBroker, range, Seen } from './consuming.js'

const orders: Topic<string> = new Topic<string>('orders', { partitions: 2, value: string() })
const dead = 'orders.dlq'
const temporaryDirectory = temporaryDirectories()
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

/** A broker in which these values failed, in a group that is gone. */
async function withDeadLetters(values: readonly string[], opened?: Broker): Promise<Broker> {
  const broker = opened ?? (await openBroker({}, orders))
  const member = broker.consumerGroup('billing', { topics: [orders] })
  await member.run(
    ({ value }) => {
      throw new TypeError(value)
    },
    { deadLetter: dead },
  )
  const messages = values.map((value, index) => ({
    key: `k${value}`,
    value,
    partition: index % 2,
    timestamp: 1000 + index,
    headers: { index: `${index}` },
  }))
  await broker.producer().send(orders, messages)
  await broker.idle()
  await member.close()
  return broker
}

/** Values that came to a topic since. */
async function since(broker: Client, topic: Topic<string>, from: number): Promise<Message<string>[]> {
  const messages: Message<string>[] = []
  for (const partition of range(0, 1)) {
    for await (const message of broker.reader(topic, { partition, from: { offset: from }, until: 'end' })) {
      messages.push(message)
    }
  }
  return messages.sort((a, b) => a.timestamp - b.timestamp)
}

const valuesOf = (messages: readonly Message<string>[]): string[] => messages.map(({ value }) => value)

describe('redrive', () => {
  it('sends each message again as it was, to the topic and partition it came from', async () => {
    const broker = await withDeadLetters(['a', 'b', 'c'])
    expect(await broker.redrive(dead)).toEqual({ redriven: 3, left: 0 })
    const again = (await since(broker, orders, 0)).filter(({ partition, offset }) => offset >= 2 - partition)
    expect(again.map(({ key, value, partition, timestamp }) => [key, value, partition, timestamp])).toEqual([
      ['ka', 'a', 0, 1000],
      ['kb', 'b', 1, 1001],
      ['kc', 'c', 0, 1002],
    ])
    expect(again.map(({ headers }) => [...headers].map(([name]) => name))).toEqual([['index'], ['index'], ['index']])
  })

  it('sends none twice, also by several calls at once, and those that come later', async () => {
    const broker = await withDeadLetters(['a', 'b', 'c'])
    const results = await Promise.all([broker.redrive(dead), broker.redrive(dead), broker.redrive(dead)])
    expect(results.map(({ redriven }) => redriven)).toEqual([3, 0, 0])
    const member = broker.consumerGroup('billing', { topics: [orders] })
    await member.run(
      () => {
        throw new Error('again')
      },
      { deadLetter: dead },
    )
    await broker.idle()
    await member.close()
    expect(await broker.redrive(dead)).toEqual({ redriven: 3, left: 0 })
    expect(await broker.redrive(dead)).toEqual({ redriven: 0, left: 0 })
  })

  it('leaves what the filter does not want, for a later call', async () => {
    const broker = await withDeadLetters(range(0, 9).map(String))
    const target = await broker.topic(new Topic<string>('target', { partitions: 2, value: string() }))
    const asked: string[] = []
    const even = await broker.redrive(dead, {
      to: target,
      filter: ({ errorName, errorMessage, topic, group }, { value }) => {
        asked.push(`${topic} ${group} ${errorName} ${errorMessage} ${new TextDecoder().decode(value)}`)
        return Number(errorMessage) % 4 === 0
      },
    })
    expect(even).toEqual({ redriven: 3, left: 7 })
    expect(asked).toContain('orders billing TypeError 7 7')
    expect(valuesOf(await since(broker, target, 0))).toEqual(['0', '4', '8'])
    const small = await broker.redrive(dead, { to: 'target', filter: ({ errorMessage }) => Number(errorMessage) < 6 })
    expect(small).toEqual({ redriven: 4, left: 3 })
    expect(await broker.redrive(dead, { to: target })).toEqual({ redriven: 3, left: 0 })
    expect(valuesOf(await since(broker, target, 0))).toEqual(range(0, 9).map(String))
    expect(await broker.redrive(dead)).toEqual({ redriven: 0, left: 0 })
  })

  it('remembers over a restart what was sent, and what was left', async () => {
    const directory = temporaryDirectory()
    const open = (): Promise<Broker> => openBroker({ storage: new FileStorage(directory) }, orders)
    const broker = await withDeadLetters(['0', '1', '2', '3'], await open())
    const target = await broker.topic(new Topic<string>('target', { partitions: 2, value: string() }))
    await broker.redrive(dead, { to: target, filter: ({ errorMessage }) => errorMessage !== '1' })
    await broker.close()
    const reopened = await open()
    expect(await reopened.redrive(dead, { to: target })).toEqual({ redriven: 1, left: 0 })
    expect(await reopened.redrive(dead, { to: target })).toEqual({ redriven: 0, left: 0 })
    expect(valuesOf(await since(reopened, target, 0))).toEqual(['0', '1', '2', '3'])
  })

  it('remembers what was sent while it is called now and then, though offsets expire', async () => {
    const clock = new ManualClock()
    const day = 86_400_000
    const opened = await openBroker({ clock, config: { offsetsRetentionMs: 7 * day } }, orders)
    const broker = await withDeadLetters(['0', '1', '2'], opened)
    await broker.redrive(dead, { filter: ({ errorMessage }) => errorMessage !== '2' })
    for (const _ of range(0, 3)) {
      await clock.advance(5 * day)
      expect(await broker.redrive(dead, { filter: () => false })).toEqual({ redriven: 0, left: 1 })
    }
    expect(await broker.redrive(dead)).toEqual({ redriven: 1, left: 0 })
  })

  it('keeps what failed to be sent, and goes on with it in the next call', async () => {
    const broker = await withDeadLetters(['a', 'b'])
    await broker.deleteTopic(orders)
    await expect(broker.redrive(dead)).rejects.toEqual(code('OTTLA_UNKNOWN_TOPIC_OR_PARTITION'))
    await broker.topic(orders)
    expect(await broker.redrive(dead)).toEqual({ redriven: 2, left: 0 })
    expect(valuesOf(await since(broker, orders, 0))).toEqual(['a', 'b'])
  })

  it('sends all the others where some cannot be sent, none twice, and keeps those', async () => {
    const broker = await withDeadLetters([])
    const gone = await broker.topic(new Topic<string>('gone', { partitions: 1, value: string() }))
    // The topic of every tenth one is not there, over two pages of partition 0.
    const [lost, kept] = [range(0, 59).map((number) => number * 10), range(0, 599)]
    await broker.producer().send(
      new Topic(dead, { value: string() }),
      kept.map((number) => ({
        value: `${number}`,
        partition: number % 2,
        headers: { ...letter(number), ...(lost.includes(number) ? { 'ottla.original.topic': 'gone' } : {}) },
      })),
    )
    await broker.deleteTopic(gone)
    for (const _ of range(0, 1)) {
      await expect(broker.redrive(dead)).rejects.toEqual(code('OTTLA_UNKNOWN_TOPIC_OR_PARTITION'))
      const values = valuesOf(await since(broker, orders, 0)).map(Number)
      expect(values.sort((a, b) => a - b)).toEqual(kept.filter((number) => !lost.includes(number)))
    }
    await broker.topic(gone)
    expect(await broker.redrive(dead)).toEqual({ redriven: lost.length, left: 0 })
    expect(await broker.redrive(dead)).toEqual({ redriven: 0, left: 0 })
  })

  it('sends more than a page, and by key where its partition is not there', async () => {
    const broker = await withDeadLetters(range(0, 599).map(String))
    const single = await broker.topic(new Topic<string>('single', { partitions: 1, value: string() }))
    expect(await broker.redrive(dead, { to: single })).toEqual({ redriven: 600, left: 0 })
    const seen = new Seen()
    for await (const message of broker.reader(single, { until: 'end' })) seen.add(message)
    expect(seen.values).toHaveLength(600)
    expect(new Set(seen.values).size).toBe(600)
  })

  it('leaves messages of which nothing says where they came from, unless it is said where they go', async () => {
    const broker = await withDeadLetters(['a'])
    await broker.producer().send(new Topic(dead, { value: bytes() }), { value: Uint8Array.of(120) })
    expect(await broker.redrive(dead)).toEqual({ redriven: 1, left: 1 })
    expect(await broker.redrive(dead, { to: orders })).toEqual({ redriven: 1, left: 0 })
  })

  it('ends where more is left here and there than it can keep track of, and sends nothing twice', async () => {
    const broker = await withDeadLetters([])
    await broker.producer().send(
      new Topic(dead, { value: string() }),
      range(0, 2399).map((number) => ({ value: `${number}`, partition: 0, headers: letter(number) })),
    )
    const filter = ({ offset }: { offset: number }): boolean => offset % 2 === 0
    await expect(broker.redrive(dead, { filter })).rejects.toMatchObject({
      code: 'OTTLA_OFFSET_METADATA_TOO_LARGE',
      message: expect.stringMatching(/orders\.dlq-0.*Those before offset \d+ are dealt with/),
    })
    await broker.redrive(dead)
    const values = (await since(broker, orders, 0)).map(({ value }) => value)
    expect(new Set(values).size).toBe(2400)
    expect(values).toHaveLength(2400)
  })

  it.each(['0-9007199254740991', '5-1', 'what others wrote'])(
    'bears the metadata %s of its offset',
    async (metadata) => {
      const broker = await withDeadLetters(['a', 'b', 'c', 'd'])
      const [outcome] = await broker[ENGINE].engine.commitOffsets({
        groupId: `${dead}.redrive`,
        memberId: '',
        generationId: -1,
        instanceId: null,
        offsets: [{ topic: dead, partition: 0, offset: 1, metadata }],
      })
      expect(outcome?.error ?? null).toBe(null)
      const { redriven } = await broker.redrive(dead)
      expect(redriven).toBe(metadata.startsWith('0') ? 4 : 3)
    },
  )

  it('refuses what is no dead-letter topic, a wrong option and itself as the target', async () => {
    const broker = await withDeadLetters(['a'])
    await expect(broker.redrive(7 as never)).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(broker.redrive('nowhere')).rejects.toEqual(code('OTTLA_UNKNOWN_TOPIC_OR_PARTITION'))
    await expect(broker.redrive(dead, { to: 'nowhere' })).rejects.toEqual(code('OTTLA_UNKNOWN_TOPIC_OR_PARTITION'))
    await expect(broker.redrive(dead, { to: dead })).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(broker.redrive(dead, { from: 0 } as never)).rejects.toEqual(code('OTTLA_INVALID_ARGUMENT'))
    await expect(broker.redrive(dead, { signal: AbortSignal.abort('over') })).rejects.toBe('over')
    expect(await broker.redrive(dead)).toEqual({ redriven: 1, left: 0 })
  })
})

function letter(offset: number): Record<string, string | null> {
  return {
    'ottla.original.topic': 'orders',
    'ottla.original.partition': '0',
    'ottla.original.offset': `${offset}`,
    'ottla.original.timestamp': `${offset}`,
    'ottla.error.name': 'Error',
    'ottla.error.message': 'no',
    'ottla.error.stack': null,
    'ottla.attempts': '1',
    'ottla.group': 'billing',
  }
}
