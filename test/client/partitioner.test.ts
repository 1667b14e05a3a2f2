import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { murmur2 } from '../../src/client/murmur2.js'
import { partitionForKey, StickyPartitioner } from '../../src/client/partitioner.js'

/** By Kafka 4.2: the key in hex, `Utils.murmur2` of it, and its partition of 7. */
type JavaKey = [hex: string, hash: number, partitionOfSeven: number]

const javaKeys: JavaKey[] = JSON.parse(readFileSync(new URL('../fixtures/murmur2.json', import.meta.url), 'utf8'))

describe('a key', () => {
  it('has the hash that Java gives it', () => {
    expect(javaKeys).toHaveLength(300)
    for (const [hex, hash] of javaKeys) expect(murmur2(Buffer.from(hex, 'hex')), hex).toBe(hash)
  })

  it('goes to the partition that Java chooses', () => {
    for (const [hex, , partition] of javaKeys) expect(partitionForKey(Buffer.from(hex, 'hex'), 7), hex).toBe(partition)
  })

  it('has the same hash wherever in memory it lies', () => {
    for (const [hex, hash] of javaKeys) {
      const key = Buffer.from(hex, 'hex')
      const slab = Buffer.alloc(key.length + 5, 0xff)
      slab.set(key, 3)
      expect(murmur2(slab.subarray(3, 3 + key.length)), hex).toBe(hash)
    }
  })

  it('always has a partition', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 100_000 }), (key, partitionCount) => {
        const partition = partitionForKey(key, partitionCount)
        expect(partition).toBeGreaterThanOrEqual(0)
        expect(partition).toBeLessThan(partitionCount)
      }),
    )
  })
})

describe('records without a key', () => {
  it('stay on one partition until its batch closes, then go to another', () => {
    const sticky = new StickyPartitioner(inTurn([0.5, 0, 0.99]))
    expect([sticky.partition('orders', 4), sticky.partition('orders', 4)]).toEqual([2, 2])
    sticky.onBatchClosed('orders', 2)
    expect([sticky.partition('orders', 4), sticky.partition('orders', 4)]).toEqual([0, 0])
    sticky.onBatchClosed('orders', 0)
    expect(sticky.partition('orders', 4)).toBe(3)
  })

  it('stick to a partition per topic', () => {
    const sticky = new StickyPartitioner(inTurn([0, 0.99, 0]))
    expect([sticky.partition('orders', 4), sticky.partition('payments', 4)]).toEqual([0, 3])
    sticky.onBatchClosed('payments', 3)
    expect([sticky.partition('orders', 4), sticky.partition('payments', 4)]).toEqual([0, 0])
  })

  it('are not moved by a batch that keyed records filled elsewhere', () => {
    const sticky = new StickyPartitioner(inTurn([0, 0.5]))
    expect(sticky.partition('orders', 4)).toBe(0)
    sticky.onBatchClosed('orders', 3)
    expect(sticky.partition('orders', 4)).toBe(0)
    sticky.onBatchClosed('orders', 0)
    expect(sticky.partition('orders', 4)).toBe(2)
  })

  it('stay where there is one partition only', () => {
    const sticky = new StickyPartitioner()
    expect(sticky.partition('orders', 1)).toBe(0)
    sticky.onBatchClosed('orders', 0)
    expect(sticky.partition('orders', 1)).toBe(0)
  })

  it('leave a partition that is gone, and find those that are new', () => {
    const sticky = new StickyPartitioner(inTurn([0.99, 0.99, 0.99]))
    expect(sticky.partition('orders', 8)).toBe(7)
    expect(sticky.partition('orders', 2)).toBe(1)
    sticky.onBatchClosed('orders', 1)
    expect(sticky.partition('orders', 8)).toBe(7)
  })

  it('fill as many batches of every partition', () => {
    const sticky = new StickyPartitioner(linearCongruence(1))
    const batches = new Array<number>(5).fill(0)
    for (let i = 0; i < 50_000; i++) {
      const partition = sticky.partition('orders', 5)
      batches[partition] = (batches[partition] ?? 0) + 1
      sticky.onBatchClosed('orders', partition)
    }
    for (const count of batches) expect(Math.abs(count - 10_000)).toBeLessThan(400)
  })
})

function inTurn(numbers: readonly number[]): () => number {
  const left = [...numbers]
  return () => {
    const next = left.shift()
    if (next === undefined) throw new Error('more random numbers are drawn than the test expects')
    return next
  }
}

/** Numbers that are random enough and the same in every run. */
function linearCongruence(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
