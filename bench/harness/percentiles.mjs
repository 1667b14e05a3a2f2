/** The values below which such parts of all lie: the nearest one that was measured. @param {Iterable<number>} values @param {readonly number[]} parts */
export function percentiles(values, parts) {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) throw new RangeError('There are no values to rank')
  return parts.map((part) => sorted[Math.max(Math.ceil(part * sorted.length), 1) - 1])
}
