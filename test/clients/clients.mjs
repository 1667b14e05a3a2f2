// The clients, by worth. `install` gets one (or throws why it cannot be had) and resolves to what makes its driver.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { agentDriver } from './drivers/agent-driver.mjs'
import { kafkaToolsDriver } from './drivers/kafka-tools.mjs'
import { kcatDriver } from './drivers/kcat.mjs'
import { debianCommand, mavenArtifacts, npmPackages, pipPackages } from './installation.mjs'

const agents = fileURLToPath(new URL('./agents', import.meta.url))
const agentFile = (name) => join(agents, name)

export const clients = [
  {
    name: 'kafkajs',
    title: 'kafkajs 2.2.4',
    install: async () => {
      const program = await kafkajsProgram()
      return (broker) => agentDriver(program, broker.bootstrapServers, { codecs: ['none', 'gzip'] })
    },
  },
  {
    name: 'kcat',
    title: 'kcat 1.7',
    install: async () => {
      const command = await debianCommand('kcat')
      return (broker) => kcatDriver(command, broker.bootstrapServers)
    },
  },
  {
    name: 'kafka-tools',
    title: 'tools of Kafka 4.2',
    install: async () => {
      const classPath = await mavenArtifacts('kafka-4.2.0', [
        ...kafkaArtifacts('4.2.0'),
        'org.apache.kafka:kafka-tools:4.2.0',
      ])
      return (broker) => kafkaToolsDriver(classPath, broker, KAFKA_4)
    },
  },
  {
    name: 'kafka-tools-3.2',
    title: 'tools of Kafka 3.2.1',
    install: async () => {
      const classPath = await mavenArtifacts('kafka-3.2.1', kafkaArtifacts('3.2.1'))
      return (broker) => kafkaToolsDriver(classPath, broker, KAFKA_3)
    },
  },
  pythonClient('confluent-kafka', '2.16.1', ['none', 'gzip', 'snappy', 'lz4', 'zstd']),
  pythonClient('kafka-python', '3.0.12', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], {
    codecs: ['python-snappy', 'lz4', 'zstandard'],
  }),
  pythonClient('kafka-python', '2.0.2', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], {
    name: 'kafka-python-2.0',
    codecs: ['python-snappy', 'lz4', 'zstandard'],
    cannot: ['deleteRecords'],
  }),
]

function pythonClient(
  packageName,
  version,
  codecs,
  { name = packageName, codecs: codecPackages = [], cannot = [] } = {},
) {
  return {
    name,
    title: `${packageName} ${version}`,
    install: async () => {
      const command = await pipPackages(name, [`${packageName}==${version}`, ...codecPackages])
      const program = { command, args: [agentFile(`${packageName}.py`)] }
      return (broker) => agentDriver(program, broker.bootstrapServers, { codecs, cannot })
    },
  }
}

const kafkaArtifacts = (version) => [`org.apache.kafka:kafka_2.13:${version}`, 'org.slf4j:slf4j-simple:1.7.36']

const KAFKA_4 = {
  tools: {
    'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
    'kafka-configs': 'kafka.admin.ConfigCommand',
    'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
    'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
    'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
    'kafka-get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
    'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
    'kafka-producer-perf-test': 'org.apache.kafka.tools.ProducerPerformance',
    'kafka-consumer-perf-test': 'org.apache.kafka.tools.ConsumerPerformance',
  },
  properties: { reader: '--reader-property', formatter: '--formatter-property', consumer: '--command-property' },
}

const KAFKA_3 = {
  tools: {
    'kafka-topics': 'kafka.admin.TopicCommand',
    'kafka-configs': 'kafka.admin.ConfigCommand',
    'kafka-console-producer': 'kafka.tools.ConsoleProducer',
    'kafka-console-consumer': 'kafka.tools.ConsoleConsumer',
    'kafka-consumer-groups': 'kafka.admin.ConsumerGroupCommand',
    'kafka-get-offsets': 'kafka.tools.GetOffsetShell',
    'kafka-delete-records': 'kafka.admin.DeleteRecordsCommand',
  },
  properties: { reader: '--property', formatter: '--property', consumer: '--consumer-property' },
}

/** kafkajs is the scenarios' helper too. */
export async function kafkajsProgram() {
  const folder = await npmPackages('kafkajs', ['kafkajs@2.2.4'])
  return { command: process.execPath, args: [agentFile('kafkajs.mjs')], env: { OTTLA_CLIENT_FOLDER: folder } }
}
