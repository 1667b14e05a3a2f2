import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CLUSTER_METADATA,
  CONSUMER_OFFSETS,
  checkTopicName,
  collisionKey,
  isInternalTopic,
  TRANSACTION_STATE,
} from '../../src/engine/topic-name.js'
import { OttlaError } from '../../src/errors.js'

function isRefused(name: unknown): boolean {
  try {
    checkTopicName(name)
    return false
  } catch (error) {
    if (OttlaError.is(error) && error.code === 'OTTLA_INVALID_TOPIC') return true
    throw error
  }
}

describe('checkTopicName', () => {
  it.each(['a', 'orders.dlq', '...', '.a', 'A-Z_0-9', '__consumer_offsets', '-', 'x'.repeat(249)])(
    'takes %s',
    (name) => {
      expect(isRefused(name)).toBe(false)
    },
  )

  it.each([
    ['nothing', ''],
    ['this directory', '.'],
    ['the directory above', '..'],
    ['250 characters', 'x'.repeat(250)],
    ['a path', 'a/b'],
    ['a blank', 'a b'],
    ['a line break at the end', 'a\n'],
    ['a letter beyond ASCII', 'ä'],
    ['a zero', 'a\0'],
    ['a number', 1],
    ['null', null],
    ['undefined', undefined],
    ['an array', ['orders']],
  ])('refuses %s', (_, name) => {
    expect(isRefused(name)).toBe(true)
  })

  it('takes a text when each of its characters is legal', () => {
    const legal = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-'
    const character = fc.integer({ min: 0, max: 0xff }).map((code) => String.fromCharCode(code))
    const unit = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...legal) }, { weight: 1, arbitrary: character })
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1, maxLength: 6 }), (name) => {
        const isLegal = [...name].every((letter) => legal.includes(letter))
        expect(isRefused(name)).toBe(name === '.' || name === '..' || !isLegal)
      }),
    )
  })
})

describe('collisionKey', () => {
  it('is the same for names that differ only in . and _', () => {
    expect(collisionKey('orders.paid')).toBe(collisionKey('orders_paid'))
    expect(collisionKey('a.b_c')).toBe(collisionKey('a_b.c'))
  })

  it('is another for every other difference', () => {
    const keys = ['orders.paid', 'orders-paid', 'Orders_paid', 'orderspaid'].map(collisionKey)
    expect(new Set(keys).size).toBe(4)
  })
})

describe('isInternalTopic', () => {
  it("knows the broker's own topics", () => {
    expect([CONSUMER_OFFSETS, TRANSACTION_STATE, CLUSTER_METADATA]).toEqual([
      '__consumer_offsets',
      '__transaction_state',
      '__cluster_metadata',
    ])
    expect([CONSUMER_OFFSETS, TRANSACTION_STATE, CLUSTER_METADATA].every(isInternalTopic)).toBe(true)
  })

  it('takes no other for one, even with two underscores', () => {
    expect(isInternalTopic('__mine')).toBe(false)
    expect(isInternalTopic('consumer_offsets')).toBe(false)
  })
})
