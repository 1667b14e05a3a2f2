import { readFileSync } from 'node:fs'

const file = new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets'))

/** 20,000 flights in the United States from January to March 2001, in the order in which they left. */
export function readFlights() {
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** When a flight left, in milliseconds. The file names no time zone. */
export function departure(flight) {
  return Date.parse(`${flight.date} UTC`)
}

export function isLate(flight) {
  return flight.delay > 60
}

export function groupByOrigin(flights) {
  const groups = new Map()
  for (const flight of flights) {
    const group = groups.get(flight.origin)
    if (group === undefined) groups.set(flight.origin, [flight])
    else group.push(flight)
  }
  return groups
}
