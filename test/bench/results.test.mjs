import { describe, expect, it } from 'vitest'
import { alignedText, markdownTable, number, rowCells } from '../../bench/harness/format.mjs'
import { Arrivals, makePayloads } from '../../bench/harness/payloads.mjs'
import { ratios, rowResults, shortfalls, summarize, tableResults, verdict } from '../../bench/harness/results.mjs'

const faster = { id: '1', label: 'send', ours: 'ottla', peer: 'queue', better: 'higher', unit: 'msg/s' }
const smaller = { ...faster, id: '2', label: 'heap', better: 'lower', unit: 'B' }

describe('a summary', () => {
  it('has the middle value, or the mean of the middle two, whatever the order', () => {
    expect(summarize([9, 1, 10])).toEqual({ median: 9, min: 1, max: 10 })
    expect(summarize([4, 100, 2, 1])).toEqual({ median: 3, min: 1, max: 100 })
  })

  it('is refused without values, and of what is no number', () => {
    expect(() => summarize([])).toThrow(RangeError)
    expect(() => summarize([1, Number.NaN])).toThrow(RangeError)
    expect(() => summarize([1, Number.POSITIVE_INFINITY])).toThrow(RangeError)
  })
})

describe('a ratio', () => {
  it('is taken repetition by repetition, so that a slow spell of the machine leaves it alone', () => {
    const [row] = rowResults(
      { name: 'w', rows: [faster] },
      // The second repetition met a machine of half the speed, and the medians are of different repetitions.
      { ottla: [100, 50, 90], queue: [200, 100, 60] },
    )
    expect(row.ratio).toEqual({ median: 0.5, min: 0.5, max: 1.5 })
    expect(row.values).toEqual({ ours: summarize([100, 50, 90]), peer: summarize([200, 100, 60]) })
  })

  it('is refused where a repetition lacks one of the two', () => {
    expect(() => ratios([1, 2], [1])).toThrow(RangeError)
  })

  it('names a contender that measured nothing', () => {
    expect(() => rowResults({ name: 'w', rows: [faster] }, { ottla: [1] })).toThrow("'queue'")
  })
})

describe('a verdict', () => {
  it('says whether the floor holds and the goal is reached, bounds included', () => {
    const row = { ...faster, floor: 0.5, goal: 2 }
    expect([0.49, 0.5, 1.99, 2].map((ratio) => verdict(ratio, row))).toEqual([
      'under the floor',
      'above the floor',
      'above the floor',
      'reached',
    ])
  })

  it('takes floor and goal for upper bounds where less is better', () => {
    const row = { ...smaller, floor: 1.25, goal: 1.05 }
    expect([1.26, 1.25, 1.06, 1.05].map((ratio) => verdict(ratio, row))).toEqual([
      'under the floor',
      'above the floor',
      'above the floor',
      'reached',
    ])
  })

  it('demands nothing without a floor', () => {
    expect(verdict(0.001, faster)).toBe('no floor')
    expect(verdict(0.001, { ...faster, goal: 1 })).toBe('no floor')
  })

  it('is that of the value itself where there is no peer', () => {
    const { peer: _, ...alone } = smaller
    const [row] = rowResults({ name: 'w', rows: [{ ...alone, floor: 10 }] }, { ottla: [9, 12, 11] })
    expect(row.verdict).toBe('under the floor')
    expect(row.ratio).toBeUndefined()
  })
})

describe('the check', () => {
  it('names each row that is under its floor, and no other', () => {
    const { peer: _, ...alone } = smaller
    const rows = [
      { ...faster, floor: 0.6 },
      { ...faster, id: '3', floor: 0.4 },
      { ...faster, id: '4' },
      { ...faster, id: '5', floor: 0.6, floorOf: '(of another form)' },
      { ...alone, floor: 10 },
    ]
    const samples = { ottla: [50, 50, 50], queue: [100, 100, 100] }
    expect(shortfalls(rowResults({ name: 'w', rows }, samples))).toEqual([
      'row 1 (w: send): 0.500x of queue is under its floor of 0.6x',
      'row 2 (w: heap): 50.0 B is above its bound of 10 B',
    ])
  })
})

