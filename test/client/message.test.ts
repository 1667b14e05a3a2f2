import { inspect } from 'node:util'
import { json, type Message, type OutgoingMessage, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { brokers, codeOf, contentsOf } from './brokers.js'

const openBroker = brokers()
const notes = new Topic('notes', { value: json<string>() })

async function delivered(message: OutgoingMessage<string>): Promise<Message<string>> {
  const broker = await openBroker()
  await broker.topic(notes)
  await broker.producer().send(notes, message)
  const [received] = await contentsOf(broker, notes)
  if (received === undefined) throw new Error('Nothing was delivered')
  return received
}

describe('a message', () => {
  it('is plain data with own properties', async () => {
    const message = await delivered({ key: 'k', value: 'v', timestamp: 5, headers: { trace: 'x' } })
    expect(Object.keys(message)).toEqual(['topic', 'partition', 'offset', 'timestamp', 'key', 'value', 'headers'])
    expect({ ...message, headers: undefined }).toEqual({
      topic: 'notes',
      partition: 0,
      offset: 0,
      timestamp: 5,
      key: 'k',
      value: 'v',
      headers: undefined,
    })
    expect(JSON.parse(JSON.stringify(message))).toMatchObject({ value: 'v', headers: [['trace', 'x']] })
    expect(inspect(message)).toContain("[ 'trace', 'x' ]")
  })

  it('equals one of the same content, and no other', async () => {
    const [one, same, other] = await Promise.all(
      ['x', 'x', 'y'].map((trace) => delivered({ value: 'v', timestamp: 5, headers: { trace } })),
    )
    expect(one).toEqual(same)
    expect(one).not.toEqual(other)
  })

  it('that was delivered can be sent on, field by field', async () => {
    const { key, value, timestamp, headers } = await delivered({
      key: 'k',
      value: 'v',
      timestamp: 5,
      headers: [
        ['a', '1'],
        ['a', null],
      ],
    })
    const again = await delivered({ key, value, timestamp, headers })
    expect(again).toMatchObject({ key: 'k', value: 'v', timestamp: 5 })
    expect([...again.headers]).toEqual([...headers])
  })
})

describe('headers', () => {
  it('keep their order, their duplicates and their case', async () => {
    const { headers } = await delivered({
      value: '',
      headers: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
        ['B', '4'],
      ],
    })
    expect([...headers].map(([name]) => name)).toEqual(['b', 'a', 'b', 'B'])
    expect([headers.get('b'), headers.get('B'), headers.getAll('b')]).toEqual(['3', '4', ['1', '3']])
  })

  it.each([
    ['an object', { a: '1', b: null }],
    [
      'a Map',
      new Map([
        ['a', '1'],
        ['b', null],
      ] as [string, string | null][]),
    ],
    [
      'pairs',
      [
        ['a', '1'],
        ['b', null],
      ] as [string, string | null][],
    ],
    [
      'a generator',
      (function* (): Generator<[string, string | null]> {
        yield ['a', '1']
        yield ['b', null]
      })(),
    ],
  ])('may be given as %s', async (_, headers) => {
    expect((await delivered({ value: '', headers })).headers.getAll('a')).toEqual(['1'])
  })

  it('may be bytes, text of any language, empty or null', async () => {
    const { headers } = await delivered({
      value: '',
      headers: {
        bytes: new Uint8Array([0xff, 0]),
        text: 'grüße 🌍',
        empty: '',
        none: null,
        '': 'no name',
        'naïve 🌍': '',
        mark: '\ufeffmarked',
      },
    })
    expect(headers.getBytes('bytes')).toEqual(new Uint8Array([0xff, 0]))
    expect(headers.get('text')).toBe('grüße 🌍')
    expect([headers.get('empty'), headers.getBytes('empty')?.length]).toEqual(['', 0])
    expect([headers.get('none'), headers.getBytes('none'), headers.has('none')]).toEqual([undefined, null, true])
    expect([headers.get(''), headers.get('naïve 🌍')]).toEqual(['no name', ''])
    expect([headers.get('mark'), headers.getAll('mark')]).toEqual(['\ufeffmarked', ['\ufeffmarked']])
    expect([headers.get('other'), headers.getBytes('other'), headers.has('other')]).toEqual([
      undefined,
      undefined,
      false,
    ])
  })

  it('are there, and empty, for a message without any', async () => {
    const { headers } = await delivered({ value: '' })
    expect([[...headers], headers.getAll('a'), headers.has('a')]).toEqual([[], [], false])
    expect((await delivered({ value: '', headers: {} })).headers).toEqual(headers)
  })

  it('may be a thousand', async () => {
    const many = Array.from({ length: 1_000 }, (_, n): [string, string] => [`name ${n}`, `value ${n}`])
    const { headers } = await delivered({ value: '', headers: many })
    expect(headers.get('name 999')).toBe('value 999')
  })

  it.each([
    ['null', null],
    ['text', 'trace'],
    ['a number', 5],
    ['no pairs', ['ab']],
    ['pairs that are too long', [['a', 'b', 'c']]],
    ['a name that is no text', [[1, 'a']]],
    ['undefined as a value', { a: undefined }],
    ['a number as a value', { a: 1 }],
    ['half a surrogate pair in a value', { a: 'x\ud83c' }],
    ['half a surrogate pair in a name', { 'x\udf0d': '' }],
    ['an ArrayBuffer as a value', { a: new ArrayBuffer(1) }],
  ])('of another kind are refused: %s', async (_, headers) => {
    const broker = await openBroker()
    await broker.topic(notes)
    const message = { value: 'v', headers } as OutgoingMessage<string>
    expect(await codeOf(() => broker.producer().send(notes, message))).toBe('OTTLA_INVALID_ARGUMENT')
    expect(await contentsOf(broker, notes)).toEqual([])
  })
})
