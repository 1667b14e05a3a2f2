import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { msgpack } from '../../src/codec/msgpack.js'
import { OttlaError } from '../../src/errors.js'
import { codePoint } from '../code-point.js'

const codec = msgpack()

/** As a log does it: the bytes are copied out, and lie anywhere in a larger memory. */
function roundTrip(value: unknown): unknown {
  const encoded = codec.encode(value)
  const memory = new Uint8Array(encoded.byteLength + 20).fill(0xee)
  memory.set(encoded, 7)
  return codec.decode(memory.subarray(7, 7 + encoded.byteLength))
}

/** Equal with prototypes, and with -0 and NaN told apart; node's own comparison holds no invalid Date equal to another. */
function isSame(actual: unknown, expected: unknown): boolean {
  const comparable = (value: unknown): unknown => {
    if (value instanceof Date) return ['Date', value.getTime()]
    if (Array.isArray(value)) return value.map(comparable)
    if (value instanceof Map) return ['Map', [...value].map(comparable)]
    if (value instanceof Set) return ['Set', [...value].map(comparable)]
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return value
    }
    return [Object.getPrototypeOf(value) === null, Object.entries(value).map(comparable)]
  }
  return isDeepStrictEqual(comparable(actual), comparable(expected))
}

function expectSame(value: unknown): void {
  const actual = roundTrip(value)
  if (!isSame(actual, value)) expect(actual).toStrictEqual(value)
  expect(isSame(actual, value)).toBe(true)
}

function refusal(value: unknown): string {
  try {
    codec.encode(value)
  } catch (error) {
    if (OttlaError.is(error) && error.code === 'OTTLA_ENCODE') return error.message
    throw error
  }
  throw new Error('The value was not refused.')
}

const typedArrays = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const

const MARK = '\uFEFF'

/** Where a format of MessagePack ends and the next begins. */
const goldens: unknown[] = [
  ...[0, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -1, -32, -33, -128, -129, -32_768, -32_769],
  ...[-(2 ** 31), -(2 ** 31) - 1, 0.5, Number.NaN, 1e300],
  ...[
    2n ** 63n - 1n,
    2n ** 63n,
    -(2n ** 63n),
    -(2n ** 63n) - 1n,
    2n ** 64n,
    2n ** 127n - 1n,
    2n ** 127n,
    -(2n ** 127n),
  ],
  ...[0, 1000, -1000, 1, -1, -1500, 2 ** 32 * 1000 - 1, 2 ** 32 * 1000, 8.64e15, -8.64e15, Number.NaN].map(
    (n) => new Date(n),
  ),
  ...[0, 1, 10, 11, 31, 32, 63, 64, 85, 86, 255, 256, 21_845, 21_846, 65_535, 65_536].flatMap((n) =>
    ['a', 'ž', '日', '👍'].map((text) => text.repeat(n)),
  ),
  ...[0, 254, 255, 256, 65_534, 65_535, 65_536].flatMap((n) => [
    Buffer.alloc(n, 7),
    new Uint8Array(n),
    new ArrayBuffer(n),
  ]),
  ...[0, 15, 16, 65_535, 65_536].map((n) => Array.from({ length: n }, (_, i) => i & 1)),
  ...[15, 16, 65_535, 65_536].map((n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 1]))),
  new DataView(new ArrayBuffer(3), 1),
  new Set([1, new Set(['a'])]),
  { a: undefined, b: null, c: [true, false] },
]

