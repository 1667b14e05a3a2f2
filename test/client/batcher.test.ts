import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { Batcher, type BatcherOptions } from '../../src/client/batcher.js'
import { BatchPool } from '../../src/client/open-batch.js'
import { TurnEnd } from '../../src/client/turn-end.js'
import type { Engine, ProduceRequest, ProduceResult } from '../../src/engine/engine.js'
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.js'
import { nextTurn as oneTurn } from './brokers.js'

interface Produced {
  readonly values: string[]
  readonly acknowledge: () => void
  readonly refuse: (error: unknown) => void
}

/** A batcher over an engine that answers when the test says so. */
class Rig {
  readonly clock = new ManualClock()
  readonly produced: Produced[] = []
  readonly told: string[] = []
  readonly settled: [records: number, bytes: number][] = []
  closed = 0
  readonly batcher: Batcher
  #nextOffset = 0

  constructor({ batchBytes = 1_000, ...options }: Partial<BatcherOptions> & { batchBytes?: number } = {}) {
    const shared: BatcherOptions = {
      engine: { produce: (request: ProduceRequest) => this.#produce(request) } as Engine,
      clock: this.clock,
      lingerMs: 0,
      batches: new BatchPool(),
      turnEnd: new TurnEnd(this.clock),
      onClosed: () => this.closed++,
      onSettled: (_at, records, bytes) => this.settled.push([records, bytes]),
      idempotence: undefined,
      ...options,
    }
    this.batcher = new Batcher(shared, { topic: 'orders', partition: 0 }, batchBytes)
  }

  /** `value` names the send too. */
  append(value: string): void {
    const encoded = Buffer.from(value)
    this.batcher.append(1, null, encoded, undefined, RecordBatchBuilder.recordSizeUpperBound(null, encoded)).then(
      ({ offset }) => this.told.push(`${value} at ${offset}`),
      (error) => this.told.push(`${value}: ${error}`),
    )
  }

  #produce({ batch }: ProduceRequest): Promise<ProduceResult> {
    const values: string[] = []
    const records = batch.records()
    while (records.next()) values.push(Buffer.from(records.value ?? []).toString())
    const baseOffset = this.#nextOffset
    this.#nextOffset += batch.recordCount
    return new Promise((resolve, refuse) => {
      const acknowledge = (): void => resolve({ baseOffset, logAppendTime: -1, logStartOffset: 0 })
      this.produced.push({ values, acknowledge, refuse })
    })
  }
}

/** Two: where a turn has lasted long, as it may on a busy machine, outcomes are told in the one after it. */
async function nextTurn(): Promise<void> {
  await oneTurn()
  await oneTurn()
}

