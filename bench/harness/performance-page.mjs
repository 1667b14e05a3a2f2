import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { byNumber, markdownTable, rowCells, tableCells } from './format.mjs'

const page = fileURLToPath(new URL('../../docs/performance.md', import.meta.url))

/**
 * Puts the tables, the settings and the machine of a run between the marks of docs/performance.md.
 *
 * @param {{ machine: Record<string, string>, workloads: readonly any[] }} run as --json wrote it
 */
export function writePerformancePage({ machine, workloads }) {
  const rows = byNumber(workloads.flatMap((workload) => workload.rows))
  const tables = workloads.flatMap((workload) => workload.tables)
  let text = readFileSync(page, 'utf8')
  text = between(text, 'machine', Object.entries(machine).map(item).join('\n'))
  text = between(text, 'ratios', markdownTable(rowCells(rows)))
  text = between(text, 'tables', tables.map(tableSection).join('\n\n'))
  text = between(text, 'settings', workloads.map(settingsSection).join('\n\n'))
  writeFileSync(page, text)
}

function item([what, value]) {
  return `- ${what}: ${value}`
}

function tableSection(table) {
  return `### ${table.title}\n\n${markdownTable(tableCells(table))}`
}

function settingsSection({ name, title, settings, rows, repetitions, warmups }) {
  const notes = rows.filter(({ note }) => note !== undefined).map(({ peer, note }) => `${peer}: ${note}`)
  const counted = `${repetitions} repetitions after ${warmups} that do not count`
  const lines = [...settings, ...new Set(notes), counted].map((line) => `- ${line}`)
  return [`### ${name}`, '', `${title}.`, '', ...lines].join('\n')
}

/** Replaces what stands between the marks of that name. */
function between(text, mark, content) {
  const begin = `<!-- bench:${mark} -->`
  const end = `<!-- /bench:${mark} -->`
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`${page} lacks ${begin} or ${end}`)
  return `${text.slice(0, from)}${begin}\n\n${content}\n\n${text.slice(to)}`
}
