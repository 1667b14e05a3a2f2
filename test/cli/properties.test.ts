import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeProperties, MalformedProperties, parseProperties } from '../../src/cli/properties.js'

interface Case {
  readonly text: string
  /** What java.util.Properties of Java 17 made of it; null where it threw. */
  readonly properties: Readonly<Record<string, string>> | null
}

const cases = readFileSync(new URL('../fixtures/cli/properties.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line): Case => JSON.parse(line))

function read(text: string): Case['properties'] {
  try {
    return Object.fromEntries(parseProperties(text).map(({ key, value }) => [key, value]))
  } catch (error) {
    if (error instanceof MalformedProperties) return null
    throw error
  }
}

/** Line, key and value of each property. */
function located(text: string): [number, string, string][] {
  return parseProperties(text).map(({ line, key, value }) => [line, key, value])
}

describe('a properties file', () => {
  it(`says what it says to Java: ${cases.length} texts`, () => {
    expect(cases.map(({ text }) => ({ text, properties: read(text) }))).toEqual(cases)
  })

  it('is cut into properties whose first line is known', () => {
    const text = '# one\na=1\n\n\nb=2\\\n  3\\\n  4\nc=5\r\nd=6\re=7\n\\\nf=8'
    expect(located(text)).toEqual([
      [2, 'a', '1'],
      [5, 'b', '234'],
      [8, 'c', '5'],
      [9, 'd', '6'],
      [10, 'e', '7'],
      [11, 'f', '8'],
    ])
  })

  it('gives a key that is set twice twice, in order', () => {
    expect(located('a=1\na=2')).toEqual([
      [1, 'a', '1'],
      [2, 'a', '2'],
    ])
  })

  it('says in which line an escape is cut short', () => {
    expect(() => parseProperties('a=1\nb=2\\\n\\u12')).toThrow(
      expect.objectContaining({ line: 2, message: 'Behind \\u there have to be four hexadecimal digits' }),
    )
  })
})

describe('the bytes of a properties file', () => {
  it('are UTF-8, and may begin with a byte order mark', () => {
    expect(decodeProperties(Buffer.from('\ufeffa=ä€😀'))).toEqual([{ key: 'a', value: 'ä€😀', line: 1 }])
  })

  it('may be anything else in comments', () => {
    expect(decodeProperties(Buffer.from('# B\xe4r\na=1', 'latin1'))).toEqual([{ key: 'a', value: '1', line: 2 }])
  })

  it('are refused where a value is not UTF-8, with the line', () => {
    expect(() => decodeProperties(Buffer.from('a=1\nb=B\xe4r', 'latin1'))).toThrow(
      expect.objectContaining({ line: 2, message: expect.stringContaining('not UTF-8') }),
    )
  })
})
