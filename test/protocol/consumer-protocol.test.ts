import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OttlaError } from '../../src/errors.js'
import {
  type Assignment,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type Subscription,
} from '../../src/protocol/consumer-protocol.js'

/** What real clients put into JoinGroup and SyncGroup, and Java's own bytes for each version. */
interface ClientBytes {
  client: string
  kind: 'subscription' | 'assignment'
  hex: string
}

const golden: ClientBytes[] = JSON.parse(
  readFileSync(new URL('../fixtures/consumer-protocol.json', import.meta.url), 'utf8'),
)

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const versionOf = (hex: string): number => Number.parseInt(hex.slice(0, 4), 16)

describe('the bytes of real clients', () => {
  const subscriptions = golden.filter(({ kind }) => kind === 'subscription')
  const assignments = golden.filter(({ kind }) => kind === 'assignment')

  it.each(subscriptions)('$client: its subscription is read and written again', ({ hex, client }) => {
    const again = hexOf(encodeSubscription(decodeSubscription(bytesOf(hex)), versionOf(hex)))
    expect(again, client).toBe(hex)
  })

  it.each(assignments)('$client: its assignment is read and written again', ({ hex }) => {
    expect(hexOf(encodeAssignment(decodeAssignment(bytesOf(hex)), versionOf(hex)))).toBe(hex)
  })

  it('tell what Java says in each version', () => {
    const read = [0, 1, 2, 3].map((version) => {
      const bytes = golden.find(({ client, kind }) => client.endsWith(` v${version}`) && kind === 'subscription')
      return decodeSubscription(bytesOf(bytes?.hex ?? ''))
    })
    const v0 = {
      topics: ['alpha', 'zeta'],
      userData: Buffer.from([1, 2, 3]),
      ownedPartitions: [],
      generationId: -1,
      rackId: null,
    }
    const ownedPartitions = [
      { topic: 'alpha', partitions: [1] },
      { topic: 'zeta', partitions: [0, 3] },
    ]
    const v1 = { ...v0, ownedPartitions }
    const v2 = { ...v1, generationId: 7 }
    const v3 = { ...v2, rackId: 'rack-1' }
    expect(read).toEqual([v0, v1, v2, v3])
  })

  it('may be of version 1 without owned partitions, as some clients write it', () => {
    const subscription = decodeSubscription(bytesOf('000100000001000161ffffffff'))
    expect(subscription).toEqual({
      topics: ['a'],
      userData: null,
      ownedPartitions: [],
      generationId: -1,
      rackId: null,
    })
  })
})

describe('a subscription', () => {
  const subscription: Subscription = {
    topics: ['zeta', 'alpha'],
    userData: null,
    ownedPartitions: [
      { topic: 'zeta', partitions: [3, 0] },
      { topic: 'alpha', partitions: [1] },
    ],
    generationId: 7,
    rackId: null,
  }

  it('gives the same bytes in whatever order its topics and partitions come', () => {
    const sorted: Subscription = {
      ...subscription,
      topics: ['alpha', 'zeta'],
      ownedPartitions: [
        { topic: 'alpha', partitions: [1] },
        { topic: 'zeta', partitions: [0, 3] },
      ],
    }
    expect(encodeSubscription(subscription)).toEqual(encodeSubscription(sorted))
    expect(decodeSubscription(encodeSubscription(subscription))).toEqual(sorted)
  })

  it('is written in version 3, and the first fields stand where a reader of version 0 looks for them', () => {
    const bytes = encodeSubscription(subscription)
    const old = encodeSubscription(subscription, 0)
    expect(hexOf(bytes.subarray(0, 2))).toBe('0003')
    expect(hexOf(bytes.subarray(2, old.length))).toBe(hexOf(old.subarray(2)))
  })

  it('of a newer version is read up to the fields that are known', () => {
    const bytes = Buffer.concat([encodeSubscription(subscription), Buffer.from('more')])
    bytes.writeInt16BE(9)
    expect(decodeSubscription(bytes)).toEqual(decodeSubscription(encodeSubscription(subscription)))
  })

  it('is refused when a name is too long to be written', () => {
    const tooLong = { ...subscription, topics: ['x'.repeat(32_768)] }
    expect(() => encodeSubscription(tooLong)).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
  })
})