describe('msgpack gives back what it was given', () => {
  it.each<[string, unknown]>([
    ['an object', { id: 'a', total: 1.5, paid: true, note: null, items: [{ sku: 'x' }, []] }],
    ['undefined in an object and in an array', { a: undefined, b: [undefined, 1] }],
    ['-0', -0],
    ['-0 inside', { a: [-0, 0], b: new Map([[1, -0]]) }],
    ['NaN and infinities', [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    ['integers at every width', [31, 32, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32]],
    ['negative integers', [-33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53)]],
    ['fractions', [0.1, 1e-300, 5e-324, 1.7976931348623157e308, 2 ** 31 + 0.5]],
    [
      'big integers',
      [0n, 1n, -1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 63n), -(2n ** 63n) - 1n],
    ],
    ['huge integers', [10n ** 500n, -(10n ** 500n), 2n ** 70_000n, -(2n ** 70_000n), 2n ** 65_536n - 1n]],
    ['a Date', new Date('2026-01-01T12:34:56.789Z')],
    ['dates far away', [new Date(8.64e15), new Date(-8.64e15), new Date(0), new Date(-1), new Date(2 ** 32 * 1000)]],
    ['dates before 1970 with milliseconds', [new Date(-1500), new Date(-62_135_596_800_001)]],
    ['an invalid Date', [new Date(Number.NaN)]],
    [
      'a Map',
      new Map<unknown, unknown>([
        ['a', 1],
        [2, 'b'],
        [{ k: 1 }, [new Map()]],
        [undefined, null],
      ]),
    ],
    ['a Set', new Set<unknown>([1, 'a', { b: 1 }, new Set([new Map([[1, 2]])])])],
    ['an object without a prototype', { a: Object.assign(Object.create(null), { b: -0 }) }],
    ['a __proto__ key', { a: JSON.parse('{"__proto__": {"polluted": true}, "b": 1}') }],
    ['a Buffer', { a: Buffer.from('abc'), b: Buffer.alloc(70_000, 7) }],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['a DataView', new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2)],
    ['a byte order mark', [MARK, `${MARK}a`, MARK + 'a'.repeat(100), MARK + MARK, 'a'.repeat(100) + MARK]],
    ['a byte order mark in a key', { [`${MARK}${'k'.repeat(100)}`]: 1, [`${MARK}id`]: new Map([[MARK, MARK]]) }],
    ['text beyond ASCII', ['žluťoučký kůň', '日本語', '👩‍👩‍👧‍👦'.repeat(30), '\u0000\uFFFD\uFFFF', '']],
    ['strings at every width', [0, 15, 16, 31, 32, 64, 65, 255, 256, 65_535, 65_536].map((n) => 'ž'.repeat(n))],
    [
      'wide arrays and objects',
      [
        Array.from({ length: 70_000 }, (_, i) => i),
        Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
      ],
    ],
    ['members named like methods', { constructor: 'a', hasOwnProperty: 1, toJSON: 'b', length: 2, valueOf: 3 }],
    ['odd keys', { '': 1, ' ': 2, '1': 3, '-0': 4, 'a.b': 5, ключ: 6 }],
  ])('%s', (_, value) => {
    expectSame(value)
  })

  // Compared level by level: what compares by calling itself runs out of stack here.
  it.each([
    ['Map', (inner: unknown) => new Map([[1, inner]]), (outer: unknown) => outer instanceof Map && outer.get(1)],
    ['arrays', (inner: unknown) => [inner], (outer: unknown) => Array.isArray(outer) && outer[0]],
  ] as const)('500 levels of %s', (_, wrap, unwrap) => {
    let left = roundTrip(Array.from({ length: 500 }).reduce<unknown>(wrap, 'x'))
    for (let level = 0; level < 500; level++) left = unwrap(left)
    expect(left).toBe('x')
  })

  it.each(typedArrays.map((TypedArray) => [TypedArray.name, TypedArray] as const))(
    '%s, from and to any byte offset',
    (_, TypedArray) => {
      const { buffer } = new Uint8Array(64).map((_, i) => i * 37)
      for (let before = 0; before < 9; before += 1) {
        const view = new TypedArray(buffer, TypedArray.BYTES_PER_ELEMENT, 3)
        const actual = roundTrip([new Uint8Array(before), view])
        expect(actual).toStrictEqual([new Uint8Array(before), view])
      }
      expectSame(new TypedArray(0))
    },
  )

  it('a value that is referred to twice far below, which is no cycle', () => {
    const shared = { a: 1 }
    const siblings: unknown = [shared, shared, { shared }]
    expectSame(Array.from({ length: 50 }).reduce((inner) => [inner], siblings))
  })

  it('a value that is referred to twice as two equal values', () => {
    const shared = { a: 1 }
    expect(roundTrip([shared, shared])).toStrictEqual([{ a: 1 }, { a: 1 }])
  })

  it('what a getter returns', () => {
    const value = {
      get a() {
        return 1
      },
    }
    expect(roundTrip(value)).toStrictEqual({ a: 1 })
  })

  it('an object of another realm', async () => {
    const { runInNewContext } = await import('node:vm')
    expect(roundTrip(runInNewContext('({ a: [1, { b: 2 }] })'))).toStrictEqual({ a: [1, { b: 2 }] })
  })
})

