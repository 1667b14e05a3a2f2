// Puts real Kafka clients through one list of scenarios: `npm run test:clients`.
//
//   --only CLIENT        that client alone; may be given more than once
//   --scenario TEXT      the scenarios with that in their names
//   --against HOST:PORT  a real Apache Kafka instead of ottla, the judge of the scenarios
//   --write              writes the table in docs/kafka-compatibility.md
//
// A client that cannot be had is left out with its reason; with OTTLA_CLIENTS=required that is a failure. Where it can,
// each client has a broker of its own, so that one may restart while others go on. In the folder OTTLA_TEST_REPORTS, if
// that is set, the outcome stands as the tests' does, to be counted with it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { foreignBroker, startBroker } from './broker.mjs'
import { clients, kafkajsProgram } from './clients.mjs'
import { agentDriver, startAgent } from './drivers/agent-driver.mjs'
import { startInProcess } from './in-process.mjs'
import { clientTable, replaceTable } from './matrix.mjs'
import { until } from './processes.mjs'
import { testReport } from './report.mjs'
import { scenarios } from './scenarios.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    scenario: { type: 'string' },
    against: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const AT_ONCE = 3
/** A client that hangs in a way which no scenario foresaw holds up no other for longer. */
const CLIENT_LIMIT_MS = 600_000
const page = fileURLToPath(new URL('../../docs/kafka-compatibility.md', import.meta.url))
const runId = Date.now().toString(36)

const chosen = clients.filter(({ name }) => options.only?.includes(name) ?? true)
const wrong = options.only?.find((name) => !clients.some((client) => client.name === name))
if (wrong !== undefined) throw new Error(`no client is called ${wrong}: ${clients.map(({ name }) => name).join(', ')}`)
const chosenScenarios = scenarios.filter(({ name }) => name.includes(options.scenario ?? ''))
if (!existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)))) {
  throw new Error('the package is not built: npm run build')
}

const columns = chosen.map(({ name, title }) => ({ name, title, cells: new Map(), skipped: undefined }))
const waiting = [...chosen.entries()]
await Promise.all(Array.from({ length: AT_ONCE }, worker))

async function worker() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [index, client] = next
    const column = columns[index]
    try {
      const makeDriver = await installed(client, column)
      if (makeDriver !== undefined) await withinLimit(client, runClient(client, makeDriver, column))
    } catch (error) {
      column.broken = error
      console.log(`FAILED  ${client.title}: ${error.stack}`)
    }
  }
}

async function installed({ title, leftOut, install }, column) {
  const from = performance.now()
  if (leftOut !== undefined) {
    column.skipped = leftOut
    column.isOptional = true
    console.log(`skipped ${title}: ${leftOut}`)
    return undefined
  }
  try {
    const makeDriver = await install()
    console.log(`got     ${title} (${seconds(from)} s)`)
    return makeDriver
  } catch (error) {
    column.skipped = error.message.split('\n').find((line) => line.trim() !== '')
    console.log(`skipped ${title}: ${error.message}`)
    return undefined
  }
}

async function withinLimit({ title }, running) {
  let limit
  const isLate = new Promise((_, reject) => {
    limit = setTimeout(() => reject(new Error(`${title}: not done after ${CLIENT_LIMIT_MS} ms`)), CLIENT_LIMIT_MS)
  })
  await Promise.race([running, isLate]).finally(() => clearTimeout(limit))
}

async function runClient({ name, title }, makeDriver, column) {
  const broker = options.against === undefined ? await startBroker(name) : foreignBroker(options.against)
  const helperAgent = startAgent(kafkajsProgram, broker.bootstrapServers)
  const helper = helperOf(helperAgent)
  const helperDriver = agentDriver(kafkajsProgram, broker.bootstrapServers, { codecs: [] })
  const client = makeDriver(broker)
  for (const [index, scenario] of chosenScenarios.entries()) {
    const offered = { ...client, restart: broker.restart, inProcess: broker.restart && startInProcess }
    if (scenario.needs.some((need) => offered[need] === undefined)) {
      column.cells.set(scenario.name, { outcome: 'none' })
      continue
    }
    const topic = `${name.replaceAll(/[^\w-]/g, '-')}-${runId}-${index}`
    const from = performance.now()
    try {
      await scenario.run({
        client,
        broker,
        helper,
        helperMember: helperDriver.join,
        startBroker,
        startInProcess,
        makeDriver,
        topic,
        group: `${topic}-group`,
      })
      column.cells.set(scenario.name, { outcome: 'passed' })
      console.log(`ok      ${title}: ${scenario.name} (${seconds(from)} s)`)
    } catch (error) {
      column.cells.set(scenario.name, { outcome: 'failed', error })
      console.log(`FAILED  ${title}: ${scenario.name} (${seconds(from)} s)\n${indented(error)}`)
    }
  }
  await client.close()
  await helperAgent.close()
  await broker.close()
}

/** Kafka tells of a topic before it can be used everywhere: this helper's are usable when they are made. */
function helperOf(agent) {
  const operations = new Proxy({}, { get: (_, op) => (request) => agent.request(op, request) })
  return {
    createTopic: async (request) => {
      await operations.createTopic(request)
      await until('the topic can be used', async () => (await operations.endOffset(request)) === 0)
    },
    describeTopic: operations.describeTopic,
    listTopics: operations.listTopics,
    produce: operations.produce,
    consume: operations.consume,
    lag: operations.lag,
    describeGroup: operations.describeGroup,
    endOffset: operations.endOffset,
  }
}

function seconds(from) {
  return ((performance.now() - from) / 1000).toFixed(1)
}

function indented(error) {
  const cause = error.cause === undefined ? '' : `\ncaused by ${error.cause.stack}`
  return `${error.stack}${cause}`.replaceAll(/^/gm, '        ')
}

const table = clientTable(columns, chosenScenarios)
console.log(`\n${table}\n`)
if (options.write) writeFileSync(page, replaceTable(readFileSync(page, 'utf8'), table))

const cells = columns.flatMap((column) => [...column.cells.values()])
const count = (outcome) => cells.filter((cell) => cell.outcome === outcome).length
const missing = columns.filter(({ skipped }) => skipped !== undefined)
const broken = columns.filter((column) => column.broken !== undefined)
for (const { title, skipped } of missing) console.log(`skipped ${title}: ${skipped}`)
console.log(`scenarios: ${count('passed')} passed, ${count('failed')} failed, ${missing.length} clients skipped`)
const isRequired = process.env.OTTLA_CLIENTS === 'required'
const isMissed = isRequired && missing.some(({ isOptional }) => isOptional !== true)
const { OTTLA_TEST_REPORTS: reports } = process.env
if (reports !== undefined) {
  writeFileSync(join(reports, `clients-${process.pid}.json`), JSON.stringify(testReport(columns, { isRequired })))
}
process.exit(count('failed') + broken.length > 0 || isMissed ? 1 : 0)
