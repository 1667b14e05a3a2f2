import { describe, expect, it } from 'vitest'
import { BatchQueue } from '../../src/client/batch-queue.js'
import { OpenBatch } from '../../src/client/open-batch.js'

describe('the queue of the batches that a partition has under way', () => {
  const [a, b, c] = [new OpenBatch(), new OpenBatch(), new OpenBatch()]

  function queueOf(...batches: OpenBatch[]): BatchQueue {
    const queue = new BatchQueue()
    for (const batch of batches) queue.push(batch)
    return queue
  }

  it('keeps them in the order in which they came', () => {
    const queue = queueOf(a, b, c)
    expect(queue.first).toBe(a)
    expect(queue.size).toBe(3)
    expect(queue.all().map((batch) => [a, b, c].indexOf(batch))).toEqual([0, 1, 2])
  })

  it.each([
    { gone: 0, left: [1, 2] },
    { gone: 1, left: [0, 2] },
    { gone: 2, left: [0, 1] },
  ])('lets number $gone go, wherever it stands', ({ gone, left }) => {
    const batches = [a, b, c]
    const queue = queueOf(...batches)
    queue.remove(batches[gone] as OpenBatch)
    expect(queue.all().map((batch) => batches.indexOf(batch))).toEqual(left)
    expect(queue.size).toBe(2)
    expect(queue.first).toBe(batches[left[0] as number])
  })

  it('is as new once all have gone', () => {
    const queue = queueOf(a, b)
    for (const batch of queue.all()) queue.remove(batch)
    queue.remove(c)
    expect(queue.size).toBe(0)
    expect(queue.first).toBeUndefined()
    queue.push(c)
    expect(queue.all()).toHaveLength(1)
    queue.clear()
    expect(queue.all()).toEqual([])
  })
})
