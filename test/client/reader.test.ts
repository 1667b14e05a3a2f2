import { bytes, json, MemoryStorage, type Message, Topic } from 'ottla'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { brokers, codeOf, contentsOf, nextTurn, outcomeNow } from './brokers.js'

const openBroker = brokers()
const numbers = new Topic('numbers', { partitions: 3, value: json<number>() })

const warnings: string[] = []
const hear = (warning: Error): void => void warnings.push(warning.message)
beforeEach(() => void process.on('warning', hear))
afterEach(async () => {
  await nextTurn()
  process.off('warning', hear)
  expect(warnings.splice(0)).toEqual([])
})

/** Partition 0 holds 0 to 9, partition 1 holds 10 to 14, partition 2 nothing; `timestamp` is the value. */
async function filled() {
  const broker = await openBroker()
  await broker.topic(numbers)
  const producer = broker.producer({ batchBytes: 150 })
  await producer.send(
    numbers,
    Array.from({ length: 15 }, (_, value) => ({ value, partition: value < 10 ? 0 : 1, timestamp: value })),
  )
  return { broker, producer }
}

async function valuesOf(messages: AsyncIterable<Message<number>>): Promise<number[]> {
  const values: number[] = []
  for await (const { value } of messages) values.push(value)
  return values
}

const range = (from: number, until: number): number[] => Array.from({ length: until - from }, (_, n) => from + n)

