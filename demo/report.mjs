import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { count, dim, green, heading, red, table } from './terminal.mjs'

export function printResumed(groups) {
  table(groups, {
    group: ({ name }) => name,
    'stood at': ({ stoodAt }) => stoodAt.reduce((sum, offset) => sum + offset, 0),
    'handled now': ({ tally }) => tally.handled,
    'came again': ({ tally }) => tally.again,
    missed: ({ tally }) => tally.missed,
  })
}

export function printWorstAirports(byOrigin) {
  heading('The ten airports with the worst mean delay')
  const airports = [...byOrigin].map(([origin, { flights, minutes }]) => ({ origin, flights, mean: minutes / flights }))
  airports.sort((a, b) => b.mean - a.mean)
  table(airports.slice(0, 10), {
    airport: ({ origin }) => origin,
    flights: ({ flights }) => flights,
    'mean delay in minutes': ({ mean }) => mean.toFixed(1),
  })
}

export function printPartitions(topic, messages, committed) {
  heading(`The partitions of ${topic}`)
  const partitions = committed.delays.map((_, partition) =>
    messages.filter((message) => message.partition === partition),
  )
  table(partitions, {
    partition: ([first]) => first.partition,
    airports: (all) => new Set(all.map((message) => message.key)).size,
    messages: (all) => all.length,
    'first offset': ([first]) => first.offset,
    'last offset': (all) => all.at(-1).offset,
    'delays next': ([first]) => committed.delays[first.partition],
    'late-flights next': ([first]) => committed.lateFlights[first.partition],
  })
}

export function printThroughput(runs) {
  heading('Throughput')
  table(runs, {
    what: ({ what }) => what,
    messages: ({ messages }) => messages,
    seconds: ({ seconds }) => seconds.toFixed(2),
    'per second': ({ messages, seconds }) => Math.round(messages / seconds),
  })
}

export function printFiles(directory) {
  heading('Files on disk: a new segment for each week of flights')
  const folders = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  table(
    folders.map(({ name }) => ({ name, files: readdirSync(join(directory, name)) })),
    {
      folder: ({ name }) => name,
      segments: ({ files }) => files.filter((file) => file.endsWith('.log')).length,
      files: ({ files }) => files.length,
      bytes: ({ name, files }) => files.reduce((bytes, file) => bytes + statSync(join(directory, name, file)).size, 0),
    },
  )
}

/** Prints which checks hold, and makes the process fail unless all do. */
export function printChecks(checks) {
  heading('Compared with flights-20k.json')
  for (const [sentence, holds] of Object.entries(checks)) {
    console.log(`  ${holds ? green('ok    ') : red('WRONG ')}  ${sentence}`)
    if (!holds) process.exitCode = 1
  }
  console.log(
    dim(`\n  ${count(Object.values(checks).filter(Boolean).length)} of ${Object.keys(checks).length} checks hold`),
  )
}
