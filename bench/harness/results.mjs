/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Row} Row */
/** @typedef {{ median: number, min: number, max: number }} Summary */
/** @typedef {Record<string, number[]>} Samples values by contender, one for each repetition that counts */
/** @typedef {'reached' | 'above the floor' | 'under the floor' | 'no floor'} Verdict */

/** @param {readonly number[]} values @returns {Summary} */
export function summarize(values) {
  if (values.length === 0 || !values.every(Number.isFinite)) throw new RangeError(`No numbers to summarize: ${values}`)
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1] }
}

/**
 * Ours to peer, repetition by repetition: what slows the machine for a while slows both.
 *
 * @param {readonly number[]} ours @param {readonly number[]} peer
 */
export function ratios(ours, peer) {
  if (ours.length !== peer.length) throw new RangeError(`${ours.length} values of ours, ${peer.length} of the peer`)
  return ours.map((value, repetition) => value / peer[repetition])
}

function of(samples, contender) {
  const values = samples[contender]
  if (values === undefined) throw new TypeError(`No contender measured '${contender}', but ${Object.keys(samples)} did`)
  return values
}

/** @param {number} value the median ratio, or the median itself where there is no peer @param {Row} row @returns {Verdict} */
export function verdict(value, { better, floor, goal }) {
  const holds = (bound) => (better === 'lower' ? value <= bound : value >= bound)
  if (floor !== undefined && !holds(floor)) return 'under the floor'
  if (goal !== undefined && holds(goal)) return 'reached'
  return floor === undefined ? 'no floor' : 'above the floor'
}

/** @param {Workload} workload @param {Samples} samples */
export function rowResults({ name, rows }, samples) {
  return rows.map((row) => {
    const ours = summarize(of(samples, row.ours))
    const peer = row.peer === undefined ? undefined : summarize(of(samples, row.peer))
    const ratio = row.peer === undefined ? undefined : summarize(ratios(of(samples, row.ours), of(samples, row.peer)))
    return { workload: name, ...row, values: { ours, peer }, ratio, verdict: verdict((ratio ?? ours).median, row) }
  })
}

/** @param {Workload} workload @param {Samples} samples */
export function tableResults({ tables = [] }, samples) {
  return tables.map(({ title, corner, columns, lines }) => ({
    title,
    corner,
    columns,
    lines: lines.map(({ label, contenders }) => ({
      label,
      values: contenders.map((contender) => (contender === undefined ? null : summarize(of(samples, contender)))),
    })),
  }))
}

/** What `--check` finds fault with, a sentence each. @param {ReturnType<typeof rowResults>} rows */
export function shortfalls(rows) {
  return rows
    .filter((row) => row.verdict === 'under the floor' && row.floorOf === undefined)
    .map(({ id, workload, label, peer, better, floor, unit, ratio, values }) => {
      const side = better === 'lower' ? 'above its bound of' : 'under its floor of'
      const [median, bound] =
        ratio === undefined
          ? [`${values.ours.median.toPrecision(3)} ${unit}`, `${floor} ${unit}`]
          : [`${ratio.median.toPrecision(3)}x of ${peer}`, `${floor}x`]
      return `row ${id} (${workload}: ${label}): ${median} is ${side} ${bound}`
    })
}