describe('a batcher without a linger', () => {
  it('hands over what one turn sent, microtasks included, as one batch', async () => {
    const rig = new Rig()
    rig.append('a')
    rig.append('b')
    await Promise.resolve()
    rig.append('c')
    expect(rig.produced).toHaveLength(0)
    await nextTurn()
    expect(rig.produced.map(({ values }) => values)).toEqual([['a', 'b', 'c']])
  })

  it('gathers what comes during a write into the next batch', async () => {
    const rig = new Rig()
    rig.append('a')
    await nextTurn()
    rig.append('b')
    await nextTurn()
    rig.append('c')
    await nextTurn()
    expect(rig.produced).toHaveLength(1)
    rig.produced[0]?.acknowledge()
    await nextTurn()
    expect(rig.produced.map(({ values }) => values)).toEqual([['a'], ['b', 'c']])
  })

  it('hands over a full batch at once, also during a write', async () => {
    const rig = new Rig({ batchBytes: 300 })
    rig.append('a'.repeat(100))
    await nextTurn()
    for (const value of ['b', 'c', 'd', 'e']) rig.append(value.repeat(100))
    expect(rig.produced.map(({ values }) => values.length)).toEqual([1, 1, 1, 1])
    expect(rig.closed).toBe(4)
    await nextTurn()
    expect(rig.produced).toHaveLength(4)
  })

  it('hands over what else the turn sent with the batch that it filled, where no write was under way before', async () => {
    const rig = new Rig({ batchBytes: 300 })
    for (const value of ['a', 'b', 'c']) rig.append(value.repeat(100))
    expect(rig.produced).toHaveLength(2)
    await nextTurn()
    expect(rig.produced).toHaveLength(3)
    rig.append('d')
    await nextTurn()
    expect(rig.produced).toHaveLength(3)
  })

  it('puts a record that is larger than a batch into one of its own', async () => {
    const rig = new Rig({ batchBytes: 300 })
    rig.append('a')
    rig.append('b'.repeat(1_000))
    rig.append('c')
    await nextTurn()
    for (const { acknowledge } of rig.produced) acknowledge()
    await nextTurn()
    expect(rig.produced.map(({ values }) => values.join()[0])).toEqual(['a', 'b', 'c'])
  })

  it('tells each send where its record went, and gives back the bytes that it counted', async () => {
    const rig = new Rig()
    rig.append('a')
    rig.append('b')
    await nextTurn()
    rig.produced[0]?.acknowledge()
    await nextTurn()
    expect(rig.told).toEqual(['a at 0', 'b at 1'])
    const bytes = RecordBatchBuilder.recordSizeUpperBound(null, Buffer.from('a'))
    expect(rig.settled).toEqual([[2, 2 * bytes]])
  })

  it('tells all sends of a batch that was refused, and goes on with the next', async () => {
    const rig = new Rig()
    rig.append('a')
    rig.append('b')
    await nextTurn()
    rig.append('c')
    rig.produced[0]?.refuse('full')
    await nextTurn()
    rig.produced[1]?.acknowledge()
    await nextTurn()
    expect(rig.told).toEqual(['a: full', 'b: full', 'c at 2'])
  })

  it('uses the memory of a batch again only when it is settled', async () => {
    const rig = new Rig({ batchBytes: 200 })
    for (let round = 0; round < 20; round++) {
      rig.append(`${round}`.repeat(60))
      rig.append(`${round}`.repeat(60))
      await nextTurn()
    }
    for (let index = 0; index < rig.produced.length; index++) {
      rig.produced[index]?.acknowledge()
      await nextTurn()
    }
    expect(rig.produced.flatMap(({ values }) => values)).toEqual(
      Array.from({ length: 40 }, (_, index) => `${index >> 1}`.repeat(60)),
    )
    expect(rig.told.map((told) => told.split(' at ')[1])).toEqual(Array.from({ length: 40 }, (_, n) => `${n}`))
  })
})

describe('flush of a batcher', () => {
  it('resolves when each batch that was under way is settled, in whatever order, and none that came later', async () => {
    const rig = new Rig({ batchBytes: 100 })
    rig.append('a'.repeat(100))
    rig.append('b'.repeat(100))
    let isFlushed = false
    rig.batcher.flush()?.then(() => {
      isFlushed = true
    })
    rig.append('c'.repeat(100))
    rig.produced[1]?.refuse('too large')
    rig.produced[2]?.acknowledge()
    await nextTurn()
    expect(isFlushed).toBe(false)
    rig.produced[0]?.acknowledge()
    await nextTurn()
    expect(isFlushed).toBe(true)
  })

  it('has nothing to wait for where nothing is under way', () => {
    expect(new Rig().batcher.flush()).toBeUndefined()
  })
})

describe('a batcher with a linger', () => {
  it('waits for time alone until its batch is under way', async () => {
    const rig = new Rig({ lingerMs: 50 })
    expect(rig.batcher.waitsForTime).toBe(true)
    rig.append('a')
    expect([rig.batcher.waitsForTime, rig.clock.pendingTimers]).toEqual([true, 1])
    await rig.clock.advance(50)
    expect([rig.batcher.waitsForTime, rig.clock.pendingTimers]).toEqual([false, 0])
    rig.produced[0]?.acknowledge()
    await nextTurn()
    expect(rig.batcher.waitsForTime).toBe(true)
  })

  it('counts from the first record of the batch, and anew for the next batch', async () => {
    const rig = new Rig({ lingerMs: 50, batchBytes: 200 })
    rig.append('a'.repeat(80))
    await rig.clock.advance(40)
    rig.append('b'.repeat(80))
    expect(rig.produced.map(({ values }) => values.length)).toEqual([1])
    await rig.clock.advance(40)
    expect(rig.produced).toHaveLength(1)
    await rig.clock.advance(10)
    expect(rig.produced).toHaveLength(2)
  })
})