describe('msgpack refuses what it cannot give back, and names the place', () => {
  class Money {
    amount = 1
  }
  class Rows extends Array {}
  const cycle: Record<string, unknown> = { data: Array.from({ length: 1000 }, (_, i) => ({ i })) }
  cycle.self = { back: cycle }
  const mapCycle = new Map<unknown, unknown>()
  mapCycle.set('me', mapCycle)
  const holes = [1, 2, 3]
  delete holes[1]
  const deep = Array.from({ length: 1100 }).reduce<unknown>((inner) => ({ inner }), 1)

  it.each<[string, unknown, string | RegExp]>([
    ['a function', { items: [1, { run: () => 1 }] }, 'value.items[1].run is a function'],
    ['a symbol', ['a', Symbol('b')], 'value[1] is a symbol'],
    ['a symbol for a key', { a: { [Symbol('b')]: 1 } }, 'value.a has a symbol for a key'],
    [
      'a symbol for a key of an array',
      { a: Object.assign([1], { [Symbol('b')]: 1 }) },
      'value.a has a symbol for a key',
    ],
    ['an instance of a class', { 'the price': new Money() }, 'value["the price"] is an instance of Money'],
    ['a subclass of Array', new Rows(), 'value is an instance of Rows'],
    ['a subclass of Date', new (class Day extends Date {})(), 'value is an instance of Day'],
    ['an Error', { cause: new TypeError('x') }, 'value.cause is an instance of TypeError'],
    ['a RegExp', /a/, 'value is an instance of RegExp'],
    ['a promise', Promise.resolve(), 'value is an instance of Promise'],
    ['a WeakMap', new WeakMap(), 'value is an instance of WeakMap'],
    ['a SharedArrayBuffer', new SharedArrayBuffer(1), 'value is an instance of SharedArrayBuffer'],
    ['boxed primitives', [Object(1)], 'value[0] is an instance of Number'],
    ['a Proxy of a class', new Proxy(new Money(), {}), 'value is an instance of Money'],
    ['an object with a prototype of its own', Object.create({ a: 1 }), 'value is an instance of Object'],
    ['an array with a hole', { a: holes }, 'value.a is an array with holes'],
    ['an empty array with a length', new Array(3), 'value is an array with holes'],
    ['an array with named properties', 'abc'.match(/b/), 'value is an array with holes or with named properties'],
    ['a hole and a property', Object.assign(new Array(1), { a: 1 }), 'value is an array with holes'],
    ['a Date with a property', Object.assign(new Date(), { a: 1 }), 'value is a Date with a property of its own, a'],
    ['a Map with a property', Object.assign(new Map(), { a: 1 }), 'value is a Map with a property of its own, a'],
    ['half a surrogate pair', { a: 'x\uD800' }, 'value.a holds half of a surrogate pair'],
    [
      'half a surrogate pair in a key',
      { a: { '\uDC00': 1 } },
      'value.a["\\udc00"] has half of a surrogate pair in its key',
    ],
    ['a function in a Map', new Map([['a', () => 1]]), 'value.values()[0] is a function'],
    ['a function for a key of a Map', new Map([[() => 1, 'a']]), 'value.keys()[0] is a function'],
    ['a function in a Set', new Set([1, () => 1]), 'value.values()[1] is a function'],
    ['a cycle', cycle, /^msgpack\(\) cannot encode the value: value\.self\.back\.self.* refers to itself/],
    ['a cycle through a Map', mapCycle, 'refers to itself'],
    ['more than 500 levels', deep, 'is more than 500 levels deep'],
  ])('%s', (_, value, sentence) => {
    expect(refusal(value)).toMatch(sentence)
  })

  it('an object that only claims to be built in', () => {
    for (const { prototype } of [Date, Map, Set, Uint8Array, ArrayBuffer, DataView]) {
      expect(refusal(Object.create(prototype))).toMatch('cannot encode')
    }
  })

  it('a getter that throws, with its error as the cause', () => {
    const cause = new Error('no')
    const value = {
      get a() {
        throw cause
      },
    }
    expect(() => codec.encode(value)).toThrow(expect.objectContaining({ code: 'OTTLA_ENCODE', cause }))
  })

  it('and goes on encoding afterwards', () => {
    refusal({ a: () => 1 })
    expectSame({ a: 1 })
  })
})

