import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OffsetRanges } from '../../src/client/offset-ranges.js'

describe('offset ranges', () => {
  it('are the set that was added less what was deleted, in as few ranges as it has, and their text says it all', () => {
    const step = fc.record({ isAdded: fc.boolean(), offset: fc.nat(20) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [ranges, model] = [new OffsetRanges(), new Set<number>()]
        for (const { isAdded, offset } of steps) {
          if (isAdded) ranges.add(offset)
          else ranges.delete(offset)
          if (isAdded) model.add(offset)
          else model.delete(offset)
        }
        const text = `${ranges}`
        for (const each of [ranges, OffsetRanges.parse(text, 0, 21)]) {
          expect(`${each}`).toBe(text)
          expect(each.first).toBe(model.size === 0 ? undefined : Math.min(...model))
          for (let offset = 0; offset <= 21; offset++) expect(each.has(offset)).toBe(model.has(offset))
        }
        const ends = [...model].filter((offset) => !model.has(offset + 1))
        expect(text === '' ? 0 : text.split(',').length).toBe(ends.length)
      }),
    )
  })

  it.each([
    ['3-5,9', 0, 20, '3-5,9'],
    ['3-5,9', 4, 9, '4-5'],
    ['0-9007199254740991', 2, 5, '2-4'],
    ['0-99999999999999999999999', 2, 5, '2-4'],
    ['7-3,9', 0, 20, '9'],
    ['5,3-6,4,7', 0, 20, '5-7'],
    ['3-5,', 0, 20, ''],
    ['three', 0, 20, ''],
    ['', 0, 20, ''],
  ])('of the text %s between %i and %i are %s', (text, start, end, expected) => {
    expect(`${OffsetRanges.parse(text, start, end)}`).toBe(expected)
  })
})
