import { Broker, type Message, type PartitionLag, Topic, type TopicPartition } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { committed, openBroker, range, send } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 2 })

describe('the commit event', () => {
  it('tells each offset that the group has from then on, of many messages once', async () => {
    const broker = await openBroker({ clock: new ManualClock() }, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers] })
    const told: (TopicPartition & { offset: number })[][] = []
    member.on('commit', (offsets) => void told.push(offsets))
    await member.run(() => {})
    await send(broker, numbers, range(1, 10), 0)
    await send(broker, numbers, range(1, 3), 1)
    await broker.idle()
    expect(told.flat()).toEqual([
      { topic: 'numbers', partition: 0, offset: 10 },
      { topic: 'numbers', partition: 1, offset: 3 },
    ])
    await member.close()
    expect(told.flat()).toHaveLength(2)
  })

  it('comes when the offsets can be asked for', async () => {
    const broker = await openBroker({}, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers], commit: 'manual' })
    const asked: Promise<number | null>[] = []
    member.on('commit', () => void asked.push(committed(broker, 'g', 'numbers', 0)))
    await member.run((message) => member.commit(message))
    await send(broker, numbers, [1, 2])
    await broker.idle()
    expect(await Promise.all(asked)).toEqual([1, 2])
  })
})

describe('the lag event', () => {
  it('tells after a commit how much is left in its partitions', async () => {
    const broker = await openBroker({}, numbers)
    await send(broker, numbers, range(1, 5), 1)
    const member = broker.consumerGroup('g', { topics: [numbers], commit: 'manual' })
    const told: PartitionLag[] = []
    member.on('lag', (partitions) => void told.push(...partitions))
    await member.run((message) => member.commit(message))
    await broker.idle()
    await broker.describeGroup('g')
    expect(told.map(({ partition }) => partition)).toEqual([1, 1, 1, 1, 1])
    expect(told.map(({ lag }) => lag)).toEqual(told.map(({ committedOffset }) => 5 - (committedOffset ?? 0)))
    expect(told.at(-1)).toEqual({ topic: 'numbers', partition: 1, committedOffset: 5, logEndOffset: 5, lag: 0 })
  })
})

describe('commitOffsets', () => {
  const places = (offset: number) => [{ topic: 'numbers', partition: 0, offset }]

  it('takes the offset of the next message, not of the last', async () => {
    const broker = await openBroker({}, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers], commit: 'manual' })
    await send(broker, numbers, range(1, 5))
    await member.run(async (message: Message<number>) => {
      if (message.offset === 3) await member.commitOffsets(places(3))
    })
    await broker.idle()
    expect(await committed(broker, 'g', 'numbers', 0)).toBe(3)
    await member.close()
    const seen: number[] = []
    await broker.consumerGroup('g', { topics: [numbers] }).run(({ offset }) => void seen.push(offset))
    await broker.idle()
    expect(seen).toEqual([3, 4])
  })

  it('commits for several partitions at once, and the last of those named twice', async () => {
    const broker = await openBroker({}, numbers)
    const member = broker.consumerGroup('g', { topics: [numbers], commit: 'manual' })
    await member.run(() => {})
    await member.commitOffsets([...places(1), { topic: 'numbers', partition: 1, offset: 7 }, ...places(2)])
    expect(await committed(broker, 'g', 'numbers', 0)).toBe(2)
    expect(await committed(broker, 'g', 'numbers', 1)).toBe(7)
  })

  it('refuses what is no offset, partitions of others, and a member that does not run', async () => {
    const broker = await Broker.open()
    await broker.topic(numbers)
    const member = broker.consumerGroup('g', { topics: [numbers] })
    await expect(member.commitOffsets(places(1))).rejects.toMatchObject({ code: 'OTTLA_INVALID_ARGUMENT' })
    await member.run(() => {})
    const bad = [5, [5], [{ topic: 'numbers', partition: 0 }], places(-1), places(0.5), [{ ...places(1)[0], topic: 1 }]]
    for (const offsets of bad) {
      await expect(member.commitOffsets(offsets as never)).rejects.toMatchObject({ code: 'OTTLA_INVALID_ARGUMENT' })
    }
    const other = [{ topic: 'numbers', partition: 9, offset: 1 }]
    await expect(member.commitOffsets(other)).rejects.toMatchObject({ code: 'OTTLA_ILLEGAL_GENERATION' })
    await broker.close()
    await expect(member.commitOffsets(places(1))).rejects.toMatchObject({ code: 'OTTLA_CLOSED' })
  })
})
