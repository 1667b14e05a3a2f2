// The table of clients and scenarios that docs/kafka-compatibility.md shows.
const BEGIN = '<!-- clients: npm run test:clients -- --write -->'
const END = '<!-- /clients -->'

const SIGNS = { passed: 'yes', failed: '**no**', none: '–' }

export function clientTable(columns, scenarios) {
  const run = columns.filter(({ skipped }) => skipped === undefined)
  const row = (cells) => `| ${cells.join(' | ')} |`
  return [
    row(['scenario', ...run.map(({ title }) => title)]),
    row(['---', ...run.map(() => '---')]),
    ...scenarios.map(({ name }) => row([name, ...run.map(({ cells }) => SIGNS[cells.get(name)?.outcome] ?? '?')])),
  ].join('\n')
}

export function replaceTable(text, table) {
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END)
  if (from < 0 || to < from) throw new Error(`the page has no ${BEGIN} with ${END} after it`)
  return `${text.slice(0, from + BEGIN.length)}\n${table}\n${text.slice(to)}`
}
