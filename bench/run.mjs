// npm run bench                       measures everything and prints one table of ratios
// npm run bench -- NAME...            measures some workloads; wire stands for all that begin with wire-
//   --check                           exits with 1 when a median ratio is under its floor
//   --json FILE                       writes the samples and what was made of them
//   --directory DIR                   where workloads keep their files: a real disk. Default bench/.cache
//   --no-build                        measures the dist/ that is there
//   --list                            names the workloads
//   --page                            writes the tables to docs/performance.md too; that takes all workloads
// npm run bench -- --markdown FILE    writes the tables of a --json FILE to docs/performance.md, and measures nothing
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { alignedText, byNumber, rowCells, tableCells } from './harness/format.mjs'
import { describeMachine } from './harness/machine.mjs'
import { writePerformancePage } from './harness/performance-page.mjs'
import { build, installPeers } from './harness/prepare.mjs'
import { Progress } from './harness/progress.mjs'
import { rowResults, shortfalls, tableResults } from './harness/results.mjs'
import { runWorkload } from './harness/run-workload.mjs'
import { checkWorkload } from './harness/workload.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
    directory: { type: 'string', default: join(here, '.cache') },
    'no-build': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    markdown: { type: 'string' },
  },
})

const names = readdirSync(join(here, 'workloads'))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => parse(file).name)
/** They need Java, and take minutes: measured when they are asked for. */
const isOnRequest = (name) => name.startsWith('wire-')
const namesOf = (name) => names.filter((each) => each === name || each.startsWith(`${name}-`))
const unknown = wanted.filter((name) => namesOf(name).length === 0)

if (unknown.length > 0) {
  console.error(`No workload is called ${unknown.join(' or ')}. There are: ${names.join(', ')}`)
  process.exitCode = 1
} else if (options.page && wanted.length > 0) {
  console.error('The page holds the tables of all workloads, so --page measures all of them: name none')
  process.exitCode = 1
} else if (options.list) console.log(names.join('\n'))
else if (options.markdown !== undefined) writePerformancePage(JSON.parse(readFileSync(options.markdown, 'utf8')))
else await bench(wanted.length > 0 ? wanted.flatMap(namesOf) : names.filter((name) => !isOnRequest(name)))

async function bench(chosen) {
  const progress = new Progress()
  progress.step('installing the peers')
  installPeers()
  progress.done()
  if (!options['no-build']) {
    progress.step('building')
    build()
    progress.done()
  }
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => interruption.abort())
  const measured = []
  const failures = []
  for (const [index, name] of chosen.entries()) {
    if (interruption.signal.aborted) break
    const label = `[${index + 1}/${chosen.length}] ${name}`
    progress.step(label)
    try {
      measured.push(await measure(name, progress, interruption.signal))
      progress.done()
    } catch (error) {
      failures.push(`${name}: ${error.message}`)
      progress.done('FAILED')
    }
  }
  progress.end()
  report(measured, failures)
}

async function measure(name, progress, signal) {
  // Workloads import ottla and the peers, which are there only now.
  const { workload } = await import(new URL(`workloads/${name}.mjs`, import.meta.url))
  checkWorkload(workload, `${name}.mjs`)
  const samples = await runWorkload(workload, {
    directory: options.directory,
    signal,
    onProgress: (done, total) => progress.part(done, total),
  })
  const { title, settings, repetitions, warmups } = workload
  const rows = rowResults(workload, samples)
  return { name, title, settings, repetitions, warmups, rows, tables: tableResults(workload, samples), samples }
}

function report(measured, failures) {
  const rows = byNumber(measured.flatMap((workload) => workload.rows))
  if (rows.length > 0) console.log(alignedText(rowCells(rows)))
  for (const table of measured.flatMap((workload) => workload.tables)) {
    console.log(`\n${table.title}\n${alignedText(tableCells(table))}`)
  }
  const run = { machine: describeMachine(), workloads: measured }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(run, null, 1)}\n`)
  // A table without what failed would pass for the whole.
  if (options.page && failures.length === 0) writePerformancePage(run)
  const short = shortfalls(rows)
  for (const sentence of [...short, ...failures]) console.error(sentence)
  if (failures.length > 0 || (options.check && short.length > 0)) process.exitCode = 1
}