describe('a table', () => {
  it('has a line for each row, with the medians, the ratio and what it is held to', () => {
    const rows = rowResults(
      {
        name: 'w',
        rows: [
          { ...faster, floor: 0.4, goal: 1, goalOf: '(of old)' },
          { ...smaller, floor: 1.25 },
          { ...faster, id: '3', floor: 0.6, floorOf: '(of another form)' },
        ],
      },
      { ottla: [1_500_000, 1_500_000, 1_500_000], queue: [3e6, 2e6, 3e6] },
    )
    expect(rowCells(rows).slice(1)).toEqual([
      ['1', 'send', '1.50M msg/s', 'queue 3.00M', '0.50x [0.50..0.75]', '0.4x', '1x (of old)', 'ok'],
      ['2', 'heap', '1.50M B', 'queue 3.00M', '0.50x [0.50..0.75]', '<= 1.25x', '', 'ok'],
      ['3', 'send', '1.50M msg/s', 'queue 3.00M', '0.50x [0.50..0.75]', '0.6x (of another form)', '', 'under'],
    ])
  })

  it('shows how a value grows, and leaves open what nobody measured', () => {
    const [table] = tableResults(
      {
        tables: [
          { title: 't', corner: 'n', columns: ['a', 'b'], lines: [{ label: '1', contenders: ['a 1', undefined] }] },
        ],
      },
      { 'a 1': [3, 1, 2] },
    )
    expect(table.lines).toEqual([{ label: '1', values: [{ median: 2, min: 1, max: 3 }, null] }])
  })

  it('is text with columns, or Markdown', () => {
    const cells = [
      ['a', 'long'],
      ['b|c', '1'],
    ]
    expect(alignedText(cells)).toBe('a    long\n---  ----\nb|c  1')
    expect(markdownTable(cells)).toBe('| a | long |\n|---|---|\n| b\\|c | 1 |')
  })

  it('shows three digits that count', () => {
    expect([0, 0.01234, 1.234, 12.34, 123.4, 1234, 12_345_678, 2.5e9].map(number)).toEqual([
      '0.00',
      '0.012',
      '1.23',
      '12.3',
      '123',
      '1.23k',
      '12.3M',
      '2.50G',
    ])
  })
})

describe('arrivals', () => {
  const payloads = makePayloads(300, 100)

  async function arrive(values, expected, options) {
    const arrivals = new Arrivals(options)
    const all = arrivals.expect(expected)
    for (const value of values) arrivals.add(value)
    if (values.length >= expected) await all
    return arrivals
  }

  it('pass when each payload came in its place, also twice over', async () => {
    const arrivals = await arrive([...payloads, ...payloads], 600)
    expect(() => arrivals.check(payloads)).not.toThrow()
  })

  it('fail where one is missing, is there once too often, or came out of its place', async () => {
    const [first, second, ...others] = payloads
    const missing = await arrive(payloads.slice(1), 300)
    const often = await arrive([first, ...payloads], 300)
    const swapped = await arrive([second, first, ...others], 300)
    expect(() => missing.check(payloads)).toThrow('299 arrived of 300')
    expect(() => often.check(payloads)).toThrow('301 arrived of 300')
    expect(() => swapped.check(payloads)).toThrow('sums up')
  })

  it('pass in any order where none is to be kept, and still must all be there', async () => {
    const anyOrder = { anyOrder: true }
    const reversed = await arrive(payloads.toReversed(), 300, anyOrder)
    const twice = await arrive([payloads[1], ...payloads.slice(1)], 300, anyOrder)
    expect(() => reversed.check(payloads)).not.toThrow()
    expect(() => twice.check(payloads)).toThrow('sums up')
  })
})
