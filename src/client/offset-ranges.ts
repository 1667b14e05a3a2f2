interface OffsetRange {
  first: number
  last: number
}

/** A set of offsets that takes as much memory as it has ranges. Its text is '3-5,9' for 3, 4, 5 and 9. */
export class OffsetRanges {
  /** Rising, with a gap between each and the next. */
  readonly #ranges: OffsetRange[] = []

  /** Of what a text says, the offsets from `start` up to, but not including, `end`. One in another form says nothing. */
  static parse(text: string, start: number, end: number): OffsetRanges {
    const parsed = new OffsetRanges()
    if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return parsed
    let reached = start
    for (const range of text.split(',')) {
      const [from = 0, to = from] = range.split('-').map(Number)
      const [first, last] = [Math.max(from, reached), Math.min(to, end - 1)]
      if (first > last) continue
      parsed.#append(first, last)
      reached = last + 1
    }
    return parsed
  }

  get first(): number | undefined {
    return this.#ranges[0]?.first
  }

  has(offset: number): boolean {
    const range = this.#ranges[this.#indexOf(offset)]
    return range !== undefined && range.first <= offset
  }

  add(offset: number): void {
    const index = this.#indexOf(offset)
    const range = this.#ranges[index]
    const before = this.#ranges[index - 1]
    if (range !== undefined && range.first <= offset) return
    const isBehind = before?.last === offset - 1
    const isInFront = range?.first === offset + 1
    if (before !== undefined && range !== undefined && isBehind && isInFront) {
      before.last = range.last
      this.#ranges.splice(index, 1)
    } else if (before !== undefined && isBehind) before.last = offset
    else if (range !== undefined && isInFront) range.first = offset
    else this.#ranges.splice(index, 0, { first: offset, last: offset })
  }

  delete(offset: number): void {
    const index = this.#indexOf(offset)
    const range = this.#ranges[index]
    if (range === undefined || range.first > offset) return
    const { first, last } = range
    const rest: OffsetRange[] = []
    if (first < offset) rest.push({ first, last: offset - 1 })
    if (offset < last) rest.push({ first: offset + 1, last })
    this.#ranges.splice(index, 1, ...rest)
  }

  toString(): string {
    return this.#ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join()
  }

  #append(first: number, last: number): void {
    const before = this.#ranges[this.#ranges.length - 1]
    if (before?.last === first - 1) before.last = last
    else this.#ranges.push({ first, last })
  }

  /** Of the first range that does not end before the offset. */
  #indexOf(offset: number): number {
    let [low, high] = [0, this.#ranges.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle] as OffsetRange).last < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
