import { expect, it } from 'vitest'
import { parseJaasConfig } from '../../src/cli/jaas-config.js'

const parsed = (text: string) => {
  const entry = parseJaasConfig(text)
  return entry && [entry.module, Object.fromEntries(entry.options)]
}

it.each([
  ['PlainLoginModule required;', ['PlainLoginModule', {}]],
  [
    'a.b.PlainLoginModule required\n  user_alice="secret"\n  user_bob=b0b ;',
    ['PlainLoginModule', { user_alice: 'secret', user_bob: 'b0b' }],
  ],
  ['M REQUIRED user_a="with \\"quotes\\", \\\\ = and ;";', ['M', { user_a: 'with "quotes", \\ = and ;' }]],
  ['M required user_a="";', ['M', { user_a: '' }]],
])('reads %s', (text, expected) => {
  expect(parsed(text)).toEqual(expected)
})

it.each([
  '',
  'PlainLoginModule',
  'PlainLoginModule required',
  'PlainLoginModule needed;',
  'PlainLoginModule required user_alice;',
  'PlainLoginModule required user_alice=;',
  'PlainLoginModule required user_alice="open;',
  'PlainLoginModule required user_alice=a user_alice=b;',
  'PlainLoginModule required; Other required;',
  'PlainLoginModule required user_alice "a";',
])('takes %j for no entry', (text) => {
  expect(parseJaasConfig(text)).toBeUndefined()
})
