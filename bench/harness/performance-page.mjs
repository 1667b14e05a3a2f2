import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { markdownTable, rowCells, tableCells } from './format.mjs'

const page = fileURLToPath(new URL('../../docs/performance.md', import.meta.url))

/**
 * Puts the tables, the settings and the machine of a run between the marks of docs/performance.md.
 *
 * @param {{ machine: Record<string, string>, workloads: readonly any[] }} run as --json wrote it
 */
export function writePerformancePage({ machine, workloads }) {
  const rows = workloads.flatMap((workload) => workload.rows)
  rows.sort((a, b) => Number.parseFloat(a.id) - Number.parseFloat(b.id))
  const tables = workloads.flatMap((workload) => workload.tables)
  const text = [readFileSync(page, 'utf8')]
    .map((text) =>
      between(
        text,
        'machine',
        Object.entries(machine)
          .map(([what, value]) => `- ${what}: ${value}`)
          .join('\n'),
      ),
    )
    .map((text) => between(text, 'ratios', markdownTable(rowCells(rows))))
    .map((text) =>
      between(
        text,
        'tables',
        tables.map((table) => `### ${table.title}\n\n${markdownTable(tableCells(table))}`).join('\n\n'),
      ),
    )
    .map((text) => between(text, 'settings', workloads.map(settings).join('\n\n')))
  writeFileSync(page, text[0])
}

function settings({ name, title, settings, repetitions, warmups }) {
  const counted = `${repetitions} repetitions after ${warmups} that do not count`
  return [`### ${name}`, '', `${title}.`, '', ...[...settings, counted].map((line) => `- ${line}`)].join('\n')
}

function between(text, mark, content) {
  const begin = `<!-- bench:${mark} -->`
  const end = `<!-- /bench:${mark} -->`
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`${page} lacks ${begin} or ${end}`)
  return `${before}${begin}\n\n${content}\n\n${end}${after}`
}
