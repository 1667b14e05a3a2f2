import fc from 'fast-check'
import { type Message, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import type { EngineClient } from '../../src/client/client.js'
import type { EmbeddedEngine } from '../../src/engine/embedded-engine.js'
import { ATTRIBUTES_AT, CONTROL_BIT, LAST_OFFSET_DELTA_AT } from '../../src/record/batch-layout.js'
import { EncodedBatch } from '../../src/record/encoded-batch.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { openClient } from './consuming.js'

const numbers: Topic<number> = new Topic<number>('numbers', { partitions: 2 })

/** A batch of so many messages, and of what no consumer sees: offsets without a record behind them, or all of it a marker. */
interface Written {
  readonly messages: number
  readonly gap: number
  readonly isMarker: boolean
}

async function write(engine: EmbeddedEngine, batches: readonly Written[]): Promise<number[]> {
  const offsets: number[] = []
  let next = 0
  for (const { messages, gap, isMarker } of batches) {
    const builder = new RecordBatchBuilder()
    for (let index = 0; index < messages; index++) builder.append(1, null, numbers.value.encode(next + index))
    const closed = builder.close()
    const bytes = new Uint8Array(closed.sizeInBytes)
    closed.copyTo(bytes, 0)
    if (isMarker) bytes[ATTRIBUTES_AT + 1] = CONTROL_BIT
    else for (let index = 0; index < messages; index++) offsets.push(next + index)
    bytes[LAST_OFFSET_DELTA_AT + 3] = messages + gap - 1
    await engine.produce({ topic: 'numbers', partition: 0, batch: new EncodedBatch(bytes, 0, bytes.length) })
    next += messages + gap
  }
  return offsets
}

async function last(client: EngineClient, count: number, until: 'end' | undefined = 'end'): Promise<Message<number>[]> {
  const messages: Message<number>[] = []
  const options = until === undefined ? {} : { until }
  for await (const message of client.reader(numbers, { partition: 0, from: { last: count }, ...options })) {
    messages.push(message)
  }
  return messages
}

describe('a reader from the last n', () => {
  it('counts messages, whatever lies between them: compaction’s gaps and markers', async () => {
    const written = fc.record({ messages: fc.integer({ min: 1, max: 4 }), gap: fc.nat(20), isMarker: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 12 }), fc.nat(20), async (batches, count) => {
        const { client, engine } = await openClient()
        await client.topic(numbers)
        const offsets = await write(engine, batches)
        const read = await last(client, count)
        expect(read.map(({ offset }) => offset)).toEqual(count === 0 ? [] : offsets.slice(-count))
        expect(read.map(({ value }) => value)).toEqual(count === 0 ? [] : offsets.slice(-count))
        await client.close()
      }),
      { numRuns: 60 },
    )
  })

  it('goes on for ever without an end', async () => {
    const { client, engine } = await openClient()
    await client.topic(numbers)
    await write(engine, [{ messages: 3, gap: 5, isMarker: false }])
    const reader = client.reader(numbers, { partition: 0, from: { last: 2 } })
    expect([(await reader.next()).value.value, (await reader.next()).value.value]).toEqual([1, 2])
    const next = reader.next()
    await client.producer().send(numbers, { value: 77, partition: 0 })
    expect((await next).value.value).toBe(77)
    await reader.return?.()
  })

  it('begins no earlier than the log does', async () => {
    const { client } = await openClient()
    await client.topic(numbers)
    for (const value of [0, 1, 2, 3]) await client.producer().send(numbers, { value, partition: 0 })
    await client.deleteRecords([{ topic: 'numbers', partition: 0, beforeOffset: 2 }])
    expect((await last(client, 3)).map(({ value }) => value)).toEqual([2, 3])
  })
})