describe('msgpack in memory', () => {
  it('decodes values that share no memory with the record', () => {
    const encoded = Uint8Array.from(codec.encode({ a: Buffer.from('abc'), b: new Uint8Array([1, 2]), c: 'text' }))
    const decoded = codec.decode(encoded)
    encoded.fill(0)
    expect(decoded).toStrictEqual({ a: Buffer.from('abc'), b: new Uint8Array([1, 2]), c: 'text' })
  })

  it('gives each decoded memory an ArrayBuffer of exactly its size', () => {
    const [buffer, view] = roundTrip([Buffer.from('abc'), new Uint16Array([1])]) as [Buffer, Uint16Array]
    expect(buffer.buffer.byteLength).toBe(3)
    expect(view.buffer.byteLength).toBe(2)
  })

  it('leaves the bytes it is given as they were, without a property hung on them', () => {
    const encoded = Uint8Array.from(codec.encode({ a: [1] }))
    const before = Uint8Array.from(encoded)
    codec.decode(encoded)
    expect(Reflect.ownKeys(encoded)).toHaveLength(encoded.length)
    expect(encoded).toStrictEqual(before)
  })

  it('writes every byte it returns: the same value twice gives the same bytes', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const once = attempt(value)
        Buffer.allocUnsafe(4096).fill(0xaa)
        const twice = attempt(value)
        expect(twice).toStrictEqual(once)
      }),
      { numRuns: 200 },
    )
  })

  it('keeps what it returned through later encodes', () => {
    const encoded = Array.from({ length: 3000 }, (_, i) => codec.encode({ i, text: 'x'.repeat(i % 300) }))
    for (const [i, bytes] of encoded.entries()) expect(codec.decode(bytes)).toEqual({ i, text: 'x'.repeat(i % 300) })
  })

  it('may be called by a getter of the value that it encodes', () => {
    const value = {
      get inner() {
        return Buffer.from(codec.encode({ a: -0 }))
      },
      b: 'c',
    }
    const decoded = roundTrip(value) as { inner: Buffer; b: string }
    expect(codec.decode(decoded.inner)).toStrictEqual({ a: -0 })
    expect(decoded.b).toBe('c')
  })
})

