import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MessagesByPartition } from '../../src/client/messages-by-partition.js'

it('leads through the slots of each partition in their order', () => {
  const partitions = fc.integer({ min: 1, max: 12 })
  const placed = partitions.chain((count) =>
    fc.tuple(fc.constant(count), fc.array(fc.integer({ min: 0, max: count - 1 }), { maxLength: 60 })),
  )
  fc.assert(
    fc.property(placed, ([partitionCount, partitionOf]) => {
      const slots = new MessagesByPartition(partitionOf.length, partitionCount)
      for (const [slot, partition] of partitionOf.entries()) slots.add(slot, partition)
      expect(slots.partitions).toEqual([...new Set(partitionOf)])
      for (const partition of slots.partitions) {
        const led: number[] = []
        for (let slot = slots.first(partition); slot < partitionOf.length; slot = slots.next[slot] as number)
          led.push(slot)
        expect(led).toEqual([...partitionOf.keys()].filter((slot) => partitionOf[slot] === partition))
      }
    }),
  )
})
