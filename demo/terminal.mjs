/** A terminal that shows colours and lets a line be written over; anything else gets plain lines. */
const isRich = process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

const BAR_WIDTH = 20

const bold = style(1, 22)
export const dim = style(2, 22)
export const green = style(32, 39)
export const red = style(31, 39)

function style(on, off) {
  return (text) => (isRich ? `\u001b[${on}m${text}\u001b[${off}m` : text)
}

export function heading(text) {
  console.log(`\n${bold(text)}`)
}

const format = new Intl.NumberFormat('en-US')

/** 20000 as 20,000. */
export function count(value) {
  return format.format(value)
}

/**
 * Prints a table: each column has a name and says what it shows of a row. A column in which all cells begin with a digit
 * or a sign is set to the right.
 */
export function table(rows, columns) {
  const names = Object.keys(columns)
  const cells = rows.map((row) => names.map((name) => shown(columns[name](row))))
  const pad = names.map((name, column) => {
    const texts = cells.map((row) => row[column])
    const width = Math.max(name.length, ...texts.map((text) => text.length))
    const isNumeric = texts.every((text) => /^([-\d]|$)/.test(text))
    return (text) => (isNumeric ? text.padStart(width) : text.padEnd(width))
  })
  const line = (row) =>
    row
      .map((text, column) => pad[column](text))
      .join('   ')
      .trimEnd()
  console.log(`  ${dim(line(names))}`)
  for (const row of cells) console.log(`  ${line(row)}`)
}

function shown(value) {
  return typeof value === 'number' ? count(value) : value
}

/** One line that is written over as it grows; without a rich terminal, a line for each quarter. */
export class ProgressBar {
  #total
  #quartersShown = 0

  constructor(total) {
    this.#total = total
  }

  update(done, note) {
    const text = `${count(done)} of ${count(this.#total)}`
    if (isRich) {
      const filled = Math.round((BAR_WIDTH * done) / this.#total)
      const bar = '█'.repeat(filled) + dim('░'.repeat(BAR_WIDTH - filled))
      // A line that wraps could not be written over.
      const room = Math.max(process.stdout.columns - BAR_WIDTH - text.length - 7, 0)
      const end = done === this.#total ? '\n' : ''
      process.stdout.write(`\r  ${bar}  ${text}  ${dim(note.slice(0, room))}\u001b[K${end}`)
      return
    }
    const quarters = Math.floor((4 * done) / this.#total)
    if (quarters === this.#quartersShown) return
    this.#quartersShown = quarters
    console.log(`  published ${text}: ${note}`)
  }
}