describe('msgpack between records and programs', () => {
  it('decodes each record alone', () => {
    const row = { id: 1, name: 'a', nested: { id: 2 } }
    const first = Uint8Array.from(codec.encode(row))
    const second = Uint8Array.from(codec.encode(row))
    expect(second).toStrictEqual(first)
    expect(msgpack().decode(second)).toStrictEqual(row)
  })

  it('writes plain MessagePack for JSON-like values', () => {
    expect(Buffer.from(codec.encode({ a: [1, 'b', null, true, 1.5] })).toString('hex')).toBe(
      '81a16195 01 a162 c0 c3 cb3ff8000000000000'.replaceAll(' ', ''),
    )
  })

  it.each<[string, unknown, string]>([
    ['a Map', new Map([['a', 1]]), '92c1 94c100a16101'],
    ['-0', -0, '92c1 92c101'],
    ['a string with a byte order mark', MARK, '92c1 93c102a42eefbbbf'],
    ['an object with a __proto__ key', JSON.parse('{"__proto__":1}'), '92c1 94c103a95f5f70726f746f5f5f01'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '92c1 94c104a16101'],
  ])('keeps the form of its escapes, which older records hold: %s', (_, value, golden) => {
    const record = Buffer.from(golden.replaceAll(' ', ''), 'hex')
    expect(Buffer.from(codec.encode(value)).toString('hex')).toBe(record.toString('hex'))
    expect(isSame(codec.decode(record), value)).toBe(true)
  })

  it('writes what msgpackr writes, which wrote older records, and reads what it writes', () => {
    const packr = new Packr({
      useRecords: false,
      moreTypes: true,
      mapsAsObjects: true,
      variableMapSize: true,
      copyBuffers: true,
      useToJSON: false,
    })
    let compared = 0
    const compare = (value: unknown): void => {
      const encoded = attempt(value)
      // What is escaped here, msgpackr would change.
      if (typeof encoded === 'string' || encoded.includes(0xc1)) return
      compared += 1
      const theirs = packr.pack(value)
      expect(Buffer.from(encoded).toString('hex')).toBe(theirs.toString('hex'))
      expect(isSame(codec.decode(theirs), value)).toBe(true)
    }
    for (const value of goldens) compare(value)
    fc.assert(fc.property(anyValue, compare), { numRuns: 1000 })
    expect(compared).toBeGreaterThan(goldens.length + 200)
  })

  it.each<[string, string, unknown]>([
    ['a float of four bytes', 'ca3fc00000', 1.5],
    ['a number in more bytes than it needs', 'cf0000000000000001', 1n],
    ['a timestamp with nanoseconds', 'd7ff000000fc00000001', new Date(1000)],
    ['keys that are numbers, as strings', '8201a16102a162', { 1: 'a', 2: 'b' }],
    ['a string of UTF-8 that is none', 'a2c328', '\uFFFD('],
    ['a key that would change the prototype', '81a95f5f70726f746f5f5f80', { __proto_: {} }],
  ])('reads from other programs %s', (_, hex, value) => {
    expect(codec.decode(Buffer.from(hex, 'hex'))).toStrictEqual(value)
  })

  it('tells keys apart that are as long and begin and end alike', () => {
    const value = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`k${String(i).padStart(3, '0')}y`, i]))
    expectSame(value)
    expectSame({ é: 1, 'Ã©': 2 })
    expectSame({ 'Ã©': 1, é: 2 })
  })
})

describe('msgpack refuses bytes that are not MessagePack', () => {
  it.each<[string, Uint8Array]>([
    ['none', new Uint8Array(0)],
    ['a cut record', Uint8Array.from(codec.encode({ a: 'some text' })).subarray(0, 6)],
    ['two values', new Uint8Array([1, 2])],
    ['an unknown escape', new Uint8Array([0x92, 0xc1, 0x92, 0xc1, 0x63])],
    ['an unknown extension', new Uint8Array([0xd4, 0x50, 0x00])],
    ['an array longer than the record', new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['endless nesting', new Uint8Array(200_000).fill(0x91)],
  ])('%s', (_, bytes) => {
    expect(() => codec.decode(bytes)).toThrow(expect.objectContaining({ code: 'OTTLA_DECODE' }))
    expectSame({ a: 1 })
  })

  it('any bytes decode or are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          codec.decode(bytes)
        } catch (error) {
          expect(OttlaError.is(error) && error.code).toBe('OTTLA_DECODE')
        }
      }),
    )
  })
})

/** Strings of any UTF-16 code units: lone surrogates, byte order marks and all. */
const anyString = fc.oneof(
  fc.string(),
  fc.string({ unit: codePoint, maxLength: 100 }),
  fc
    .array(fc.constantFrom('\uD800', '\uDC00', MARK, 'a', '__proto__', 'ž', '👍'), { maxLength: 20 })
    .map((a) => a.join('')),
)

const anyValue = fc.anything({
  key: fc.oneof(anyString, fc.constantFrom('__proto__', 'constructor', 'toJSON', MARK, 'hasOwnProperty')),
  values: [
    anyString,
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom<unknown>(null, undefined, -0, Number.NaN),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array().map((bytes) => bytes.buffer),
  ],
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true,
  withBoxedValues: true,
  maxDepth: 4,
})

function attempt(value: unknown): Uint8Array | string {
  try {
    return Uint8Array.from(codec.encode(value))
  } catch (error) {
    if (OttlaError.is(error)) return error.message
    throw error
  }
}

it('msgpack gives back any value, or refuses it', () => {
  let carried = 0
  fc.assert(
    fc.property(anyValue, (value) => {
      const encoded = attempt(value)
      if (typeof encoded === 'string') return
      carried += 1
      expect(isSame(codec.decode(encoded), value)).toBe(true)
    }),
    { numRuns: 3000 },
  )
  expect(carried).toBeGreaterThan(1000)
})
