import { expect, it } from 'vitest'
import { randomId } from '../src/random-id.js'

it('gives ids that read back as 16 bytes, all different, none with a leading dash', () => {
  const ids = Array.from({ length: 10_000 }, randomId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) {
    expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/)
    expect(Buffer.from(id, 'base64url').toString('base64url')).toBe(id)
    expect(Buffer.from(id, 'base64url')).toHaveLength(16)
  }
})
