/*
 * What a file of bench/workloads/ exports as `workload`. Its contenders take turns in one child process, in an order
 * that is shuffled for each repetition; a row compares two of them, repetition by repetition.
 *
 * A contender does its work, checks by count and checksum that all of it arrived, throws where it did not, and says
 * what it measured:
 *   { work }           units done; the harness took the time of the whole call
 *   { work, seconds }  units done in the part of the call that it timed itself
 *   { value }          a value that is no rate, such as a p50 or bytes
 *   { values }         several of those; rows and tables ask for `contender name`
 */

/** @typedef {{ work: number, seconds?: number } | { value: number } | { values: Record<string, number> }} Measurement */

/** @typedef {() => Promise<Measurement> | Measurement} Contender */

/**
 * @typedef {object} Row
 * @property {string} id a number, by which the table is ordered
 * @property {string} label what is done, in a few words
 * @property {string} ours a contender
 * @property {string} [peer] the contender that it is compared with; without one the floor and goal are those of ours
 * @property {'higher' | 'lower'} better with 'lower' the floor and the goal are upper bounds
 * @property {string} unit of the contenders' values, such as msg/s
 * @property {number} [floor] what `--check` demands of the median; without it the row is only reported
 * @property {number} [goal]
 * @property {string} [floorOf] what the floor was set for, where that is not what is measured: another row is held to it,
 *   and `--check` only tells of this one
 * @property {string} [goalOf] what the goal was set for, where that is not what is measured
 * @property {string} [note] how the peer was used
 */

/**
 * Values of contenders side by side, for what has no floor: how a cost grows.
 *
 * @typedef {object} Table
 * @property {string} title
 * @property {string} corner what the lines are
 * @property {readonly string[]} columns with their units
 * @property {readonly { label: string, contenders: readonly (string | undefined)[] }[]} lines one contender for each column
 */

/**
 * @typedef {object} Workload
 * @property {string} name
 * @property {string} title
 * @property {readonly string[]} settings exact, a line each
 * @property {readonly Row[]} rows
 * @property {readonly Table[]} [tables]
 * @property {number} repetitions that count: 5 at least
 * @property {number} warmups before them
 * @property {readonly string[]} [nodeOptions] of the child, besides --expose-gc
 * @property {(context: Context) => Promise<Opened>} open
 */

/** @typedef {{ directory: string, gc: () => void }} Context `directory` is empty, on a real disk, and removed afterwards */

/** @typedef {{ contenders: Record<string, Contender>, close(): Promise<void> }} Opened */

/** Throws a TypeError that names the fault of a workload. @param {Workload} workload @param {string} file */
export function checkWorkload(workload, file) {
  const fail = (what) => {
    throw new TypeError(`${file}: ${what}`)
  }
  if (typeof workload !== 'object' || workload === null) fail('exports no workload')
  const { name, title, settings, rows, tables = [], repetitions, warmups, open } = workload
  if (`${name}.mjs` !== file) fail(`its name is ${name}`)
  if (!title || !Array.isArray(settings) || settings.length === 0) fail('has no title or no settings')
  if (!(repetitions >= 5) || !(warmups >= 0)) fail('repetitions are 5 at least, and warmups 0')
  if (typeof open !== 'function') fail('cannot be opened')
  if (rows.length + tables.length === 0) fail('has neither rows nor tables')
  for (const { id, label, ours, better, unit } of rows) {
    if (!(Number(id) > 0) || !label || !ours || !unit) fail(`row ${id} lacks its number, label, ours or unit`)
    if (better !== 'higher' && better !== 'lower') fail(`row ${id}: better is 'higher' or 'lower'`)
  }
  for (const { columns, lines } of tables) {
    for (const { label, contenders } of lines) {
      if (contenders.length !== columns.length) fail(`line ${label} has not one contender for each column`)
    }
  }
}
