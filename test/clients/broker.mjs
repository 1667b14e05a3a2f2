// The broker that a client talks to: `ottla server-start` on a directory of its own, or the Apache Kafka of --against.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { follow, until } from './processes.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const command = join(root, 'dist', 'cli', 'main.js')

/** A broker of a real Kafka, which this script neither starts nor stops. */
export function foreignBroker(bootstrapServers) {
  return { bootstrapServers, restart: undefined, close: async () => {} }
}

/** Starts one as a user would. `properties` is the text of its server.properties; `listeners` is put in front. */
export async function startBroker(name, properties = DEFAULT_PROPERTIES) {
  const directory = mkdtempSync(join(tmpdir(), `ottla-clients-${name}-`))
  const port = await freePort()
  mkdirSync(join(directory, 'config'))
  writeFileSync(
    join(directory, 'config', 'server.properties'),
    properties.replaceAll('@PORT@', String(port)).replaceAll('@DIRECTORY@', directory),
  )
  const bootstrapServers = `127.0.0.1:${port}`
  const log = []
  let server = await started()

  async function started() {
    const process_ = follow(process.execPath, [command, 'server-start', 'config/server.properties'], {
      cwd: directory,
      onLine: (line) => log.push(line),
    })
    const from = log.length
    await until(
      () => `the broker listens:\n${[...process_.lines, ...process_.errors].join('\n')}`,
      () => {
        if (!process_.isRunning()) throw new Error(`the broker ended:\n${[...log, ...process_.errors].join('\n')}`)
        return log.slice(from).some((line) => line.startsWith('Listening on'))
      },
    )
    return process_
  }

  return {
    bootstrapServers,
    log,
    /** Lets it close in order, does `meanwhile`, and starts it again on the same directory and port. */
    restart: async (meanwhile) => {
      await server.stop('SIGTERM')
      await meanwhile?.()
      server = await started()
    },
    close: async () => {
      const { child, errors } = server
      await server.stop('SIGTERM')
      rmSync(directory, { recursive: true, force: true })
      if (child.exitCode !== 0) throw new Error(`the broker ended with ${child.exitCode}:\n${errors.join('\n')}`)
    },
  }
}

const DEFAULT_PROPERTIES = `
listeners=PLAINTEXT://127.0.0.1:@PORT@
log.dirs=@DIRECTORY@/logs
group.initial.rebalance.delay.ms=0
`

/** One that was free a moment ago. A restart has to come back on the same. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
