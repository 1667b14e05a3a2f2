import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { testReport } from './report.mjs'

const tally = fileURLToPath(new URL('../../scripts/tally.mjs', import.meta.url))

/** The last line of what is counted, and the exit code. */
function counted(report: object): [line: string | undefined, exitCode: number | null] {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-report-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  writeFileSync(join(directory, 'clients.json'), JSON.stringify(report))
  const { stdout, status } = spawnSync(process.execPath, [tally, directory], { encoding: 'utf8' })
  return [stdout.trim().split('\n').at(-1), status]
}

const cells = (...outcomes: ('passed' | 'failed' | 'none')[]) =>
  new Map(outcomes.map((outcome, index) => [`scenario ${index}`, { outcome }]))
const good = { title: 'good', cells: cells('passed', 'none', 'passed') }
const missing = { title: 'missing', cells: cells(), skipped: 'no such registry' }

it.each([
  ['scenarios that passed, and none that a client has not', [good], 'tests: 2 passed, 0 failed', 0],
  ['one that failed', [good, { title: 'bad', cells: cells('passed', 'failed') }], 'tests: 3 passed, 1 failed', 1],
  ['a client that broke off', [{ ...good, broken: new Error('gone') }], 'tests: 2 passed, 1 failed', 1],
  ['one that could not be had', [good, missing], 'tests: 2 passed, 1 failed', 1],
  ['one that need not be had', [good, { ...missing, isOptional: true }], 'tests: 2 passed, 0 failed, 1 skipped', 0],
])('the clients are counted with the tests: %s', (_, columns, line, exitCode) => {
  expect(counted(testReport(columns, { isRequired: true }))).toEqual([line, exitCode])
})

it('a client that could not be had is left out where none is required', () => {
  const report = testReport([good, missing], { isRequired: false })
  expect(counted(report)).toEqual(['tests: 2 passed, 0 failed, 1 skipped', 0])
})
