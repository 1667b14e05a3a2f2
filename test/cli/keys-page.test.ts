import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { keyRows, unusedKeyRows } from './keys-page.js'

it('docs/kafka-compatibility.md lists every key as the server reads it', () => {
  const page = readFileSync(new URL('../../docs/kafka-compatibility.md', import.meta.url), 'utf8').split('\n')
  const rows = [...keyRows(), ...unusedKeyRows()]
  expect(page.filter((line) => rows.includes(line))).toEqual(rows)
})
