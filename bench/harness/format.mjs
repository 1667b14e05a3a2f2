/** @typedef {import('./results.mjs').Summary} Summary */

const PREFIXES = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
]

/** Three digits that count: 1.23M, 45.6k, 0.012. @param {number} value */
export function number(value) {
  const size = Math.abs(value)
  for (const [factor, prefix] of PREFIXES) if (size >= factor) return `${digits(value / factor)}${prefix}`
  return digits(value)
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value)
  if (size >= 100) return value.toFixed(0)
  if (size >= 10) return value.toFixed(1)
  return size >= 1 || size === 0 ? value.toFixed(2) : value.toPrecision(2)
}

/** @param {Summary} summary */
function range({ median, min, max }) {
  return `${number(median)} [${number(min)}..${number(max)}]`
}

/** Rows in the order of their numbers. @param {readonly any[]} rows */
export function byNumber(rows) {
  return [...rows].sort((a, b) => Number(a.id) - Number(b.id))
}

/** The rows of all workloads as lines of cells, the head first. @param {readonly any[]} rows */
export function rowCells(rows) {
  return [
    ['#', 'workload', 'ours', 'peer', 'ratio', 'floor', 'goal', ''],
    ...rows.map(({ id, label, unit, better, floor, floorOf, goal, goalOf, peer, values, ratio, verdict }) => {
      const bound = (value) => {
        if (value === undefined) return ''
        return `${better === 'lower' ? '<= ' : ''}${ratio === undefined ? `${value} ${unit}` : `${value}x`}`
      }
      return [
        id,
        label,
        ratio === undefined ? `${range(values.ours)} ${unit}` : `${number(values.ours.median)} ${unit}`,
        peer === undefined ? '' : `${peer} ${number(values.peer.median)}`,
        ratio === undefined ? '' : `${number(ratio.median)}x [${number(ratio.min)}..${number(ratio.max)}]`,
        floorOf === undefined ? bound(floor) : `${bound(floor)} ${floorOf}`,
        goalOf === undefined ? bound(goal) : `${bound(goal)} ${goalOf}`,
        {
          'under the floor': floorOf === undefined ? 'UNDER' : 'under',
          reached: 'goal',
          'above the floor': 'ok',
          'no floor': '',
        }[verdict],
      ]
    }),
  ]
}

/** A table of how something grows as lines of cells, the head first. */
export function tableCells({ corner, columns, lines }) {
  return [
    [corner, ...columns],
    ...lines.map(({ label, values }) => [label, ...values.map((value) => (value === null ? '' : range(value)))]),
  ]
}

/** Cells as text for a terminal. @param {readonly (readonly string[])[]} lines */
export function alignedText(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
  return [text[0], widths.map((width) => '-'.repeat(width)).join('  '), ...text.slice(1)].join('\n')
}

/** Cells as a table of Markdown. @param {readonly (readonly string[])[]} lines */
export function markdownTable(lines) {
  const escaped = lines.map((line) => `| ${line.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
  return [escaped[0], `|${lines[0].map(() => '---|').join('')}`, ...escaped.slice(1)].join('\n')
}
