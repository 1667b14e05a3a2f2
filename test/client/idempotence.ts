import * as fc from 'fast-check'
import { Broker, json, OttlaError, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { expect } from 'vitest'
import { ENGINE } from '../../src/engine/engine-of.js'
import type { RecordBatch } from '../../src/record/record-batch.js'
import { systemClock } from '../../src/time/clock.js'
import { contentsOf } from './brokers.js'
import { type Fate, FaultyEngine, fates } from './faulty-engine.js'

export const orders: Topic<number> = new Topic('orders', { value: json<number>() })
/** So small that each message has a batch of its own. */
export const ONE_EACH = { batchBytes: 1 }

export const upTo = (end: number): number[] => Array.from({ length: end }, (_, value) => value)

export async function batchesOf(broker: Broker): Promise<readonly RecordBatch[]> {
  const [result] = await broker[ENGINE].engine.fetch({
    partitions: [{ topic: 'orders', partition: 0, fetchOffset: 0, maxBytes: 2 ** 24 }],
    maxBytes: 2 ** 24,
    minBytes: 0,
    maxWaitMs: 0,
  })
  return result?.batches ?? []
}

export async function valuesOf(broker: Broker): Promise<number[]> {
  return (await contentsOf(broker, orders)).map(({ value }) => value)
}

/** Sends messages through an engine whose calls meet the fates of a plan, and then lets the check look at the log. */
async function sendThrough(
  plan: readonly Fate[],
  count: number,
  check: (outcomes: PromiseSettledResult<{ offset: number }>[], found: number[]) => void,
): Promise<void> {
  const broker = await Broker.open()
  try {
    await broker.topic(orders)
    const faults = new FaultyEngine(broker[ENGINE].engine)
    faults.fate = fates(...plan)
    const producer = faults.producer(systemClock, { ...ONE_EACH, retries: 100, retryBackoffMs: 0 })
    check(
      await Promise.allSettled(upTo(count).map((value) => producer.send(orders, { value }))),
      await valuesOf(broker),
    )
  } finally {
    await broker.close()
  }
}

const count = fc.integer({ min: 1, max: 25 })

/** Property: calls that fail, and calls whose acknowledgement is lost, neither lose nor double a message, nor move one. */
export async function onceAndInOrder(numRuns: number): Promise<void> {
  const fate = fc.constantFrom<Fate>('pass', 'pass', 'fail', 'lose')
  await fc.assert(
    fc.asyncProperty(fc.array(fate, { maxLength: 30 }), count, (plan, count) =>
      sendThrough(plan, count, (outcomes, found) => {
        const offsets = outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value.offset)
        expect(offsets).toEqual(upTo(count))
        expect(found).toEqual(upTo(count))
      }),
    ),
    { numRuns },
  )
}

/** Property: the same where calls are refused for good among them, for every message whose send resolved. */
export async function onceUnlessRefused(numRuns: number): Promise<void> {
  const refused = new OttlaError('OTTLA_STORAGE_FULL', 'There is no room')
  const fate = fc.constantFrom<Fate>('pass', 'pass', 'fail', 'lose', refused)
  await fc.assert(
    fc.asyncProperty(fc.array(fate, { maxLength: 30 }), count, (plan, count) =>
      sendThrough(plan, count, (outcomes, found) => {
        // One may be in the log though its acknowledgement was lost and its repetition refused, but none twice.
        expect(found).toEqual([...new Set(found)].sort((a, b) => a - b))
        for (const [value, outcome] of outcomes.entries()) {
          if (outcome.status === 'fulfilled') expect(found[outcome.value.offset]).toBe(value)
        }
      }),
    ),
    { numRuns },
  )
}

/** Sends messages through such an engine to a partition that has just forgotten the producer, and gives their outcome. */
async function sendForgotten(plan: readonly Fate[], count: number): Promise<{ told: unknown[]; found: number[] }> {
  const clock = new ManualClock()
  const broker = await Broker.open({ clock, config: { producerIdExpirationMs: 1000 } })
  try {
    await broker.topic(orders)
    const faults = new FaultyEngine(broker[ENGINE].engine)
    const producer = faults.producer(systemClock, { ...ONE_EACH, retries: 100, retryBackoffMs: 0 })
    await producer.send(orders, { value: 0 })
    // When another producer comes, those are looked for that sent nothing; the first such look only notes when they did.
    for (const value of [1, 2]) {
      await clock.advance(600_000)
      await new FaultyEngine(broker[ENGINE].engine).producer(systemClock).send(orders, { value })
    }
    const begun = faults.calls
    faults.fate = (call) => plan[call - begun] ?? 'pass'
    const sent = await Promise.all(upTo(count).map((value) => producer.send(orders, { value: value + 3 })))
    const found = await valuesOf(broker)
    return { told: sent.map(({ offset }) => found[offset]), found }
  } finally {
    await broker.close()
  }
}

/** Property: a log that has forgotten the producer has each message once all the same, where its sender was told. */
export async function onceThoughForgotten(numRuns: number): Promise<void> {
  const fate = fc.constantFrom<Fate>('pass', 'pass', 'fail', 'lose')
  const examples: [Fate[], number][] = [
    [['fail', 'pass', 'pass'], 4],
    [['fail', 'lose', 'pass'], 4],
    [['fail', 'fail', 'lose'], 4],
    [['fail', 'lose', 'lose', 'pass', 'fail', 'lose', 'fail'], 5],
  ]
  await fc.assert(
    fc.asyncProperty(fc.array(fate, { maxLength: 20 }), count, async (plan, count) => {
      const { told, found } = await sendForgotten(plan, count)
      expect([...found].sort((a, b) => a - b)).toEqual(upTo(count + 3))
      expect(told).toEqual(upTo(count).map((value) => value + 3))
    }),
    { numRuns, examples },
  )
}
