// Brokers in processes of their own, which Kafka clients talk to: ottla's, Apache Kafka's and, where Go is at hand, kfake.
// Java, Maven and kcat have to be there; what else is needed comes from the registries, once.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { goProgram, kafkaClassPath } from '../../../test/clients/installation.mjs'

const ottlaCommand = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const kfakeSource = fileURLToPath(new URL('kfake/main.go', import.meta.url))

const OTTLA = 'ottla'
const APACHE_KAFKA = 'Apache Kafka 4.2'
const KFAKE = 'kfake'

/** kfake is reported beside the others where it can be had. */
const hasGo = spawnSync('go', ['version']).status === 0
export const BROKERS = hasGo ? [OTTLA, APACHE_KAFKA, KFAKE] : [OTTLA, APACHE_KAFKA]

/**
 * Makes what a broker needs on a directory of its own. Resolves to what starts it, which resolves when its port is open.
 *
 * @param {string} name @param {string} directory
 */
export async function prepareBroker(name, directory) {
  mkdirSync(directory, { recursive: true })
  const port = await freePort()
  const { command, args, cwd } = await PREPARE[name](directory, port)
  return async () => {
    const startedAt = performance.now()
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr = (stderr + text).slice(-4096)
    })
    const closed = once(child, 'close')
    const kill = () => child.kill('SIGKILL')
    process.on('exit', kill)
    await portOpen(port, () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}\n${stderr}`)
    })
    return {
      name,
      bootstrapServers: `127.0.0.1:${port}`,
      startMs: performance.now() - startedAt,
      residentBytes: () =>
        Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024,
      stop: async () => {
        child.kill('SIGTERM')
        await closed
        process.off('exit', kill)
      },
    }
  }
}

/** Starts all of them, in turns. @param {string} directory */
export async function openBrokers(directory) {
  const brokers = []
  for (const name of BROKERS) {
    const start = await prepareBroker(name, join(directory, name.replaceAll(' ', '-')))
    brokers.push(await start())
  }
  return {
    brokers,
    close: async () => {
      for (const broker of brokers) await broker.stop()
    },
  }
}

const PREPARE = {
  [OTTLA]: (directory, port) => {
    const file = join(directory, 'server.properties')
    writeFileSync(
      file,
      `listeners=PLAINTEXT://127.0.0.1:${port}\nlog.dirs=${directory}/logs\ngroup.initial.rebalance.delay.ms=0\n`,
    )
    return { command: process.execPath, args: [ottlaCommand, 'server-start', file], cwd: directory }
  },
  [APACHE_KAFKA]: async (directory, port) => {
    const classPath = await kafkaClassPath()
    const file = join(directory, 'server.properties')
    const controllerPort = await freePort()
    writeFileSync(file, kafkaProperties(directory, port, controllerPort))
    const java = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', classPath]
    const tool = (...args) => {
      const { status, stdout, stderr } = spawnSync('java', [...java, 'kafka.tools.StorageTool', ...args], {
        encoding: 'utf8',
      })
      if (status !== 0) throw new Error(`StorageTool ${args[0]} failed\n${stdout}${stderr}`)
      return stdout.trim()
    }
    tool('format', '-t', tool('random-uuid'), '-c', file)
    return { command: 'java', args: ['-Xmx1G', ...java, 'kafka.Kafka', file], cwd: directory }
  },
  [KFAKE]: async (directory, port) => {
    const modules = [
      'github.com/twmb/franz-go@v1.22.3',
      'github.com/twmb/franz-go/pkg/kfake@v0.0.0-20260918054303-01f206a7e32c',
    ]
    const command = await goProgram('kfake', kfakeSource, modules)
    return { command, args: [String(port)], cwd: directory }
  },
}

const kafkaProperties = (directory, port, controllerPort) => `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=${directory}/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`

/** Resolves when the port takes connections. */
async function portOpen(port, check) {
  for (;;) {
    check()
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** One that was free a moment ago. @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/**
 * A table with all brokers side by side, kfake too.
 *
 * @param {string} title @param {Record<string, string>} measures what is measured, by what contenders call it
 */
export function sideBySide(title, measures) {
  return {
    title,
    corner: 'measure',
    columns: BROKERS,
    lines: Object.entries(measures).map(([measure, label]) => ({
      label,
      contenders: BROKERS.map((broker) => `${broker} ${measure}`),
    })),
  }
}

/** A row that compares ottla with Apache Kafka. */
export function againstKafka(measure, row) {
  return { ...row, ours: `${OTTLA} ${measure}`, peer: `${APACHE_KAFKA} ${measure}` }
}
