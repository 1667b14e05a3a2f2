import { expect, it } from 'vitest'
import { randomId } from '../src/random-id.js'

it('gives ids that read back as 16 bytes, all different, none with a leading dash', () => {
  const ids = Array.from({ length: 10_000 }, randomId)
  expect(new Set(ids).size).toBe(ids.length)
  const readsBack = (id: string): boolean => {
    const bytes = Buffer.from(id, 'base64url')
    return /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/.test(id) && bytes.length === 16 && bytes.toString('base64url') === id
  }
  expect(ids.filter((id) => !readsBack(id))).toEqual([])
})
