// Makes the directory of an Apache Kafka that ottla must be able to read, with that Kafka, which takes Java and Maven:
// node scripts/make-kafka-fixture.mjs test/fixtures/kafka-4.2
// Beside the logs lies expected.json: what Kafka's own consumer read there.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaClassPath } from '../test/clients/installation.mjs'
import { run, until } from '../test/clients/processes.mjs'

const [, , target] = process.argv
const PORT = 29_092
const place = mkdtempSync(join(tmpdir(), 'ottla-kafka-'))
const logs = join(place, 'logs')
const properties = join(place, 'server.properties')
writeFileSync(
  properties,
  `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${PORT + 1}
listeners=PLAINTEXT://127.0.0.1:${PORT},CONTROLLER://127.0.0.1:${PORT + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:${PORT}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=${logs}
log.cleaner.backoff.ms=200
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`,
)
const classPath = await kafkaClassPath()
const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'
const java = (...args) => run('java', [quiet, '-cp', classPath, ...args])
const { stdout } = await java('kafka.tools.StorageTool', 'random-uuid')
await java('kafka.tools.StorageTool', 'format', '-t', stdout.trim(), '-c', properties)
const server = spawn('java', [quiet, '-Xmx512M', '-cp', classPath, 'kafka.Kafka', properties], { stdio: 'inherit' })
const ended = new Promise((resolve) => server.once('exit', resolve))
try {
  await until('the broker answers', async () => {
    const { code } = await run(
      'java',
      [
        quiet,
        '-cp',
        classPath,
        'org.apache.kafka.tools.BrokerApiVersionsCommand',
        '--bootstrap-server',
        `127.0.0.1:${PORT}`,
      ],
      { exitCode: 'any' },
    )
    return code === 0
  })
  const fixture = fileURLToPath(new URL('./kafka-fixture/Fixture.java', import.meta.url))
  await java(fixture, `127.0.0.1:${PORT}`, join(place, 'expected.json'))
} finally {
  server.kill('SIGTERM')
  await ended
}
mkdirSync(target, { recursive: true })
cpSync(join(place, 'expected.json'), join(target, 'expected.json'))
cpSync(logs, join(target, 'logs'), {
  recursive: true,
  // Kafka's records of its cluster are large, and nothing reads them.
  filter: (path) => !path.includes('__cluster_metadata') && !path.endsWith('.lock'),
})
console.log(readdirSync(join(target, 'logs'), { recursive: true }).sort().join('\n'))
rmSync(place, { recursive: true })