describe('a reader', () => {
  it('until the end reads what was there when it began, each partition in order', async () => {
    const { broker, producer } = await filled()
    const reader = broker.reader(numbers, { until: 'end' })
    const first = await reader.next()
    await producer.send(numbers, { value: 99, partition: 0 })
    const values = [first.value.value, ...(await valuesOf(reader))]
    expect(values.filter((value) => value < 10)).toEqual(range(0, 10))
    expect(values.filter((value) => value >= 10)).toEqual(range(10, 15))
  })

  it.each([
    ['one partition', { partition: 1 }, range(10, 15)],
    ['from an offset', { partition: 0, from: { offset: 7 } }, range(7, 10)],
    ['from the end', { from: 'latest' }, []],
    ['from a time', { partition: 0, from: { timestamp: 4 } }, range(4, 10)],
    ['from a date', { partition: 0, from: { timestamp: new Date(8) } }, range(8, 10)],
    ['from a time after the last message', { partition: 0, from: { timestamp: 1_000 } }, []],
    ['the last few', { partition: 0, from: { last: 2 } }, [8, 9]],
    ['the last few where there are fewer', { partition: 1, from: { last: 100 } }, range(10, 15)],
    ['the last none', { partition: 0, from: { last: 0 } }, []],
    ['an empty partition', { partition: 2 }, []],
  ] as const)('reads %s', async (_, options, values) => {
    const { broker } = await filled()
    expect(await valuesOf(broker.reader(numbers, { ...options, until: 'end' }))).toEqual(values)
  })

  it('reads up to an offset and without it, waiting for what is not there yet', async () => {
    const { broker, producer } = await filled()
    expect(await valuesOf(broker.reader(numbers, { partition: 0, until: { offset: 3 } }))).toEqual([0, 1, 2])
    expect(await valuesOf(broker.reader(numbers, { partition: 0, from: { offset: 5 }, until: { offset: 5 } }))).toEqual(
      [],
    )
    const waiting = valuesOf(broker.reader(numbers, { partition: 2, until: { offset: 2 } }))
    await producer.send(
      numbers,
      [21, 22, 23].map((value) => ({ value, partition: 2 })),
    )
    expect(await waiting).toEqual([21, 22])
  })

  it('goes on and on without an end, through batches of all partitions', async () => {
    const { broker, producer } = await filled()
    const reader = broker.reader(numbers, { from: 'latest' })
    const next = reader.next()
    expect(await outcomeNow(next)).toBe('pending')
    await producer.send(numbers, { value: 50, partition: 2 })
    expect((await next).value.value).toBe(50)
    await producer.send(numbers, { value: 51, partition: 0 })
    expect((await reader.next()).value.value).toBe(51)
    await reader.return?.()
    expect(await reader.next()).toEqual({ done: true, value: undefined })
  })

  it('answers in the order in which it was asked, and ends for good', async () => {
    const { broker, producer } = await filled()
    const reader = broker.reader(numbers, { partition: 0, until: { offset: 12 } })
    const asked = Array.from({ length: 14 }, () => reader.next())
    expect((await Promise.all(asked.slice(0, 10))).map(({ value }) => value.value)).toEqual(range(0, 10))
    await producer.send(numbers, [
      { value: 10, partition: 0 },
      { value: 11, partition: 0 },
    ])
    asked.push(reader.next())
    expect((await Promise.all(asked.slice(10))).map(({ value }) => value?.value ?? 'end')).toEqual([
      10,
      11,
      ...Array(3).fill('end'),
    ])
    expect(await reader.next()).toEqual({ done: true, value: undefined })
  })

  it('returns at once, though a message is waited for', async () => {
    const { broker } = await filled()
    const reader = broker.reader(numbers, { from: 'latest' })
    const next = reader.next()
    expect(await outcomeNow(next)).toBe('pending')
    const returned = reader.return?.()
    expect(await outcomeNow(Promise.all([returned, next]))).toBe('resolved')
    expect(await next).toEqual({ done: true, value: undefined })
    const unread = broker.reader(numbers)
    await unread.return?.()
    expect(await unread.next()).toEqual({ done: true, value: undefined })
  })

  it('of a topic with many partitions warns of no leak', async () => {
    const broker = await openBroker()
    const topic = await broker.topic(new Topic('many', { partitions: 50, value: json<number>() }))
    const aborting = new AbortController()
    const next = broker.reader(topic, { signal: aborting.signal }).next()
    expect(await outcomeNow(next)).toBe('pending')
    aborting.abort('enough')
    await expect(next).rejects.toBe('enough')
  })

  it('ends with its signal at the next message, also in the middle of a batch', async () => {
    const { broker } = await filled()
    const aborting = new AbortController()
    const read: number[] = []
    const reading = (async () => {
      for await (const { value } of broker.reader(numbers, { partition: 0, signal: aborting.signal })) {
        read.push(value)
        if (value === 4) aborting.abort('enough')
      }
    })()
    await expect(reading).rejects.toBe('enough')
    expect(read).toEqual(range(0, 5))
    const late = broker.reader(numbers, { signal: aborting.signal })
    await expect(late.next()).rejects.toBe('enough')
  })

  it('delivers what comes before a message that cannot be decoded, then says which one that is', async () => {
    const broker = await openBroker()
    const raw = new Topic('mixed', { value: bytes() })
    await broker.topic(new Topic('mixed', { partitions: 1 }))
    await broker.producer().send(
      raw,
      ['1', '2', '}', '4'].map((text) => ({ value: Buffer.from(text) })),
    )
    const read: number[] = []
    const reader = broker.reader(new Topic('mixed', { value: json<number>() }), { until: 'end' })
    const reading = (async () => {
      for await (const { value } of reader) read.push(value)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'OTTLA_DECODE',
      message: expect.stringContaining('mixed-0 offset 2'),
    })
    expect(read).toEqual([1, 2])
  })

  it('that is behind the start of the log says what the log holds', async () => {
    const broker = await openBroker({ storage: new MemoryStorage() })
    await broker.topic(numbers)
    await broker.producer().send(
      numbers,
      range(0, 10).map((value) => ({ value, partition: 0 })),
    )
    await broker.deleteRecords([{ topic: 'numbers', partition: 0, beforeOffset: 4 }])
    expect(await valuesOf(broker.reader(numbers, { partition: 0, until: 'end' }))).toEqual(range(4, 10))
    const from = (offset: number) => broker.reader(numbers, { partition: 0, from: { offset } }).next()
    await expect(from(3)).rejects.toMatchObject({
      code: 'OTTLA_OFFSET_OUT_OF_RANGE',
      message: expect.stringContaining('4 to 10'),
    })
    expect(await codeOf(() => from(11))).toBe('OTTLA_OFFSET_OUT_OF_RANGE')
  })

  it('of a topic that is not there, or goes away, says so', async () => {
    const { broker } = await filled()
    const missing = broker.reader(new Topic('missing'))
    expect(await codeOf(() => missing.next())).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
    const waiting = broker.reader(numbers, { from: 'latest' }).next()
    expect(await outcomeNow(waiting)).toBe('pending')
    await broker.deleteTopic(numbers)
    expect(await codeOf(() => waiting)).toBe('OTTLA_UNKNOWN_TOPIC_OR_PARTITION')
  })

  it('that waits when the broker closes ends with OTTLA_CLOSED', async () => {
    const { broker } = await filled()
    const waiting = broker.reader(numbers, { from: 'latest' }).next()
    expect(await outcomeNow(waiting)).toBe('pending')
    await broker.close()
    expect(await codeOf(() => waiting)).toBe('OTTLA_CLOSED')
  })

  it('lets the event loop go on', async () => {
    const broker = await openBroker()
    await broker.topic(numbers)
    await broker.producer().send(
      numbers,
      range(0, 100_000).map((value) => ({ value, partition: 0 })),
    )
    let fired = false
    setTimeout(() => {
      fired = true
    }, 1)
    let firedAt = -1
    for await (const { offset } of broker.reader(numbers, { until: 'end' })) {
      if (fired && firedAt < 0) firedAt = offset
    }
    expect(firedAt).toBeGreaterThan(0)
    expect(firedAt).toBeLessThan(99_999)
  })

  it('reads nothing that a group commits', async () => {
    const { broker } = await filled()
    await contentsOf(broker, numbers)
    expect(await broker.groups()).toEqual([])
  })
})
