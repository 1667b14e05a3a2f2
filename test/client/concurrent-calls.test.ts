import fc from 'fast-check'
import { bytes, type Codec, json, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { ATTRIBUTES_AT, CONTROL_BIT, LAST_OFFSET_DELTA_AT } from '../../src/record/batch-layout.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { committed, openBroker, openClient, range, send } from './consuming.js'
import { Gates, turns } from './gates.js'

const orders: Topic<number> = new Topic<number>('orders', { value: json<number>() })

describe.each(['key', 'none'] as const)('what comes next behind handlers beside each other (%s)', (ordering) => {
  it.each([
    ['small messages', 10, 300, 128],
    ['large messages', 100_000, 20, 3],
  ])('is decoded while they wait, some of it: %s', async (_, size, count, most) => {
    const decoded: number[] = []
    const counted: Codec<number> = {
      ...json<number>(),
      decode: (value) => {
        decoded.push(value.length)
        return decoded.length - 1
      },
    }
    const raw = new Topic('orders', { value: bytes() })
    const broker = await openBroker({}, raw)
    await send(broker, raw, Array(count).fill(new Uint8Array(size)))
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [new Topic('orders', { value: counted })] })
    await group.run(gates.handler, { ordering, concurrency: 2 })
    await gates.until(2)
    await turns()
    expect(gates.started).toEqual([0, 1])
    expect(decoded.length).toBeGreaterThan(3)
    expect(decoded.length).toBeLessThanOrEqual(2 + most)
    for (const value of range(0, count - 1)) {
      await gates.until(value + 1)
      gates.open(value)
    }
    await broker.idle()
    expect(gates.started).toEqual(range(0, count - 1))
    expect(decoded).toHaveLength(count)
  })

  it('is handed out once after a pause, and from elsewhere after a seek', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, orders, range(0, 5))
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    await group.run(gates.handler, { ordering, concurrency: 2 })
    await gates.until(2)
    await turns()
    group.pause()
    gates.open(0)
    gates.open(1)
    await broker.idle()
    expect(gates.started).toEqual([0, 1])
    expect(await committed(broker, 'g', 'orders')).toBe(2)
    group.resume()
    await gates.until(4)
    await turns()
    await group.seek({ offset: 1 })
    gates.open(2)
    gates.open(3)
    expect(await gates.until(6)).toEqual([0, 1, 2, 3, 1, 2])
    for (const [index, value] of [1, 2, 3, 4, 5].entries()) {
      await gates.until(5 + index)
      gates.open(value)
    }
    await broker.idle()
    expect(gates.started).toEqual([0, 1, 2, 3, 1, 2, 3, 4, 5])
    expect(await committed(broker, 'g', 'orders')).toBe(6)
  })

  it('waits its turn where it cannot be decoded', async () => {
    const broker = await openBroker({}, orders)
    await send(broker, new Topic('orders', { value: string() }), ['0', '1', '2', 'no json', '4'])
    const gates = new Gates()
    const group = broker.consumerGroup('g', { topics: [orders] })
    const skipped: number[] = []
    group.on('skipped', ({ offset }) => skipped.push(offset))
    await group.run(gates.handler, { ordering, concurrency: 1, onExhausted: 'skip' })
    await gates.until(1)
    await turns()
    gates.open(0)
    await gates.until(2)
    await turns()
    expect(skipped).toEqual([])
    gates.open(1)
    await gates.until(3)
    await turns()
    expect(skipped).toEqual([3])
    gates.open(2)
    await gates.until(4)
    gates.open(4)
    await broker.idle()
    expect(gates.started).toEqual([0, 1, 2, 4])
    expect(await committed(broker, 'g', 'orders')).toBe(5)
  })

  it('is of another partition by turns, where both wait for a slot', async () => {
    const topic = new Topic('two', { value: json<number>(), partitions: 2 })
    const broker = await openBroker({}, topic)
    for (const partition of [0, 1]) await send(broker, topic, range(1, 4), partition)
    const handled: number[] = []
    await broker.consumerGroup('g', { topics: [topic] }).run(
      async ({ partition }) => {
        handled.push(partition)
        await turns()
      },
      { ordering, concurrency: 1 },
    )
    await broker.idle()
    // Which partition is first is a matter of their fetches. It has a slot at once, and is the first to wait for the next one.
    const first = handled[0] as number
    const other = 1 - first
    expect(handled).toEqual([first, first, other, first, other, first, other, other])
  })

  it('is handled once, and all is committed, whatever lies between: gaps, markers, batches of any size', async () => {
    const written = fc.record({ messages: fc.integer({ min: 1, max: 4 }), gap: fc.nat(5), isMarker: fc.boolean() })
    const script = fc.record({
      batches: fc.array(written, { minLength: 1, maxLength: 12 }),
      concurrency: fc.integer({ min: 1, max: 4 }),
      waits: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(script, async ({ batches, concurrency, waits }) => {
        const { client, engine, idle } = await openClient()
        await client.topic(orders)
        const offsets: number[] = []
        let end = 0
        for (const { messages, gap, isMarker } of batches) {
          const builder = new RecordBatchBuilder()
          for (let index = 0; index < messages; index++) builder.append(1, null, orders.value.encode(end + index))
          const closed = builder.close()
          const encoded = new Uint8Array(closed.sizeInBytes)
          closed.copyTo(encoded, 0)
          if (isMarker) encoded[ATTRIBUTES_AT + 1] = CONTROL_BIT
          else offsets.push(...range(end, end + messages - 1))
          encoded[LAST_OFFSET_DELTA_AT + 3] = messages + gap - 1
          await engine.produce({ topic: 'orders', partition: 0, batch: new EncodedBatch(encoded, 0, encoded.length) })
          end += messages + gap
        }
        const handled: number[] = []
        const group = client.consumerGroup('g', { topics: [orders] })
        await group.run(
          async ({ offset, value }) => {
            expect(value).toBe(offset)
            handled.push(offset)
            if (waits[offset % waits.length] === true) await turns()
          },
          { ordering, concurrency },
        )
        await idle()
        expect(handled).toEqual(offsets)
        expect(await group.lag()).toMatchObject([{ committedOffset: end, lag: 0 }])
        await client.close()
      }),
      { numRuns: 60 },
    )
  })
})
