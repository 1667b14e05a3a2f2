import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OttlaError } from '../../src/errors.js'
import {
  decodeOffsetKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../src/group/offset-records.js'
import { codePoint } from '../code-point.js'

interface Goldens {
  keys: { group: string; topic: string; partition: number; hex: string }[]
  values: {
    version: number
    offset: number
    leaderEpoch: number
    metadata: string
    commitTimestamp: number
    hex: string
  }[]
  groupMetadataKey: string
}

// Written by the classes OffsetCommitKey and OffsetCommitValue of Apache Kafka 4.2.0.
const goldens: Goldens = JSON.parse(
  readFileSync(new URL('../fixtures/group/offset-records.json', import.meta.url), 'utf8'),
)

const unhex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (content: Uint8Array): string => Buffer.from(content).toString('hex')

describe('the key of a committed offset', () => {
  it.each(goldens.keys)("is byte for byte Kafka's: $topic-$partition", ({ group, topic, partition, hex: golden }) => {
    const key = { groupId: group, topic, partition }
    expect(hex(encodeOffsetKey(key))).toBe(golden)
    expect(decodeOffsetKey(unhex(golden))).toEqual(key)
  })

  it('of version 0 is read as well', () => {
    const key = encodeOffsetKey({ groupId: 'g', topic: 't', partition: 3 })
    key[1] = 0
    expect(decodeOffsetKey(key)).toEqual({ groupId: 'g', topic: 't', partition: 3 })
  })

  it('of another kind is skipped', () => {
    expect(decodeOffsetKey(unhex(goldens.groupMetadataKey))).toBeUndefined()
  })

  it('comes back as it was written', () => {
    const key = fc.record({
      groupId: fc.string({ unit: codePoint }),
      topic: fc.string({ unit: codePoint }),
      partition: fc.nat(2 ** 31 - 1),
    })
    fc.assert(
      fc.property(key, (written) => {
        expect(decodeOffsetKey(encodeOffsetKey(written))).toEqual(written)
      }),
    )
  })

  it('refuses a group id that the format cannot hold', () => {
    const key = { groupId: 'g'.repeat(2 ** 15), topic: 't', partition: 0 }
    expect(() => encodeOffsetKey(key)).toThrow(expect.objectContaining({ code: 'OTTLA_INVALID_ARGUMENT' }))
  })
})

describe('the value of a committed offset', () => {
  it.each(goldens.values)(
    "of version $version is read as Kafka's at offset $offset",
    ({ version: _, hex, ...value }) => {
      expect(decodeOffsetValue(unhex(hex))).toEqual(value)
    },
  )

  it.each(goldens.values.filter(({ version }) => version === 3))(
    "is byte for byte Kafka's version 3 at offset $offset",
    ({ hex: golden, version: _, ...value }) => {
      expect(hex(encodeOffsetValue(value))).toBe(golden)
    },
  )

  it('comes back as it was written', () => {
    const value = fc.record({
      offset: fc.maxSafeInteger(),
      leaderEpoch: fc.integer(),
      metadata: fc.string({ unit: codePoint }),
      commitTimestamp: fc.maxSafeInteger(),
    })
    fc.assert(
      fc.property(value, (written) => {
        expect(decodeOffsetValue(encodeOffsetValue(written))).toEqual(written)
      }),
    )
  })

  it('of a newer version than any known is OTTLA_UNSUPPORTED_FORMAT', () => {
    const value = encodeOffsetValue({ offset: 1, leaderEpoch: -1, metadata: '', commitTimestamp: 0 })
    value[1] = 5
    expect(() => decodeOffsetValue(value)).toThrow(expect.objectContaining({ code: 'OTTLA_UNSUPPORTED_FORMAT' }))
  })
})

describe('bytes that are no committed offset', () => {
  const key = encodeOffsetKey({ groupId: 'group', topic: 'topic', partition: 3 })
  const value = unhex(goldens.values.find(({ version }) => version === 4)?.hex ?? '')

  it.each([
    ['key', key, decodeOffsetKey],
    ['value', value, decodeOffsetValue],
  ])('are OTTLA_CORRUPTION where a %s is cut short or has more behind it', (_, whole, decode) => {
    const corruption = expect.objectContaining({ code: 'OTTLA_CORRUPTION' })
    for (let length = 0; length < whole.length; length++) {
      expect(() => decode(whole.subarray(0, length))).toThrow(corruption)
    }
    expect(() => decode(new Uint8Array([...whole, 0]))).toThrow(corruption)
  })

  it('give a typed error or a value, never anything else', () => {
    const version = fc.integer({ min: -1, max: 5 })
    fc.assert(
      fc.property(version, fc.uint8Array({ maxLength: 60 }), fc.boolean(), (number, rest, isKey) => {
        const content = new Uint8Array([number >> 8, number, ...rest])
        try {
          if (isKey) decodeOffsetKey(content)
          else decodeOffsetValue(content)
        } catch (error) {
          expect(OttlaError.is(error) && error.code).toMatch(/^OTTLA_(CORRUPTION|UNSUPPORTED_FORMAT)$/)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