describe('an assignment', () => {
  it('of no bytes is empty', () => {
    expect(decodeAssignment(new Uint8Array(0))).toEqual({ assigned: [], userData: null })
  })

  it('keeps the order that the leader chose', () => {
    const assignment: Assignment = {
      assigned: [
        { topic: 'b', partitions: [2, 0] },
        { topic: 'a', partitions: [] },
      ],
      userData: Buffer.from([1]),
    }
    expect(decodeAssignment(encodeAssignment(assignment))).toEqual(assignment)
  })
})

describe('bytes that are not of the consumer protocol', () => {
  const refused = (decode: (bytes: Uint8Array) => unknown, hex: string): void => {
    expect(() => decode(bytesOf(hex)), hex).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
  }

  it('are refused with the field that could not be read', () => {
    refused(decodeSubscription, '')
    refused(decodeSubscription, '00')
    refused(decodeSubscription, 'ffff00000000ffffffff')
    refused(decodeSubscription, '0000ffffffff')
    refused(decodeSubscription, '000000000001ffff00000000')
    refused(decodeSubscription, '0000000000010005616263')
    refused(decodeSubscription, '000000000000fffffffe')
    refused(decodeSubscription, '00000000000000000004aabbcc')
    refused(decodeSubscription, '000200000000ffffffff000000000000')
    refused(decodeAssignment, '0000')
    refused(decodeAssignment, '00000000000100016100000001ffffffffffffffff')
    expect(() => decodeSubscription(bytesOf('00000000000000000004aabbcc'))).toThrow(
      'The subscription of a group member cannot be read: 4 bytes are announced in userData with 3 bytes left.',
    )
  })

  it('cannot make the reader allocate what they announce', () => {
    expect(() => decodeSubscription(bytesOf('000000000003000161'))).toThrow('3 elements are announced in topics')
    refused(decodeSubscription, '00007fffffff000161')
    refused(decodeAssignment, '00007fffffff000161')
    refused(decodeAssignment, `000000000001000161${'7fffffff'}00000000`)
  })

  it('never throw anything but the typed error', () => {
    const prefix = fc.constantFrom('', '0000', '0001', '0003', '000000000001', '000300000001000161')
    const garbage = fc.tuple(prefix, fc.uint8Array({ maxLength: 40 }))
    fc.assert(
      fc.property(garbage, ([start, rest]) => {
        const bytes = Buffer.concat([Buffer.from(start, 'hex'), rest])
        for (const decode of [decodeSubscription, decodeAssignment]) {
          try {
            decode(bytes)
          } catch (error) {
            expect(OttlaError.is(error)).toBe(true)
          }
        }
      }),
    )
  })
})

describe('any subscription and assignment', () => {
  const topic = fc.string({ unit: 'grapheme', maxLength: 6 })
  const topicPartitions = fc.uniqueArray(
    fc.record({ topic, partitions: fc.uniqueArray(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 4 }) }),
    { selector: (entry) => entry.topic, maxLength: 4 },
  )
  const userData = fc.option(fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)))

  it('come back as they were written', () => {
    const subscription = fc.record({
      topics: fc.uniqueArray(topic).map((topics) => topics.sort()),
      userData,
      ownedPartitions: topicPartitions.map((owned) =>
        owned
          .map((entry) => ({ ...entry, partitions: entry.partitions.sort((a, b) => a - b) }))
          .sort((a, b) => (a.topic < b.topic ? -1 : 1)),
      ),
      generationId: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      rackId: fc.option(topic),
    })
    fc.assert(
      fc.property(subscription, fc.record({ assigned: topicPartitions, userData }), (joined, assigned) => {
        expect(decodeSubscription(encodeSubscription(joined))).toEqual(joined)
        expect(decodeAssignment(encodeAssignment(assigned))).toEqual(assigned)
      }),
    )
  })
})
