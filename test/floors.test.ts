import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }
import { breaches, type SourceTree } from './floors.js'

describe('the floors of src', () => {
  it('are kept by every file', () => {
    expect(breaches(sourcesOf(fileURLToPath(new URL('../src', import.meta.url))), publicEntries())).toEqual([])
  })
})

describe('the check of the floors', () => {
  /** A small house that keeps every rule. */
  const house: SourceTree = new Map([
    ['index.ts', `export { Broker } from './broker.js'`],
    ['testing/index.ts', `export { suite } from './suite.js'`],
    ['testing/suite.ts', `import { Broker } from '../broker.js'\nexport const suite = () => Broker`],
    ['broker.ts', `import { Log } from './log/log.js'\nexport class Broker { log = new Log() }`],
    [
      'log/log.ts',
      `import type { Storage } from '../storage/storage.js'
       import { openFile } from '../storage/file/file.js'
       import { decode } from '../protocol/messages.js'
       export class Log { storage?: Storage; open = openFile; decode = decode }`,
    ],
    ['storage/storage.ts', `import type { Clock } from '../time/clock.js'\nexport interface Storage { clock: Clock }`],
    ['storage/file/file.ts', `import { open } from 'node:fs/promises'\nexport const openFile = open`],
    ['protocol/messages.ts', `import { varint } from '../record/varint.js'\nexport const decode = varint`],
    ['record/varint.ts', `import { EventEmitter } from 'eventemitter3'\nexport const varint = EventEmitter`],
    [
      'time/clock.ts',
      `export interface Clock { now(): number }\nexport const now = () => Date.now() + performance.now()`,
    ],
  ])
  const check = (changes: Record<string, string>): string[] =>
    breaches(new Map([...house, ...Object.entries(changes)]), ['index.ts', 'testing/index.ts'])
  /** The house's own text with a line after it. */
  const append = (path: string, line: string): Record<string, string> => ({ [path]: `${house.get(path)}\n${line}` })

  it('passes a house that keeps the rules', () => {
    expect(check({})).toEqual([])
  })

  it.each([
    ['an import', `import { Broker } from '../broker.js'`],
    ['a type import', `import type { Broker } from '../broker.js'`],
    ['an import type', `export let broker: import('../broker.js').Broker`],
    ['a re-export', `export { Broker } from '../broker.js'`],
    ['a dynamic import', `export const load = () => import('../broker.js')`],
  ])('finds an upward step made by %s', (_, line) => {
    expect(check(append('storage/storage.ts', line))).toContain('storage/storage.ts:3 imports broker.ts: upward')
  })

  it('finds a step sideways, even for a type', () => {
    expect(check(append('record/varint.ts', `import type { Clock } from '../time/clock.js'`))).toEqual([
      'record/varint.ts:3 imports time/clock.ts: sideways',
    ])
    expect(check({ ...append('protocol/messages.ts', `import '../record/crc.js'`), 'record/crc.ts': '' })).toEqual([
      'protocol/messages.ts:3 imports record/crc.ts: sideways',
    ])
  })

  it('finds an entry point that takes in another, or is imported from inside', () => {
    expect(check(append('index.ts', `export { suite } from './testing/suite.js'`))).toEqual([
      'index.ts:2 imports testing/suite.ts: sideways',
    ])
    expect(check(append('testing/suite.ts', `import type {} from '../index.js'`))).toEqual([
      'testing/suite.ts:3 imports index.ts: sideways',
    ])
    expect(check(append('broker.ts', `import type {} from './index.js'`))).toEqual([
      'broker.ts:3 imports index.ts: upward',
    ])
  })

  it('finds a runtime cycle, and lets one of types be', () => {
    const other = { 'log/other.ts': `import { Log } from './log.js'\nexport class Other extends Log {}` }
    expect(check({ ...other, ...append('log/log.ts', `import { Other } from './other.js'`) })).toEqual([
      'runtime cycle: log/log.ts -> log/other.ts -> log/log.ts',
    ])
    expect(check({ ...other, ...append('log/log.ts', `import type { Other } from './other.js'`) })).toEqual([])
  })

  it('finds files that no entry point reaches, also where they import one another', () => {
    expect(check({ 'log/a.ts': `import type {} from './b.js'`, 'log/b.ts': `import type {} from './a.js'` })).toEqual([
      'no entry point reaches log/a.ts',
      'no entry point reaches log/b.ts',
    ])
  })

  it('finds a folder that is on no floor, and an import of what is not there', () => {
    expect(check({ ...append('broker.ts', `import './utils/text.js'`), 'utils/text.ts': '' })).toEqual([
      'utils/text.ts is on no floor',
    ])
    expect(check(append('broker.ts', `import './gone.js'`))).toEqual([
      'broker.ts:3 imports gone.ts, which does not exist',
    ])
  })

  it.each([
    'node:fs',
    'node:fs/promises',
    'fs',
    'node:net',
    'node:tls',
    'node:child_process',
    'node:os',
    'node:worker_threads',
  ])('finds %s outside the folders that reach the system', (name) => {
    expect(check(append('broker.ts', `import '${name}'`))).toEqual([
      `broker.ts:3 imports ${name}: only storage/file, wire, cluster and cli reach the system`,
    ])
  })

  it.each([
    'Date.now()',
    'globalThis.Date.now()',
    'new Date()',
    'Date()',
    'performance.now()',
    'setTimeout(() => {}, 1)',
    'globalThis.setInterval(() => {}, 1)',
    'setImmediate(() => {})',
    'process.hrtime.bigint()',
    'AbortSignal.timeout(1)',
    `import('node:timers/promises')`,
  ])('finds time read outside the clock by %s', (use) => {
    expect(check(append('log/log.ts', `export const late = ${use}`))).toEqual([
      expect.stringMatching(/^log\/log\.ts:5: .*: only time\/clock\.ts reads a clock or sets a timer$/),
    ])
  })

  it('lets microtasks and given dates be', () => {
    expect(check(append('log/log.ts', 'queueMicrotask(() => new Date(0))'))).toEqual([])
  })
})

function sourcesOf(root: string): SourceTree {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return new Map(names.map((name) => [name.split(sep).join('/'), readFileSync(join(root, name), 'utf8')]))
}

/** './testing' of package.json's exports is src/testing/index.ts. */
function publicEntries(): string[] {
  const imported = Object.keys(packageJson.exports)
    .filter((subpath) => !subpath.endsWith('.json'))
    .map((subpath) => (subpath === '.' ? 'index.ts' : `${subpath.slice(2)}/index.ts`))
  const commands = Object.values(packageJson.bin).map((path) => path.replace(/^dist\//, '').replace(/\.js$/, '.ts'))
  return [...imported, ...commands]
}
