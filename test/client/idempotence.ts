import * as fc from 'fast-check'
import { Broker, json, OttlaError, Topic } from 'ottla'
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
