import { describe, expect, it } from 'vitest'
import {
  cleanedRecord,
  clockRecord,
  deletedTopicRecord,
  logStartRecord,
  TopicCatalog,
  type TopicState,
  topicRecord,
} from '../../src/engine/topics.js'

const orders: TopicState = {
  name: 'orders',
  topicId: 'first',
  partitionCount: 2,
  configs: {},
  codecs: null,
  internal: false,
}

describe('TopicCatalog', () => {
  it('knows where a partition begins and was compacted, of the topic with that id alone', () => {
    const catalog = new TopicCatalog()
    for (const record of [topicRecord(orders), logStartRecord(orders, 1, 5), cleanedRecord(orders, 1, 7)]) {
      catalog.apply(record)
    }
    expect([catalog.logStart(orders, 1), catalog.cleanedTo(orders, 1)]).toEqual([5, 7])
    expect([catalog.logStart(orders, 0), catalog.cleanedTo(orders, 0)]).toEqual([0, undefined])
    // Created anew, and the process ended before the records of the old one were taken back.
    const again = { ...orders, topicId: 'second' }
    catalog.apply(topicRecord(again))
    expect([catalog.logStart(again, 1), catalog.cleanedTo(again, 1)]).toEqual([0, undefined])
    for (const record of catalog.deletedOffsetRecords(again)) catalog.apply(record)
    expect([catalog.logStart(orders, 1), catalog.cleanedTo(orders, 1)]).toEqual([0, undefined])
    expect(catalog.deletedOffsetRecords(orders)).toEqual([])
  })

  it('names the topics that changed since a version, as long as it remembers', () => {
    const catalog = new TopicCatalog()
    const { version } = catalog
    expect(catalog.changedSince(version)).toEqual([])
    catalog.apply(topicRecord(orders))
    catalog.apply(topicRecord({ ...orders, name: 'payments' }))
    catalog.apply(topicRecord({ ...orders, partitionCount: 3 }))
    catalog.apply(deletedTopicRecord('payments'))
    expect(catalog.changedSince(version)?.sort()).toEqual(['orders', 'payments'])
    expect(catalog.changedSince(version + 3)).toEqual(['payments'])
    expect(catalog.changedSince(version + 4)).toEqual([])
    for (let partitionCount = 4; partitionCount < 5000; partitionCount++) {
      catalog.apply(topicRecord({ ...orders, partitionCount }))
      if (partitionCount > 1010) expect(catalog.changedSince(catalog.version - 999)).toEqual(['orders'])
    }
    expect(catalog.changedSince(version)).toBeUndefined()
  })

  it('knows the time in which nothing aged', () => {
    const catalog = new TopicCatalog()
    expect(catalog.keptTime).toBeUndefined()
    const kept = { at: 1000, pauses: [{ after: 5, ms: 600.5 }] }
    catalog.apply(clockRecord(kept))
    expect(catalog.keptTime).toEqual(kept)
  })

  it.each([
    ['clock', '{"at":-1,"pauses":[]}'],
    ['clock', '{"at":1,"pauses":[[1]]}'],
    ['cleaned/orders/0', '{"id":"first"}'],
    ['cleaned/orders/0', '[]'],
  ])('refuses %s = %s, which nobody wrote', (key, value) => {
    expect(() => new TopicCatalog().apply({ key, value })).toThrow(
      expect.objectContaining({ code: 'OTTLA_CORRUPTION' }),
    )
  })
})
