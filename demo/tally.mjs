/** What a group has handled of a topic since some place in it: how much, whether without a gap, and the delays. */
export class Tally {
  handled = 0
  /** Messages that came although they were handled before. */
  again = 0
  /** Offsets that were stepped over. */
  missed = 0
  /** For each airport, how many flights left it and their delays in minutes, added up. */
  byOrigin = new Map()
  /** For each partition, the offset that comes next. */
  nextOffsets

  constructor(nextOffsets) {
    this.nextOffsets = [...nextOffsets]
  }

  get isGapless() {
    return this.again === 0 && this.missed === 0
  }

  add({ partition, offset, value }) {
    const expected = this.nextOffsets[partition]
    if (offset < expected) this.again += 1
    else this.missed += offset - expected
    this.nextOffsets[partition] = offset + 1
    this.handled += 1
    const { flights, minutes } = this.byOrigin.get(value.origin) ?? { flights: 0, minutes: 0 }
    this.byOrigin.set(value.origin, { flights: flights + 1, minutes: minutes + value.delay })
  }
}

/** The delays of two tallies in one. */
export function sumByOrigin(some, others) {
  const sum = new Map(some)
  for (const [origin, { flights, minutes }] of others) {
    const before = sum.get(origin) ?? { flights: 0, minutes: 0 }
    sum.set(origin, { flights: before.flights + flights, minutes: before.minutes + minutes })
  }
  return sum
}
