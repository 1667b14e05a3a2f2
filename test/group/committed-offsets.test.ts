import { describe, expect, it } from 'vitest'
import { CommittedOffsets } from '../../src/group/committed-offsets.js'
import type { OffsetToCommit } from '../../src/group/group-requests.js'
import { decodeOffsetValue } from '../../src/group/offset-records.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { KeptOffsetsLog } from './kept-offsets-log.js'

function setUp(): { log: KeptOffsetsLog; offsets: CommittedOffsets } {
  const log = new KeptOffsetsLog()
  return { log, offsets: new CommittedOffsets({ log, clock: new ManualClock({ now: 5 }) }) }
}

function at(offset: number, topic = 'orders', partition = 0): OffsetToCommit {
  return { topic, partition, offset, metadata: null }
}

function offsetsOf(offsets: CommittedOffsets, groupId: string): number[] {
  return offsets.fetch(groupId, null).map(({ offset }) => offset)
}

/** What a restart would find. */
function replayed(log: KeptOffsetsLog): CommittedOffsets {
  const { offsets } = setUp()
  for (const { key, value } of log.records) offsets.replay(key, value)
  return offsets
}

describe('committed offsets', () => {
  it('are -1 where none was committed', () => {
    const { offsets } = setUp()
    const none = { topic: 'orders', partition: 4, offset: -1, leaderEpoch: -1, metadata: '' }
    expect(offsets.fetch('billing', [{ topic: 'orders', partition: 4 }])).toEqual([none])
    expect(offsets.fetch('billing', null)).toEqual([])
  })

  it('are kept with their metadata and epoch, and survive a restart', async () => {
    const { log, offsets } = setUp()
    await offsets.commit('billing', [{ ...at(7), leaderEpoch: 3, metadata: 'half way' }, at(9, 'orders', 1)])
    const expected = [
      { topic: 'orders', partition: 0, offset: 7, leaderEpoch: 3, metadata: 'half way' },
      { topic: 'orders', partition: 1, offset: 9, leaderEpoch: -1, metadata: '' },
    ]
    expect(offsets.fetch('billing', null)).toEqual(expected)
    expect(replayed(log).fetch('billing', null)).toEqual(expected)
  })

  it('carry the time of their commit', async () => {
    const { log, offsets } = setUp()
    await offsets.commit('billing', [at(7)])
    expect(log.records.map(({ value }) => value && decodeOffsetValue(value).commitTimestamp)).toEqual([5])
  })

  it('of one request are one append', async () => {
    const { log, offsets } = setUp()
    await offsets.commit('billing', [at(1), at(2, 'orders', 1), at(3, 'refunds')])
    expect(log.appends).toBe(1)
  })

  it('are seen only when the log has them', async () => {
    const { log, offsets } = setUp()
    log.hold()
    const committed = offsets.commit('billing', [at(7)])
    expect(offsets.has('billing')).toBe(false)
    log.settle(0)
    await committed
    expect(offsetsOf(offsets, 'billing')).toEqual([7])
  })

  it('do not change when the append fails', async () => {
    const { log, offsets } = setUp()
    await offsets.commit('billing', [at(1)])
    log.hold()
    const committed = offsets.commit('billing', [at(7)])
    log.settle(0, new Error('disk full'))
    await expect(committed).rejects.toThrow('disk full')
    expect(offsetsOf(offsets, 'billing')).toEqual([1])
  })

  it('of a group take effect in the order of the calls, whichever append ends first', async () => {
    const { log, offsets } = setUp()
    log.hold()
    const commits = [offsets.commit('billing', [at(1)]), offsets.commit('billing', [at(2)])]
    const third = offsets.commit('billing', [at(3)])
    expect(log.appends).toBe(3)
    log.settle(1)
    log.settle(2, new Error('disk full'))
    await Promise.resolve()
    expect(offsets.has('billing')).toBe(false)
    log.settle(0)
    await Promise.all(commits)
    await expect(third).rejects.toThrow('disk full')
    expect(offsetsOf(offsets, 'billing')).toEqual([2])
  })

  it('of one group do not wait for those of another', async () => {
    const { log, offsets } = setUp()
    log.hold()
    void offsets.commit('slow', [at(1)])
    const quick = offsets.commit('quick', [at(2)])
    log.settle(1)
    await quick
    expect(offsetsOf(offsets, 'quick')).toEqual([2])
  })

  it('of a deleted topic are gone from all groups, with tombstones in the log', async () => {
    const { log, offsets } = setUp()
    await offsets.commit('billing', [at(1), at(2, 'refunds')])
    await offsets.commit('audit', [at(3)])
    await offsets.removeTopic('orders')
    for (const held of [offsets, replayed(log)]) {
      expect(held.fetch('billing', null).map(({ topic }) => topic)).toEqual(['refunds'])
      expect(held.has('audit')).toBe(false)
      expect([...held.groupIds()]).toEqual(['billing'])
    }
  })

  it('that are on their way into the log when their topic or group goes do not come back', async () => {
    const { log, offsets } = setUp()
    log.hold()
    const writes = [
      offsets.commit('billing', [at(1)]),
      offsets.removeTopic('orders'),
      offsets.commit('audit', [at(1)]),
      offsets.removeGroup('audit'),
    ]
    for (const append of [0, 1, 2, 3]) log.settle(append)
    await Promise.all(writes)
    expect([...offsets.groupIds()]).toEqual([])
    expect([...replayed(log).groupIds()]).toEqual([])
  })

  it('need no append where there is nothing to forget', async () => {
    const { log, offsets } = setUp()
    await offsets.removeTopic('orders')
    await offsets.removeGroup('billing')
    expect(log.appends).toBe(0)
  })
})
