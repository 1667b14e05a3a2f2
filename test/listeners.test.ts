import { describe, expect, it } from 'vitest'
import { Listeners } from '../src/listeners.js'

describe('listeners', () => {
  const called: string[] = []
  const make = (name: string) => (): void => void called.push(name)
  const [a, b, c] = [make('a'), make('b'), make('c')]

  function of(...all: (() => void)[]): Listeners {
    called.length = 0
    const listeners = new Listeners()
    for (const listener of all) listeners.add(listener)
    return listeners
  }

  it.each([
    { added: [], expected: [] },
    { added: [a], expected: ['a'] },
    { added: [a, a], expected: ['a'] },
    { added: [b, a, b, c], expected: ['b', 'a', 'c'] },
  ])('are called in the order in which they came, each once: $expected', ({ added, expected }) => {
    const listeners = of(...added)
    listeners.call()
    expect(called).toEqual(expected)
    listeners.call()
    expect(called).toEqual([...expected, ...expected])
  })

  it.each([
    { gone: a, left: ['b', 'c'] },
    { gone: b, left: ['a', 'c'] },
    { gone: c, left: ['a', 'b'] },
    { gone: make('none of them'), left: ['a', 'b', 'c'] },
  ])('are not called once they have gone: $left are left', ({ gone, left }) => {
    const listeners = of(a, b, c)
    listeners.delete(gone)
    listeners.call()
    expect(called).toEqual(left)
  })

  it('come and go one at a time, also after there were several', () => {
    const listeners = of(a, b)
    listeners.delete(a)
    listeners.delete(b)
    listeners.call()
    listeners.add(c)
    listeners.call()
    listeners.delete(c)
    listeners.call()
    expect(called).toEqual(['c'])
  })

  it('are not called when another one has them go meanwhile', () => {
    const listeners = of(a, () => listeners.delete(b), b, c)
    listeners.call()
    expect(called).toEqual(['a', 'c'])
  })

  it.each([{ added: [a] }, { added: [a, b] }])('are all called, and none is left: $added.length', ({ added }) => {
    const listeners = of(...added)
    listeners.callAndClear()
    expect(called).toHaveLength(added.length)
    listeners.callAndClear()
    expect(called).toHaveLength(added.length)
  })
})
