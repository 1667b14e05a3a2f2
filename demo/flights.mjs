/*
 * 20,000 flights through a broker on files. In its first life they are published while two groups consume them, and it
 * is closed before the groups are done. Its second life is a process of its own on the same folder: both groups go on
 * where they stood, and then one of them gets all flights once more. What came out is compared with what went in.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { Broker, FileStorage, json, Topic } from 'ottla'
import { departure, groupByOrigin, isLate, readFlights } from './flight-data.mjs'
import {
  printChecks,
  printFiles,
  printPartitions,
  printResumed,
  printThroughput,
  printWorstAirports,
} from './report.mjs'
import { sumByOrigin, Tally } from './tally.mjs'
import { count, heading, ProgressBar } from './terminal.mjs'

const PARTITIONS = 6
const FLIGHTS_PER_SEND = 250

const flightsTopic = new Topic('flights', { partitions: PARTITIONS, value: json() })
const lateTopic = new Topic('late', { value: json() })

const flights = readFlights()
if (process.argv[2] === '--second-life') await secondLife()
else await firstLife()

async function firstLife() {
  const demoData = fileURLToPath(new URL('../demo-data/', import.meta.url))
  mkdirSync(demoData, { recursive: true })
  const directory = mkdtempSync(join(demoData, 'flights-'))
  heading(`First life: two groups consume while ${count(flights.length)} flights are published`)

  const broker = await openBroker(directory)
  const delays = new Tally(new Array(PARTITIONS).fill(0))
  const lateFlights = new Tally(new Array(PARTITIONS).fill(0))
  await consumeDelays(broker, delays)
  await consumeLateFlights(broker, lateFlights)
  const standing = () => `delays ${count(delays.handled)}, late-flights ${count(lateFlights.handled)}`
  const publishSeconds = await publish(broker, standing)
  // Nobody waits for the groups: handlers that run may finish, and what they have done is committed.
  await broker.close()
  console.log(`  closed, with handled: ${standing()}`)

  const child = fork(fileURLToPath(import.meta.url), ['--second-life'], { serialization: 'advanced' })
  child.send({
    directory,
    publishSeconds,
    delaysByOrigin: delays.byOrigin,
    nextOffsets: { delays: delays.nextOffsets, lateFlights: lateFlights.nextOffsets },
  })
  const [exitCode] = await once(child, 'exit')
  process.exitCode = exitCode ?? 1
}

async function secondLife() {
  const [before] = await once(process, 'message')
  process.disconnect()
  heading(`Second life: process ${process.pid} opens ${relative(process.cwd(), before.directory)}`)

  const broker = await openBroker(before.directory)
  const stoodAt = await committedOffsets(broker)
  const delays = new Tally(before.nextOffsets.delays)
  const lateFlights = new Tally(before.nextOffsets.lateFlights)
  const members = [await consumeDelays(broker, delays), await consumeLateFlights(broker, lateFlights)]
  await broker.idle()
  for (const member of members) await member.close()
  printResumed([
    { name: 'delays', stoodAt: stoodAt.delays, tally: delays },
    { name: 'late-flights', stoodAt: stoodAt.lateFlights, tally: lateFlights },
  ])

  heading('All flights once more, while only delays consumes')
  const onceMore = new Tally(delays.nextOffsets)
  await consumeDelays(broker, onceMore)
  const startedAt = performance.now()
  await publish(broker, () => `delays ${count(onceMore.handled)}`)
  await broker.idle()
  const onceMoreSeconds = (performance.now() - startedAt) / 1000

  const byOrigin = sumByOrigin(before.delaysByOrigin, delays.byOrigin)
  const published = await readAll(broker, flightsTopic)
  const late = await readAll(broker, lateTopic)
  const committed = await committedOffsets(broker)
  await broker.close()

  printWorstAirports(byOrigin)
  printPartitions('flights', published, committed)
  printThroughput([
    { what: 'publish, two groups consuming', messages: flights.length, seconds: before.publishSeconds },
    { what: 'publish once more, until delays has handled all', messages: flights.length, seconds: onceMoreSeconds },
  ])
  printFiles(before.directory)
  printChecks({
    'both groups stood where they had stopped': isDeepStrictEqual(stoodAt, before.nextOffsets),
    'nothing came again and nothing was missed': [delays, lateFlights, onceMore].every((tally) => tally.isGapless),
    'the delays of each airport are right': isDeepStrictEqual(byOrigin, delaysInFile()),
    'and right once more': isDeepStrictEqual(onceMore.byOrigin, delaysInFile()),
    'each airport has its flights twice, in order': areFlights(published, [...flights, ...flights]),
    'the topic late has every late flight once': areFlights(late, flights.filter(isLate)),
    'delays is at the end of the log': total(committed.delays) === 2 * flights.length,
    'late-flights is where the first publication ended': total(committed.lateFlights) === flights.length,
  })
}

async function openBroker(directory) {
  const broker = await Broker.open({ storage: new FileStorage(directory) })
  await broker.topic(flightsTopic)
  await broker.topic(lateTopic)
  return broker
}

async function consumeDelays(broker, tally) {
  const member = broker.consumerGroup('delays', { topics: [flightsTopic] })
  await member.run((message) => tally.add(message))
  return member
}

async function consumeLateFlights(broker, tally) {
  const producer = broker.producer()
  const member = broker.consumerGroup('late-flights', { topics: [flightsTopic] })
  await member.run(async (message) => {
    const { key, value, timestamp } = message
    if (isLate(value)) await producer.send(lateTopic, { key, value, timestamp })
    tally.add(message)
  })
  return member
}

/** Returns how many seconds it took until all were acknowledged: written and synced. */
async function publish(broker, note) {
  const producer = broker.producer()
  const bar = new ProgressBar(flights.length)
  const startedAt = performance.now()
  for (let start = 0; start < flights.length; start += FLIGHTS_PER_SEND) {
    const next = flights.slice(start, start + FLIGHTS_PER_SEND)
    await producer.send(
      flightsTopic,
      next.map((flight) => ({ key: flight.origin, value: flight, timestamp: departure(flight) })),
    )
    bar.update(start + next.length, note())
  }
  await producer.close()
  return (performance.now() - startedAt) / 1000
}

async function committedOffsets(broker) {
  const of = async (id) => (await broker.describeGroup(id)).lag.map((partition) => partition.committedOffset ?? 0)
  return { delays: await of('delays'), lateFlights: await of('late-flights') }
}

async function readAll(broker, topic) {
  const messages = []
  for await (const message of broker.reader(topic, { until: 'end' })) messages.push(message)
  return messages
}

/** For each airport the same flights, in the same order. */
function areFlights(messages, expected) {
  return isDeepStrictEqual(groupByOrigin(messages.map((message) => message.value)), groupByOrigin(expected))
}

function delaysInFile() {
  const byOrigin = new Map()
  for (const [origin, departures] of groupByOrigin(flights)) {
    byOrigin.set(origin, { flights: departures.length, minutes: total(departures.map((flight) => flight.delay)) })
  }
  return byOrigin
}

function total(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0)
}
