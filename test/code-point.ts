import fc from 'fast-check'

/**
 * Any code point that UTF-8 has: what fast-check calls 'binary'. That one lists all million of them first, which takes a
 * second in each file of tests.
 */
export const codePoint: fc.Arbitrary<string> = fc
  .oneof(fc.nat(0x7f), fc.nat(0xd7ff), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((point) => String.fromCodePoint(point))
